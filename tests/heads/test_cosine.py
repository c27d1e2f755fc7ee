"""Heads on angles: published values, what earlier implementations got wrong, reductions to one another, bounds."""

import math
import re

import numpy as np
import pytest
from scipy.optimize import minimize

from lossbench import heads
from lossbench._mxnet import mx
from lossbench.heads import AMSoftmax, ArcFace, ASoftmax, CosFace, L2Softmax, LSoftmax, NormFace, Softmax, SphereFace
from lossbench.heads import bounds as limits
from lossbench.heads.l_softmax import chebyshev, psi
from tests.heads import cases, reference

B, D, C = 6, 4, 5
LABEL = np.array([0, 3, 1, 1, 4, 3])


def twins(one, other, rng):
    """Two heads with the same random weight, in float64."""
    weight = mx.nd.array(rng.normal(size=(C, D)), dtype="float64")
    for head in (one, other):
        head.initialize()
        head.cast("float64")
        head.weight.set_data(weight)
    return one, other


def assert_same(one, other, embedding, tolerance=1e-12, other_embedding=None):
    first = cases.gradients(one, embedding, LABEL)
    second = cases.gradients(other, embedding if other_embedding is None else other_embedding, LABEL)
    np.testing.assert_allclose(first[0], second[0], rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(first[1], second[1], rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(first[2]["weight"], second[2]["weight"], rtol=tolerance, atol=tolerance)
    if other_embedding is None:
        np.testing.assert_allclose(first[2]["embedding"], second[2]["embedding"], rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(
    ("one", "other", "tolerance"),
    [
        (lambda: ArcFace(C, D, scale=16, margin=0), lambda: NormFace(C, D), 1e-12),
        (lambda: ArcFace(C, D, scale=16, margin=0, easy_margin=True), lambda: NormFace(C, D), 1e-12),
        (lambda: AMSoftmax(C, D, scale=16, margin=0), lambda: NormFace(C, D), 1e-12),
        (lambda: NormFace(C, D, learn_scale=True), lambda: NormFace(C, D), 1e-12),
        (lambda: LSoftmax(C, D, margin=1), lambda: Softmax(C, D), 1e-12),
        (lambda: LSoftmax(C, D, beta=1e12), lambda: Softmax(C, D), 1e-9),
        (lambda: ASoftmax(C, D, margin=1), lambda: Softmax(C, D, normalize_weight=True), 1e-12),
        (lambda: ASoftmax(C, D, beta=1e12), lambda: Softmax(C, D, normalize_weight=True), 1e-9),
    ],
)
def test_known_reductions(one, other, tolerance, rng):
    assert_same(*twins(one(), other(), rng), rng.normal(size=(B, D)), tolerance)


def test_normalized_embeddings_make_one_head_of_another(rng):
    embedding = rng.normal(size=(B, D))
    unit = embedding / np.linalg.norm(embedding, axis=1, keepdims=True)
    assert_same(*twins(L2Softmax(C, D, scale=7), Softmax(C, D), rng), embedding, 1e-9, 7 * unit)
    normalized = Softmax(C, D, normalize_weight=True)
    assert_same(*twins(NormFace(C, D, scale=7), normalized, rng), embedding, 1e-9, 7 * unit)


def test_aliases():
    assert (CosFace, SphereFace) == (AMSoftmax, ASoftmax)
    assert heads.HEADS["cosface"] is AMSoftmax
    assert heads.HEADS["sphereface"] is ASoftmax


def true_logit(head, degrees):
    """The true class's training logit at an angle to its weight, read from the loss."""
    head.initialize()
    head.cast("float64")
    head.weight.set_data(mx.nd.array([[1.0, 0.0], [0.0, 1.0]]))
    angle = math.radians(degrees)
    loss, logits, _ = cases.gradients(head, np.array([[math.cos(angle), math.sin(angle)]]), np.array([0]))
    return logits[0, 1] - math.log(math.expm1(loss[0]))


@pytest.mark.parametrize(
    ("degrees", "expected", "easy"),
    [
        (0, 0.8776, 0.8776),
        (89, -0.4640, -0.4640),
        (91, -0.4947, -0.0174),
        (151.3, -1.0000, math.cos(math.radians(151.3))),
        (151.4, -1.1177, math.cos(math.radians(151.4))),
        (152, -1.1227, math.cos(math.radians(152))),
        (180, -1.2397, -1.0),
    ],
)
@pytest.mark.filterwarnings("ignore:.* keeps the (loss|cross-entropy):UserWarning")
def test_arcface_has_the_published_values(degrees, expected, easy):
    """gluonfr's, run; without a guard cos(theta + m) would be -0.996 at 180 degrees less 5, and rising."""
    assert true_logit(ArcFace(2, 2, scale=1), degrees) == pytest.approx(expected, abs=6e-5)
    assert true_logit(ArcFace(2, 2, scale=1, easy_margin=True), degrees) == pytest.approx(easy, abs=6e-5)


@pytest.mark.filterwarnings("ignore:.* keeps the (loss|cross-entropy):UserWarning")
def test_arcface_falls_monotonically_and_the_easy_margin_does_not():
    angles = np.linspace(0, 180, 181)
    hard = [true_logit(ArcFace(2, 2, scale=1), angle) for angle in angles]
    easy = [true_logit(ArcFace(2, 2, scale=1, easy_margin=True), angle) for angle in angles]
    assert np.diff(hard).max() < 0
    jumps = np.flatnonzero(np.diff(easy) > 0)
    assert list(jumps) == [90]
    assert np.diff(easy)[90] == pytest.approx(math.sin(0.5), abs=0.02)


def slope(F_function, cosine):
    x = mx.nd.array([cosine], dtype="float64")
    x.attach_grad()
    with mx.autograd.record():
        value = F_function(x)
    value.backward()
    return value.asscalar(), x.grad.asscalar()


def test_arcface_has_the_true_gradient():
    """insightface's PyTorch code holds the margin constant: slope 1 everywhere."""
    head = ArcFace(2, 2, scale=8)
    margin = mx.nd.array([0.5], dtype="float64")
    for degrees, expected in ((10, 3.60), (60, 1.154), (120, 0.603)):
        angle = math.radians(degrees)
        _, found = slope(lambda c: head._with_margin(mx.nd, c, margin), math.cos(angle))
        assert found == pytest.approx(math.sin(angle + 0.5) / math.sin(angle), rel=1e-6)
        assert found == pytest.approx(expected, abs=0.01)


@pytest.mark.parametrize("margin", range(1, 10))
def test_psi_is_continuous_falls_monotonically_and_ends_at_1_less_2m(margin):
    angle = np.linspace(0, math.pi, 20001)
    cosine = mx.nd.array(np.cos(angle), dtype="float64")
    cosine.attach_grad()
    with mx.autograd.record():
        value = psi(mx.nd, cosine, margin)
    value.backward()
    value = value.asnumpy()
    assert (value[0], value[-1]) == (1, 1 - 2 * margin)
    assert np.diff(value).max() <= 1e-12
    assert np.abs(np.diff(value)).max() < 2 * margin * math.pi / 20000
    assert (cosine.grad.asnumpy() >= -1e-9).all()
    np.testing.assert_allclose(value, [reference.psi(a, margin) for a in angle], atol=1e-9)


@pytest.mark.parametrize("margin", [2, 3, 4])
def test_psi_at_the_opposite_pole_has_the_sign_of_k_below_m(margin):
    """With k = m the value is the same and the gradient the opposite: -16 instead of 16 for margin 4."""
    value, found = slope(lambda c: psi(mx.nd, c, margin), -1.0)
    assert (value, found) == (1 - 2 * margin, margin**2)
    # Beyond -1 by rounding, as in float32.
    assert slope(lambda c: psi(mx.nd, c, margin), -1.0000012)[1] == pytest.approx(margin**2, rel=1e-4)


def test_psi_at_90_degrees_is_finite():
    """mx-lsoftmax's CUDA operator divides by the squared cosine."""
    for margin, expected in ((2, -1.0), (3, -2.0), (4, -3.0)):
        value, found = slope(lambda c, m=margin: psi(mx.nd, c, m), 0.0)
        assert value == expected
        assert math.isfinite(found)


@pytest.mark.parametrize(
    ("degrees", "expected"), [(0, 1.0), (45, 0.42259), (60, 0.16667), (90, -0.5), (135, -1.42259), (180, -2.0)]
)
@pytest.mark.parametrize("head_class", [LSoftmax, ASoftmax])
def test_angle_multipliers_have_the_published_values(head_class, degrees, expected):
    """gluonfr's, run, with margin 4 and beta 5."""
    assert true_logit(head_class(2, 2, margin=4, beta=5), degrees) == pytest.approx(expected, abs=6e-6)


def test_chebyshev_is_the_cosine_of_the_multiple():
    angle = np.linspace(0, math.pi, 101)
    for degree in range(1, 12):
        value = chebyshev(mx.nd, mx.nd.array(np.cos(angle), dtype="float64"), degree).asnumpy()
        np.testing.assert_allclose(value, np.cos(degree * angle), atol=1e-10)


@pytest.mark.parametrize("margin", [4, 12, 20, 30, 64])
def test_psi_falls_in_float32_whatever_the_margin(margin):
    """Summed up from powers of the cosine, it was off by 0.4 at a margin of 20 and by 2,600 at one of 30."""
    angle = np.linspace(0, math.pi, 1001)
    cosine = mx.nd.array(np.cos(angle))
    cosine.attach_grad()
    with mx.autograd.record():
        value = psi(mx.nd, cosine, margin)
    value.backward()
    value, segment = value.asnumpy(), np.minimum(np.floor(margin * angle / math.pi), margin - 1)
    np.testing.assert_allclose(value, (-1) ** segment * np.cos(margin * angle) - 2 * segment, atol=2e-4)
    assert (np.diff(value) < 0).all()
    # Where segments meet, the slope is 0, to the rounding of the cosine.
    assert cosine.grad.asnumpy().min() > -1e-3 * margin**2


@pytest.mark.parametrize("size", [2, 64, 512])
@pytest.mark.parametrize("build", [NormFace, AMSoftmax, ArcFace, ASoftmax, LSoftmax])
@pytest.mark.filterwarnings("ignore:.* keeps the (loss|cross-entropy):UserWarning")
def test_a_sample_on_a_weight_keeps_a_useful_gradient_in_float32(build, size, rng):
    """The cosine with itself exceeds 1 for a third of random vectors: arccos is NaN, and `where` does not stop it."""
    classes = 200
    head = build(classes, size)
    head.initialize()
    weight = rng.normal(size=(classes, size)).astype(np.float32)
    head.weight.set_data(mx.nd.array(weight))
    for label in (np.arange(classes), (np.arange(classes) + 1) % classes):
        loss, _, gradient = cases.gradients(head, weight, label)
        head.cast("float64")
        exact_loss, _, exact = cases.gradients(head, weight.astype(np.float64), label)
        head.cast("float32")
        np.testing.assert_allclose(loss, exact_loss, rtol=2e-3, atol=2e-3)
        for name, value in exact.items():
            assert np.isfinite(gradient[name]).all()
            assert np.abs(gradient[name] - value).max() < 0.05 * max(1, np.abs(value).max()), name


def test_a_learned_scale_stays_above_its_floor_and_comes_back(rng):
    for head_class in (L2Softmax, NormFace):
        head = head_class(C, D, learn_scale=True)
        head.initialize()
        assert head.scheduled() == {}
        assert head.scale.wd_mult == 0
        with pytest.raises(ValueError, match="`name` must be a scheduled value of this block"):
            head.set_scheduled("scale", 3)
        embedding = rng.normal(size=(B, D)).astype(np.float32)
        head.scale.set_data(mx.nd.array([0.01]))
        expected = cases.gradients(head, embedding, LABEL)
        head.scale.set_data(mx.nd.array([-3.0]))
        found = cases.gradients(head, embedding, LABEL)
        np.testing.assert_allclose(found[0], expected[0], rtol=1e-6)
        np.testing.assert_allclose(found[2]["scale"], expected[2]["scale"], rtol=1e-4)
        assert abs(found[2]["scale"][0]) > 0
        assert head.describe()["scale"] == pytest.approx(0.01)
        with pytest.raises(ValueError, match=r"`scale` must be at least 0\.01 if it is learned, got 0\.005"):
            head_class(C, D, scale=0.005, learn_scale=True)


@pytest.mark.parametrize("margin", [1.6, 28.6, 89, -1, 90, 120, float("nan")])
def test_radians_are_advised_where_they_would_be_taken(margin):
    with pytest.raises(ValueError, match=r"ArcFace: `margin` must be in \[0, pi/2\) radians, got ") as refused:
        ArcFace(C, D, margin=margin)
    if 1.6 <= margin <= 89:
        assert str(refused.value).endswith(f"If that is degrees, pass math.radians({margin}).")
        ArcFace(C, D, margin=math.radians(margin))
    else:
        assert str(refused.value).endswith(f"got {margin}. 0.5 is 28.6 degrees.")


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: NormFace(C, D, scale=0), "NormFace: `scale` must be above 0, got 0"),
        (lambda: L2Softmax(C, D, scale=-1), "L2Softmax: `scale` must be above 0, got -1"),
        (lambda: AMSoftmax(C, D, margin=2), r"AMSoftmax: `margin` must be in \[0, 2\), got 2"),
        (lambda: AMSoftmax(C, D, margin=-0.1), r"AMSoftmax: `margin` must be in \[0, 2\), got -0.1"),
        (lambda: ArcFace(C, D, margin=28.6), r"ArcFace: `margin` must be in \[0, pi/2\) radians, got 28.6"),
        (
            lambda: ArcFace(C, D, easy_margin="false"),
            "ArcFace: `easy_margin` must be True or False, got 'false'",
        ),
        (lambda: LSoftmax(C, D, margin=0), "LSoftmax: `margin` must be an integer of at least 1, got 0"),
        (lambda: ASoftmax(C, D, margin=2.5), "ASoftmax: `margin` must be an integer of at least 1, got 2.5"),
        (lambda: LSoftmax(C, D, beta=-1), "LSoftmax: `beta` must be at least 0, got -1"),
        (
            lambda: Softmax(C, D, use_bias=True, normalize_weight=True),
            "Softmax: `use_bias` must be False with normalize_weight, got True",
        ),
        (
            lambda: Softmax(C, D, weight_initializer="xaver"),
            "Softmax: `weight_initializer` must be an MXNet initializer or the name of one, got 'xaver'",
        ),
        (
            lambda: Softmax(C, D, weight_initializer=0.1),
            "Softmax: `weight_initializer` must be an MXNet initializer or the name of one, got 0.1",
        ),
    ],
)
def test_bad_options_are_refused(build, message):
    with pytest.raises(ValueError, match=f"^{message}. .+"):
        build()


