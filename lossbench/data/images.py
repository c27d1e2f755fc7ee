"""Image files: told by their first bytes, decoded by Pillow in the documented formats alone, brought to one form."""

from __future__ import annotations

import hashlib
import io
import re

import numpy as np

from lossbench.data import files
from lossbench.errors import UserError

FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "PPM", "TIFF")
"""What is read, by Pillow's names. Another plugin could start a program: a PostScript file starts Ghostscript."""

SUFFIXES = (".png", ".jpg", ".jpeg", ".jfif", ".bmp", ".gif", ".webp", ".ppm", ".pgm", ".pbm", ".pnm", ".tif", ".tiff")
"""Endings of image files. The content decides; an ending only says that a file was meant to be an image."""

WHITE = 255
MOST_PIXELS = 1 << 27
"""Pixels of the largest image that is decoded."""

_LONGEST = 16  # sides of a picture that is not cut before it is resized: enlarged, 10,000,000 x 1 would take the memory
_HEAD = 256
_SIGNS = {
    "PNG": rb"\x89PNG\r\n\x1a\n",
    "JPEG": rb"\xff\xd8\xff",
    "GIF": rb"GIF8[79]a",
    "BMP": rb"BM.{12}[\x0c\x28\x34\x38\x40\x6c\x7c]\0\0\0",
    "WEBP": rb"RIFF.{4}WEBP",
    "PPM": rb"P[1-6]\s+[#\d]",
    "camera raw": rb"II\*\0.{4}CR",
    "TIFF": rb"II[*+]\0|MM\0[*+]",
    "HEIC": rb".{4}ftyp(hei[cxms]|hev[cxms]|mif1|msf1)",
    "AVIF": rb".{4}ftypavi[fs]",
    "JPEG XL": rb"\xff\x0a|\0\0\0\x0cJXL ",
    "JPEG 2000": rb"\0\0\0\x0cjP  |\xff\x4f\xff\x51",
    "Photoshop": rb"8BPS",
    "PostScript": rb"%!PS",
    "PDF": rb"%PDF",
    "SVG": rb"(\xef\xbb\xbf)?\s*(<\?xml.{0,200})?<svg",
    "Git LFS pointer": rb"version https://git-lfs\.",
    "git-annex pointer": rb"\S{0,200}annex/objects/",
}
_SIGNS = {name: re.compile(sign, re.DOTALL) for name, sign in _SIGNS.items()}
_NO_SEGMENT = {bytes([code]) for code in (0x00, 0x01, *range(0xD0, 0xD9), 0xFF)}  # behind 0xFF in a JPEG
_RAW = (".dng", ".nef", ".cr3", ".arw", ".orf", ".rw2", ".raf")  # several begin as TIFF does


def kind(path):
    """What a file is by its first bytes: one of `FORMATS`, another kind's name such as HEIC, or None.

    Raises
    ------
    ValueError
        If it cannot be read.
    """
    if path.suffix.lower() in _RAW:
        return "camera raw"
    return kind_of(files.contents(path, _HEAD))


def kind_of(content):
    """What bytes are by their beginning: one of `FORMATS`, another kind's name, or None.

    Examples
    --------
    >>> kind_of(b"GIF89a"), kind_of(b"%!PS-Adobe"), kind_of(b"text")
    ('GIF', 'PostScript', None)
    """
    return next((name for name, sign in _SIGNS.items() if sign.match(content[:_HEAD])), None)


def size_of(content):
    """(width, height) of an image in memory, and whether it has its end; decodes nothing.

    Bytes behind the end, as cameras and telephones append them, are not looked at.

    Raises
    ------
    ValueError
        If it is none of `FORMATS`, or its header is damaged.
    """
    kind = kind_of(content)
    if kind == "JPEG":
        return _jpeg(content)
    if kind == "PNG":
        width, height = int.from_bytes(content[16:20], "big"), int.from_bytes(content[20:24], "big")
        return (width, height), b"IEND\xaeB`\x82" in content
    from PIL import Image

    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as image:
            return image.size, True
    except Exception as error:  # of damaged bytes, decoders raise whatever they stumble over
        raise UserError(f"{kind or 'no image'} ({reason(error)})") from error


def is_gray(content):
    """Whether an image in memory has no color, by its header.

    Raises
    ------
    ValueError
        If it is none of `FORMATS`, or its header is damaged.
    """
    from PIL import Image

    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as image:
            return image.mode in ("1", "L", "LA") or image.mode.startswith("I")
    except Exception as error:  # of damaged bytes, decoders raise whatever they stumble over
        raise UserError(reason(error)) from error


def _jpeg(content):
    """Go from marker to marker, over a thumbnail that has an end of its own, to the end of the image."""
    size, position = (0, 0), 2
    while True:
        code, position = _marker(content, position)
        if code in (None, 0xD9):
            return size, code is not None
        if 0xC0 <= code <= 0xCF and code not in (0xC4, 0xC8, 0xCC):
            size = tuple(int.from_bytes(content[position + at : position + at + 2], "big") for at in (5, 3))
        position += int.from_bytes(content[position : position + 2], "big")


