"""What a trained network must know of its data to score other images: plain values that a run keeps."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields

from lossbench.errors import UserError
from lossbench.options import MOST_OF_PIXELS


@dataclass(frozen=True)
class Description:
    """Names, form and normalization of a dataset's images, without the images.

    It has the attributes of :class:`lossbench.data.Dataset` that a model asks for, so that either builds one.

    Parameters
    ----------
    class_names : list of str
        In the order of the labels.
    image_shape : tuple of int
        (channels, height, width).
    mean, std : tuple of float, one a channel
        Of pixels in [0, 1].
    background : int, default 255
        Gray level that shows through transparent pixels.
    holdout_names : list of str
        Names of the classes that were never trained on.
    source_ids : list of int, optional
        The source's own id of each class.
    checksums : dict of str to str
        SHA-256 of what was read.
    notes : list of str
        What was said of the data.
    counts : dict of str to int
        Images of each split; empty in descriptions that earlier versions wrote.

    Examples
    --------
    >>> described = Description(["cat", "dog"], (1, 8, 8), (0.5,), (0.25,))
    >>> rebuilt(described.as_dict()) == described, described.num_classes
    (True, 2)
    """

    class_names: list
    image_shape: tuple
    mean: tuple
    std: tuple
    background: int = 255
    holdout_names: list = field(default_factory=list)
    source_ids: list | None = None
    checksums: dict = field(default_factory=dict)
    notes: list = field(default_factory=list)
    counts: dict = field(default_factory=dict)

    @property
    def num_classes(self):
        return len(self.class_names)

    @property
    def all_class_names(self):
        """Names by label, those of held-out classes at the end."""
        return [*self.class_names, *self.holdout_names]

    @property
    def source_names(self):
        """Names of all classes in the source's own order."""
        names = self.all_class_names
        if self.source_ids is None:
            return names
        return [names[label] for label in sorted(range(len(names)), key=self.source_ids.__getitem__)]

    def as_dict(self):
        """Plain values, as JSON has them."""
        values = asdict(self)
        return {**values, **{name: list(values[name]) for name in ("image_shape", "mean", "std")}}


def rebuilt(values, where="data"):
    """The description that `as_dict` wrote.

    Raises
    ------
    ValueError
        If the values are not those of a description.
    """
    known = {one.name for one in fields(Description)}
    if not isinstance(values, dict) or not {"class_names", "image_shape", "mean", "std"} <= set(values) <= known:
        raise _unlike(where, "keys of a description of data", values)
    names, shape = values["class_names"], values["image_shape"]
    apart, ids = values.get("holdout_names", []), values.get("source_ids")
    if not (_all(names, str) and len(names) > 1 and _all(apart, str)):
        raise _unlike(where, "names of at least 2 classes", names)
    if ids is not None and not (_all(ids, int) and sorted(ids) == [*range(len(names) + len(apart))]):
        raise _unlike(where, "the source's own id of each class, once", ids)
    if not (_all(shape, int) and len(shape) == 3 and min(shape) > 0):
        raise _unlike(where, "an image shape of three whole numbers > 0", shape)
    for name in ("mean", "std"):
        if not (_all(values[name], (int, float)) and len(values[name]) == shape[0]):
            raise _unlike(where, f"{shape[0]} numbers as {name}", values[name])
    for name, least in (("mean", -MOST_OF_PIXELS), ("std", 1 / MOST_OF_PIXELS)):
        if not all(least <= value <= MOST_OF_PIXELS for value in values[name]):
            raise _unlike(where, f"a {name} from {least:g} to {MOST_OF_PIXELS:g}", values[name])
    background = values.get("background", 255)
    if isinstance(background, bool) or not isinstance(background, int) or not 0 <= background <= 255:
        raise _unlike(where, "a background from 0 to 255", background)
    counts = values.get("counts", {})
    if not isinstance(counts, dict) or not _all([*counts.values()], int):
        raise _unlike(where, "a number of images for each split", counts)
    tuples = {name: tuple(values[name]) for name in ("image_shape", "mean", "std")}
    return Description(**{**values, **tuples})


def _all(values, kind):
    return isinstance(values, list) and all(isinstance(v, kind) and not isinstance(v, bool) for v in values)


def _unlike(where, rule, got):
    return UserError(f"{where}: the description of the data must hold {rule}, got {str(got)[:80]}. Train the run anew.")
