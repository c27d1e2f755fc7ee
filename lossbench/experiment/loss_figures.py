"""The figures of `docs/losses.md`: what the real blocks make of an angle, a distance or a length.

Two classes share one weight (or mean). The label's logit is then the only one that the margin touches, the other one
is the plain logit, and their difference is read back from the loss, which is at least log 2 and so keeps its digits.
"""

from __future__ import annotations

import warnings

import numpy as np

from lossbench import plots
from lossbench._mxnet import mx
from lossbench.heads import LGM, AMSoftmax, ArcFace, ASoftmax, L2Softmax, LSoftmax, NormFace, Softmax
from lossbench.plots.target_logit import LOGIT, Panel
from lossbench.regularizers import CenterLoss, RingLoss

DEGREES = np.linspace(0, 180, 1441)  # fine enough for a jump to look like one
DISTANCE = "distance to the class mean"
LENGTH = "length of the embedding"


def training_logit(head, embedding) -> np.ndarray:
    """Return the true class's training logit (N,) of embeddings (N, D), for a head of two classes that are the same."""
    head.cast("float64")
    with mx.autograd.pause():
        loss, logits = head(mx.nd.array(embedding, dtype="float64"), mx.nd.zeros(len(embedding)))
    loss = loss.asnumpy()
    return logits.asnumpy()[:, 1] - (loss + np.log(-np.expm1(-loss)))


def at_angles(head_class, *, length=1.0, weight_length=1.0, **options) -> np.ndarray:
    """Return the training logit of embeddings of one length, at `DEGREES` to their class's weight."""
    head = _built(head_class, **options)
    head.weight.set_data(mx.nd.array([[weight_length, 0.0]] * 2))
    return training_logit(head, length * _turned(DEGREES))


def probability(head_class, num_classes: int, **options) -> np.ndarray:
    """Return the true class's probability at `DEGREES`, all other class weights being at a right angle to it."""
    size = num_classes + 1
    head = _built(head_class, num_classes, size, **options)
    head.cast("float64")
    head.weight.set_data(mx.nd.array(np.eye(num_classes, size)))
    embedding = np.zeros((len(DEGREES), size))
    embedding[:, [0, -1]] = _turned(DEGREES)
    return mx.nd.softmax(head.predict(mx.nd.array(embedding, dtype="float64"))).asnumpy()[:, 0]


def at_distances(distance, log_variance=None, **options) -> np.ndarray:
    """Return L-GM's training score at distances (N,) from the mean, in two dimensions."""
    head = _built(LGM, likelihood_weight=0, variance="identity" if log_variance is None else "isotropic", **options)
    head.cast("float64")
    head.mean.set_data(mx.nd.zeros((2, 2)))
    if log_variance is not None:
        head.set_log_variance(np.full((2, 1), log_variance))
    return training_logit(head, np.stack([distance, 0 * distance], axis=1))


def penalty(regularizer, length) -> np.ndarray:
    """Return the penalty (N,) of embeddings of that length; the centre of the center loss is at 0."""
    regularizer.initialize()
    embedding = np.stack([length, 0 * length], axis=1)
    return regularizer(mx.nd.array(embedding), mx.nd.zeros(len(embedding))).asnumpy()


def centre_step(alpha: float, counts) -> list:
    """Return the share of the way to its samples that a centre goes in one step, for so many samples in the batch."""
    shares = []
    center = CenterLoss(1, 1, alpha=alpha, weight_initializer="zeros")
    center.initialize()
    trainer = mx.gluon.Trainer(center.collect_params(), "sgd", {"learning_rate": center.alpha})
    for count in counts:
        center.centers.set_data(mx.nd.zeros((1, 1)))
        with mx.autograd.record():
            loss = center(mx.nd.ones((count, 1)), mx.nd.zeros(count))
        loss.backward()
        trainer.step(count)
        shares.append(float(center.prototypes().asnumpy()[0, 0]))
    return shares


def _built(head_class, num_classes=2, embedding_size=2, **options):
    with warnings.catch_warnings():  # that two classes cannot reach a loss near 0 is no news here
        warnings.simplefilter("ignore", UserWarning)
        head = head_class(num_classes, embedding_size, **options)
    head.initialize()
    return head


def _turned(degrees):
    return np.stack([np.cos(np.radians(degrees)), np.sin(np.radians(degrees))], axis=1)


def overview():
    curves = {
        "no margin (NormFace)": at_angles(NormFace, scale=1),
        "AM-softmax, margin 0.35": at_angles(AMSoftmax, scale=1, margin=0.35),
        "ArcFace, margin 0.5 rad": at_angles(ArcFace, scale=1, margin=0.5),
        "A-softmax, margin 4, beta 5": at_angles(ASoftmax, margin=4, beta=5),
    }
    panel = Panel(DEGREES, curves, ylabel=f"{LOGIT} / scale")
    return plots.target_logit([panel], title="What each margin makes of an angle")


def softmax():
    curves = {f"length {length}": at_angles(Softmax, length=length) for length in (1, 4, 10)}
    panel = Panel(DEGREES, curves, ylabel="logit of the true class", title="a class weight of length 1")
    return plots.target_logit([panel], title="Softmax: a longer embedding, a larger logit")