def _marker(content, position):
    """Code and end of the next marker before a segment; within a scan are none, so that a scan is passed over."""
    while True:
        position = content.find(b"\xff", position)
        code = content[position + 1 : position + 2]
        if position < 0 or not code:
            return None, len(content)
        position += 1
        if code not in _NO_SEGMENT:
            return code[0], position + 1


def read_images(paths, image_shape, background=WHITE):
    """Image files as a run's network wants them: scaled until they cover the size, the middle is kept.

    Parameters
    ----------
    paths : sequence of str or Path
    image_shape : tuple of int
        (channels, height, width), channels 1 (gray) or 3.
    background : int, default 255
        Gray level, 0 to 255, that shows through transparent pixels.

    Returns
    -------
    ndarray of uint8, (N, channels, height, width)

    Raises
    ------
    ValueError
        A file that is absent or that Pillow cannot decode; names it.
    """
    return np.ascontiguousarray([picture(path, image_shape, background)[0] for path in paths])


def picture(path, image_shape, background=WHITE):
    """One image (channels, height, width) and the SHA-256 of its file."""
    content = files.contents(path)
    try:
        pixels = decoded(content, image_shape, background)
    except UserError as error:
        raise _undecodable(path, str(error)) from error
    return pixels, hashlib.sha256(content).hexdigest()


def decoded(content, image_shape, background=WHITE):
    """One image (channels, height, width) of encoded bytes.

    Raises
    ------
    ValueError
        If Pillow cannot decode it; says why.
    """
    from PIL import Image, ImageFile

    channels, height, width = image_shape
    ImageFile.LOAD_TRUNCATED_IMAGES = False  # importing gluoncv sets it, and half an image would pass unnoticed
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as image:
            refuse_huge(*image.size)
            image = _opaque(_eight_bits(image), background).convert("L" if channels == 1 else "RGB")
    except Exception as error:  # of damaged bytes, decoders raise whatever they stumble over
        raise UserError(reason(error)) from error
    image = _covering(image, height, width)
    return np.asarray(image).reshape(height, width, channels).transpose(2, 0, 1)


def checksum(path):
    """The SHA-256 of an image file; decodes nothing.

    Raises
    ------
    ValueError
        If its bytes are no whole image.
    """
    content = files.contents(path)
    try:
        size, is_whole = size_of(content)
        refuse_huge(*size)
    except UserError as error:
        raise _undecodable(path, str(error)) from error
    if not is_whole:
        raise _undecodable(path, "one that is cut off")
    return hashlib.sha256(content).hexdigest()


def _undecodable(path, got):
    return files.invalid(path, "be an image that Pillow decodes", got, "Replace it or take it out of the folder.")


def refuse_huge(width, height):
    """`ValueError` for an image of more pixels than are decoded."""
    if width * height > MOST_PIXELS:
        raise UserError(f"{width:,} x {height:,} pixels, more than {MOST_PIXELS:,}")


def reason(error):
    """What an error says, in one short line."""
    text = " ".join(str(error).split()) or type(error).__name__
    return re.sub(r" ?<_io.BytesIO[^>]*>", "", text)[:200]


def _covering(image, height, width):
    """The image scaled until it covers the size, its middle cut out; a very long one is cut before."""
    from PIL import Image

    if image.size == (width, height):
        return image
    cut = middle(*image.size, height, width)
    image = image if cut is None else image.crop(cut)
    scale = max(height / image.height, width / image.width)
    high, wide = max(height, round(image.height * scale)), max(width, round(image.width * scale))
    left, top = (wide - width) // 2, (high - height) // 2
    return image.resize((wide, high), Image.BILINEAR).crop((left, top, left + width, top + height))


def middle(wide, high, height, width):
    """The box (left, top, right, bottom) that is kept of a picture far longer than it will be, None for all of it.

    Examples
    --------
    >>> middle(1000, 10, 32, 32), middle(160, 10, 32, 32)
    ((420, 0, 580, 10), None)
    """
    most_wide, most_high = _LONGEST * -(-high * width // height), _LONGEST * -(-wide * height // width)
    kept_wide, kept_high = min(wide, most_wide), min(high, most_high)
    if (kept_wide, kept_high) == (wide, high):
        return None
    left, top = (wide - kept_wide) // 2, (high - kept_high) // 2
    return left, top, left + kept_wide, top + kept_high


def _opaque(image, background):
    """The image before a background of one gray level, where it has transparent pixels."""
    from PIL import Image

    if "A" not in image.getbands() and "a" not in image.getbands() and "transparency" not in image.info:
        return image
    image = image.convert("RGBA")
    behind = Image.new("RGBA", image.size, (background, background, background, 255))
    return Image.alpha_composite(behind, image).convert("RGB")


def _eight_bits(image):
    """The image upright, and with 8 bits where it has 16, which Pillow would clip at 255."""
    from PIL import Image, ImageOps

    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I"):
        values = np.asarray(image).astype(np.int64)
        if not 0 <= values.min() <= values.max() < 1 << 16:
            raise UserError(f"gray values from {values.min()} to {values.max()}, more than 16 bits")
        return Image.fromarray((values >> 8).astype(np.uint8))
    if image.mode == "F":
        raise UserError("floating-point pixels")
    return image
