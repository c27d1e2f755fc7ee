"""What a head makes of an angle or a distance: the curves that show a margin, read back from the loss itself."""

from __future__ import annotations

import warnings

import numpy as np

from lossbench import heads
from lossbench._mxnet import mx

DEGREES = np.linspace(0, 180, 1441)  # fine enough for a jump to look like one
DISTANCES = np.linspace(0, 5, 201)
OTHER_CLASSES = 9
# Options that shape no curve of the logit, but the loss that it is read back from, or the unit of the distance.
PLAIN = {"label_smoothing": 0.0, "focusing": 0.0, "likelihood_weight": 0.0, "variance": "identity"}
FAR = 4.0  # of the other classes' points, where places are compared


def built(head_class, num_classes: int = 2, embedding_size: int = 2, **options):
    """Return an initialized head, without a word on what so few classes cannot reach."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        head = head_class(num_classes, embedding_size, **options)
    head.initialize()
    if "likelihood_weight" in head.scheduled():
        head.set_scheduled("likelihood_weight", 0.0)  # its share of the loss is no logit
    return head


def class_parameter(head):
    """Return the parameter with a row, or several, for each class; None where a head keeps its classes elsewhere."""
    return getattr(head, "weight", getattr(head, "mean", None))


def place(head, points) -> None:
    """Set the rows of the classes, all rows of one class alike, to points (C, D)."""
    parameter = class_parameter(head)
    rows = np.repeat(np.asarray(points, np.float64), parameter.shape[0] // len(points), axis=0)
    parameter.set_data(mx.nd.array(rows, dtype=parameter.dtype))


def training_logit(head, embedding) -> np.ndarray:
    """Return the true class's training logit (N,) of embeddings (N, D), for a head of two classes that are the same.

    The label's logit is then the only one that the margin touches, the other one is the plain logit, and their
    difference is read back from the loss, which is at least log 2 and so keeps its digits.
    """
    head.cast("float64")
    with mx.autograd.pause():
        loss, logits = head(mx.nd.array(embedding, dtype="float64"), mx.nd.zeros(len(embedding)))
    loss = loss.asnumpy()
    return logits.asnumpy()[:, 1] - (loss + np.log(-np.expm1(-loss)))


def plain_logit(head, embedding) -> np.ndarray:
    """Return the true class's logit (N,) as evaluation has it, of the same embeddings and head."""
    return head.predict(mx.nd.array(embedding, dtype="float64")).asnumpy()[:, 0]


def at_angles(head_class, *, length=1.0, weight_length=1.0, **options) -> np.ndarray:
    """Return the training logit of embeddings of one length, at `DEGREES` to their class's weight."""
    head = built(head_class, **options)
    place(head, [[weight_length, 0.0]] * 2)
    return training_logit(head, length * turned(DEGREES))


def at_distances(head_class, *, log_variance=None, **options) -> np.ndarray:
    """Return the training score at `DISTANCES` from the class's mean, in two dimensions."""
    head = built(head_class, **options)
    head.cast("float64")
    place(head, np.zeros((2, 2)))
    if log_variance is not None:
        head.set_log_variance(np.full((2, 1), log_variance))
    return training_logit(head, np.stack([DISTANCES, 0 * DISTANCES], axis=1))


def loss(head_class, *, length=1.0, **options) -> tuple[np.ndarray, np.ndarray]:
    """Return angles or distances (N,) and the training loss there, of one image among ten classes.

    The other classes lie at right angles to its own; where places are compared, as far from it as 4.
    """
    classes, size = OTHER_CLASSES + 1, OTHER_CLASSES + 2
    head = built(head_class, classes, size, **options)
    head.cast("float64")
    points = np.eye(classes, size)
    x, embedding = DEGREES[::8], np.zeros((len(DEGREES[::8]), size))
    embedding[:, [0, -1]] = length * turned(x)
    if head.metric == "density":
        points, x, embedding = FAR * points, DISTANCES, np.zeros((len(DISTANCES), size))
        points[0], embedding[:, -1] = 0, x
    place(head, points)
    with mx.autograd.pause():  # an image at a time: some losses are of the batch
        losses = [head(mx.nd.array(one[None], dtype="float64"), mx.nd.zeros(1))[0] for one in embedding]
    return x, np.concatenate([one.asnumpy() for one in losses])


