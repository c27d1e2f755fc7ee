"""Sections of a config as the loaders see them, and small files in the true formats."""

import gzip
import io
import struct
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from lossbench.config.data import SOURCES as SECTIONS


def section(source, **options):
    """The data section that config files give, with defaults."""
    return SECTIONS[source](source=source, **options)


def idx_bytes(array):
    """IDX form of a uint8 array."""
    return struct.pack(f">I{array.ndim}I", 0x0800 + array.ndim, *array.shape) + array.tobytes()


def write_idx(folder, rng, train=40, test=20, compressed=True, dotted=False):
    """The four files of an MNIST of random images; returns the arrays by stem."""
    folder.mkdir(parents=True, exist_ok=True)
    arrays = {}
    for part, count in (("train", train), ("t10k", test)):
        arrays[f"{part}-images-idx3-ubyte"] = rng.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        arrays[f"{part}-labels-idx1-ubyte"] = (np.arange(count) % 10).astype(np.uint8)
    for stem, array in arrays.items():
        name = stem.replace("-idx", ".idx") if dotted else stem
        content = idx_bytes(array)
        if compressed:
            (folder / f"{name}.gz").write_bytes(gzip.compress(content))
        else:
            (folder / name).write_bytes(content)
    return arrays


def cifar_rows(rng, count, labels=(10,)):
    """Records of a CIFAR file: label bytes, then planes."""
    columns = [np.arange(count) % values for values in labels]
    return np.column_stack([*columns, rng.integers(0, 256, (count, 3072))]).astype(np.uint8)


def write_cifar(folder, rng, source="cifar10", count=20):
    """All files of a small CIFAR-10 or -100; returns the rows by name."""
    folder.mkdir(parents=True, exist_ok=True)
    if source == "cifar10":
        names, labels = [*(f"data_batch_{number}.bin" for number in range(1, 6)), "test_batch.bin"], (10,)
    else:
        names, labels = ["train.bin", "test.bin"], (20, 100)
    rows = {name: cifar_rows(rng, count, labels) for name in names}
    for name, content in rows.items():
        (folder / name).write_bytes(content.tobytes())
    return rows


def encode(pixels, form="PNG"):
    """An image file's bytes; pixels (H, W) or (H, W, 3)."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, form)
    return file.getvalue()


@pytest.fixture
def small():
    """The helpers above, for tests that are imported without a package."""
    return SimpleNamespace(
        section=section,
        idx_bytes=idx_bytes,
        write_idx=write_idx,
        cifar_rows=cifar_rows,
        write_cifar=write_cifar,
        encode=encode,
    )


@pytest.fixture(autouse=True)
def elsewhere(monkeypatch, tmp_path):
    """No test sees the user's own datasets, or reaches a network."""
    monkeypatch.delenv("LOSSBENCH_DATA", raising=False)
    monkeypatch.setenv("MXNET_HOME", str(tmp_path / "mxnet-home"))
    monkeypatch.setenv("MXNET_GLUON_REPO", "http://127.0.0.1:9/")
