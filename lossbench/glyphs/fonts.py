"""The fonts of this machine."""

from __future__ import annotations

import hashlib
import io
import os
from dataclasses import dataclass
from pathlib import Path

from PIL import ImageFont

from lossbench.paths import expanded

FOLDERS = ("/usr/share/fonts", "/usr/local/share/fonts", "~/.local/share/fonts", "~/.fonts")
_ENDINGS = {".ttf", ".otf", ".ttc", ".otc"}
_SIGNS = "Last Resort"  # Unicode's font for what no other font has: one sign for all characters of a block


@dataclass(frozen=True)
class Font:
    """One face of a font file."""

    path: Path
    index: int
    """Of the face in its file."""
    family: str
    style: str
    checksum: str
    """SHA-256 of the file."""

    @property
    def file(self) -> str:
        """Name of the file, whatever bytes it is written with."""
        return shown(self.path)

    @property
    def name(self) -> str:
        """File and face, such as ukai.ttc-1."""
        return f"{self.file}-{self.index}"

    def opened(self, pixels):
        """The face at a size, without ligatures or other features of a text."""
        return _face(self.path.read_bytes(), pixels, self.index)


def find(folders) -> tuple:
    """Return the faces of the font files at any depth below folders, and a reason for each file that is left out.

    The order is that of file names, wherever the files lie. A file whose content was seen before, such as a link, is
    passed over.

    Returns
    -------
    list of Font, dict of str to str
    """
    fonts, refused, seen = [], {}, set()
    paths = {Path(folder, name) for one in folders for folder, _, names in os.walk(expanded(one)) for name in names}
    for path in sorted(paths, key=lambda path: (path.name, str(path))):
        if path.suffix.lower() not in _ENDINGS:
            continue
        try:
            content = path.read_bytes()
            checksum = hashlib.sha256(content).hexdigest()
            faces = [] if checksum in seen else _faces(path, content, checksum)
        except OSError as error:  # FreeType's own errors, too
            refused[shown(path)] = str(error.strerror or error)
            continue
        seen.add(checksum)
        if any(face.family.startswith(_SIGNS) for face in faces):
            refused[shown(path)] = "it has signs for blocks of characters, not characters"
        else:
            fonts += faces
    return fonts, refused


def shown(path) -> str:
    """A file's name as text, also where it is no UTF-8, such as that of an old font."""
    return os.fsencode(path.name).decode("utf-8", "backslashreplace")


def _face(content, pixels, index):
    """Of the content: where Pillow cannot open a path, it takes a font of the system with that name."""
    return ImageFont.truetype(io.BytesIO(content), pixels, index=index, layout_engine=ImageFont.Layout.BASIC)


def _faces(path, content, checksum):
    """The faces of a file; one that is not the first and cannot be opened ends their number."""
    found = []
    while True:
        try:
            family, style = _face(content, 16, len(found)).getname()
        except OSError:
            if not found:
                raise
            return found
        found.append(Font(path, len(found), family or path.stem, style or "", checksum))
