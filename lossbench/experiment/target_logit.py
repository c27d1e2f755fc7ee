"""The true class's logit with and without margin, as a trained run's head computes them."""

from __future__ import annotations

import numpy as np

from lossbench import heads
from lossbench._mxnet import mx
from lossbench.evaluation import geometry
from lossbench.heads import curves


def against_angle(model, embedding, label) -> dict:
    """Return angles `x`, `curves` by name, and the `values` of the angles of embeddings (N, D) to their own classes.

    The curves are those of an embedding and class weights of the usual length.
    """
    weight = curves.class_parameter(model.head).list_data()[0].asnumpy()
    length, weight_length = np.median(np.linalg.norm(embedding, axis=1)), np.linalg.norm(weight, axis=1).mean()
    head = _alike(model, 2)
    curves.place(head, [[weight_length, 0.0]] * 2)
    drawn = _curves(head, length * curves.turned(curves.DEGREES))
    return {"x": curves.DEGREES, "curves": drawn, "values": geometry.angles_to(embedding, label, weight)}


def against_distance(model, distances) -> dict:
    """Return distances `x`, `curves` by name, and the `values` of the distances that were handed in."""
    size = model.backbone.embedding_size
    x = np.linspace(0, 1.2 * np.quantile(distances, 0.999), 201)
    head = _alike(model, size, variance="identity", likelihood_weight=0.0)
    head.set_scheduled("likelihood_weight", 0.0)  # its share of the loss is no logit
    curves.place(head, np.zeros((2, size)))
    embedding = np.zeros((len(x), size))
    embedding[:, 0] = x
    return {"x": x, "curves": _curves(head, embedding), "values": distances}


def _curves(head, embedding):
    trained = curves.training_logit(head, embedding)
    told = curves.plain_logit(head, embedding)
    margin = ", ".join(f"{name} {value:g}" for name, value in _margins(head).items())
    return {f"in training{f' ({margin})' if margin else ''}": trained, "in evaluation": told}


def _margins(head):
    integer = {"margin": head.margin} if isinstance(getattr(head, "margin", None), int) else {}
    return {**integer, **{name: v for name, v in head.scheduled().items() if name != "likelihood_weight"}}


def _alike(model, size, **changes):
    """Return a head of two classes with the options and the present scheduled values of the run's head."""
    section = model.settings.head.model_copy(update={"label_smoothing": 0.0, "focusing": 0.0, **changes})
    head = heads.build(section, 2, size)
    head.initialize()
    for name, value in model.head.scheduled().items():
        head.set_scheduled(name, value)
    description = model.head.describe()
    if "scale" in description and "scale" not in model.head.scheduled():
        head.scale.set_data(mx.nd.array([description["scale"]]))
    return head
