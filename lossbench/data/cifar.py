"""CIFAR-10 and CIFAR-100: a record is one or two label bytes, then the red, green and blue planes.

The binary version, or the Python version brought to the same bytes by a reader of plain values.
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import io
import os
import tarfile
import tempfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lossbench.data import download, files, plain_pickle
from lossbench.data.dataset import PARTS, Split, made_of, of_parts

_PIXELS = 3 * 32 * 32
_WAY_OUT = "Delete it to have it downloaded again, or put the right file there."


@dataclass(frozen=True)
class _Form:
    """One of the two datasets: its files with SHA-1 and images, label bytes with their values, pixel statistics."""

    name: str
    archive: tuple
    inner: str
    python: str
    keys: tuple
    train: dict
    test: dict
    labels: tuple
    class_names: list
    mean: tuple
    std: tuple

    @property
    def files(self):
        return {**self.train, **self.test}


_CIFAR10 = _Form(
    name="cifar10",
    archive=("cifar-10-binary.tar.gz", "fab780a1e191a7eda0f345501ccd62d20f7ed891"),
    inner="cifar-10-batches-bin",
    python="cifar-10-batches-py",
    keys=(b"labels",),
    train={
        "data_batch_1.bin": ("aadd24acce27caa71bf4b10992e9e7b2d74c2540", 10_000),
        "data_batch_2.bin": ("c0ba65cce70568cd57b4e03e9ac8d2a5367c1795", 10_000),
        "data_batch_3.bin": ("1dd00a74ab1d17a6e7d73e185b69dbf31242f295", 10_000),
        "data_batch_4.bin": ("aab85764eb3584312d3c7f65fd2fd016e36a258e", 10_000),
        "data_batch_5.bin": ("26e2849e66a845b7f1e4614ae70f4889ae604628", 10_000),
    },
    test={"test_batch.bin": ("67eb016db431130d61cd03c7ad570b013799c88c", 10_000)},
    labels=(10,),
    class_names="airplane automobile bird cat deer dog frog horse ship truck".split(),
    mean=(0.4914, 0.4822, 0.4465),
    std=(0.2470, 0.2435, 0.2616),
)
_CIFAR100 = _Form(
    name="cifar100",
    archive=("cifar-100-binary.tar.gz", "a0bb982c76b83111308126cc779a992fa506b90b"),
    inner="cifar-100-binary",
    python="cifar-100-python",
    keys=(b"coarse_labels", b"fine_labels"),
    train={"train.bin": ("e207cd2e05b73b1393c74c7f5e7bea451d63e08e", 50_000)},
    test={"test.bin": ("8fb6623e830365ff53cf14adec797474f5478006", 10_000)},
    labels=(20, 100),
    class_names=(
        "apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly camel can "
        "castle caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup dinosaur dolphin "
        "elephant flatfish forest fox girl hamster house kangaroo keyboard lamp lawn_mower leopard lion lizard lobster "
        "man maple_tree motorcycle mountain mouse mushroom oak_tree orange orchid otter palm_tree pear pickup_truck "
        "pine_tree plain plate poppy porcupine possum rabbit raccoon ray road rocket rose sea seal shark shrew skunk "
        "skyscraper snail snake spider squirrel streetcar sunflower sweet_pepper table tank telephone television tiger "
        "tractor train trout tulip turtle wardrobe whale willow_tree wolf woman worm"
    ).split(),
    mean=(0.5071, 0.4865, 0.4409),
    std=(0.2673, 0.2564, 0.2762),
)


def cifar10(config_data, seed, parts=PARTS, class_names=None):
    """CIFAR-10, 32 x 32 color photographs in 10 classes."""
    return _load(_CIFAR10, config_data.root, parts)


def cifar100(config_data, seed, parts=PARTS, class_names=None):
    """CIFAR-100, 32 x 32 color photographs in 100 (fine) classes."""
    return _load(_CIFAR100, config_data.root, parts)


def read(path, labels):
    """Read one binary file.

    Parameters
    ----------
    path : path
    labels : tuple of int
        Number of values of each label byte, (10,) for CIFAR-10, (20, 100) for CIFAR-100; the last is the class.

    Returns
    -------
    Split

    Raises
    ------
    ValueError
        If the file is empty, does not consist of whole records, or has a label out of range.
    """
    return _parse(path, files.contents(path), labels)


def _parse(path, content, labels):
    record = len(labels) + _PIXELS
    if not content or len(content) % record:
        rule = f"consist of whole records of {record} bytes"
        raise files.invalid(path, rule, f"{len(content):,} bytes, {len(content) % record} left over", _WAY_OUT)
    rows = np.frombuffer(content, np.uint8)
    rows = rows.reshape(-1, record)
    for column, count in enumerate(labels):
        wrong = np.flatnonzero(rows[:, column] >= count)
        if len(wrong):
            rule = f"have labels from 0 to {count - 1} in byte {column} of each record"
            got = f"{rows[wrong[0], column]} in record {wrong[0]}"
            raise files.invalid(path, rule, got, _WAY_OUT)
    images = rows[:, len(labels) :].reshape(-1, 3, 32, 32)
    return Split(np.ascontiguousarray(images), rows[:, len(labels) - 1].astype(np.int32))


def _load(form, root, parts):
    wanted = {part: getattr(form, part) for part in made_of(parts)}
    names = [name for listed in wanted.values() for name in listed]
    folder = _locate(form, root, names)
    read, checksums, differing = {}, {}, []
    for name in names:
        (sha1, count), content = form.files[name], _content(form, folder, name)
        read[name] = _parse(folder / name, content, form.labels)
        checksums[name] = hashlib.sha256(content).hexdigest()
        if hashlib.sha1(content).hexdigest() != sha1:
            more = "" if len(read[name]) == count else f" ({len(read[name]):,} images instead of {count:,})"
            differing.append(name + more)
    return of_parts(
        {part: _join(folder, {name: read[name] for name in listed}) for part, listed in wanted.items()},
        num_classes=form.labels[-1],
        class_names=list(form.class_names),
        mean=form.mean,
        std=form.std,
        checksums=checksums,
        notes=files.not_canonical(form.name, differing),
    )


def _content(form, folder, name):
    """A file's bytes; those of the Python version in the binary one's order."""
    if (folder / name).is_file():
        return files.contents(folder / name)
    path = folder / Path(name).stem
    batch = plain_pickle.read(path)
    pixels = batch.get(b"data") if isinstance(batch, dict) else None
    columns = [batch.get(key) for key in form.keys] if isinstance(batch, dict) else []
    if not isinstance(pixels, np.ndarray) or pixels.ndim != 2 or not all(isinstance(c, list) for c in columns):
        raise files.invalid(path, f"hold data and {form.keys[-1].decode()}", "other values", _WAY_OUT)
    if any(len(c) != len(pixels) or not all(type(v) is int and 0 <= v < 256 for v in c) for c in columns):
        raise files.invalid(path, "hold a label for each image", "others", _WAY_OUT)
    return np.column_stack([*columns, pixels]).astype(np.uint8).tobytes()


def _join(folder, parts):
    """Files of one split, which all hold the same number of images: a file cut off between two records is seen here."""
    count = max(len(part) for part in parts.values())
    for name, part in parts.items():
        if len(part) != count:
            rule = f"hold {count:,} images like the other training files"
            raise files.invalid(folder / name, rule, f"{len(part):,}", _WAY_OUT)
    images, labels = zip(*((part.images, part.labels) for part in parts.values()))
    return Split(np.concatenate(images), np.concatenate(labels))


def _locate(form, root, names):
    """The folder that holds every file of these names; downloads and unpacks what no folder has."""
    places = [place for folder in files.folders(form.name, root) for place in (folder, folder / form.inner)]
    complete = [place for place in places if all((place / name).is_file() for name in names)]
    python = [p for f in files.folders(form.name, root) for p in (f, f / form.python) if _has_python(names, p)]
    if complete or python:
        return [*complete, *python][0]
    archive, sha1 = form.archive
    there = next((place / archive for place in places if (place / archive).is_file()), None)
    if there is None:
        begun = [place for place in places if any((place / name).is_file() for name in form.files)]
        wanted = f"{archive} (or {', '.join(form.files)})"
        there = download.fetch(
            form.name,
            archive,
            sha1,
            (begun or places)[0],
            wanted,
            root=root,
            is_right=lambda path: _is_published(form, path),
        )
    _unpack(there, form.files)
    return there.parent


def _has_python(names, place):
    return all((place / Path(name).stem).is_file() for name in names)


class _Bounded(io.RawIOBase):
    """A stream that ends in an error past `files.MOST_UNPACKED` bytes, also within one header."""

    def __init__(self, stream):
        self._stream, self._left = stream, files.MOST_UNPACKED

    def read(self, size=-1):
        block = self._stream.read(min(size, 1 << 20) if size > 0 else 1 << 20)
        self._left -= len(block)
        if self._left < 0:
            raise OSError(f"more than {files.MOST_UNPACKED:,} bytes when it is unpacked")
        return block


@contextlib.contextmanager
def _members(archive):
    """The files of a tar archive, gzip or not, one after the other, bounded in what they unpack to."""
    with contextlib.ExitStack() as stack:
        stream = stack.enter_context(files.opened(archive))
        is_zipped = stream.read(2) == b"\x1f\x8b"
        stream.seek(0)
        stream = stack.enter_context(gzip.GzipFile(fileobj=stream)) if is_zipped else stream
        tar = stack.enter_context(tarfile.open(fileobj=_Bounded(stream), mode="r|"))
        yield ((Path(member.name).name, tar.extractfile(member)) for member in tar if member.isfile())


def _is_published(form, archive):
    """Whether an archive holds the published files."""
    with _members(archive) as members:
        found = {name: hashlib.sha1(file.read()).hexdigest() for name, file in members if name in form.files}
    return found == {name: sha1 for name, (sha1, _) in form.files.items()}


def _unpack(archive, names):
    """Write these files of an archive beside it, flat, each whole or not at all, and never over one that is there."""
    missing = {name for name in names if not (archive.parent / name).is_file()}
    try:
        with _members(archive) as members, tempfile.TemporaryDirectory(dir=archive.parent, prefix=".unpack-") as aside:
            for name, file in members:
                if name in missing:
                    part = Path(aside) / name
                    part.write_bytes(file.read())
                    os.replace(part, archive.parent / name)
                    missing.discard(name)
    except (tarfile.TarError, zlib.error, EOFError, OSError) as error:
        raise files.invalid(
            archive, "be an intact archive that can be unpacked beside itself", str(error), _WAY_OUT
        ) from error
    if missing:
        raise files.invalid(archive, "hold " + ", ".join(names), "no " + ", ".join(sorted(missing)), _WAY_OUT)
