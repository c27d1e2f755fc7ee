"""What `import lossbench` prepares, each in a process of its own, since MXNet reads its settings once."""

import ctypes
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import numpy as np
import pytest

from lossbench import _cores, _cuda, _mxnet
from lossbench._mxnet import mx
from lossbench.errors import UserError

ROOT = Path(__file__).resolve().parent.parent
TWO_CORES = len(os.sched_getaffinity(0)) >= 2


def python(code, *options, **environment):
    """Run the code in a new Python and return (exit status, output, errors)."""
    settings = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    unset = [name for name, value in settings.items() if value is None]
    read = {"OMP_NUM_THREADS", "MXNET_OMP_MAX_THREADS", "MXNET_ENGINE_TYPE"}
    for name in (read | {*unset}) - {*environment} | {*unset}:
        settings.pop(name, None)
    done = subprocess.run(
        [sys.executable, *options, "-c", code], env=settings, capture_output=True, text=True, timeout=300
    )
    return done.returncode, done.stdout.strip(), done.stderr.strip()


THREADS = "import lossbench, os; print(os.environ['OMP_NUM_THREADS'])"


def test_importing_lossbench_does_not_import_mxnet():
    assert python("import lossbench, sys; print('mxnet' in sys.modules)") == (0, "False", "")


def test_mx_is_mxnet_and_its_start_up_warnings_are_not_shown():
    code = "from lossbench._mxnet import mx; import mxnet; print(mx is mxnet, mx.nd.ones(3).sum().asscalar())"
    assert python(code, "-W", "always") == (0, "True 3.0", "")


def test_mxnet_imports_after_lossbench_without_its_help():
    status, output, errors = python("import lossbench, mxnet; print(mxnet.nd.ones(3).sum().asscalar())")
    assert (status, output) == (0, "3.0")
    assert re.fullmatch(r"\[.*\] .*: MXNet start using engine: NaiveEngine", errors)


HARDLY_USED = (
    "cv2",
    "distutils",
    "onnx",
    "pkg_resources",
    "requests",
    "scipy.sparse",
    "scipy.stats",
    "setuptools",
    "sklearn",
)


def test_modules_that_mxnet_hardly_uses_are_imported_when_they_are_used():
    code = f"""
import sys
from lossbench._mxnet import mx
print([name for name in {HARDLY_USED} if name in sys.modules])
print(mx.gluon.utils.requests.get.__module__, mx.test_utils.ss.norm.cdf(0), "sklearn" in sys.modules)
import sklearn.base, scipy.stats
print(issubclass(sklearn.base.ClassifierMixin, object), scipy.stats.norm.cdf(0))
"""
    assert python(code) == (0, "[]\nrequests.api 0.5 False\nTrue 0.5", "")
    earlier = """
import requests, sys, sklearn.base
from lossbench._mxnet import mx
print(sys.modules["sklearn"] is sklearn, issubclass(mx.model.FeedForward, sklearn.base.BaseEstimator))
print(mx.gluon.utils.requests is requests)
"""
    assert python(earlier) == (0, "True True\nTrue", "")


def test_what_mxnet_does_with_scipy_still_works():
    counts, edges = np.histogram(np.linspace(-4, 4, 10_000) ** 3 / 16, bins=255)
    thresholds = mx.contrib.quantization._get_optimal_thresholds({"layer": (counts, edges, -4.0, 4.0, 4.0)}, "int8")
    low, high = thresholds["layer"]
    assert -low == high > 0
    quarters = [(-np.inf, -0.6745), (-0.6745, 0), (0, 0.6745), (0.6745, np.inf)]
    drawn = np.random.default_rng(0).normal(size=4_000)
    p, _, expected = mx.test_utils.chi_square_check(lambda n: drawn[:n], quarters, [0.25] * 4, nsamples=4_000)
    assert 0.01 < p < 1
    assert list(expected) == [1_000] * 4


