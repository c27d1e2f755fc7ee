"""Image folders: root/train/<class>/* and root/test/<class>/*, read by Pillow."""

from __future__ import annotations

import hashlib
import io
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from lossbench.data import files
from lossbench.data.dataset import Dataset, Split
from lossbench.errors import UserError

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".ppm", ".pgm", ".tif", ".tiff")
_LAYOUT = "Images are looked for in train/<class>/ and test/<class>/ of data.root, as " + " ".join(SUFFIXES) + "."


def load(config_data, seed):
    """Images in a folder for each class: the shorter side is brought to ``image_size``, the middle square is kept.

    Classes are the folders of ``train`` in alphabetical order. Where ``root/validation`` exists, it is the validation
    split.
    """
    root = Path(config_data.root).expanduser()
    class_names = _class_names(root / "train")
    splits, checksums, notes = {}, {}, []
    for part in ("train", "validation", "test"):
        if part == "validation" and not (root / part).is_dir():
            continue
        found, ignored = _find(root / part, class_names)
        splits[part], checksums[f"{part}/"] = _read(part, root, found, config_data)
        if ignored:
            notes.append(f"{part}: {ignored} files that are no images were left out")
    return Dataset(**splits, num_classes=len(class_names), class_names=class_names, checksums=checksums, notes=notes)


def read_images(paths, image_shape):
    """Image files as a run's network wants them: the shorter side is brought to size, the middle square is kept.

    Parameters
    ----------
    paths : sequence of str or Path
    image_shape : tuple of int
        (channels, size, size), channels 1 (grey) or 3.

    Returns
    -------
    ndarray of uint8, (N, channels, size, size)

    Raises
    ------
    ValueError
        A file that is absent or that Pillow cannot decode; names it.
    """
    channels, size, _ = image_shape
    return np.ascontiguousarray([_picture(path, size, channels)[0] for path in paths])


def _class_names(train):
    if not train.is_dir():
        raise files.invalid(train, "be a folder", "none", _LAYOUT)
    names = sorted(path.name for path in train.iterdir() if path.is_dir() and not path.name.startswith("."))
    if len(names) < 2:
        raise files.invalid(train, "hold a folder for each of at least 2 classes", f"{len(names)}", _LAYOUT)
    return names


def _find(part, class_names):
    """Image paths with their labels, in order, and the number of other files."""
    if not part.is_dir():
        raise files.invalid(part, "be a folder", "none", _LAYOUT)
    unknown = {path.name for path in part.iterdir() if path.is_dir() and not path.name.startswith(".")} - {*class_names}
    if unknown:
        rule = "hold folders of the classes in train alone: " + ", ".join(class_names)
        raise files.invalid(part, rule, ", ".join(sorted(unknown)), _LAYOUT)
    found, ignored = [], 0
    for label, name in enumerate(class_names):
        inside = sorted(path for path in (part / name).glob("*") if path.is_file() and not path.name.startswith("."))
        images = [path for path in inside if path.suffix.lower() in SUFFIXES]
        if part.name == "train" and not images:
            raise files.invalid(part / name, "hold at least one image", f"none in {len(inside)} files", _LAYOUT)
        found += [(path, label) for path in images]
        ignored += len(inside) - len(images)
    if not found:
        raise files.invalid(part, "hold images", "none", _LAYOUT)
    return found, ignored


def _read(part, root, found, config_data):
    """The split, and one checksum over the names and contents of its files."""
    from tqdm import tqdm

    size, channels = config_data.image_size, config_data.channels
    images = np.empty((len(found), channels, size, size), np.uint8)
    state = hashlib.sha256()
    with ThreadPoolExecutor(max(1, config_data.workers)) as pool:
        pictures = pool.map(lambda item: _picture(item[0], size, channels), found)
        bar = tqdm(zip(found, pictures), total=len(found), desc=f"reading {part}", unit=" images", disable=None)
        for number, ((path, _), (pixels, checksum)) in enumerate(bar):
            images[number] = pixels
            state.update(f"{path.relative_to(root).as_posix()} {checksum}\n".encode())
    names = np.array([path.relative_to(root).as_posix() for path, _ in found])
    return Split(images, np.array([label for _, label in found], np.int32), names), state.hexdigest()


def _picture(path, size, channels):
    """One image (channels, size, size) and the checksum of its file."""
    from PIL import Image, ImageFile

    ImageFile.LOAD_TRUNCATED_IMAGES = False  # importing gluoncv sets it, and half an image would pass unnoticed
    content = files.contents(path)
    try:
        with Image.open(io.BytesIO(content)) as image:
            image = _eight_bits(image).convert("L" if channels == 1 else "RGB")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        way_out = "Replace it or take it out of the folder."
        raise files.invalid(path, "be an image that Pillow decodes", str(error), way_out) from error
    width, height = image.size
    if (width, height) != (size, size):
        scale = size / min(width, height)
        width, height = max(size, round(width * scale)), max(size, round(height * scale))
        left, top = (width - size) // 2, (height - size) // 2
        image = image.resize((width, height), Image.BILINEAR).crop((left, top, left + size, top + size))
    pixels = np.asarray(image).reshape(size, size, channels).transpose(2, 0, 1)
    return pixels, hashlib.sha256(content).hexdigest()


def _eight_bits(image):
    """The image upright, and with 8 bits where it has 16, which Pillow would clip at 255."""
    from PIL import Image, ImageOps

    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I"):
        values = np.asarray(image).astype(np.int64)
        if not 0 <= values.min() <= values.max() < 1 << 16:
            raise UserError(f"grey values from {values.min()} to {values.max()}, more than 16 bits")
        return Image.fromarray((values >> 8).astype(np.uint8))
    if image.mode == "F":
        raise UserError("floating-point pixels")
    return image
