"""Curves of the losses, read back from the real blocks, against the formulas."""

import math

import numpy as np
import pytest

from lossbench.heads import LGM, AMSoftmax, ArcFace, ASoftmax, L2Softmax, LSoftmax, NormFace, Softmax, curves
from lossbench.regularizers import CenterLoss, RingLoss
from tests.heads import reference

RADIANS = np.radians(curves.DEGREES)


def psi(margin):
    return np.array([reference.psi(theta, margin) for theta in RADIANS])


def arc(guard, margin):
    return np.array([guard(theta, margin) for theta in RADIANS])


@pytest.mark.parametrize(
    ("head_class", "options", "expected"),
    [
        (Softmax, {"length": 4, "weight_length": 0.5}, 2 * np.cos(RADIANS)),
        (L2Softmax, {"scale": 16, "length": 7, "weight_length": 0.5}, 8 * np.cos(RADIANS)),
        (NormFace, {"scale": 32, "weight_length": 3}, 32 * np.cos(RADIANS)),
        (AMSoftmax, {"scale": 30, "margin": 0.35}, 30 * (np.cos(RADIANS) - 0.35)),
        (ArcFace, {"scale": 64, "margin": 0.5}, 64 * arc(reference.additive_angle, 0.5)),
        (ArcFace, {"scale": 64, "margin": 1.0}, 64 * arc(reference.additive_angle, 1.0)),
        (
            ArcFace,
            {"scale": 64, "margin": 0.5, "easy_margin": True},
            64 * arc(reference.easy_additive_angle, 0.5),
        ),
        (LSoftmax, {"margin": 3, "length": 2, "weight_length": 3}, 6 * psi(3)),
        (LSoftmax, {"margin": 4, "beta": 5}, (5 * np.cos(RADIANS) + psi(4)) / 6),
        (ASoftmax, {"margin": 2, "length": 2, "weight_length": 3}, 2 * psi(2)),
    ],
)
def test_the_logits_of_the_figures_are_those_of_the_formulas(head_class, options, expected):
    found = curves.at_angles(head_class, **options)
    # A class weight's length and an embedding's carry the epsilon of the norms; easy margin is undecided at 90 degrees.
    decided = curves.DEGREES != 90
    np.testing.assert_allclose(found[decided], expected[decided], rtol=1e-5, atol=1e-4)


def test_the_distances_losses_and_penalties_of_the_figures_are_those_of_the_formulas():
    distance = curves.DISTANCES
    np.testing.assert_allclose(curves.at_distances(LGM, margin=0.3), -0.65 * distance**2, atol=1e-9)
    wide = curves.at_distances(LGM, variance="isotropic", margin=0.5, log_variance=2)
    np.testing.assert_allclose(wide, -0.75 * distance**2 / math.exp(2) - 2, rtol=1e-6)
    degrees, loss = curves.loss(NormFace, scale=4)
    of_true = np.exp(4 * np.cos(np.radians(degrees)))
    np.testing.assert_allclose(np.exp(-loss), of_true / (of_true + 9), rtol=1e-6)
    near, loss = curves.loss(LGM, margin=0.5)
    others = 9 * np.exp(-(near**2 + curves.FAR**2) / 2)
    np.testing.assert_allclose(loss, np.log1p(others * np.exp(0.75 * near**2)), rtol=1e-6)
    ring = RingLoss(loss_weight=0.1, radius=10)
    np.testing.assert_allclose(curves.penalty(ring, distance), 0.05 * (distance - 10) ** 2, rtol=1e-5)
    center = CenterLoss(1, 2, loss_weight=0.1)
    np.testing.assert_allclose(curves.penalty(center, distance), 0.05 * distance**2, rtol=1e-5)


def test_the_scale_of_lgm_is_not_one_of_its_dimensions():
    """The figure's score is read with the likelihood off; its weight would shift it."""
    head = curves.built(LGM, margin=0, likelihood_weight=0.3)
    curves.place(head, np.zeros((2, 2)))
    np.testing.assert_allclose(curves.training_logit(head, np.array([[3.0, 4.0]])), [-12.5])


class Thrice(NormFace):
    """A loss that is no cross-entropy of one changed logit."""

    changes_one_logit = False

    def loss(self, F, embedding, label, weight, scale):
        loss, logits = super().loss(F, embedding, label, weight, scale)
        return 3 * loss, logits


def test_what_changes_more_than_one_logit_is_drawn_as_its_loss():
    x, y = curves.curve(Thrice, scale=4)
    np.testing.assert_allclose(y, 3 * curves.loss(NormFace, scale=4)[1])
    np.testing.assert_array_equal(x, curves.loss(NormFace, scale=4)[0])
    np.testing.assert_array_equal(curves.curve(NormFace, scale=4)[1], curves.at_angles(NormFace, scale=4))