def test_sparse_matrices_of_scipy_are_known_whenever_scipy_sparse_is_imported():
    code = """
import sys
from lossbench._mxnet import mx
print(type(mx.nd.array([[0, 2]])).__name__, "scipy.sparse" in sys.modules)
print(type(mx.nd.array([[0, 2]]).tostype("csr").asscipy()).__name__)
import scipy.sparse
print(type(mx.nd.array(scipy.sparse.csr_matrix([[0, 2]]))).__name__, type(mx.nd.array([[0, 2]])).__name__)
print(mx.nd.sparse.csr_matrix(scipy.sparse.csr_matrix([[0, 2]])).asnumpy().tolist())
"""
    assert python(code) == (0, "NDArray False\ncsr_matrix\nCSRNDArray NDArray\n[[0, 2]]", "")
    earlier = """
import scipy.sparse
from lossbench._mxnet import mx
print(type(mx.nd.array(scipy.sparse.csr_matrix([[0, 2]]))).__name__)
"""
    assert python(earlier)[:2] == (0, "CSRNDArray")


RUNNING = (
    "from lossbench._mxnet import mx; import os; print(os.environ['MXNET_ENGINE_TYPE'], mx.nd.ones(3).sum().asscalar())"
)


def test_the_engine_is_the_one_that_is_fast_on_a_cpu_unless_the_user_chose_and_does_not_announce_itself():
    assert python(RUNNING) == (0, "NaiveEngine 3.0", "")
    assert python(RUNNING, MXNET_ENGINE_TYPE="ThreadedEngine") == (0, "ThreadedEngine 3.0", "")


def test_the_engine_stays_mxnets_where_the_mxnet_for_gpus_is_installed(tmp_path, monkeypatch):
    monkeypatch.delenv("MXNET_ENGINE_TYPE", raising=False)
    monkeypatch.delitem(sys.modules, "mxnet")
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    for names, engine in ((["mxnet_cu112", "mxnet"], None), (["mxnet"], "NaiveEngine")):
        for name in names:
            (tmp_path / f"{name}-1.9.1.dist-info").mkdir()
        _mxnet.prepare()
        assert os.environ.get("MXNET_ENGINE_TYPE") == engine
        for name in names:
            (tmp_path / f"{name}-1.9.1.dist-info").rmdir()


def test_other_lines_on_the_standard_error_are_passed_on(capfd):
    with _mxnet._engine_unannounced():
        os.write(2, b"one\n[1] MXNet start using engine: NaiveEngine\ntwo\n")
    assert capfd.readouterr().err == "one\ntwo\n"


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'lossbench._mxnet' has no attribute 'my'"):
        _mxnet.my  # noqa: B018


def test_threads_are_the_cores_allowed():
    assert python(THREADS) == (0, str(_mxnet.thread_count()), "")


@pytest.mark.parametrize("count", [1, pytest.param(2, marks=pytest.mark.skipif(not TWO_CORES, reason="one core"))])
def test_threads_follow_the_affinity(count):
    cores = sorted(os.sched_getaffinity(0))[:count]
    status, output, errors = python(f"import os; os.sched_setaffinity(0, {cores}); {THREADS}")
    assert (status, errors) == (0, "")
    assert int(output) <= count
    assert _cores._cgroup_quota() is not None or int(output) == count


def test_threads_chosen_by_the_user_stay():
    assert python(THREADS, OMP_NUM_THREADS="7") == (0, "7", "")
    code = "import lossbench, os; print(os.environ.get('OMP_NUM_THREADS'))"
    assert python(code, MXNET_OMP_MAX_THREADS="3") == (0, "None", "")


def test_mxnet_runs_as_many_threads_as_it_was_given():
    code = """
import lossbench, os
from lossbench._mxnet import mx
a = mx.nd.ones((512, 512))
mx.nd.dot(a, a).wait_to_read()
print(len(os.listdir("/proc/self/task")))
"""
    running = {count: int(python(code, OMP_NUM_THREADS=str(count))[1]) for count in (1, 4)}
    assert running[4] >= running[1] + 3


def test_the_number_of_threads_is_what_mxnet_uses():
    code = "from lossbench import _mxnet; from lossbench._mxnet import mx; print(_mxnet.threads())"
    assert python(code, OMP_NUM_THREADS="3") == (0, "3", "")
    assert python(code) == (0, str(_mxnet.thread_count()), "")


