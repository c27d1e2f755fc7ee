"""Download through Gluon from a server of the test's own: whole and right, or nothing."""

import contextlib
import functools
import gzip
import hashlib
import http.server
import re
import tarfile
import threading
from dataclasses import replace

import numpy as np
import pytest

from lossbench import data
from lossbench.data import cifar, download, files, idx, kept_scan
from lossbench.errors import UserError


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


@pytest.fixture
def server(tmp_path, monkeypatch):
    """The folder that stands in for Gluon's repository."""
    folder = tmp_path / "server"
    folder.mkdir()
    handler = functools.partial(_Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        monkeypatch.setenv("MXNET_GLUON_REPO", f"http://127.0.0.1:{running.server_port}/")
        yield folder / "gluon" / "dataset"
        running.shutdown()
        thread.join()


def sha1(path):
    return hashlib.sha1(path.read_bytes()).hexdigest()


def test_idx_files_come_from_gluon(tmp_path, rng, small, server, monkeypatch, capsys):
    arrays = small.write_idx(server / "mnist", rng)
    table = {
        stem: (sha1(server / "mnist" / f"{stem}.gz"), hashlib.sha256(small.idx_bytes(array)).hexdigest())
        for stem, array in arrays.items()
    }
    monkeypatch.setitem(idx._FILES, "mnist", table)
    for _ in range(2):  # the second time from the folder
        dataset = data.load(small.section("mnist", validation_fraction=0), 0)
        assert np.array_equal(dataset.train.images[:, 0], arrays["train-images-idx3-ubyte"])
        assert dataset.notes == []
        with contextlib.suppress(FileNotFoundError):
            (server / "mnist" / "train-images-idx3-ubyte.gz").unlink()
    folder = tmp_path / "mxnet-home" / "datasets" / "mnist"
    assert sorted(path.name for path in folder.iterdir()) == sorted(f"{stem}.gz" for stem in arrays)
    assert capsys.readouterr().out == ""  # a command's output stays its own


def test_cifar_archive_comes_from_gluon(tmp_path, rng, small, server, monkeypatch):
    rows = small.write_cifar(tmp_path / "aside", rng)
    (server / "cifar10").mkdir(parents=True)
    archive = server / "cifar10" / "cifar-10-binary.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        for name in rows:
            tar.add(tmp_path / "aside" / name, arcname=name)
    monkeypatch.setattr(cifar, "_CIFAR10", replace(cifar._CIFAR10, archive=(archive.name, sha1(archive))))
    (tmp_path / "own").mkdir()
    dataset = data.load(small.section("cifar10", root=str(tmp_path / "own")), 0)
    assert np.array_equal(dataset.test.images.reshape(20, -1), rows["test_batch.bin"][:, 1:])
    assert sorted(path.name for path in (tmp_path / "own").iterdir()) == sorted([*rows, archive.name])


def test_a_wrong_checksum_leaves_nothing(tmp_path, rng, small, server):
    small.write_idx(server / "mnist", rng)
    target = tmp_path / "mxnet-home" / "datasets" / "mnist"
    with pytest.raises(
        ValueError, match=re.escape(f"data: {target}/train-images-idx3-ubyte.gz must be there") + ".*hash"
    ):
        data.load(small.section("mnist"), 0)
    assert list(target.iterdir()) == []


def test_an_old_file_outlives_a_failed_download(tmp_path, server):
    server.mkdir(parents=True)
    old = tmp_path / "old.gz"
    old.write_bytes(b"old")
    with pytest.raises(ValueError, match="old.gz must be there or come from .* got RuntimeError: Failed downloading"):
        download.fetch("mnist", "old.gz", "0" * 40, tmp_path, "old.gz")
    assert old.read_bytes() == b"old"


def test_a_folder_that_cannot_be_made(tmp_path, small):
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="must be there or come from .* got (NotADirectory|FileExists)Error"):
        data.load(small.section("mnist", root=str(tmp_path / "file")), 0)


def test_the_published_checksums_are_gluons():
    """Gluon's own tables, read from its source."""
    import inspect

    from lossbench._mxnet import mx

    source = inspect.getsource(mx.gluon.data.vision.datasets)
    for table in idx._FILES.values():
        for stem, (digest, _) in table.items():
            assert re.search(rf"'{stem}.gz',\s+'{digest}'", source)
    for form in (cifar._CIFAR10, cifar._CIFAR100):
        for name, digest in [form.archive, *((name, digest) for name, (digest, _) in form.files.items())]:
            assert re.search(rf"'{name}',\s+'{digest}'", source)


