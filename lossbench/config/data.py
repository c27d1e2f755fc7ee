"""Where images come from and what is done to them before the backbone."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field, field_validator, model_validator

from lossbench import registry
from lossbench.config.resuming import NEUTRAL
from lossbench.config.section import Items, Section, choice, known_name, rule
from lossbench.options import MOST_OF_PIXELS


def _is_size(value: Any) -> Any:
    sides = list(value) if isinstance(value, (list, tuple)) else [value]
    whole = all(isinstance(side, int) and not isinstance(side, bool) for side in sides)
    if not whole or len(sides) not in (1, 2) or min(sides) < 1 or (len(sides) == 1 and sides[0] is not value):
        raise rule(f"must be a whole number >= 1, or [height, width], got {value!r}. 32 is the square [32, 32]")
    return tuple(sides) if len(sides) == 2 else value


Size = Annotated[int | tuple[int, int], BeforeValidator(_is_size)]


def _written_out(ids: tuple) -> tuple[int, ...]:
    """Class ids and ranges of them, such as `100-199`, as ids."""
    found: list[int] = []
    for one in ids:
        ends = re.fullmatch(r"(\d{1,6})-(\d{1,6})", one) if isinstance(one, str) else None
        if isinstance(one, str) and not (ends and int(ends[1]) < int(ends[2])):
            raise rule(f"must be class ids or ranges of them, got {one!r}. 100-199 is a hundred classes")
        found += range(int(ends[1]), int(ends[2]) + 1) if ends else [one]
    return tuple(found)


class Sized(Section):
    """What sources have whose images are brought to one size."""

    image_size: Size = Field(description="side of the square that images are brought to, or [height, width], pixels")
    channels: Literal[1, 3] = Field(3, description="1 (gray) or 3 (RGB)")
    streaming: bool | Literal["auto"] = Field(
        "auto",
        description="true: decode images when they are needed; false: hold all in memory; auto: hold them unless they "
        "would take more than a quarter of it",
        json_schema_extra=NEUTRAL,
    )

    @property
    def height_and_width(self) -> tuple[int, int]:
        """Both sides, in pixels."""
        return self.image_size if isinstance(self.image_size, tuple) else (self.image_size, self.image_size)


class Normalize(Section):
    """Per channel, of pixels in [0, 1]: (pixel - mean) / std."""

    mean: Items[float] | None = Field(
        None, description="subtracted per channel, pixels in [0, 1]; null: the source's own"
    )
    std: Items[float] | None = Field(None, description="divided by per channel, each > 0; null: the source's own")

    @field_validator("mean", "std")
    @classmethod
    def _of_pixels(cls, values: tuple | None, info) -> tuple | None:
        least = 1 / MOST_OF_PIXELS if info.field_name == "std" else -MOST_OF_PIXELS
        if values is not None and not all(least <= value <= MOST_OF_PIXELS for value in values):
            span = f"{least:g} to {MOST_OF_PIXELS:g}"
            raise rule(f"must be numbers from {span}, got {list(values)}. Take null for the source's own")
        return values


class Augment(Section):
    """Random changes of training images."""

    pad: int = Field(0, ge=0, description="zero pixels added on each side before a random crop back to size, >= 0")
    flip: bool = Field(False, description="mirror left to right with probability 1/2")
    cutout: int = Field(0, ge=0, description="side of a square set to zero, pixels, >= 0; 0: none")
    crop: float = Field(
        1, gt=0, le=1, description="random resized crop: least share of the area that is shown, in (0, 1]; 1: none"
    )
    rotation: float = Field(0, ge=0, le=180, description="largest angle of a rotation, either way, degrees, 0 to 180")
    brightness: float = Field(0, ge=0, le=1, description="random factor on the pixels, from 1 - x to 1 + x, in [0, 1]")
    contrast: float = Field(0, ge=0, le=1, description="random factor on their distance to the mean gray, in [0, 1]")
    saturation: float = Field(0, ge=0, le=1, description="random factor on their distance to their gray, in [0, 1]")
    grayscale: float = Field(0, ge=0, le=1, description="probability that an image loses its color, in [0, 1]")
    erasing: float = Field(0, ge=0, le=1, description="probability that a rectangle is erased, in [0, 1]")
    mixup: float = Field(0, ge=0, description="MixUp: parameter of the weights' beta distribution, >= 0; 0: none")
    cutmix: float = Field(0, ge=0, description="CutMix: parameter of the weights' beta distribution, >= 0; 0: none")


class DataSection(Section):
    """What every source has."""

    root: str | None = Field(
        None,
        description="folder of the files; null: $LOSSBENCH_DATA, Gluon's folder, else a download",
        json_schema_extra=NEUTRAL,
    )
    batch_size: int = Field(128, ge=1, description="images a training step, >= 1")
    validation_fraction: float = Field(
        0.1, ge=0, le=0.5, description="share of the training images held out, stratified, in [0, 0.5]"
    )
    holdout_classes: Items[int | str] = Field(
        (),
        description="class ids of the source that are never trained on, for open-set evaluation, each >= 0, once; "
        "100-199 is a hundred of them",
    )
    limit: int | None = Field(
        None, ge=2, description="most images of each split of trained classes, for a first try, >= 2; null: all of them"
    )
    class_imbalance: float = Field(
        1,
        ge=1,
        le=1e6,
        description="training images of the largest class over those of the last, >= 1; 1: as they are",
    )
    label_noise: float = Field(
        0, ge=0, lt=1, description="share of the training labels that become another class, in [0, 1)"
    )
    drop_last: bool = Field(True, description="leave out an epoch's short last batch")
    normalize: Normalize = Field(Normalize(), description="shift and scale of pixels")
    augment: Augment = Field(Augment(), description="random changes of training images")
    workers: int = Field(
        1, ge=0, description="threads that prepare batches ahead, >= 0; 0: none", json_schema_extra=NEUTRAL
    )

    @field_validator("holdout_classes")
    @classmethod
    def _ids(cls, ids: tuple) -> tuple:
        every = _written_out(ids)
        if any(one < 0 for one in every) or len(set(every)) < len(every):
            raise rule(f"must be class ids >= 0, each once, got {list(ids)}. Take [] to train on every class")
        return ids

    def held_out(self) -> tuple[int, ...]:
        """Ids of the classes that are never trained on, ranges written out."""
        return _written_out(self.holdout_classes)

    def source_classes(self) -> int | None:
        """Number of classes of the source where the config tells it, else None."""
        return None

    def classes(self) -> int | None:
        """Number of classes that are trained, where the config tells it, else None."""
        every = self.source_classes()
        return None if every is None else every - len(self.held_out())


class DigitsData(DataSection):
    """Embedded digits, those of scikit-learn."""

    source: Literal["digits"] = Field(description="1,797 images of 8x8, no download")
    test_fraction: float = Field(0.2, gt=0, le=0.5, description="share of all images that is the test set, in (0, 0.5]")

    def source_classes(self) -> int | None:
        return 10


class StandardData(DataSection):
    """The sets with files of their own format."""

    source: Literal["mnist", "fashion_mnist", "cifar10", "cifar100"] = Field(description="a standard data set")

    def source_classes(self) -> int | None:
        return 100 if self.source == "cifar100" else 10


class EmnistData(DataSection):
    """EMNIST, handwritten letters and digits."""

    source: Literal["emnist"] = Field(description="EMNIST's IDX files, as NIST or torchvision unpack them")
    part: Literal["balanced", "byclass", "bymerge", "letters", "digits", "mnist"] = Field(
        "balanced", description="which of its divisions, balanced: 47 classes"
    )

    def source_classes(self) -> int | None:
        return {"balanced": 47, "byclass": 62, "bymerge": 47, "letters": 26}.get(self.part, 10)


class TableData(DataSection):
    """Pixels in rows."""

    source: Literal["table"] = Field(description="CSV of a label and pixels, or a NumPy archive of Keras's names")
    train: str = Field(description="path of the training table, relative to root")
    test: str = Field(description="path of the test table, relative to root; an archive may be both")
    image_size: Size | None = Field(
        None, description="side of the square that a row holds, or [height, width], pixels; null: a square"
    )
    channels: Literal[1, 3] = Field(1, description="1 (gray) or 3 (planes of red, green and blue)")

    @property
    def height_and_width(self) -> tuple[int, int] | None:
        """Both sides in pixels, None where the rows tell."""
        size = self.image_size
        return size if size is None or isinstance(size, tuple) else (size, size)


class RecordData(DataSection, Sized):
    """MXNet RecordIO."""

    source: Literal["record"] = Field(description="MXNet RecordIO files")
    train: str = Field(description="path of the training .rec file, relative to root")
    test: str | None = Field(None, description="path of the test .rec file, relative to root; null: test_fraction")
    test_fraction: float | None = Field(
        None, gt=0, le=0.5, description="share of the training images that is the test set; null: test is"
    )
    num_classes: int = Field(ge=2, description="number of classes, >= 2")

    @model_validator(mode="after")
    def _one_test(self) -> RecordData:
        if (self.test is None) == (self.test_fraction is None):
            got = "neither" if self.test is None else "both"
            raise rule(f"must have either test or test_fraction, got {got}. They say which images are the test set")
        return self

    def source_classes(self) -> int | None:
        return self.num_classes


class FolderData(DataSection, Sized):
    """Image folders."""

    source: Literal["folder"] = Field(description="images in root/train/<class>, root/val/<class>, root/test/<class>")
    root: str = Field(description="folder that holds train, test and perhaps val")
    background: int = Field(255, ge=0, le=255, description="gray level behind transparent pixels, 0 to 255 (white)")
    test_fraction: float | None = Field(
        None, gt=0, le=0.5, description="share of the training images that is the test set; null: root/test is"
    )


class SyntheticData(DataSection):
    """Seeded patterns for tests and timings."""

    source: Literal["synthetic"] = Field(description="seeded class patterns with noise")
    num_classes: int = Field(10, ge=2, description="number of classes, >= 2")
    image_size: int = Field(28, ge=1, description="side of the square images, pixels, >= 1")
    channels: Literal[1, 3] = Field(1, description="1 (gray) or 3 (RGB)")
    train_size: int = Field(1024, ge=1, description="training images, >= 1")
    test_size: int = Field(256, ge=1, description="test images, >= 1")

    def source_classes(self) -> int | None:
        return self.num_classes


class OwnData(DataSection):
    """A source that the caller brings along: its options are checked by its own loader."""

    model_config = ConfigDict(extra="allow")

    source: str = Field(description="name of a source that the caller brings along")

    @field_validator("source")
    @classmethod
    def _is_known(cls, name: str) -> str:
        return known_name(name, "data source", registry.SOURCES.table())


SOURCES = {
    "digits": DigitsData,
    "mnist": StandardData,
    "fashion_mnist": StandardData,
    "emnist": EmnistData,
    "cifar10": StandardData,
    "cifar100": StandardData,
    "record": RecordData,
    "folder": FolderData,
    "table": TableData,
    "synthetic": SyntheticData,
}
Data = choice("source", SOURCES, OwnData)