def test_mxnet_imported_first_works_and_says_once_what_could_not_be_set():
    code = (
        "import mxnet\n"
        "import lossbench\n"
        "import lossbench, lossbench.ops\n"
        "from lossbench._mxnet import mx\n"
        "print(mx is mxnet, mx.nd.ones(3).sum().asscalar())"
    )
    # NumPy 1.24 and Python 3.12 lack what MXNet reads, so from there on it comes first only if the user supplies it.
    alias = f"import sys; sys.path.insert(0, {str(ROOT / 'lossbench')!r}); import numpy, packaging.version, _numpy; "
    alias += "sys.modules['distutils'] = sys.modules['distutils.version'] = packaging.version; "
    alias += "packaging.version.LooseVersion = packaging.version.StrictVersion = packaging.version.Version; "
    alias += "vars(numpy).update(_numpy.removed_names(numpy))\n"
    status, output, errors = python(alias + code)
    assert (status, output) == (0, "True 3.0")
    assert errors.count("MXNet was imported first, so its number of threads stays what MXNet chose") == 1
    assert "<string>:3: UserWarning: lossbench: " in errors  # it points to the line of the user's import
    assert python(alias + code, OMP_NUM_THREADS="2") == (0, "True 3.0", "")


def path_without(folder, *packages):
    """The path of a folder that gets all that is installed here but these, for a Python that sees no other (-S)."""
    for installed in {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}:
        for item in Path(installed).iterdir():
            if not item.name.lower().startswith(packages):
                (folder / item.name).symlink_to(item)
    return f"{folder}{os.pathsep}{ROOT}"


@pytest.fixture
def without_mxnet(tmp_path):
    return path_without(tmp_path, "mxnet")


USE = "import lossbench\nfrom lossbench._mxnet import mx"


def test_mxnet_does_without_what_it_hardly_uses(tmp_path):
    path = path_without(tmp_path, "cv2", "opencv", "onnx", "setuptools", "pkg_resources", "sklearn", "scikit_learn")
    code = f"""
{USE}
from mxnet.onnx.mx2onnx._op_translations import _op_translations_opset12 as translations
print(mx.recordio.cv2, mx.image.image.cv2, translations.onnx, mx.nd.ones(3).sum().asscalar())
"""
    assert python(code, "-S", PYTHONPATH=path) == (0, "None None None 3.0", "")


def test_without_mxnet_the_first_use_names_which_to_install(without_mxnet):
    assert python("import lossbench; print('fine')", "-S", PYTHONPATH=without_mxnet) == (0, "fine", "")
    status, _, errors = python(USE, "-S", PYTHONPATH=without_mxnet)
    assert status == 1
    assert errors.splitlines()[-1] == (
        "lossbench.errors.MXNetUnavailable: lossbench: MXNet must be installed, found none. For the CPU: "
        f"{_mxnet.CPU_INSTALL}; for NVIDIA GPUs, in the lossbench checkout: {_mxnet.GPU_INSTALL}."
    )


def loader_error(library):
    """The dynamic loader's own words about a library that is not there."""
    with pytest.raises(OSError, match="libabsent.so.1") as caught:
        ctypes.CDLL("libabsent.so.1")
    return OSError(str(caught.value).replace("libabsent.so.1", library))


@pytest.mark.parametrize(
    ("library", "way_out"),
    [
        ("libgomp.so.1", "apt-get install libgomp1 libquadmath0"),
        ("libquadmath.so.0", "apt-get install libgomp1 libquadmath0"),
        ("libcudart.so.11.0", "pip install -r requirements-gpu.txt"),
        ("libcudnn.so.8", "pip install -r requirements-gpu.txt"),
        ("libcuda.so.1", "NVIDIA's driver. Without a GPU: pip uninstall mxnet-cu112, then pip install"),
        ("libstrange.so.3", "Install the system package that carries it"),
    ],
)
def test_a_missing_system_library_is_named_with_what_brings_it(library, way_out):
    message = _mxnet._explain(loader_error(library))
    assert message.startswith(f"lossbench: MXNet needs the system library {library}, which is missing. ")
    assert way_out in message
    assert "\n" not in message


def test_a_broken_library_reaches_the_user_as_one_line(tmp_path, without_mxnet):
    package = tmp_path / "mxnet"
    package.mkdir()
    (package / "libmxnet.so").write_bytes(b"not a library")
    (package / "__init__.py").write_text("import ctypes; ctypes.CDLL(__file__.replace('__init__.py', 'libmxnet.so'))")
    status, _, errors = python(USE, "-S", PYTHONPATH=without_mxnet)
    assert status == 1
    assert re.fullmatch(
        r"lossbench.errors.MXNetUnavailable: lossbench: MXNet could not be imported. OSError: .*libmxnet.so: .+",
        errors.splitlines()[-1],
    )


