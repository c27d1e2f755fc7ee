"""Small files: whole or not at all, in the place that was meant, on every file system."""

import json
import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from lossbench import atomic, locking, paths


def test_a_small_file_is_replaced_whole_or_not_at_all(tmp_path):
    path = tmp_path / "metrics.json"
    atomic.write_json(path, {"accuracy": np.float32(0.5), "list": np.arange(2)})
    assert json.loads(path.read_text()) == {"accuracy": 0.5, "list": [0, 1]}
    with pytest.raises(TypeError):
        atomic.write_json(path, {"accuracy": object()})
    assert json.loads(path.read_text())["accuracy"] == 0.5
    with pytest.raises(TypeError), atomic.writing(path) as file:
        file.writelines([b"half", None])
    assert json.loads(path.read_text())["accuracy"] == 0.5
    assert [p.name for p in tmp_path.iterdir()] == ["metrics.json"]


def test_links_are_followed_and_stay(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    for target in ("there", "absent"):
        link = tmp_path / f"to {target}"
        link.symlink_to(Path("elsewhere", target))
    (tmp_path / "elsewhere" / "there").write_text("old")
    for target in ("there", "absent"):
        atomic.write_atomically(tmp_path / f"to {target}", "new")
        assert (tmp_path / f"to {target}").is_symlink()
        assert (tmp_path / "elsewhere" / target).read_text() == "new"


def test_a_fifo_is_written_into_and_stays(tmp_path):
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    got = []
    reader = threading.Thread(target=lambda: got.append(fifo.read_bytes()), daemon=True)
    reader.start()
    atomic.write_atomically(fifo, "values")
    reader.join(timeout=10)
    assert got == [b"values"]
    assert stat.S_ISFIFO(fifo.stat().st_mode)
    assert list(tmp_path.iterdir()) == [fifo]


def test_a_device_is_written_into_and_stays(tmp_path):
    device = Path("/dev/null")
    if os.geteuid() == 0:  # a device of our own, lest a mistake replaces the machine's
        device = tmp_path / "null"
        try:
            os.mknod(device, stat.S_IFCHR | 0o666, os.makedev(1, 3))
            device.write_bytes(b"")
        except OSError as error:
            pytest.skip(f"this root may not make devices: {error}")
    (tmp_path / "link").symlink_to(device)
    for path in (device, tmp_path / "link"):
        atomic.write_json(path, {})
    assert stat.S_ISCHR(device.stat().st_mode)
    assert (tmp_path / "link").is_symlink()


def test_the_standard_output_is_no_file_to_replace(tmp_path):
    code = (
        "import sys; from lossbench import atomic; print('before')\n"
        "atomic.write_atomically(sys.argv[1], 'values\\n'); print('after')"
    )
    for name in ("/dev/stdout", tmp_path / "out"):
        with open(tmp_path / "out", "wb") as out:
            subprocess.run([sys.executable, "-c", code, name], check=True, stdout=out)
        assert (tmp_path / "out").read_text() == "before\nvalues\nafter\n"


def test_permissions_stay(tmp_path):
    (tmp_path / "secret").write_text("old")
    (tmp_path / "secret").chmod(0o600)
    atomic.write_atomically(tmp_path / "secret", "new")
    assert stat.S_IMODE((tmp_path / "secret").stat().st_mode) == 0o600


@pytest.mark.parametrize("name", ["absent/file", "folder", "loop", "file/below"])
def test_an_error_names_the_file(tmp_path, name):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(OSError, match=name) as caught:
        atomic.write_atomically(tmp_path / name, "")
    assert caught.value.filename == str(tmp_path / name)


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk needs root")
def test_a_full_disk_names_the_file_and_leaves_what_was_there(tmp_path):
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", tmp_path], capture_output=True)
    if mounted.returncode:
        pytest.skip("this root may not mount: " + mounted.stderr.decode().strip())
    try:
        atomic.write_atomically(tmp_path / "file", "old")
        with pytest.raises(OSError, match="No space left") as caught:
            atomic.write_atomically(tmp_path / "file", bytes(1 << 20))
        assert caught.value.filename == str(tmp_path / "file")
        assert (tmp_path / "file").read_text() == "old"
        assert [p.name for p in tmp_path.iterdir()] == ["file"]
    finally:
        subprocess.run(["umount", tmp_path], check=True)


_OTHER_FILE_SYSTEM = """
import errno, fcntl, os, stat, sys
sync = os.fsync
def fsync(handle):
    number = handle if isinstance(handle, int) else handle.fileno()
    if stat.S_ISDIR(os.fstat(number).st_mode):
        raise OSError(errno.EINVAL, "Invalid argument")
    sync(handle)
def flock(handle, operation):
    raise OSError(errno.ENOTSUP, "Operation not supported")
os.fsync, fcntl.flock = fsync, flock
from lossbench import atomic, locking
for name in ("a", "b"):
    atomic.write_json(sys.argv[1] + "/" + name, {})
    with open(sys.argv[1] + "/.lock", "w") as file:
        assert locking.lock(file, file.name, wait=False)
"""


def test_a_file_system_without_locks_and_syncs_serves_and_is_named_once(tmp_path):
    done = subprocess.run([sys.executable, "-c", _OTHER_FILE_SYSTEM, tmp_path], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "b").read_text() == "{}\n"
    lines = done.stderr.splitlines()
    assert len(lines) == 2
    assert "cannot sync (Invalid argument)" in lines[0]
    assert "has no locks (Operation not supported)" in lines[1]
    assert "Start one at a time." in lines[1]


def test_a_lock_that_is_held_is_not_had(tmp_path):
    with open(tmp_path / "lock", "w") as one, open(tmp_path / "lock", "w") as other:
        assert locking.lock(one, tmp_path, wait=False)
        assert not locking.lock(other, tmp_path, wait=False)


def test_an_error_that_is_no_lack_of_locks_is_raised(tmp_path):
    with open(tmp_path / "lock", "w") as file, pytest.raises(ValueError, match="file descriptor"):
        locking.lock(-1, tmp_path, wait=file is None)


def test_what_is_no_regular_file_is_not_opened(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    for path, said in ((tmp_path / "fifo", "Not a regular file"), (tmp_path, "Is a directory"), ("/dev/zero", "Not a")):
        with pytest.raises(OSError, match=said):
            paths.open_regular(path)