def simplex(num_classes):
    """C unit directions in C - 1 dimensions, as far apart as possible."""
    centered = np.eye(num_classes) - 1 / num_classes
    directions = centered @ np.linalg.svd(centered)[2][: num_classes - 1].T
    return directions / np.linalg.norm(directions, axis=1, keepdims=True)


def circle(num_classes):
    angle = 2 * math.pi * np.arange(num_classes) / num_classes
    return np.stack([np.cos(angle), np.sin(angle)], axis=1)


@pytest.mark.parametrize("directions", [simplex(2), simplex(3), simplex(10), circle(4), circle(10)])
@pytest.mark.parametrize("scale", [1.0, 10.0])
@pytest.mark.filterwarnings("ignore:.* keeps the (loss|cross-entropy):UserWarning")
def test_the_lowest_loss_is_reached_by_the_best_directions_and_never_passed(directions, scale, rng):
    classes, size = directions.shape
    for head, margin in (
        (NormFace(classes, size, scale=scale), 0.0),
        (AMSoftmax(classes, size, scale=scale, margin=0.1), 0.1),
        (ArcFace(classes, size, scale=scale, margin=0.3), 1 - math.cos(0.3)),
    ):
        head.initialize()
        head.cast("float64")
        lowest = limits.lowest_loss(classes, size, scale, margin)
        head.weight.set_data(mx.nd.array(directions))
        loss, _ = head(mx.nd.array(3 * directions, dtype="float64"), mx.nd.arange(classes))
        np.testing.assert_allclose(loss.asnumpy(), lowest, rtol=1e-5)  # a sine near 0 feels the epsilon of the norms
        assert f"below {lowest:.3g}." in head.bounds()
        for _ in range(20):
            weight = rng.normal(size=(classes, size))
            head.weight.set_data(mx.nd.array(weight))
            loss, _ = head(mx.nd.array(weight, dtype="float64"), mx.nd.arange(classes))
            assert loss.asnumpy().mean() >= lowest - 1e-9


