"""Checkpoints: whole or not at all, verified, without a pickle."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from lossbench import atomic, checkpoint
from lossbench._mxnet import mx


def arrays(value=1.0):
    return {
        "backbone": {"conv.weight": mx.nd.full((3, 2), value), "conv.bias": mx.nd.arange(3)},
        "optimizer": {"default/backbone.conv.weight/0": mx.nd.full((3, 2), value / 2)},
    }


def test_round_trip(tmp_path):
    path = checkpoint.save(tmp_path, 7, arrays(), {"position": {"epoch": 2}})
    assert path.name == "step-00000007"
    loaded, state = checkpoint.load(path)
    assert state["position"] == {"epoch": 2}
    assert state["step"] == 7
    for stem, named in arrays().items():
        for name, array in named.items():
            np.testing.assert_array_equal(loaded[stem][name].asnumpy(), array.asnumpy())


def test_an_optimizer_without_state_is_saved_too(tmp_path):
    path = checkpoint.save(tmp_path, 1, {"head": {"weight": mx.nd.ones(2)}, "optimizer": {}}, {})
    assert checkpoint.load(path)[0]["optimizer"] == {}


@pytest.mark.parametrize("name", ["backbone.params", "optimizer.params", "state.json"])
@pytest.mark.parametrize("damage", ["truncate", "flip", "remove"])
def test_damage_is_noticed_and_the_one_before_is_used(tmp_path, name, damage):
    older = checkpoint.save(tmp_path, 1, arrays(1.0), {})
    newer = checkpoint.save(tmp_path, 2, arrays(2.0), {})
    file = newer / name
    content = bytearray(file.read_bytes())
    if damage == "truncate":
        file.write_bytes(content[: len(content) // 2])
    elif damage == "flip":
        content[len(content) // 2] ^= 1
        file.write_bytes(content)
    else:
        file.unlink()
    with pytest.raises(checkpoint.Damaged, match=name):
        checkpoint.load(newer)
    path, loaded, _, sentences = checkpoint.newest(tmp_path)
    assert path == older
    assert loaded["backbone"]["conv.weight"].asnumpy()[0, 0] == 1.0
    assert len(sentences) == 1
    assert name in sentences[0]


@pytest.mark.parametrize("content", ["", "{", "[]", "null"])
def test_a_damaged_list_of_checksums_is_noticed(tmp_path, content):
    path = checkpoint.save(tmp_path, 1, arrays(), {})
    (path / "checksums.json").write_text(content)
    with pytest.raises(checkpoint.Damaged, match=r"checksums\.json"):
        checkpoint.load(path)


def test_a_file_that_the_checksums_do_not_list_is_no_part_of_it(tmp_path):
    path = checkpoint.save(tmp_path, 1, arrays(), {})
    checksums = json.loads((path / "checksums.json").read_text())
    del checksums["state.json"]
    (path / "checksums.json").write_text(json.dumps(checksums))
    with pytest.raises(checkpoint.Damaged, match=r"state\.json"):
        checkpoint.load(path)


def test_a_checkpoint_of_another_format_is_refused(tmp_path):
    path = checkpoint.save(tmp_path, 1, arrays(), {})
    state = json.loads((path / "state.json").read_text())
    (path / "state.json").write_text(json.dumps({**state, "format": 99}))
    checksums = json.loads((path / "checksums.json").read_text())
    checksums["state.json"] = checkpoint._checksum(path / "state.json")
    (path / "checksums.json").write_text(json.dumps(checksums))
    with pytest.raises(checkpoint.Damaged, match="format must be 1, got 99"):
        checkpoint.load(path)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_bad_values_are_not_saved(tmp_path, bad):
    checkpoint.save(tmp_path, 1, arrays(), {})
    with pytest.raises(FloatingPointError, match=r"backbone\.conv\.weight must be finite"):
        checkpoint.save(tmp_path, 2, arrays(bad), {})
    assert [p.name for p in checkpoint.steps(tmp_path)] == ["step-00000001"]


def test_the_last_k_and_the_best_are_kept(tmp_path):
    for step in range(1, 6):
        checkpoint.save(tmp_path, step, arrays(), {})
    (tmp_path / ".partial-1").mkdir()
    checkpoint.prune(tmp_path, keep=2, best_step=2)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["step-00000002", "step-00000004", "step-00000005"]


def test_a_step_that_is_saved_again_is_replaced(tmp_path):
    checkpoint.save(tmp_path, 3, arrays(1.0), {})
    path = checkpoint.save(tmp_path, 3, arrays(5.0), {})
    assert checkpoint.load(path)[0]["backbone"]["conv.weight"].asnumpy()[0, 0] == 5.0


def test_there_may_be_none(tmp_path):
    assert checkpoint.newest(tmp_path / "absent") == (None, None, None, [])


_FULL_DISK = """
import sys
from lossbench import checkpoint
from lossbench._mxnet import mx
try:
    checkpoint.save(sys.argv[1], 2, {"head": {"weight": mx.nd.ones((500, 1000))}}, {})
except OSError as error:
    print(type(error).__name__, error)
"""


@pytest.mark.skipif(os.geteuid() != 0 or not os.path.exists("/proc/mounts"), reason="mounting a small disk needs root")
def test_a_full_disk_is_an_error_and_leaves_what_was_there(tmp_path):
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", tmp_path], capture_output=True)
    if mounted.returncode:
        pytest.skip("this root may not mount: " + mounted.stderr.decode().strip())
    try:
        checkpoint.save(tmp_path, 1, arrays(), {})
        done = subprocess.run([sys.executable, "-c", _FULL_DISK, tmp_path], capture_output=True, text=True, check=True)
        assert "OSError" in done.stdout
        assert "disk" in done.stdout or "No space left" in done.stdout
        assert [p.name for p in tmp_path.iterdir()] == ["step-00000001"]
        checkpoint.load(tmp_path / "step-00000001")
    finally:
        subprocess.run(["umount", tmp_path], check=True)


def test_a_small_file_is_replaced_whole_or_not_at_all(tmp_path):
    path = tmp_path / "metrics.json"
    atomic.write_json(path, {"accuracy": np.float32(0.5), "list": np.arange(2)})
    assert json.loads(path.read_text()) == {"accuracy": 0.5, "list": [0, 1]}
    with pytest.raises(TypeError):
        atomic.write_json(path, {"accuracy": object()})
    assert json.loads(path.read_text())["accuracy"] == 0.5
    assert [p.name for p in tmp_path.iterdir()] == ["metrics.json"]
