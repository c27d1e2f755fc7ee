"""The only place that prepares and imports MXNet.

``prepare`` runs at ``import lossbench``: it sets what must be set before MXNet is imported, and does not import it, so
that help texts and configuration errors stay fast. A module that needs MXNet writes
``from lossbench._mxnet import mx``; MXNet is imported at that moment, and a failure to load it becomes one line that
says what to do.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import hashlib
import importlib
import operator
import os
import re
import sys
import tempfile
import warnings
from pathlib import Path

from lossbench import _builtins, _cuda, _waiting
from lossbench._cores import ISA, grant_amx, thread_count
from lossbench.errors import MXNetUnavailable, UserError

# From Python 3.13 on, no NumPy satisfies MXNet's metadata, and lossbench gives MXNet what it lacks (see `_numpy`).
NO_DEPS = sys.version_info >= (3, 13)
CPU_INSTALL = f"pip install {'--no-deps ' * NO_DEPS}mxnet==1.9.1"
GPU_INSTALL = f"pip install -r requirements-gpu.txt{' && pip install --no-deps mxnet-cu112==1.9.1' * NO_DEPS}"
NEWEST_NUMPY = (2, 5)  # later ones may have lost more names

# What mxnet-cu112 links to, in an order in which each library finds those it needs already loaded.
CUDA_LIBRARIES = (
    "cuda_runtime/lib/libcudart.so.11.0",
    "cuda_nvrtc/lib/libnvrtc.so.11.2",
    "nvtx/lib/libnvToolsExt.so.1",
    "cublas/lib/libcublasLt.so.11",
    "cublas/lib/libcublas.so.11",
    "cufft/lib/libcufft.so.10",
    "curand/lib/libcurand.so.10",
    "cusolver/lib/libcusolver.so.11",
    "cudnn/lib/libcudnn.so.8",
    "nccl/lib/libnccl.so.2",
)


AMX = "AVX512_CORE_AMX"  # a value of ISA

# Read before `prepare` sets it.
_chosen_threads = os.environ.get("OMP_NUM_THREADS") or os.environ.get("MXNET_OMP_MAX_THREADS")


has_amx = False  # whether oneDNN multiplies bfloat16 in AMX's tiles
_hidden_gpus = ""  # what `_cuda` says of GPUs that were kept from MXNet


def __getattr__(name):
    if name != "mx":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = _import_mxnet()
    globals()["mx"] = module
    return module


def prepare() -> None:
    """Set what MXNet reads while it is imported: NumPy's removed names, threads, engine, the CUDA 11 libraries.

    ``OMP_NUM_THREADS`` is set to `thread_count` unless the user chose it, or ``MXNET_OMP_MAX_THREADS``. Where MXNet is
    imported already, what can no longer be set is said in a warning.

    Once MXNet is imported, its threads wait awake or asleep as the machine's load asks (see `_waiting`).

    ``MXNET_ENGINE_TYPE`` becomes ``NaiveEngine`` for the CPU wheel, unless the user chose one: every operator then runs
    in the calling thread. On a CPU the default engine runs them one after another, too, but from several threads, each
    of which keeps a team of OpenMP threads; once there are more of those than cores, every team sleeps between
    operators instead of waiting awake, which makes a training step a quarter slower.
    """
    chosen = _chosen_threads
    if "mxnet" in sys.modules:
        if not chosen:
            warnings.warn(
                "lossbench: MXNet was imported first, so its number of threads stays what MXNet chose (half the "
                f"processors it sees; this process may use {thread_count()}). Import lossbench before mxnet, or set "
                "OMP_NUM_THREADS.",
                stacklevel=3,
            )
        return
    _builtins.install()
    if not chosen:
        os.environ["OMP_NUM_THREADS"] = str(thread_count())
    if _installed("mxnet") and not _installed("mxnet_cu*"):
        os.environ.setdefault("MXNET_ENGINE_TYPE", "NaiveEngine")
    _load_cuda_libraries()


def share_threads(share) -> None:
    """Use ``share(number of cores)`` threads, unless the user chose a number; call it before MXNet is imported."""
    if not _chosen_threads:
        os.environ["OMP_NUM_THREADS"] = str(share(thread_count()))


def devices(device: str = "auto") -> list:
    """Return the MXNet contexts that a ``--device`` argument names.

    Parameters
    ----------
    device : str
        ``auto`` (the first GPU if MXNet sees one and can use it, else the CPU), ``cpu``, ``gpu``, or numbered ones:
        ``gpu:0,1``, ``cpu:0,1`` (several CPU contexts serve tests).

    Raises
    ------
    ValueError
        If the text has another form, a number comes twice, or MXNet does not see that GPU or has no code for it.

    Examples
    --------
    >>> devices("cpu:0,1")
    [cpu(0), cpu(1)]
    """
    from lossbench._mxnet import mx

    match = re.fullmatch(r"auto|(cpu|gpu)(?::(\d+(?:,\d+)*))?", device)
    if match is None:
        raise UserError(f"device: `device` must be auto, cpu, gpu or numbered like gpu:0,1, got {device!r}.")
    gpus = mx.context.num_gpus() if match[1] != "cpu" else 0
    kind = match[1] or ("gpu" if gpus else "cpu")
    if match[1] is None and kind == "cpu" and _hidden_gpus:
        warnings.warn(f"lossbench: {_hidden_gpus}; the CPU is used.", stacklevel=2)
    numbers = [int(number) for number in (match[2] or "0").split(",")]
    if len(set(numbers)) < len(numbers):
        raise UserError(f"device: `device` must name each device once, got {device!r}.")
    if kind == "gpu" and max(numbers) >= gpus:
        way_out = "Use --device cpu." if gpus == 0 else f"Numbers start at 0 and end at {gpus - 1}."
        if _hidden_gpus:
            way_out = f"{_hidden_gpus}. {way_out}"
        raise UserError(f"device: `device` must name GPUs that MXNet sees ({gpus} here), got {device!r}. {way_out}")
    return [mx.Context(kind, number) for number in numbers]


def threads() -> int:
    """Return how many threads MXNet's operators use."""
    gomp = _waiting.loaded_libgomp()
    return thread_count() if gomp is None else gomp.omp_get_max_threads()


