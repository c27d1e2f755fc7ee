"""`benchmark.py heads`: the real command, the memory of a step, and peers that are not there."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from lossbench import heads
from lossbench._mxnet import mx
from lossbench.benchmarks import head_steps, memory, peers
from lossbench.benchmarks import heads as benchmark
from lossbench.cli import benchmark as command
from lossbench.cli.benchmark_heads import size

B, D, C = 64, 128, 40_000  # B C D floats are 1.3 GB, B C floats 10 MB, C D floats 20 MB
linux = pytest.mark.skipif(not os.path.exists("/proc/self/clear_refs"), reason="memory is read from Linux's /proc")


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """One run of the command: what it printed, and its JSON."""
    path = tmp_path_factory.mktemp("benchmark") / "heads.json"
    arguments = f"heads --sizes 4x3x5 --heads lgm_diagonal --repetitions 2 --markdown --json {path}".split()
    script = "import sys; from lossbench.cli.benchmark import main; sys.exit(main(sys.argv[1:]))"
    # Modules of the peers' names that are not theirs: neither can be imported from.
    blocked = "import sys; sys.modules.update(gluonfr=None, pytorch_metric_learning=None)\n"
    (path.parent / "sitecustomize.py").write_text(blocked)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(path.parent), *sys.path])}
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments], capture_output=True, text=True, env=environment, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return done.stdout, json.loads(path.read_text())


def test_the_command_measures_time_ratio_and_memory(measured):
    text, values = measured
    (result,) = values["sizes"]
    assert result["size"] == {"batch_size": 4, "embedding_size": 3, "num_classes": 5}
    ours = [row for row in result["rows"] if row["library"] is None]
    assert [row["name"] for row in ours] == ["plain", "lgm_diagonal"]
    for row in ours:
        assert row["milliseconds"]["n"] == row["ratio"]["n"] == 2
        assert 0 < row["milliseconds"]["min"] <= row["milliseconds"]["median"] <= row["milliseconds"]["max"]
        assert row["bytes"] is None or 0 <= row["bytes"] < 2e7
    assert ours[0]["ratio"] == {"median": 1.0, "min": 1.0, "max": 1.0, "n": 2}
    assert text.startswith("| B = 4, D = 3, C = 5 | ms | x plain | x ours | MB | n |\n|---|---|---|---|---|---|\n")
    assert "| LGM, diagonal | " in text
    assert "repetition by repetition" in values["method"]


def test_a_peer_that_is_not_installed_is_named(measured):
    text, values = measured
    absent = [row for row in values["sizes"][0]["rows"] if row["library"] is not None]
    assert {row["library"] for row in absent} == set(peers.PEERS)
    for row in absent:
        assert row["skipped"].startswith("not installed (")
        assert f"| {row['library']} | not installed (" in text


def test_a_peer_whose_process_has_ended_is_an_error_of_its_row(tmp_path, monkeypatch):
    """As one that took too much memory: the rows after it say so too, and the rest is measured."""
    (tmp_path / "gluonfr").mkdir()
    for name in ("__init__", "loss"):  # enough of it to be imported
        (tmp_path / "gluonfr" / f"{name}.py").touch()
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), *sys.path]))
    with peers.Peer("gluonfr") as peer:
        peer._process.kill()
        peer._process.wait()
        for _ in range(2):
            with pytest.raises(RuntimeError, match="gluonfr: its process ended with status -9."):
                peer.new_steps("arcface", 4, 3, 5)


@pytest.mark.parametrize("name", ["am_softmax", "arcface"])
def test_gluonfrs_loss_is_ours_for_the_same_weights(name):
    pytest.importorskip("gluonfr")
    theirs, ours = peers.gluonfr_block(name, 3, 5), head_steps.build(name, 5, 3)
    theirs.initialize()
    ours.initialize()
    theirs.dense.weight.set_data(ours.weight.data())
    embedding, label = mx.nd.random.normal(shape=(20, 3)), mx.nd.arange(20) % 5
    losses = [block(embedding, label)[0].asnumpy() for block in (theirs, ours)]
    np.testing.assert_allclose(*losses, rtol=1e-3)


def test_every_peers_row_stands_for_one_of_ours():
    for rows in peers.PEERS.values():
        assert set(rows) <= set(head_steps.LABELS)
    classes = {head_class.__name__ for head_class in heads.HEADS.values()}
    assert classes <= {label.split(",")[0] for label in head_steps.LABELS.values()}


def test_a_row_too_large_for_the_memory_is_skipped_with_the_reason(monkeypatch):
    monkeypatch.setattr(memory, "available_bytes", lambda: 10_000_000)
    result = benchmark.measure((128, 512, 1000), ["arcface"], repetitions=1, libraries=(), with_memory=False)
    assert [row["skipped"] for row in result["rows"]] == ["would need about 0.1 GB, 0.0 GB are available"] * 2


def test_a_peer_that_builds_the_cubic_array_is_skipped_before_it_fills_the_memory(monkeypatch):
    monkeypatch.setattr(memory, "available_bytes", lambda: 8_000_000_000)
    row = {"library": "gluonfr", "name": "lgm_diagonal"}
    assert benchmark._shortage(row, (128, 512, 1000)) is None
    assert benchmark._shortage(row, (128, 512, 10000)).startswith("would need about 18.9 GB")
    assert benchmark._shortage({"library": None, "name": "lgm_diagonal"}, (128, 512, 10000)) is None


def test_a_step_trains_all_that_is_learned():
    for name in head_steps.LABELS:
        block = head_steps.build(name, 5, 3)
        block.initialize()
        head_steps.repeated(block, 8, 3, 5)(2)
        for parameter in block.collect_params().values():
            if parameter.grad_req != "null":
                assert np.abs(parameter.grad().asnumpy()).max() > 0, f"{name}: {parameter.name}"


def test_steps_end_with_a_wait_and_reach_the_embedding(monkeypatch):
    block = head_steps.build(head_steps.PLAIN, 5, 3)
    block.initialize()
    steps, seen = head_steps.repeated(block, 64, 3, 5), []
    block.register_forward_hook(lambda block, inputs, outputs: seen.append(inputs))
    monkeypatch.setattr(mx.nd, "waitall", lambda: seen.append("wait"))
    steps(2)
    (embedding, label), _, last = seen
    assert last == "wait"
    assert np.abs(embedding.grad.asnumpy()).max() > 0
    assert set(label.asnumpy()) == set(range(5))


@pytest.mark.parametrize("name", [name for name in head_steps.LABELS if name != head_steps.PLAIN])
def test_no_array_of_a_step_is_as_large_as_batch_times_classes_times_dimensions(name):
    block = head_steps.build(name, 23, 29)
    embedding, label = mx.sym.var("embedding"), mx.sym.var("label")
    internals = mx.sym.Group(block(embedding, label)).get_internals()
    _, shapes, _ = internals.infer_shape(embedding=(31, 29), label=(31,))
    assert max(np.prod(shape) for shape in shapes) <= max(31 * 31, 31 * 29, 31 * 23)


@linux
def test_the_memory_of_a_step_stays_far_below_batch_times_classes_times_dimensions():
    """1.3 GB would be B C D floats; the diagonal L-GM, the hungriest, keeps about ten arrays of (C, D) and (B, C)."""
    extra = memory.extra_bytes(None, "lgm_diagonal", B, D, C)
    assert 4 * B * C < extra < 4 * B * C * D / 3


@linux
def test_memory_that_is_used_is_seen(monkeypatch):
    """The measurement itself: a step that holds 100 MB for a moment, after small ones that held 400 MB."""
    with pytest.raises(RuntimeError, match="^no_such_head: "):
        memory.extra_bytes(None, "no_such_head", 4, 4, 4)
    code = (
        "import sys, numpy; sys.argv[1:] = 'lossbench x 1 1 1'.split()\n"
        "from lossbench.benchmarks import memory, peers\n"
        "peers.new_steps = lambda library, name, *size: lambda count: numpy.ones(12_500_000 * size[0]).sum()\n"
        "memory.main()"
    )
    seen = int(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)
    assert 99e6 < seen < 110e6


@linux
def test_available_memory_is_in_bytes():
    free, present = (os.sysconf(name) * os.sysconf("SC_PAGE_SIZE") for name in ("SC_AVPHYS_PAGES", "SC_PHYS_PAGES"))
    assert free / 2 < memory.available_bytes() <= present


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--sizes 1x2", "must be BxDxC (batch, embedding size, classes), got '1x2'"),
        ("--heads softmacs", "benchmark: `heads` must be among plain, softmax, "),
        ("--repetitions 0", "benchmark: `repetitions` must be at least 1, got 0."),
    ],
)
def test_mistakes_are_one_line_and_status_2(arguments, message, capsys):
    try:
        status = command.main(["heads", *arguments.split()], "benchmark.py")
    except SystemExit as stop:  # argparse's own
        status = stop.code
    assert status == 2
    assert message in capsys.readouterr().err.splitlines()[-1]


def test_sizes_are_three_numbers():
    assert size("128x512x1000") == (128, 512, 1000)
