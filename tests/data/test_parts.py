"""Parts of a dataset, read without the files of the others."""

import struct

import numpy as np
import pytest

from lossbench import data


def make(source, root, rng, small):
    """The files of a source; returns its options and the files of its training part."""
    images, labels = rng.integers(0, 256, (40, 28, 28), dtype=np.uint8), np.arange(40, dtype=np.uint8) % 5
    if source == "mnist":
        small.write_idx(root, rng)
        return {}, root.glob("train-*")
    if source == "cifar10":
        small.write_cifar(root, rng)
        return {}, root.glob("data_batch_*")
    if source == "emnist":
        for part in ("train", "test"):
            for name, array in (("images-idx3", images), ("labels-idx1", labels)):
                (root / f"emnist-digits-{part}-{name}-ubyte").write_bytes(small.idx_bytes(array))
        return {"part": "digits"}, root.glob("*-train-*")
    if source == "folder":
        for part in ("train", "val", "test"):
            for number, (image, label) in enumerate(zip(images, labels)):
                (root / part / f"class {label}").mkdir(parents=True, exist_ok=True)
                (root / part / f"class {label}" / f"{number}.png").write_bytes(small.encode(image))
        return {"image_size": 28, "channels": 1}, root.glob("train/*/*")
    for part in ("train", "test"):
        if source == "table":
            rows = np.column_stack([labels, images.reshape(40, -1)])
            np.savetxt(root / f"{part}.csv", rows, "%d", ",")
            continue
        with open(root / f"{part}.rec", "wb") as file:
            for image, label in zip(images, labels):
                content = struct.pack("<IfQQ", 0, label, 0, 0) + small.encode(image)
                file.write(struct.pack("<II", 0xCED7230A, len(content)) + content + bytes(-len(content) % 4))
    if source == "table":
        return {"train": "train.csv", "test": "test.csv"}, root.glob("train.csv")
    options = {"train": "train.rec", "test": "test.rec", "image_size": 28, "channels": 1, "num_classes": 5}
    return options, root.glob("train.rec")


@pytest.mark.parametrize("source", [source for source in data.BY_PART if source not in ("fashion_mnist", "cifar100")])
def test_the_test_split_is_read_without_training_files(tmp_path, rng, small, source):
    options, training = make(source, tmp_path, rng, small)
    section = small.section(source, root=str(tmp_path), holdout_classes=(1, 3), limit=20, **options)
    whole = data.load(section, 7)
    for path in list(training):
        path.unlink()
    part = data.load(section, 7, parts=["test"], known=whole.description)
    assert (part.parts, len(part.train)) == (("test",), 0)
    assert 0 < len(part.test) == len(whole.test)
    np.testing.assert_array_equal(part.test.images, whole.test.images)
    np.testing.assert_array_equal(part.test.labels, whole.test.labels)
    np.testing.assert_array_equal(part.test.names, whole.test.names)
    assert (part.mean, part.std, part.class_names) == (whole.mean, whole.std, whole.class_names)
    assert part.checksums.items() <= whole.checksums.items()
    if source not in ("mnist", "cifar10"):  # which would be downloaded
        with pytest.raises(ValueError, match="train.* must "):
            data.load(section, 7, parts=["train"], known=whole.description)


@pytest.mark.parametrize("part", ["train", "validation"])
@pytest.mark.parametrize("source", [source for source in data.BY_PART if source not in ("fashion_mnist", "cifar100")])
def test_training_and_validation_are_the_same_alone(tmp_path, rng, small, source, part):
    options, _ = make(source, tmp_path, rng, small)
    options.update(validation_fraction=0.25, label_noise=0.5, class_imbalance=2)
    section = small.section(source, root=str(tmp_path), **options)
    whole = data.load(section, 1)
    assert len(whole.validation) == (40 if source == "folder" else whole.description.counts["validation"])
    for path in tmp_path.glob("t10k-*"):
        path.unlink()
    found = getattr(data.load(section, 1, parts=[part], known=whole.description), part)
    np.testing.assert_array_equal(found.images, getattr(whole, part).images)
    np.testing.assert_array_equal(found.labels, getattr(whole, part).labels)
    np.testing.assert_array_equal(found.true_labels, getattr(whole, part).true_labels)


def test_a_folder_of_validation_images_is_read_without_training_images(tmp_path, rng, small):
    options, training = make("folder", tmp_path, rng, small)
    section = small.section("folder", root=str(tmp_path), **options)
    whole = data.load(section, 0)
    for path in list(training):
        path.unlink()
    found = data.load(section, 0, parts=["validation"], known=whole.description)
    np.testing.assert_array_equal(found.validation.images, whole.validation.images)
    assert found.checksums == {"val/": whole.checksums["val/"]}


def test_a_test_split_that_was_taken_from_train_needs_train(tmp_path, rng, small):
    options, _ = make("folder", tmp_path, rng, small)
    for name in ("val", "test"):
        (tmp_path / name).rename(tmp_path / f".{name}")
    section = small.section("folder", root=str(tmp_path), test_fraction=0.25, **options)
    whole = data.load(section, 0)
    found = data.load(section, 0, parts=["test"], known=whole.description)
    np.testing.assert_array_equal(found.test.images, whole.test.images)
    assert found.parts == ("train", "test")


def test_compression_changes_no_checksum(tmp_path, rng, small):
    (tmp_path / "b").mkdir()
    arrays = small.write_idx(tmp_path / "a", rng)
    for stem, array in arrays.items():
        (tmp_path / "b" / stem).write_bytes(small.idx_bytes(array))
    zipped, plain = (data.load(small.section("mnist", root=str(tmp_path / name)), 0).checksums for name in "ab")
    assert zipped == plain
