"""CIFAR-10 and CIFAR-100, binary: a record is one or two label bytes, then the red, green and blue planes."""

from __future__ import annotations

import os
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lossbench.data import files
from lossbench.data.dataset import Dataset, Split, empty_like

_PIXELS = 3 * 32 * 32
_WAY_OUT = "Delete it to have it downloaded again, or put the right file there."


@dataclass(frozen=True)
class _Form:
    """One of the two datasets: its files with SHA-1, label bytes with their number of values, pixel statistics."""

    name: str
    archive: tuple
    inner: str
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
    train={
        "data_batch_1.bin": "aadd24acce27caa71bf4b10992e9e7b2d74c2540",
        "data_batch_2.bin": "c0ba65cce70568cd57b4e03e9ac8d2a5367c1795",
        "data_batch_3.bin": "1dd00a74ab1d17a6e7d73e185b69dbf31242f295",
        "data_batch_4.bin": "aab85764eb3584312d3c7f65fd2fd016e36a258e",
        "data_batch_5.bin": "26e2849e66a845b7f1e4614ae70f4889ae604628",
    },
    test={"test_batch.bin": "67eb016db431130d61cd03c7ad570b013799c88c"},
    labels=(10,),
    class_names="airplane automobile bird cat deer dog frog horse ship truck".split(),
    mean=(0.4914, 0.4822, 0.4465),
    std=(0.2470, 0.2435, 0.2616),
)
_CIFAR100 = _Form(
    name="cifar100",
    archive=("cifar-100-binary.tar.gz", "a0bb982c76b83111308126cc779a992fa506b90b"),
    inner="cifar-100-binary",
    train={"train.bin": "e207cd2e05b73b1393c74c7f5e7bea451d63e08e"},
    test={"test.bin": "8fb6623e830365ff53cf14adec797474f5478006"},
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


def cifar10(config_data, seed):
    """CIFAR-10, 32 x 32 colour photographs in 10 classes."""
    return _load(_CIFAR10, config_data.root)


def cifar100(config_data, seed):
    """CIFAR-100, 32 x 32 colour photographs in 100 (fine) classes."""
    return _load(_CIFAR100, config_data.root)


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
    record = len(labels) + _PIXELS
    rows = np.fromfile(path, np.uint8)
    if not len(rows) or len(rows) % record:
        rule = f"consist of whole records of {record} bytes"
        raise files.invalid(path, rule, f"{len(rows):,} bytes, {len(rows) % record} left over", _WAY_OUT)
    rows = rows.reshape(-1, record)
    for column, count in enumerate(labels):
        wrong = np.flatnonzero(rows[:, column] >= count)
        if len(wrong):
            rule = f"have labels from 0 to {count - 1} in byte {column} of each record"
            got = f"{rows[wrong[0], column]} in record {wrong[0]}"
            raise files.invalid(path, rule, got, _WAY_OUT)
    images = rows[:, len(labels) :].reshape(-1, 3, 32, 32)
    return Split(np.ascontiguousarray(images), rows[:, len(labels) - 1].astype(np.int32))


def _load(form, root):
    folder = _locate(form, root)
    train, test = (_split(folder, names, form.labels) for names in (form.train, form.test))
    notes = []
    for name, sha1 in form.files.items():
        notes += files.not_canonical(folder / name, files.digest(folder / name, "sha1"), sha1)
    return Dataset(
        train=train,
        validation=empty_like(train),
        test=test,
        num_classes=form.labels[-1],
        class_names=list(form.class_names),
        mean=form.mean,
        std=form.std,
        checksums={name: files.digest(folder / name) for name in form.files},
        notes=notes,
    )


def _split(folder, names, labels):
    parts = [read(folder / name, labels) for name in names]
    for name, part in zip(names, parts):
        if len(part) != len(parts[0]):
            rule = f"hold {len(parts[0]):,} images like the first training file"
            raise files.invalid(folder / name, rule, f"{len(part):,}", _WAY_OUT)
    return Split(np.concatenate([part.images for part in parts]), np.concatenate([part.labels for part in parts]))


def _locate(form, root):
    """The folder that holds every file; downloads and unpacks what no folder has."""
    places = [place for folder in files.folders(form.name, root) for place in (folder, folder / form.inner)]
    complete = [place for place in places if all((place / name).is_file() for name in form.files)]
    if complete:
        return complete[0]
    archive, sha1 = form.archive
    there = next((place / archive for place in places if (place / archive).is_file()), None)
    if there is None:
        begun = [place for place in places if any((place / name).is_file() for name in form.files)]
        there = files.download(form.name, archive, sha1, (begun or places)[0])
    _unpack(there, form.files)
    return there.parent


def _unpack(archive, names):
    """Write these files of an archive beside it, flat, each whole or not at all, and never over one that is there."""
    missing = {name for name in names if not (archive.parent / name).is_file()}
    try:
        with tarfile.open(archive) as tar, tempfile.TemporaryDirectory(dir=archive.parent, prefix=".unpack-") as aside:
            for member in tar:
                name = Path(member.name).name
                if not member.isfile() or name not in missing:
                    continue
                part = Path(aside) / name
                part.write_bytes(tar.extractfile(member).read())
                os.replace(part, archive.parent / name)
                missing.discard(name)
    except (tarfile.TarError, EOFError, OSError) as error:
        raise files.invalid(
            archive, "be an intact archive that can be unpacked beside itself", str(error), _WAY_OUT
        ) from error
    if missing:
        raise files.invalid(archive, "hold " + ", ".join(names), "no " + ", ".join(sorted(missing)), _WAY_OUT)