def curve(head_class, *, length=1.0, **options) -> tuple[np.ndarray, np.ndarray]:
    """Return angles or distances (N,) and what the head makes of them (N,).

    That is the training logit of the true class; the loss of a head that changes more than this one logit.

    Parameters
    ----------
    head_class : type
    length : float
        Of the embedding, where angles are compared.
    **options
        Of the head.
    """
    if not head_class.changes_one_logit:
        return loss(head_class, length=length, **options)
    if head_class.metric == "density":
        return DISTANCES, at_distances(head_class, **options)
    return DEGREES, at_angles(head_class, length=length, **options)


def trained(head, config: dict, *, length: float = 1.0, farthest: float = 5.0) -> tuple[np.ndarray, dict]:
    """Return angles or distances (N,), and the true class's logit there in training and in evaluation, by name.

    Parameters
    ----------
    head : Head
        As it was trained; stays as it is.
    config : dict
        Its ``head`` section.
    length : float
        Of the embedding, where angles are compared; the class weight has the mean length of the head's.
    farthest : float
        The largest distance.
    """
    if head.metric == "density":
        x, size = np.linspace(0, farthest, len(DISTANCES)), head.embedding_size
        twin = _alike(head, config, size)
        place(twin, np.zeros((2, size)))
        embedding = np.zeros((len(x), size))
        embedding[:, 0] = x
    else:
        x, twin = DEGREES, _alike(head, config, 2)
        weight = class_parameter(head).list_data()[0].asnumpy()
        place(twin, [[np.linalg.norm(weight, axis=1).mean(), 0.0]] * 2)
        embedding = length * turned(x)
    margins = {name: value for name, value in twin.scheduled().items() if name != "likelihood_weight"}
    if isinstance(getattr(twin, "margin", None), int):
        margins = {"margin": twin.margin, **margins}
    said = ", ".join(f"{name} {value:g}" for name, value in margins.items())
    with_margin = training_logit(twin, embedding)
    return x, {f"in training ({said})" if said else "in training": with_margin,
               "in evaluation": plain_logit(twin, embedding)}  # fmt: skip


def _alike(head, config, size):
    """Return a head of two classes with the options and the present scheduled values of another."""
    twin = heads.build({**config, **{name: value for name, value in PLAIN.items() if name in config}}, 2, size)
    twin.initialize()
    for name, value in head.scheduled().items():
        twin.set_scheduled(name, value)
    if "likelihood_weight" in twin.scheduled():
        twin.set_scheduled("likelihood_weight", 0.0)  # its share of the loss is no logit
    description = head.describe()
    if "scale" in description and "scale" not in head.scheduled():
        twin.scale.set_data(mx.nd.array([description["scale"]]))
    return twin


def penalty(regularizer, length) -> np.ndarray:
    """Return the penalty (N,) of embeddings of these lengths, along one axis; learned points are at the origin."""
    regularizer.initialize()
    points = regularizer.prototypes()
    if points is not None:
        place_at = next(p for p in regularizer.collect_params().values() if p.shape == points.shape)
        place_at.set_data(mx.nd.zeros(points.shape))
    embedding = np.stack([length, 0 * length], axis=1)
    with mx.autograd.pause():
        return regularizer(mx.nd.array(embedding), mx.nd.zeros(len(embedding))).asnumpy()


def turned(degrees) -> np.ndarray:
    """Return unit vectors (N, 2) at angles (N,) to the first axis."""
    return np.stack([np.cos(np.radians(degrees)), np.sin(np.radians(degrees))], axis=1)