def test_a_numpy_of_the_future_is_explained(monkeypatch):
    monkeypatch.setattr(np, "__version__", "2.10.1")
    message = _mxnet._explain(AttributeError("module 'numpy' has no attribute 'prod'"))
    assert "MXNet needs NumPy 2.5 or older, got 2.10.1. Run: pip install 'numpy<2.6'. (AttributeError: " in message
    monkeypatch.setattr(np, "__version__", "2.5.5")
    message = _mxnet._explain(AttributeError("module 'numpy' has no attribute 'prod'"))
    assert message.startswith("lossbench: MXNet could not be imported. AttributeError: ")


@pytest.fixture
def one_core_group():
    """The tasks file of a real cgroup that may use one core in every 100 ms."""
    base = Path("/sys/fs/cgroup/cpu") if Path("/sys/fs/cgroup/cpu/cgroup.procs").exists() else Path("/sys/fs/cgroup")
    group = base / f"lossbench-test-{os.getpid()}"
    try:
        group.mkdir()
        if (group / "cpu.cfs_quota_us").exists():
            (group / "cpu.cfs_period_us").write_text("100000")
            (group / "cpu.cfs_quota_us").write_text("100000")
        else:
            (group / "cpu.max").write_text("100000 100000")
    except OSError as error:
        if group.exists():
            group.rmdir()
        pytest.skip(f"needs the right to make a cgroup with a quota: {error}")
    yield group / "cgroup.procs"
    group.rmdir()


def test_threads_follow_a_real_cgroup(one_core_group):
    code = f"import os; open({str(one_core_group)!r}, 'w').write(str(os.getpid())); {THREADS}"
    assert python(code) == (0, "1", "")


@pytest.fixture
def _nothing_hidden(monkeypatch):
    monkeypatch.setattr(_mxnet, "_hidden_gpus", "")


@pytest.mark.usefixtures("_nothing_hidden")
def test_devices():
    assert _mxnet.devices() == _mxnet.devices("auto")
    assert _mxnet.devices("cpu") == [mx.cpu(0)]
    assert _mxnet.devices("cpu:2,0") == [mx.cpu(2), mx.cpu(0)]


@pytest.mark.usefixtures("_nothing_hidden")
@pytest.mark.parametrize("gpus", [1, 4])
def test_devices_with_gpus(monkeypatch, gpus):
    monkeypatch.setattr(mx.context, "num_gpus", lambda: gpus)
    assert _mxnet.devices("auto") == _mxnet.devices("gpu") == [mx.gpu(0)]
    assert _mxnet.devices(f"gpu:{gpus - 1}") == [mx.gpu(gpus - 1)]
    with pytest.raises(
        ValueError, match=rf"GPUs that MXNet sees \({gpus} here\), got 'gpu:{gpus}'. Numbers start at 0"
    ):
        _mxnet.devices(f"gpu:{gpus}")


ABLE, ABLER, OLD, NEW = [
    (f"GPU-{number}", f"NVIDIA {number}", capability)
    for number, capability in enumerate([(5, 0), (8, 9), (3, 7), (9, 0)])
]


@pytest.mark.parametrize(
    ("gpus", "chosen", "visible", "named"),
    [
        ([], None, None, None),
        ([ABLE, ABLER], None, None, None),
        ([NEW], None, "", "NVIDIA 3 has 9.0"),
        ([NEW, OLD], "0,1", "", "NVIDIA 3 has 9.0"),
        ([ABLER, OLD, ABLE], None, "GPU-1,GPU-0", "NVIDIA 2 has 3.7"),
        ([ABLER, OLD, ABLE], "0", "0", "NVIDIA 2 has 3.7"),
    ],
)
def test_gpus_that_mxnet_has_no_code_for_are_hidden_from_it(monkeypatch, gpus, chosen, visible, named):
    monkeypatch.setattr(_cuda, "gpus", lambda: gpus)
    monkeypatch.setitem(os.environ, "CUDA_VISIBLE_DEVICES", chosen or "")
    if chosen is None:
        del os.environ["CUDA_VISIBLE_DEVICES"]
    said = _cuda.hide_gpus_without_code()
    assert os.environ.get("CUDA_VISIBLE_DEVICES") == visible
    assert said == (named and f"MXNet 1.9.1 has code for compute capability 5.0 to 8.9, and {named}" or "")


