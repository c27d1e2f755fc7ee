from types import SimpleNamespace

import numpy as np
import pytest

from lossbench import inference
from lossbench._mxnet import mx
from lossbench.data import transforms
from lossbench.evaluation import calibration, classification, likelihood

MEAN, STD = (0.5, 0.3), (0.25, 0.2)


class Backbone(mx.gluon.nn.HybridSequential):
    """Layers that behave differently in training, as most networks have."""

    embedding_size = 3

    def __init__(self):
        super().__init__()
        with self.name_scope():
            self.add(
                mx.gluon.nn.Conv2D(4, 3, in_channels=2),
                mx.gluon.nn.BatchNorm(in_channels=4),
                mx.gluon.nn.Dropout(0.5),
                mx.gluon.nn.Dense(3, in_units=4 * 16),
            )


class Head:
    """Scores of 4 classes; refuses to be called with a label."""

    def __init__(self, rng):
        self.weight = rng.standard_normal((4, 3)).astype(np.float32)

    def predict(self, embedding):
        return mx.nd.dot(
            embedding, mx.nd.from_numpy(self.weight.copy()).as_in_context(embedding.context), transpose_b=True
        )


@pytest.fixture
def model(rng):
    mx.random.seed(int(rng.integers(1 << 31)))
    backbone = Backbone()
    backbone.initialize(ctx=[mx.cpu(0), mx.cpu(1)])
    return backbone, Head(rng)


@pytest.fixture
def split(rng):
    images = rng.integers(0, 256, (23, 2, 6, 6), dtype=np.uint8)
    return SimpleNamespace(images=images, labels=rng.integers(0, 4, 23).astype(np.int32))


def slow(backbone, head, split):
    """One image at a time, eager, normalized by the data stage."""
    embedding = []
    for image in split.images:
        embedding.append(backbone(mx.nd.from_numpy(transforms.normalize(image[None], MEAN, STD))).asnumpy()[0])
    return np.array(embedding), np.array(embedding) @ head.weight.T


@pytest.mark.parametrize("hybridized", [False, True])
@pytest.mark.parametrize("batch_size", [1, 5, 23, 100])
@pytest.mark.parametrize("devices", [None, [mx.cpu(0), mx.cpu(1)]])
def test_every_image_in_order(model, split, hybridized, batch_size, devices):
    backbone, head = model
    embedding, logits = slow(backbone, head, split)
    if hybridized:
        backbone.hybridize(static_alloc=True, static_shape=True)
    found = inference.outputs(backbone, head, split, MEAN, STD, batch_size, devices)
    assert {name: array.dtype for name, array in found.items()} == {
        "embedding": np.float32,
        "logits": np.float32,
        "label": np.int32,
    }
    np.testing.assert_allclose(found["embedding"], embedding, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found["logits"], logits, rtol=1e-5, atol=1e-5)
    assert (found["label"] == split.labels).all()


def test_images_are_normalized_as_in_training(split):
    seen = []

    def backbone(images):
        seen.append(images.asnumpy())
        return images.reshape((len(images), -1))

    head = SimpleNamespace(predict=lambda embedding: embedding)
    inference.outputs(backbone, head, split, MEAN, STD, batch_size=10)
    assert [len(images) for images in seen] == [10, 10, 3]
    assert (np.concatenate(seen) == transforms.normalize(split.images, MEAN, STD)).all()


def test_pixels_between_0_and_1_are_the_same_images(model, split):
    pixels = SimpleNamespace(images=(split.images / 255).astype(np.float32), labels=split.labels)
    expected, found = (inference.outputs(*model, images, MEAN, STD) for images in (split, pixels))
    np.testing.assert_allclose(found["embedding"], expected["embedding"], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found["logits"], expected["logits"], rtol=1e-4, atol=1e-5)


def test_nothing_is_recorded_or_trained(model, split):
    backbone, head = model
    before = {name: p.data(mx.cpu(0)).asnumpy() for name, p in backbone.collect_params().items()}
    with mx.autograd.record():
        first = inference.outputs(backbone, head, split, MEAN, STD)
    second = inference.outputs(backbone, head, split, MEAN, STD)
    assert (first["embedding"] == second["embedding"]).all()
    for name, parameter in backbone.collect_params().items():
        assert (parameter.data(mx.cpu(0)).asnumpy() == before[name]).all()


def test_labels_reach_nobody(model, split):
    backbone, head = model
    unlabeled = SimpleNamespace(images=split.images, labels=np.full(23, -1, np.int32))
    with_labels = inference.outputs(backbone, head, split, MEAN, STD)
    without = inference.outputs(backbone, head, unlabeled, MEAN, STD)
    assert (with_labels["logits"] == without["logits"]).all()


def test_progress_is_shown_only_when_asked(model, split, capsys):
    inference.outputs(*model, split, MEAN, STD, batch_size=5)
    assert capsys.readouterr() == ("", "")
    inference.outputs(*model, split, MEAN, STD, batch_size=5, progress=True)
    out, err = capsys.readouterr()
    assert out == ""
    assert "/23" in err


def test_errors(model, split):
    empty = SimpleNamespace(images=split.images[:0], labels=split.labels[:0])
    with pytest.raises(ValueError, match="inference: `split` must have at least one image, got none"):
        inference.outputs(*model, empty, MEAN, STD)
    with pytest.raises(ValueError, match="inference: `batch_size` must be at least 1, got 0"):
        inference.outputs(*model, split, MEAN, STD, batch_size=0)


def test_logits_of_very_many_classes_are_computed_part_by_part(model, split):
    backbone, head = model
    whole = inference.outputs(backbone, head, split, MEAN, STD, num_classes=4)
    found = inference.outputs(backbone, head, split, MEAN, STD, num_classes=4, max_memory_bytes=4 * 4 * 4 * 5)
    np.testing.assert_array_equal(found["embedding"], whole["embedding"])
    logits = found["logits"]
    assert isinstance(logits, inference.Logits)
    assert logits.shape == (len(logits), 4) == (23, 4)
    assert [len(part) for part in logits.parts()] == [5, 5, 5, 5, 3]
    np.testing.assert_allclose(np.concatenate([*logits.parts()]), whole["logits"], rtol=1e-5, atol=1e-6)
    ids = np.array([22, 3, 3])
    np.testing.assert_allclose(np.concatenate([*logits[ids].parts()]), whole["logits"][ids], rtol=1e-5, atol=1e-6)
    for function in (classification.predict, calibration.decide, likelihood.max_log_density, likelihood.log_odds):
        for one, other in zip(np.atleast_2d(function(logits)), np.atleast_2d(function(whole["logits"]))):
            np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)