def has_onednn(contexts) -> bool:
    """Whether operators on these contexts run as oneDNN's kernels: CPUs, unless the user switched them off."""
    from lossbench._mxnet import mx

    chosen = os.environ.get("MXNET_MKLDNN_ENABLED", "1") != "0"
    return chosen and mx.runtime.Features().is_enabled("MKLDNN") and all(c.device_type == "cpu" for c in contexts)


def seed(*numbers: int) -> None:
    """Seed MXNet's generators on all devices with a stable hash of the numbers, such as (seed, epoch, step).

    Examples
    --------
    >>> from lossbench._mxnet import mx
    >>> seed(0, 3, 120)
    >>> first = mx.nd.random.uniform(shape=3).asnumpy()
    >>> seed(0, 3, 120)
    >>> bool((mx.nd.random.uniform(shape=3).asnumpy() == first).all())
    True
    """
    from lossbench._mxnet import mx

    text = ",".join(str(operator.index(number)) for number in numbers)
    digest = hashlib.sha256(text.encode()).digest()
    mx.random.seed(int.from_bytes(digest[:4], "little") >> 1)


def _import_mxnet():
    global _hidden_gpus
    if _installed("mxnet_cu*"):
        _hidden_gpus = _cuda.hide_gpus_without_code()
    was_imported = "mxnet" in sys.modules
    try:
        with warnings.catch_warnings(), _engine_unannounced(), _nothing_collected():
            warnings.simplefilter("ignore")
            module = importlib.import_module("mxnet")
            if not was_imported:
                _use_amx(module)
            module.nd.waitall()  # starts the engine
        _waiting.watch()
        return module
    except Exception as error:
        raise MXNetUnavailable(_explain(error)) from error