def test_bounds_of_the_formulas():
    assert limits.lowest_loss(10, 100, 16) == pytest.approx(math.log1p(9 * math.exp(-16 * 10 / 9)))
    assert limits.lowest_loss(10, 100, 16, 0.35) == pytest.approx(math.log1p(9 * math.exp(-16 * (10 / 9 - 0.35))))
    assert limits.lowest_loss(10, 2, 10) == pytest.approx(0.261, abs=5e-4)
    assert limits.lowest_loss(1, 2, 10) == 0
    assert limits.lowest_loss(10, 2, 1e4, 1.9) == pytest.approx(1e4 * (1.9 - 10 / 9) + math.log(9)), "no longer even"
    assert 1 - math.cos(limits.separation(10, 2)) == pytest.approx(0.191, abs=5e-4)
    assert limits.separation(10, 5) is None
    assert limits.separation(2, 1) == limits.separation(2, 64) == pytest.approx(math.pi)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: AMSoftmax(10, 2, scale=10), "AMSoftmax: margin 0.35 keeps the loss away from 0: .* at most 0.191"),
        (lambda: ArcFace(10, 2, scale=10, margin=0.7), "ArcFace: margin 0.7 keeps the loss away .* at most 0.628"),
        (
            lambda: NormFace(10, 2, scale=1),
            r"NormFace: scale 1 keeps the cross-entropy above 1\.\d+ \(guessing costs 2.3\)",
        ),
    ],
)
def test_a_head_that_cannot_succeed_warns_when_it_is_built(build, message):
    with pytest.warns(UserWarning, match=message):
        build()


