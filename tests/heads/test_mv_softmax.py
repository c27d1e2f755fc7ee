"""MV-Softmax against a second implementation, and without its hard weight against the heads it is built on."""

import math

import numpy as np
import pytest

from lossbench import testing
from lossbench._mxnet import mx
from lossbench.heads import AMSoftmax, ArcFace, MVSoftmax
from tests.heads import reference

B, D, C = 32, 8, 10
TARGET = {"cosine": reference.additive_cosine, "angle": reference.additive_angle}


def mv_softmax(embedding, label, parameters, *, kind="cosine", smoothing=0.0, **_):
    scale, margin, hard = (parameters[name][0] for name in ("scale", "margin", "hard_weight"))
    losses, logits = [], []
    for x, y in zip(embedding, label):
        cosines = [reference.cosine(x, w) for w in parameters["weight"]]
        target = TARGET[kind](math.acos(cosines[y]), margin)
        changed = [scale * ((1 + hard) * c + hard if c > target else c) for c in cosines]
        changed[y] = scale * target
        losses.append(reference.cross_entropy(changed, y, smoothing))
        logits.append(scale * np.array(cosines))
    return np.array(losses), np.array(logits)


def test_the_contract(seed):
    options = [{}, {"kind": "angle"}, {"scale": 4.0, "margin": 1.2, "hard_weight": 0.7, "kind": "angle"}]
    testing.check_head(MVSoftmax, mv_softmax, options=options, seed=seed)


def results(head, weight, embedding, label):
    head.initialize()
    head.cast("float64")
    head.weight.set_data(mx.nd.array(weight))
    return testing.gradients(head, embedding, label)


@pytest.mark.parametrize(("kind", "base", "margin"), [("cosine", AMSoftmax, 0.35), ("angle", ArcFace, 0.5)])
def test_without_hard_weight_it_is_the_head_it_is_built_on(kind, base, margin, rng):
    data = rng.normal(size=(C, D)), rng.normal(size=(B, D)), rng.integers(0, C, B)
    plain = results(base(C, D, scale=32, margin=margin), *data)
    for weight, same in ((0, True), (0.2, False)):
        found = results(MVSoftmax(C, D, kind=kind, margin=margin, hard_weight=weight), *data)
        assert np.allclose(found[0], plain[0], rtol=1e-12) == same
        assert np.allclose(found[2]["weight"], plain[2]["weight"], rtol=1e-9) == same
        np.testing.assert_array_equal(found[1], plain[1])


def test_bad_options_and_margins_that_cannot_be_met():
    with pytest.raises(ValueError, match="MVSoftmax: `kind` must be one of cosine, angle, got 'arc'"):
        MVSoftmax(C, D, kind="arc")
    with pytest.warns(UserWarning, match=r"margin 0.35 keeps the loss away from 0: .* at most 0.191"):
        MVSoftmax(10, 2)
    with pytest.warns(UserWarning, match=r"margin 0.7 keeps the loss away from 0: .* at most 0.628"):
        MVSoftmax(10, 2, kind="angle", margin=0.7)
