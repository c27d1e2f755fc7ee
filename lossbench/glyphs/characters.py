"""Which characters may become classes."""

from __future__ import annotations

from pathlib import Path

from lossbench.errors import UserError

# Rows of a national character set: Python's codec of it, first and last row.
SETS = {"kanji": ("euc_jp", 16, 47), "hanzi": ("gb2312", 16, 55), "hangul": ("euc_kr", 16, 40)}


def read_characters(name) -> list:
    """Return the characters of a set of `SETS`, or those that a text file holds, each once, in their order.

    Examples
    --------
    >>> [len(read_characters(name)) for name in SETS]
    [2965, 3755, 2350]
    """
    if name in SETS:
        return _rows(*SETS[name])
    try:
        text = Path(name).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "text that is not UTF-8"
        raise UserError(
            f"glyphs: `characters` must be {', '.join(SETS)} or a text file, got {name} ({reason}). "
            "Write the characters into a UTF-8 file."
        ) from error
    return list(dict.fromkeys(one for one in text if one.isprintable() and not one.isspace()))


def _rows(codec, first, last):
    found = []
    for row in range(first, last + 1):
        for cell in range(1, 95):
            try:
                found.append(bytes([row + 160, cell + 160]).decode(codec))
            except UnicodeDecodeError:  # the last row is not full
                continue
    return found