def test_a_head_that_can_succeed_does_not_warn():
    for build in (NormFace, AMSoftmax, ArcFace):
        build(10, 64)
        build(10, 5)
        build(1, 2)
    assert "10 classes in 2 dimensions with scale 16 cannot bring the cross-entropy below" in NormFace(10, 2).bounds()
    assert Softmax(10, 2).bounds() is None
    AMSoftmax(10, 2, margin=0.19)
    ArcFace(10, 2, margin=0.6)


def mean_loss_in_the_plane(angles, scale, margined):
    """Mean loss of embeddings that lie on their class's weight, at these angles, with a margin on the true cosine."""
    logits = scale * np.cos(angles[:, None] - angles)
    np.fill_diagonal(logits, scale * margined)
    shifted = logits - logits.max(axis=1, keepdims=True)
    return float((np.log(np.exp(shifted).sum(axis=1)) - np.diag(shifted)).mean())


@pytest.mark.filterwarnings("ignore:.* keeps the (loss|cross-entropy):UserWarning")
@pytest.mark.parametrize(
    ("head_class", "options", "margined"),
    [
        (AMSoftmax, {"scale": 30, "margin": 0.35}, 1 - 0.35),
        (AMSoftmax, {"scale": 10, "margin": 0.1}, 1 - 0.1),
        (AMSoftmax, {"scale": 30, "margin": 0.19}, 1 - 0.19),
        (ArcFace, {"scale": 30, "margin": 1.2}, math.cos(1.2)),
        (ArcFace, {"scale": 16, "margin": 0.3}, math.cos(0.3)),
        (NormFace, {"scale": 4}, 1.0),
    ],
)
def test_no_directions_in_the_plane_beat_the_bound(head_class, options, margined, rng):
    head = head_class(10, 2, **options)
    bound = float(re.search(r"below (\S+)\.$", head.bounds())[1])
    together = np.array([2 * math.pi * k / 7 for k in range(6)] + [12 * math.pi / 7] * 4)
    even = np.arange(10) * 2 * math.pi / 10
    starts = [even, together, *(even + rng.normal(size=10) * spread for spread in (0.1, 0.5, 2))]
    reached = [mean_loss_in_the_plane(angles, options["scale"], margined) for angles in starts]
    for start in starts:
        found = minimize(mean_loss_in_the_plane, start, args=(options["scale"], margined), options={"maxiter": 100})
        reached.append(found.fun)
    assert bound <= min(reached) * 1.005, "a bound is rounded to three digits"