def test_sha256(tmp_path):
    content = gzip.compress(bytes(3_000_000)) + bytes(range(256)) * 9000
    (tmp_path / "x").write_bytes(content)
    assert files.sha256(tmp_path / "x") == hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize("by", ["root", "environment"])
def test_a_mistyped_folder_is_not_made(tmp_path, small, rng, server, monkeypatch, by):
    small.write_idx(server / "mnist", rng)
    monkeypatch.setenv("LOSSBENCH_DATA", str(tmp_path / "shraed") if by == "environment" else "")
    root = str(tmp_path / "shraed") if by == "root" else None
    expected = (
        f"be there or come from .*, got no folder {tmp_path}/shraed. Correct data.root or LOSSBENCH_DATA, or make"
    )
    with pytest.raises(ValueError, match=expected):
        data.load(small.section("mnist", root=root), 0)
    assert not (tmp_path / "shraed").exists()


def test_mirrors_and_content_that_is_packed_anew(tmp_path, small, rng, server, monkeypatch):
    """Gluon's repository lacks two files, and has one with other content; the mirror has all, compressed otherwise."""
    arrays = small.write_idx(tmp_path / "mirror" / "mnist", rng)
    known = {stem: ("0" * 40, hashlib.sha256(small.idx_bytes(array)).hexdigest()) for stem, array in arrays.items()}
    monkeypatch.setitem(idx._FILES, "mnist", known)
    stems = sorted(arrays)
    (server / "mnist").mkdir(parents=True)
    (server / "mnist" / f"{stems[0]}.gz").write_bytes(gzip.compress(small.idx_bytes(arrays[stems[1]])))
    (server / "mnist" / f"{stems[1]}.gz").write_bytes(gzip.compress(small.idx_bytes(arrays[stems[1]]), 1))
    (server.parent.parent / "mirror").symlink_to(tmp_path / "mirror")
    monkeypatch.setenv(
        "LOSSBENCH_MIRRORS", "http://127.0.0.1:9/no " + download._urls("x", "")[0].split("gluon")[0] + "mirror"
    )
    dataset = data.load(small.section("mnist", validation_fraction=0), 0)
    assert np.array_equal(dataset.train.images[:, 0], arrays["train-images-idx3-ubyte"])
    assert dataset.notes == []


def test_the_known_mirrors_are_asked_unless_a_repository_is_named(monkeypatch):
    assert download._urls("mnist", "x.gz") == ["http://127.0.0.1:9/gluon/dataset/mnist/x.gz"]
    monkeypatch.delenv("MXNET_GLUON_REPO")
    urls = download._urls("mnist", "x.gz")
    assert urls[1:] == [folder + "x.gz" for folder in download.MIRRORS["mnist"]]


NOBODY = "~nobody-of-this-name/data"
OF_NOBODY = f"path: `~` must stand for the folder of a user, got {NOBODY}. Write the whole path."


@pytest.mark.parametrize(
    ("source", "options"),
    [
        ("mnist", {}),
        ("cifar10", {}),
        ("emnist", {}),
        ("table", {"train": "a.csv", "test": "b.csv"}),
        ("folder", {"image_size": 8}),
        ("record", {"train": "a.rec", "test": "b.rec", "image_size": 8, "num_classes": 2}),
    ],
)
def test_the_folder_of_a_user_who_is_not_there_is_a_mistake(small, source, options):
    with pytest.raises(UserError, match=re.escape(OF_NOBODY)):
        data.load(small.section(source, root=NOBODY, **options), 0)


def test_so_it_is_where_data_are_looked_at_or_named_by_the_environment(monkeypatch):
    with pytest.raises(UserError, match=re.escape(OF_NOBODY)):
        data.propose(NOBODY)
    monkeypatch.setenv("LOSSBENCH_DATA", NOBODY)
    with pytest.raises(UserError, match=re.escape(OF_NOBODY)):
        files.folders("mnist")


def test_a_cache_in_the_folder_of_nobody_is_none(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", NOBODY)
    path = tmp_path / "a.rec"
    path.touch()
    columns = {"begin": np.arange(kept_scan.FEWEST)}
    kept_scan.write(path, path.stat(), columns)
    assert kept_scan.read(path, path.stat()) is None
