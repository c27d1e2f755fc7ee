"""The fonts of this machine."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from PIL import ImageFont

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
    def name(self) -> str:
        """File and face, such as ukai.ttc-1."""
        return f"{self.path.name}-{self.index}"

    def opened(self, pixels):
        """The face at a size, without ligatures or other features of a text."""
        return ImageFont.truetype(str(self.path), pixels, index=self.index, layout_engine=ImageFont.Layout.BASIC)


def find(folders) -> tuple:
    """Return the faces of the font files at any depth below folders, and a reason for each file that is left out.

    The order is that of file names, wherever the files lie. A file whose content was seen before, such as a link, is
    passed over.

    Returns
    -------
    list of Font, dict of str to str
    """
    fonts, refused, seen = [], {}, set()
    paths = {
        Path(folder, name) for one in folders for folder, _, names in os.walk(Path(one).expanduser()) for name in names
    }
    for path in sorted(paths, key=lambda path: (path.name, str(path))):
        if path.suffix.lower() not in _ENDINGS:
            continue
        try:
            checksum = hashlib.sha256(path.read_bytes()).hexdigest()
            faces = [] if checksum in seen else _faces(path, checksum)
        except OSError as error:  # FreeType's own errors, too
            refused[path.name] = str(error.strerror or error)
            continue
        seen.add(checksum)
        if any(face.family.startswith(_SIGNS) for face in faces):
            refused[path.name] = "it has signs for blocks of characters, not characters"
        else:
            fonts += faces
    return fonts, refused


def _faces(path, checksum):
    """The faces of a file; one that is not the first and cannot be opened ends their number."""
    found = []
    while True:
        try:
            family, style = ImageFont.truetype(str(path), 16, index=len(found)).getname()
        except OSError:
            if not found:
                raise
            return found
        found.append(Font(path, len(found), family or path.stem, style or "", checksum))
