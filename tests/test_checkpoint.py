"""Checkpoints: whole or not at all, verified, without a pickle."""

import json
import os
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest

from lossbench import checkpoint
from lossbench._mxnet import mx
from lossbench.errors import UserError


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


def sealed(path):
    """Make the checksums those of what the files hold now."""
    files = [p for p in path.iterdir() if p.name != "checksums.json"]
    (path / "checksums.json").write_text(json.dumps({p.name: checkpoint._checksum(p) for p in files}))


def edited(path, **changes):
    state = json.loads((path / "state.json").read_text())
    (path / "state.json").write_text(json.dumps({**state, **changes}))
    sealed(path)


def folder_for_a_file(path):
    (path / "backbone.params").unlink()
    (path / "backbone.params").mkdir()


def fifo_for_a_file(path):
    (path / "state.json").unlink()
    os.mkfifo(path / "state.json")


def text_for_arrays(path):
    (path / "backbone.params").write_text("no arrays")
    sealed(path)


def minus_one_dimension(path):
    content = bytearray((path / "backbone.params").read_bytes())
    content[32:36] = b"\xff\xff\xff\xff"
    (path / "backbone.params").write_bytes(content)
    sealed(path)


def a_value_that_is_not_finite(path):
    mx.nd.save(str(path / "backbone.params"), {"conv.weight": mx.nd.array([np.nan])})
    sealed(path)


def nested_json(path):
    (path / "state.json").write_text("[" * 100_000)
    sealed(path)


def file_for_the_checkpoint(path):
    shutil.rmtree(path)
    path.write_text("")


def checksum_of_a_file_elsewhere(path):
    (path / "checksums.json").write_text(json.dumps({"../../state.json": "0"}))


def another_step(path):
    edited(path, step=12)


@pytest.mark.parametrize(
    ("harm", "named"),
    [
        (folder_for_a_file, r"backbone\.params must be a readable file, got: Is a directory"),
        (fifo_for_a_file, r"state\.json must be a readable file, got: Not a regular file"),
        (text_for_arrays, r"backbone\.params must hold arrays.*must be 0x112"),
        (minus_one_dimension, r"backbone\.params must hold arrays.*dimensions must be in \[1, 32\], got -1"),
        (a_value_that_is_not_finite, r"backbone\.params must hold arrays.*conv\.weight must be finite"),
        (nested_json, r"state\.json must be the JSON"),
        (file_for_the_checkpoint, r"checksums\.json must be a readable file, got: Not a directory"),
        (checksum_of_a_file_elsewhere, r"checksums\.json must be the JSON"),
        (another_step, r"step in state\.json must be the folder's, got 12"),
    ],
)
def test_damage_of_every_kind_is_passed_over_and_named(tmp_path, harm, named):
    older = checkpoint.save(tmp_path, 1, arrays(1.0), {})
    newer = checkpoint.save(tmp_path, 2, arrays(2.0), {})
    harm(newer)
    path, _, state, damage = checkpoint.newest(tmp_path)
    assert path == older
    assert state["step"] == 1
    assert re.search(named, damage[0])
    assert str(newer) in damage[0]
    assert "\n" not in damage[0]


def test_a_checkpoint_that_the_caller_does_not_accept_is_passed_over(tmp_path):
    older, newer = (checkpoint.save(tmp_path, step, arrays(step), {}) for step in (1, 2))

    def accepts(path, arrays, state):
        if arrays["backbone"]["conv.weight"].asnumpy()[0, 0] == 2:
            raise UserError(f"checkpoint {path}: another model's.")

    assert checkpoint.newest(tmp_path, accepts)[0] == older
    assert checkpoint.newest(tmp_path, accepts)[3] == [f"checkpoint {newer}: another model's."]


def test_an_intact_checkpoint_of_a_newer_format_is_neither_passed_over_nor_touched(tmp_path):
    for step in (1, 2, 3):
        checkpoint.save(tmp_path, step, arrays(), {})
    edited(tmp_path / "step-00000003", format=2)
    before = {p: p.read_bytes() for p in (tmp_path / "step-00000003").iterdir()}
    with pytest.raises(checkpoint.NewerFormat, match="step-00000003: format must be 1, got 2"):
        checkpoint.newest(tmp_path)
    with pytest.raises(checkpoint.NewerFormat, match="step-00000003"):
        checkpoint.save(tmp_path, 3, arrays(), {})
    checkpoint.prune(tmp_path, keep=1)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["step-00000002", "step-00000003"]
    assert before == {p: p.read_bytes() for p in (tmp_path / "step-00000003").iterdir()}