def test_a_hidden_gpu_is_refused_and_auto_takes_the_cpu(monkeypatch):
    monkeypatch.setattr(_mxnet, "_hidden_gpus", "MXNet has no code for it")
    with pytest.raises(UserError, match=r"\(0 here\), got 'gpu'. MXNet has no code for it. Use --device cpu"):
        _mxnet.devices("gpu")
    with pytest.warns(UserWarning, match="lossbench: MXNet has no code for it; the CPU is used."):
        assert _mxnet.devices("auto") == [mx.cpu(0)]


@pytest.mark.skipif(shutil.which("nvidia-smi") is None, reason="no NVIDIA GPU here")
def test_the_driver_tells_what_nvidia_smi_tells():
    query = ["nvidia-smi", "--query-gpu=uuid,name,compute_cap", "--format=csv,noheader"]
    lines = subprocess.run(query, capture_output=True, text=True, check=True).stdout.splitlines()
    assert [f"{uuid}, {name}, {major}.{minor}" for uuid, name, (major, minor) in _cuda.gpus()] == lines


@pytest.mark.parametrize("text", ["", "tpu", "cpu:", "cpu:a", "cpu:0,", "gpu:-1", "cpu 0", "auto:0"])
def test_a_device_of_another_form_is_refused(text):
    with pytest.raises(ValueError, match=f"device: `device` must be auto, cpu, gpu or numbered .*, got '{text}'"):
        _mxnet.devices(text)


def test_a_device_named_twice_is_refused():
    with pytest.raises(ValueError, match="must name each device once, got 'cpu:1,1'"):
        _mxnet.devices("cpu:1,1")


@pytest.mark.usefixtures("_nothing_hidden")
def test_a_gpu_where_there_is_none_is_refused(monkeypatch):
    monkeypatch.setattr(mx.context, "num_gpus", lambda: 0)
    with pytest.raises(ValueError, match=r"GPUs that MXNet sees \(0 here\), got 'gpu'. Use --device cpu."):
        _mxnet.devices("gpu")


def draw(*numbers):
    _mxnet.seed(*numbers)
    return mx.nd.random.uniform(shape=8).asnumpy()


def test_seed_repeats_and_tells_numbers_apart():
    np.testing.assert_array_equal(draw(0, 3, 120), draw(np.int64(0), 3, 120))
    seeds = [(0,), (1,), (0, 0), (0, 1), (1, 0), (12,), (1, 2), (0, 3, 120), (-1,), (2**70,)]
    assert len({draw(*numbers).tobytes() for numbers in seeds}) == len(seeds)


def test_seed_is_the_same_in_every_process():
    code = "from lossbench._mxnet import mx, seed; seed(7, 8); print(mx.nd.random.uniform(shape=8).asnumpy().tolist())"
    outputs = {python(code, PYTHONHASHSEED=hashing)[1] for hashing in ("1", "2")}
    assert outputs == {str(draw(7, 8).tolist())}


def test_seed_takes_whole_numbers_only():
    with pytest.raises(TypeError, match="float"):
        _mxnet.seed(0.5)


def test_cuda_libraries_are_loaded_for_the_mxnet_that_needs_them(tmp_path, monkeypatch):
    files = [tmp_path / "nvidia" / library for library in _mxnet.CUDA_LIBRARIES[:3]]
    for file in files:
        file.parent.mkdir(parents=True)
        file.touch()
    loaded = []

    def load(path, mode):
        loaded.append((path, mode))
        raise OSError("file too short")

    monkeypatch.setattr(sys, "path", ["", str(tmp_path / "absent"), str(files[0]), str(tmp_path)])
    monkeypatch.setattr(ctypes, "CDLL", load)
    _mxnet._load_cuda_libraries()
    assert loaded == []
    (tmp_path / "mxnet_cu112-1.9.1.dist-info").mkdir()
    _mxnet._load_cuda_libraries()
    assert loaded == [(str(file), ctypes.RTLD_GLOBAL) for file in files]
