"""The files below a folder: which are images, and why others are left out."""

from __future__ import annotations

import os
import stat
import sys
from dataclasses import dataclass, field
from pathlib import Path

from lossbench.data import files, images
from lossbench.errors import UserError

_UNREAD = (".tga", ".ico", ".exr", ".hdr", ".dds", ".pcx", ".xcf", ".heic", ".heif", ".avif", ".jxl", ".jp2")
_SYSTEM = ("__MACOSX", "@eaDir", "lost+found", "Thumbs.db", "desktop.ini")
_NAMED = 3


@dataclass
class Found:
    """Image files in order, and what else is there."""

    images: list = field(default_factory=list)
    left_out: dict = field(default_factory=dict)
    """Reason -> image files that are not read for it."""
    others: list = field(default_factory=list)
    """Files that are no images."""

    def __len__(self):
        """Number of files."""
        return len(self.images) + len(self.others) + sum(map(len, self.left_out.values()))

    def leave_out(self, path, reason):
        self.left_out.setdefault(reason, []).append(path)

    def add(self, other):
        """Take over what another one found."""
        self.images += other.images
        self.others += other.others
        for reason, paths in other.left_out.items():
            self.left_out.setdefault(reason, []).extend(paths)

    def reasons(self, root):
        """What was left out of the images, a phrase for each reason, with the first names."""
        return [
            f"{files.count(len(paths), 'image')} left out ({reason}): {named(paths, root)}"
            for reason, paths in self.left_out.items()
        ]


def is_visible(name):
    """Whether a file or folder is the user's, not one that a system keeps for itself."""
    return not name.startswith(".") and name not in _SYSTEM


def subfolders(folder):
    """The visible folders in a folder, in alphabetical order."""
    return sorted(path for path in folder.iterdir() if path.is_dir() and is_visible(path.name))


def beside(folder):
    """What lies in a folder itself, not in a folder of it."""
    found = Found()
    for path in sorted(folder.iterdir()):
        if is_visible(path.name) and not path.is_dir():
            _judge(path, found)
    return found


def below(folder):
    """What lies in a folder at any depth; links to folders are followed, each once."""
    paths, seen = [], set()
    for place, inside, names in os.walk(folder, followlinks=True, onerror=_refuse):
        real = os.path.realpath(place)
        if real in seen:
            inside.clear()
            continue
        seen.add(real)
        inside[:] = sorted(filter(is_visible, inside))  # the first link to a folder is the same one everywhere
        paths += (Path(place, name) for name in names if is_visible(name))
    found = Found()
    for path in sorted(paths):
        _judge(path, found)
    return found


def shown(path, root):
    """A path relative to the root as text: bytes that are no UTF-8 as backslash and number."""
    return text(path.relative_to(root).as_posix())


def text(name):
    """A file's name as text that can be written: bytes that are no UTF-8 as backslash and number.

    Examples
    --------
    >>> text("caf" + chr(0xDCE9))
    'caf\\\\xe9'
    """
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def named(paths, root):
    """The first names of a list, and how many more there are."""
    names = ", ".join(shown(path, root) for path in paths[:_NAMED])
    return names if len(paths) <= _NAMED else f"{names} and {len(paths) - _NAMED:,} more"


def _refuse(error):
    way_out = "Check its permissions."
    raise files.invalid(error.filename, "be a readable folder", error.strerror, way_out) from error


def _judge(path, found):
    """Put a file where it belongs."""
    suffix = path.suffix.lower()
    meant = suffix in images.SUFFIXES or suffix in _UNREAD
    try:
        mode = path.stat().st_mode
    except OSError:
        if meant or not suffix:
            found.leave_out(path, "broken link")
        else:
            found.others.append(path)
        return
    if not stat.S_ISREG(mode):
        if meant:
            found.leave_out(path, files.irregular(mode))
        else:
            found.others.append(path)
        return
    kind = images.kind(path)
    if kind in images.FORMATS or (kind is None and suffix in images.SUFFIXES):
        found.images.append(path)
    elif kind or meant:
        found.leave_out(path, kind or suffix[1:].upper())
    else:
        found.others.append(path)


def _listed(path):
    """The names in a list, UTF-8 or UTF-16."""
    content = files.contents(path)
    is_wide = content[:2] in (b"\xff\xfe", b"\xfe\xff")
    lines = content.decode(
        "utf-16" if is_wide else "utf-8-sig", "replace" if is_wide else "surrogateescape"
    ).splitlines()
    names = [line.strip() for line in lines if line.strip()]
    return [path.parent / name if (path.parent / name).exists() else Path(name) for name in names]


def image_files(names):
    """The files that a command's arguments name: files, folders with images at any depth, and lists of names.

    A list is a file whose name ends in .txt, or `-` for the standard input: a name a line, relative to the folder of
    the list where it is there. What lies in a folder and is not read is said on the standard error.

    Raises
    ------
    ValueError
        If a folder holds no image, or no name is given.
    """
    listed = []
    for name in names:
        if str(name) == "-":
            listed += filter(None, (line.rstrip("\r\n") for line in sys.stdin))
        else:
            listed += _listed(Path(name)) if str(name).lower().endswith(".txt") else [name]
    paths = []
    for path in map(Path, listed):
        if not path.is_dir():
            paths.append(path)
            continue
        found = below(path)
        for phrase in found.reasons(path):
            print(f"{text(path)}: {phrase}", file=sys.stderr)
        if not found.images:
            raise files.invalid(path, "hold images", "none", "Name image files, or a folder of them.")
        paths += found.images
    if not paths:
        raise UserError("images: at least one must be named, got none. Name image files, or a folder of them.")
    return paths
