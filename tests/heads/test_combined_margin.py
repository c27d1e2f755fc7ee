"""The combined margin against a second implementation, the heads it combines, and its guard."""

import functools
import math

import numpy as np
import pytest

from lossbench import testing
from lossbench._mxnet import mx
from lossbench.heads import AMSoftmax, ArcFace, CombinedMargin, NormFace, curves
from tests.heads import reference

B, D, C = 32, 8, 10


def psi(theta, factor, margin):
    if factor * theta + margin < math.pi:
        return math.cos(factor * theta + margin)
    left = math.pi - (math.pi - margin) / factor
    return math.cos(theta) - max(left * math.sin(left), 1 - math.cos(left))


def combined(embedding, label, parameters, *, angle_factor=1.0, smoothing=0.0, **_):
    angle, cosine = parameters["angle_margin"][0], parameters["cosine_margin"][0]

    def one(x, y, parameters, smoothing):
        true = functools.partial(lambda theta, _: psi(theta, angle_factor, angle) - cosine)
        return reference.cosine_head(x, y, parameters, smoothing=smoothing, true_cosine=true)

    return reference.batch(one, embedding, label, parameters, smoothing=smoothing)


def test_the_contract(seed):
    options = [
        {},
        {"scale": 8.0, "angle_factor": 3.0, "angle_margin": 0.2},
        {"angle_factor": 0.7, "angle_margin": 1.0, "cosine_margin": 0.0},
    ]
    testing.check_head(CombinedMargin, combined, options=options, seed=seed)


@pytest.mark.parametrize(
    ("angle", "cosine", "other"),
    [
        (0.0, 0.0, lambda: NormFace(C, D, scale=64)),
        (0.5, 0.0, lambda: ArcFace(C, D)),
        (1.5, 0.0, lambda: ArcFace(C, D, margin=1.5)),
        (0.0, 0.35, lambda: AMSoftmax(C, D, scale=64)),
    ],
)
@pytest.mark.parametrize("factor", [1, 1 + 1e-12])
def test_its_reductions(angle, cosine, other, factor, rng):
    """Also by way of the angle itself, which another factor than 1 takes."""
    weight, embedding, label = rng.normal(size=(C, D)), rng.normal(size=(B, D)), rng.integers(0, C, B)
    found = []
    for head in (CombinedMargin(C, D, angle_factor=factor, angle_margin=angle, cosine_margin=cosine), other()):
        head.initialize()
        head.cast("float64")
        head.weight.set_data(mx.nd.array(weight))
        found.append(testing.gradients(head, embedding, label))
    np.testing.assert_allclose(found[0][0], found[1][0], rtol=1e-8, atol=1e-9)
    np.testing.assert_array_equal(found[0][1], found[1][1])
    for name in ("weight", "embedding"):
        np.testing.assert_allclose(found[0][2][name], found[1][2][name], rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("factor", [0.3, 0.9, 1.0, 1.35, 2.0, 4.0, 7.0])
@pytest.mark.parametrize("margin", [0.0, 0.3, 1.5])
def test_the_logit_never_rises_with_the_angle(factor, margin):
    options = {"angle_factor": factor, "angle_margin": margin, "cosine_margin": 0.1, "scale": 1.0}
    found = curves.at_angles(CombinedMargin, **options)
    expected = [psi(theta, factor, margin) - 0.1 for theta in np.radians(curves.DEGREES)]
    decided = np.abs(factor * np.radians(curves.DEGREES) + margin - math.pi) > 1e-6
    np.testing.assert_allclose(
        found[decided], np.array(expected)[decided], atol=1e-5
    )  # the epsilon of the norms, times 7
    assert np.diff(found).max() < 3e-6


def test_bad_options_bounds_and_warnings():
    with pytest.raises(ValueError, match=r"CombinedMargin: `angle_margin` must be in \[0, pi/2\) radians, got 28.6"):
        CombinedMargin(C, D, angle_margin=28.6)
    with pytest.raises(ValueError, match="CombinedMargin: `angle_factor` must be above 0, got 0"):
        CombinedMargin(C, D, angle_factor=0)
    with pytest.warns(UserWarning, match=r"margin 0.244664 keeps the loss away from 0: .* at most 0.191"):
        head = CombinedMargin(10, 2)
    assert "cannot bring the cross-entropy below" in head.bounds()
    assert CombinedMargin(10, 2, angle_factor=0.9).bounds() is None