def _use_amx(mxnet) -> None:
    """Let oneDNN use AMX where the processor has it, unless the user chose other instructions (``DNNL_MAX_CPU_ISA``).

    MXNet's oneDNN is older than Linux's way to ask for AMX, and leaves it alone unless told. It reads the variable
    once, before its first operator. A process started from here must not inherit it: it would die, if it did not ask.
    """
    global has_amx
    chosen = os.environ.get(ISA)
    if (chosen or AMX).upper() != AMX or not grant_amx():
        return
    os.environ[ISA] = AMX
    try:
        one = mxnet.nd.ones((1, 1, 1, 1))
        mxnet.nd.Convolution(one, one, kernel=(1, 1), num_filter=1, no_bias=True).wait_to_read()
    finally:
        if not chosen:
            del os.environ[ISA]
    has_amx = True


@contextlib.contextmanager
def _nothing_collected():
    """Do without the garbage collector, which goes through MXNet's thousands of functions again and again in vain."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


@contextlib.contextmanager
def _engine_unannounced():
    """Keep from the standard error the line that says that the engine is not the default; pass on all else."""
    try:
        kept = os.dup(2)
    except OSError:  # closed
        yield
        return
    with tempfile.TemporaryFile() as lines:
        os.dup2(lines.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            lines.seek(0)
            for line in lines:
                if b"MXNet start using engine" not in line:
                    with contextlib.suppress(OSError):  # a full disk
                        os.write(2, line)


def _explain(error: Exception) -> str:
    """Return one line that says why MXNet does not load and what brings it."""
    import numpy

    text = " ".join(str(error).split())
    library = re.match(r"(lib[\w+.-]+\.so[\w.]*): cannot open shared object file", text)
    if isinstance(error, ModuleNotFoundError) and error.name == "mxnet":
        return (
            "lossbench: MXNet must be installed, found none. "
            f"For the CPU: {CPU_INSTALL}; for NVIDIA GPUs, in the lossbench checkout: {GPU_INSTALL}."
        )
    if library is None and tuple(map(int, numpy.__version__.split(".")[:2])) > NEWEST_NUMPY:
        major, minor = NEWEST_NUMPY
        return (
            f"lossbench: MXNet needs NumPy {major}.{minor} or older, got {numpy.__version__}. "
            f"Run: pip install 'numpy<{major}.{minor + 1}'. ({type(error).__name__}: {text})"
        )
    if library is None:
        return f"lossbench: MXNet could not be imported. {type(error).__name__}: {text}"
    if library[1] in ("libgomp.so.1", "libquadmath.so.0"):
        way_out = "On Debian or Ubuntu: apt-get install libgomp1 libquadmath0 (with sudo, where you are not root)."
    elif library[1] == "libcuda.so.1":
        way_out = f"It comes with NVIDIA's driver. Without a GPU: pip uninstall mxnet-cu112, then {CPU_INSTALL}."
    elif library[1] in {Path(path).name for path in CUDA_LIBRARIES}:
        way_out = f"The wheels with CUDA 11 bring it. In the lossbench checkout: {GPU_INSTALL}."
    else:
        way_out = "Install the system package that carries it."
    return f"lossbench: MXNet needs the system library {library[1]}, which is missing. {way_out}"


def _folders() -> list[Path]:
    return [Path(folder or ".") for folder in sys.path]


def _installed(distribution: str) -> bool:
    """Whether there is a folder of such a distribution; importlib.metadata would take ten times longer."""
    return any(next(folder.glob(f"{distribution}-*.dist-info"), None) for folder in _folders())


def _load_cuda_libraries() -> None:
    """Load the CUDA 11 libraries of the nvidia-*-cu11 wheels, which lie where the dynamic loader does not look."""
    if not _installed("mxnet_cu11*"):
        return
    for library in CUDA_LIBRARIES:
        found = next((path for path in (folder / "nvidia" / library for folder in _folders()) if path.exists()), None)
        if found is not None:
            with contextlib.suppress(OSError):  # MXNet's own import names what it lacks
                ctypes.CDLL(str(found), mode=ctypes.RTLD_GLOBAL)
