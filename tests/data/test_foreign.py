import numpy as np
import pytest
from PIL import Image

from lossbench.data import foreign


def test_images_of_the_right_form_stay(rng):
    images = rng.integers(0, 256, (3, 3, 8, 6), dtype=np.uint8)
    assert foreign.fitted(images, (3, 8, 6)) is images


def test_channels_are_pillows(rng):
    images = rng.integers(0, 256, (20, 3, 8, 6), dtype=np.uint8)
    gray = foreign.fitted(images, (1, 8, 6))
    for image, found in zip(images, gray):
        expected = np.asarray(Image.fromarray(image.transpose(1, 2, 0)).convert("L"))
        np.testing.assert_array_equal(found[0], expected)
    back = foreign.fitted(gray, (3, 8, 6))
    assert (back == gray).all()
    assert back.shape == images.shape


@pytest.mark.parametrize(
    ("shape", "target", "resized", "corner"),
    [
        ((1, 28, 28), (1, 32, 32), (32, 32), (0, 0)),
        ((3, 32, 32), (3, 8, 8), (8, 8), (0, 0)),
        ((1, 20, 30), (1, 10, 10), (10, 15), (0, 2)),
        ((1, 30, 20), (1, 40, 40), (60, 40), (10, 0)),
    ],
)
def test_the_middle_of_a_covering_size_is_kept(rng, shape, target, resized, corner):
    images = rng.integers(0, 256, (2, *shape), dtype=np.uint8)
    found = foreign.fitted(images, target)
    assert found.shape == (2, *target)
    (top, left), (_, height, width) = corner, target
    for image, got in zip(images, found):
        for plane, result in zip(image, got):
            whole = np.asarray(Image.fromarray(plane).resize(resized[::-1], Image.BILINEAR))
            np.testing.assert_array_equal(result, whole[top : top + height, left : left + width])


def test_files_are_seen_where_they_would_be_loaded_from(tmp_path, monkeypatch):
    monkeypatch.setenv("LOSSBENCH_DATA", str(tmp_path))
    monkeypatch.setenv("MXNET_HOME", str(tmp_path / "gluon"))
    assert foreign.is_present("digits")
    for source in ("mnist", "fashion_mnist", "cifar10", "cifar100"):
        assert not foreign.is_present(source)
    folder = tmp_path / "fashion-mnist"
    folder.mkdir()
    stems = ["train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1"]
    for stem in stems[:3]:
        (folder / f"{stem}-ubyte.gz").touch()
    assert not foreign.is_present("fashion_mnist")
    (folder / f"{stems[3]}-ubyte").touch()
    assert foreign.is_present("fashion_mnist")
    assert not foreign.is_present("mnist")
    (tmp_path / "gluon" / "datasets" / "cifar100").mkdir(parents=True)
    (tmp_path / "gluon" / "datasets" / "cifar100" / "cifar-100-binary.tar.gz").touch()
    assert foreign.is_present("cifar100")
    inner = tmp_path / "cifar10" / "cifar-10-batches-bin"
    inner.mkdir(parents=True)
    for name in [*(f"data_batch_{k}.bin" for k in range(1, 6)), "test_batch.bin"]:
        assert not foreign.is_present("cifar10")
        (inner / name).touch()
    assert foreign.is_present("cifar10")
    assert not foreign.is_present("cifar10", root=tmp_path / "elsewhere")
