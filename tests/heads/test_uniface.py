"""UniFace against a second implementation: its threshold, its targets, and sums over many classes."""

import math

import numpy as np
import pytest

from lossbench import testing
from lossbench._mxnet import mx
from lossbench.heads import UniFace
from tests.heads import reference

B, D, C = 6, 4, 5
LABEL = np.array([0, 3, 1, 1, 4, 3])


def softplus(x):
    return max(x, 0) + math.log1p(math.exp(-abs(x)))


def uniface(embedding, label, parameters, *, smoothing=0.0, focusing=0.0, **_):
    """Loss and logits of a batch, pair by pair."""
    scale, margin, threshold = (parameters[name][0] for name in ("scale", "margin", "threshold"))
    losses, rows = [], []
    for x, y in zip(embedding, label):
        logits = scale * np.array([reference.cosine(x, w) for w in parameters["weight"]])
        loss = 0
        for j, z in enumerate(logits):
            score = z - threshold - (scale * margin if j == y else 0)
            target = (j == y) * (1 - smoothing) + smoothing / len(logits)
            term = target * softplus(-score) + (1 - target) * softplus(score)
            wrong = score if j != y else -score
            loss += term * math.exp(-focusing * softplus(-wrong))
        losses.append(loss)
        rows.append(logits)
    return np.array(losses), np.array(rows)


@pytest.mark.parametrize("options", [{}, {"scale": 8.0, "margin": 0.2}], ids=str)
def test_the_contract(options, seed):
    testing.check_head(UniFace, uniface, options=[options], seed=seed)


@pytest.mark.parametrize("options", [{"focusing": 2.0}, {"focusing": 0.5, "label_smoothing": 0.1}], ids=str)
def test_focusing_and_smoothing(options, seed, rng):
    subject = testing.Subject(UniFace, {"scale": 8.0, **options}, uniface, seed)
    more = {"smoothing": options["label_smoothing"]} if "label_smoothing" in options else {}
    testing.assert_matches_reference(subject, subject.built(rng), rng.normal(size=(B, D)), **more)


def built(num_classes=C, size=D, dtype="float64", **options):
    head = UniFace(num_classes, size, **options)
    head.initialize()
    head.cast(dtype)
    return head


@pytest.mark.parametrize("num_classes", [1, 10, 10_000])
def test_the_threshold_starts_at_the_logarithm_of_ten_times_the_classes(num_classes):
    head = built(num_classes)
    assert head.describe()["threshold"] == pytest.approx(math.log(10 * num_classes), rel=1e-6)
    assert head.threshold.wd_mult == 0
    assert head.threshold.lr_mult == 1
    assert "threshold" not in head.scheduled()


def test_the_threshold_that_a_training_moved_is_the_described_one():
    """The embedding lies on its weight and far from the others: pairs that match too well raise the threshold."""
    head = built(dtype="float32", size=C, margin=0, scale=8)
    head.weight.set_data(mx.nd.eye(C))
    trainer = mx.gluon.Trainer(head.collect_params(), "sgd", {"learning_rate": 0.5, "wd": 0.1})
    start = head.describe()["threshold"]
    for _ in range(200):
        with mx.autograd.record():
            loss, _ = head(mx.nd.eye(C), mx.nd.arange(C))
        loss.backward()
        trainer.step(C)
    end = head.describe()["threshold"]
    assert end == pytest.approx(head.threshold.data().asscalar(), rel=1e-6)
    assert 0 < end < 8
    assert abs(end - start) > 0.01
    logits = head.predict(mx.nd.eye(C)).asnumpy()
    assert (np.diag(logits) > end).all()
    assert (logits[~np.eye(C, dtype=bool)] < end).all()


@pytest.mark.parametrize("num_classes", [10, 10_000])
def test_sums_over_many_classes_keep_their_digits_in_float32(num_classes, rng):
    """oneDNN's softrelu is off by up to 4e-6, and 10,000 of it by 2 %."""
    head = built(num_classes, 16, "float32", scale=4)
    embedding = rng.normal(size=(3, 16)).astype(np.float32)
    label = np.array([0, 5, 9])
    loss, _, gradient = testing.gradients(head, embedding, label)
    head.cast("float64")
    expected, _, exact = testing.gradients(head, embedding.astype(np.float64), label)
    np.testing.assert_allclose(loss, expected, rtol=2e-6)
    for name, value in exact.items():
        np.testing.assert_allclose(gradient[name], value, rtol=0, atol=1e-5 * np.abs(value).max(), err_msg=name)


@pytest.mark.parametrize("degrees", [0, 60, 90, 180])
def test_the_gradient_does_not_end_where_the_authors_clip(degrees):
    """Exponents past 64: b - s (cos - m) = 64 * 1.4 + log 20 at 180 degrees."""
    head = built(2, 2, margin=0.4)
    head.weight.set_data(mx.nd.array([[1, 0], [0, -1]]))
    angle = math.radians(degrees)
    loss, _, gradient = testing.gradients(head, np.array([[math.cos(angle), math.sin(angle)]]), np.array([0]))
    exponents = (math.log(20) - 64 * (math.cos(angle) - 0.4), -64 * math.sin(angle) - math.log(20))
    assert loss[0] == pytest.approx(sum(map(softplus, exponents)), rel=1e-5)
    slopes = [1 / (1 + math.exp(-e)) for e in exponents]
    assert gradient["threshold"][0] == pytest.approx(slopes[0] - slopes[1], rel=1e-4, abs=1e-9)


@pytest.mark.parametrize(("name", "value", "rule"), [("margin", 2, r"in \[0, 2\)"), ("scale", 0, "above 0")])
def test_bad_options_are_refused(name, value, rule):
    with pytest.raises(ValueError, match=f"UniFace: `{name}` must be {rule}, got {value}. It "):
        UniFace(C, D, **{name: value})
