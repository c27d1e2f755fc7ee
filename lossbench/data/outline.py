"""The form of a dataset without its files, where a config tells it: enough to build a model and show its parameters."""

from __future__ import annotations

from lossbench.data.description import Description

_SHAPES = {
    "digits": (1, 8, 8),
    "mnist": (1, 28, 28),
    "fashion_mnist": (1, 28, 28),
    "emnist": (1, 28, 28),
    "cifar10": (3, 32, 32),
    "cifar100": (3, 32, 32),
}


def outline(config_data):
    """Number of classes and form of images of a data section; None where only the files tell.

    Classes are called by their numbers, and the normalization is none.

    Parameters
    ----------
    config_data : config section

    Returns
    -------
    Description or None
    """
    classes = config_data.classes()
    if classes is None:
        return None
    shape = _SHAPES.get(config_data.source)
    if config_data.source == "record":
        shape = (config_data.channels, *config_data.height_and_width)
    elif config_data.source == "synthetic":
        shape = (config_data.channels, config_data.image_size, config_data.image_size)
    if shape is None:
        return None
    return Description([str(label) for label in range(classes)], shape, (0.0,) * shape[0], (1.0,) * shape[0])