def test_only_usable_and_older_ones_are_pruned_and_unusable_ones_do_not_count(tmp_path):
    for step in (1, 2, 3, 8, 9):
        checkpoint.save(tmp_path, step, arrays(), {})
    text_for_arrays(tmp_path / "step-00000001")
    (tmp_path / "step-00000001" / "state.json").unlink()
    (tmp_path / "step-00000009" / "state.json").unlink()
    checkpoint.prune(tmp_path, keep=1, step=3)
    assert [p.name for p in checkpoint.steps(tmp_path)] == [
        f"step-{step:08d}" for step in (1, 3, 8, 9)
    ]  # 8 is beyond the run, 1 and 9 are damaged


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


def test_a_removal_cut_short_leaves_nothing_that_looks_like_a_checkpoint(tmp_path, monkeypatch):
    for step in range(1, 4):
        checkpoint.save(tmp_path, step, arrays(), {})

    def cut_short(path):
        (path / "state.json").unlink()
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint.shutil, "rmtree", cut_short)
        with pytest.raises(KeyboardInterrupt):
            checkpoint.prune(tmp_path, keep=1)
    assert [p.name for p in checkpoint.steps(tmp_path)] == ["step-00000002", "step-00000003"]
    checkpoint.prune(tmp_path, keep=1)
    assert [p.name for p in tmp_path.iterdir()] == ["step-00000003"]


def test_a_step_that_is_saved_again_is_replaced(tmp_path):
    checkpoint.save(tmp_path, 3, arrays(1.0), {})
    path = checkpoint.save(tmp_path, 3, arrays(5.0), {})
    assert checkpoint.load(path)[0]["backbone"]["conv.weight"].asnumpy()[0, 0] == 5.0


def test_a_step_that_is_saved_again_unchanged_is_left_as_it_is(tmp_path):
    path = checkpoint.save(tmp_path, 3, arrays(), {"a": 1})
    before = path.stat().st_ino
    checkpoint.save(tmp_path, 3, arrays(), {"a": 1})
    assert path.stat().st_ino == before
    checkpoint.save(tmp_path, 3, arrays(), {"a": 2})
    assert path.stat().st_ino != before
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


_KILLED = """
import os, signal, sys
from lossbench import checkpoint
from lossbench._mxnet import mx

def counted(function):
    def call(*arguments, **keys):
        global left
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*arguments, **keys)
    return call

old, new = ({"head": {"weight": mx.nd.full(2, value)}} for value in (1, 5))
replace, rmdir, unlink, fsync = os.replace, os.rmdir, os.unlink, os.fsync
for moment in range(100):
    checkpoint.save(f"{sys.argv[1]}/{moment}", 3, old, {})
    child = os.fork()
    if child == 0:
        left = moment
        os.replace, os.rmdir, os.unlink, os.fsync = map(counted, (replace, rmdir, unlink, fsync))
        checkpoint.save(f"{sys.argv[1]}/{moment}", 3, new, {})
        os._exit(0)
    if os.waitpid(child, 0)[1] == 0:
        break
"""


def test_a_kill_at_any_moment_of_a_replacement_leaves_the_old_one_or_the_new_one(tmp_path):
    """Before each rename, removal and sync in turn, until one save gets through."""
    subprocess.run([sys.executable, "-c", _KILLED, tmp_path], check=True)
    found = set()
    for folder in tmp_path.iterdir():
        path, loaded, _, damage = checkpoint.newest(folder)
        assert damage == []
        assert path == checkpoint.of_step(folder, 3)
        found.add(loaded["head"]["weight"].asnumpy()[0])
        checkpoint.prune(folder, keep=1)
        assert [p.name for p in folder.iterdir()] == [path.name]
    assert 8 < len(list(tmp_path.iterdir())) < 100
    assert found == {1, 5}


def test_there_may_be_none(tmp_path):
    assert checkpoint.newest(tmp_path / "absent") == (None, None, None, [])


_FULL_DISK = """
import sys
from lossbench import checkpoint
from lossbench._mxnet import mx
from lossbench.errors import UserError
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
