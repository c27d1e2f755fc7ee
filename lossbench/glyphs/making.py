"""The files of a set: records, their lists, the fonts, and a picture to look at."""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path

import PIL
from PIL import features

from lossbench import atomic, locking
from lossbench.errors import NotNow, UserError
from lossbench.glyphs.choice import choose
from lossbench.glyphs.drawing import draw, sheet
from lossbench.glyphs.survey import survey

_SHEET = 30  # most characters of a row, and fonts of each part, on the picture to look at


def make(
    out,
    fonts,
    characters,
    *,
    train_classes,
    holdout_classes,
    test_share=0.2,
    size=32,
    seed=0,
    refused=(),
    progress=lambda: None,
) -> dict:
    """Draw the set into a new folder, which appears when it is whole; return what its `fonts.json` holds.

    `train.rec` has the trained characters in the trained fonts, `test.rec` these and the held-out characters in other
    fonts. The labels of held-out characters go on after those of the others.

    Parameters
    ----------
    out : path
    fonts : list of Font
    characters : list of str
        Candidates.
    train_classes, holdout_classes : int
    test_share : float
        Most of the pictures that fonts of the test may have.
    size : int
        Side of a picture, pixels; a font is drawn at seven eighths of it.
    seed : int
        Of the choice.
    refused : dict of str to str
        Font files that could not be opened, with the reason; written down.
    progress : callable
        Called after each font, twice as often as there are fonts.

    Raises
    ------
    UserError
        If the folder exists, or there are too few fonts.
    """
    out, pixels = Path(out), size * 7 // 8
    if os.path.lexists(out) or out.name in ("", ".."):
        raise UserError(f"glyphs: {out} must be new, got what is there. Remove it, or choose another with --out.")
    with _partial(out) as partial:
        found = survey(fonts, characters, size, pixels, progress)
        choice = choose(found, train_classes, holdout_classes, test_share, seed)
        files, rows = _write(partial, fonts, characters, found, choice, size, pixels, progress)
        said = {
            "made_with": {"pillow": PIL.__version__, "freetype": features.version("freetype2")},
            "asked": {
                "characters": len(characters),
                "train_classes": train_classes,
                "holdout_classes": holdout_classes,
                "test_share": test_share,
                "size": size,
                "seed": seed,
            },
            "files": files,
            "classes": choice.classes(found),
            "left_out": {reason: sum(one[reason] for one in found.left_out) for reason in found.left_out[0]},
            "fonts": [_said(font, found, choice, f) for f, font in enumerate(fonts)],
            "refused": dict(refused),
        }
        atomic.write_json(partial / "fonts.json", said)
        sheet(rows, size).save(partial / "glyphs.png")
    return said


@contextlib.contextmanager
def _partial(out):
    """A folder of this process alone, beside `out`, which becomes it at the end."""
    partial = out.absolute().with_name(f".{out.name}.partial")
    partial.mkdir(parents=True, exist_ok=True)
    with open(partial / ".lock", "w") as lock:
        if not locking.lock(lock, partial, wait=False):
            raise NotNow(f"glyphs: {out} must not be in use, but another process writes it. Choose another with --out.")
        try:
            for left in partial.iterdir():  # by a process that was killed
                if left.is_dir() and not left.is_symlink():
                    shutil.rmtree(left)
                elif left.name != ".lock":
                    left.unlink()
            yield partial
            partial.rename(out)
            (out / ".lock").unlink()
        finally:
            shutil.rmtree(partial, ignore_errors=True)


def _write(folder, fonts, characters, found, choice, size, pixels, progress):
    """The records' files, and rows of the picture: fonts of both parts, trained characters and then held-out ones."""
    from lossbench.glyphs.records import Records  # imports MXNet: only once there is something to write

    rows, chosen = {"train": [], "test": []}, [*choice.trained, *choice.held_out]
    shown = {*range(_SHEET // 2), *range(len(choice.trained), len(choice.trained) + _SHEET // 2)}
    with Records(folder, rows) as records:
        for f, font in enumerate(fonts):
            face, part, row = font.opened(pixels), "test" if choice.is_test_font[f] else "train", []
            for label, c in enumerate(chosen):
                picture = draw(face, characters[c], size) if found.has[f, c] else None
                if picture is not None and (part == "test" or label < len(choice.trained)):
                    records.write(part, label, picture, f"U+{ord(characters[c]):04X}/{font.name}.png")
                row += [picture] if label in shown else []
            rows[part] += [row] if any(row) else []
            progress()
        files = records.closed()
    return files, [row for part in rows.values() for row in part[:: len(part) // _SHEET + 1]]


def _said(font, found, choice, f):
    return {
        "file": font.file,
        "index": font.index,
        "sha256": font.checksum,
        "family": font.family,
        "style": font.style,
        "design": int(found.design[f]),
        "part": "test" if choice.is_test_font[f] else "train",
        "images": int(found.has[f, choice.trained].sum()),
        "held_out": int(found.has[f, choice.held_out].sum()) if choice.is_test_font[f] else 0,
        **found.left_out[f],
    }