def l2_softmax():
    scales = {f"scale {scale}": at_angles(L2Softmax, scale=scale, length=7) for scale in (4, 16, 32)}
    lengths = {
        f"class weight of length {length:g}": at_angles(L2Softmax, scale=16, weight_length=length)
        for length in (0.5, 1, 2)
    }
    panels = [
        Panel(DEGREES, scales, ylabel="logit of the true class", title="class weight of length 1"),
        Panel(DEGREES, lengths, ylabel="logit of the true class", title="scale 16"),
    ]
    return plots.target_logit(panels, title="L2-softmax: the length of an embedding does not count")


def normface():
    scales = {f"scale {scale}": at_angles(NormFace, scale=scale) for scale in (4, 16, 32)}
    probabilities = {f"scale {scale}": probability(NormFace, 10, scale=scale) for scale in (1, 4, 16)}
    panels = [
        Panel(DEGREES, scales, ylabel="logit of the true class", title="logit"),
        Panel(
            DEGREES, probabilities, ylabel="probability of the true class", title="10 classes, the others at 90 degrees"
        ),
    ]
    return plots.target_logit(panels, title="NormFace: a small scale can never be sure")


def am_softmax():
    curves = {f"margin {margin:g}": at_angles(AMSoftmax, scale=30, margin=margin) for margin in (0, 0.1, 0.35, 0.5)}
    return plots.target_logit(
        [Panel(DEGREES, curves, title="scale 30")], title="AM-softmax: the same amount off every cosine"
    )


def arcface():
    hard = {f"margin {margin:g} rad": at_angles(ArcFace, scale=64, margin=margin) for margin in (0, 0.2, 0.5, 1.0)}
    guards = {
        "hard guard (default)": at_angles(ArcFace, scale=64, margin=0.5),
        "easy_margin=True": at_angles(ArcFace, scale=64, margin=0.5, easy_margin=True),
        "no guard": 64 * np.cos(np.radians(DEGREES) + 0.5),
    }
    panels = [
        Panel(DEGREES, hard, title="scale 64"),
        Panel(DEGREES, guards, title="margin 0.5 rad"),
    ]
    return plots.target_logit(panels, title="ArcFace: the margin is added to the angle")


def l_softmax():
    return _multiplied(LSoftmax, "L-softmax: the angle times an integer", betas=(0, 1, 5, 100))


def a_softmax():
    return _multiplied(ASoftmax, "A-softmax: the angle times an integer, class weights of length 1", betas=(0, 5, 50))


def _multiplied(head_class, title, betas):
    margins = {f"margin {margin}": at_angles(head_class, margin=margin) for margin in (1, 2, 3, 4)}
    blends = {f"beta {beta}": at_angles(head_class, margin=4, beta=beta) for beta in betas}
    lengths = "|x| = 1" if head_class is ASoftmax else "|x| = |w| = 1"
    panels = [
        Panel(DEGREES, margins, title=f"beta 0, {lengths}"),
        Panel(DEGREES, blends, title=f"margin 4, {lengths}"),
    ]
    return plots.target_logit(panels, title=title)


def lgm():
    distance = np.linspace(0, 5, 201)
    margins = {f"margin {margin:g}": at_distances(distance, margin=margin) for margin in (0, 0.1, 0.3, 1)}
    variances = {f"log variance {value}": at_distances(distance, margin=0, log_variance=value) for value in (-2, 0, 2)}
    score = "training score of the true class"
    panels = [
        Panel(distance, margins, xlabel=DISTANCE, ylabel=score, title="variance 1"),
        Panel(distance, variances, xlabel=DISTANCE, ylabel=score, title="margin 0, two dimensions"),
    ]
    return plots.target_logit(panels, title="L-GM: log densities of Gaussians")


def center():
    distance, counts = np.linspace(0, 5, 201), np.arange(1, 31)
    weights = {
        f"loss_weight {weight:g}": penalty(CenterLoss(1, 2, loss_weight=weight, weight_initializer="zeros"), distance)
        for weight in (0.01, 0.1, 0.5)
    }
    steps = {f"alpha {alpha:g}": centre_step(alpha, counts) for alpha in (0.1, 0.5, 1)}
    panels = [
        Panel(distance, weights, xlabel="distance to the centre", ylabel="penalty", title="embeddings"),
        Panel(
            counts,
            steps,
            xlabel="images of the class in the batch",
            ylabel="share of the way in one step",
            title="centres, on their way to the batch's mean",
            legend=(0.6, 0.57),
        ),
    ]
    return plots.target_logit(panels, title="Center loss: embeddings and centres approach each other")


def ring():
    length = np.linspace(0, 20, 201)
    curves = {
        f"loss_weight {weight:g}": penalty(RingLoss(loss_weight=weight, radius=10), length)
        for weight in (0.01, 0.05, 0.1)
    }
    panel = Panel(length, curves, xlabel=LENGTH, ylabel="penalty", title="radius 10")
    return plots.target_logit([panel], title="Ring loss: every embedding to one length")


FIGURES = {
    "target_logits": overview,
    "softmax": softmax,
    "l2_softmax": l2_softmax,
    "normface": normface,
    "am_softmax": am_softmax,
    "arcface": arcface,
    "l_softmax": l_softmax,
    "a_softmax": a_softmax,
    "lgm": lgm,
    "center": center,
    "ring": ring,
}
