"""Lists of pairs as people and data sets write them: any separator, quotes and encoding, and LFW's own form."""

from __future__ import annotations

import csv
import unicodedata
from pathlib import Path

from lossbench.errors import UserError

_MARKS = ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))
_LONGEST = 10_000


def read(path, ids) -> list:
    """Return the rows of a list: (row of the first image, row of the second, whether both are of one class).

    Raises
    ------
    ValueError
        If the file is missing, or a line has another form or an unknown id; the message names the line.
    """
    numbered = [(n, line.strip()) for n, line in enumerate(_text(path).splitlines(), 1)]
    numbered = [(n, line) for n, line in numbered if line and not line.startswith("#")]
    for number, line in numbered:
        if len(line) > _LONGEST:
            raise UserError(f"pairs {path}: line {number} must have at most {_LONGEST:,} letters, got {len(line):,}.")
    known = _Ids(ids)
    if numbered and _is_lfw(numbered[0][1]):
        return _lfw(path, numbered, known)
    if len(numbered) > 1 and _is_heading(numbered[0][1], known):
        del numbered[0]
    return [_pair(path, number, line, known) for number, line in numbered]


def _text(path) -> str:
    path = Path(path)
    if path.exists() and not path.is_file():  # a FIFO could be read for ever
        raise UserError(f"pairs: {path} must be a readable text file, got what is no regular file.")
    try:
        content = path.read_bytes()
        encoding = next((name for mark, name in _MARKS if content.startswith(mark)), "utf-8")
        if encoding == "utf-8" and b"\0" in content[:2]:
            encoding = "utf-16-be" if content[:1] == b"\0" else "utf-16-le"
        return content.decode(encoding)
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"pairs: {path} must be a readable text file, got {error}.") from error


class _Ids:
    """The rows of a split by the ids that a list may use for them."""

    def __init__(self, ids):
        self.names = [str(one) for one in ids]
        self._row = {name: row for row, name in enumerate(self.names)}
        self._by_end = {}
        for row, name in enumerate(self.names):
            parts = _plain(name).split("/")
            for start in range(len(parts)):
                end = "/".join(parts[start:])
                self._by_end[end] = None if end in self._by_end else row
        self._by_person = {}
        for row, name in enumerate(self.names):
            parts = _plain(name).split("/")
            self._by_person[parts[-2] if len(parts) > 1 else "", parts[-1].rpartition(".")[0]] = row

    def row(self, name):
        """The row of an id, of a path that ends in one, or of the end of just one id; None if there is none."""
        if name in self._row:
            return self._row[name]
        parts = _plain(name).split("/")
        for start in range(len(parts)):
            row = self._row.get("/".join(parts[start:]))
            if row is not None:
                return row
        return self._by_end.get("/".join(parts))

    def picture(self, person, number):
        """The row of LFW's picture of a person with that number."""
        person = _plain(person)
        return self._by_person.get((person, f"{person}_{int(number):04d}")) if _is_number(number) else None

    def example(self) -> str:
        return self.names[0] if self.names else "none"


def _plain(name) -> str:
    """A path with forward strokes and composed letters, which systems write differently."""
    name = unicodedata.normalize("NFC", name).replace("\\", "/")
    return name[2:] if name.startswith("./") else name


def _is_number(text) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 10


def _split(line):
    """The fields of a line by each separator that it may have."""
    for separator in ("\t", ",", ";", " "):
        if separator in line:
            fields = next(csv.reader([line.replace("\0", "")], delimiter=separator, skipinitialspace=True))
            yield [field.strip() for field in fields if field.strip()]
    yield line.replace(",", " ").split()


def _pair(path, number, line, known):
    possible = list(_split(line)) + list(_around_spaces(line, known))
    threes = [fields for fields in possible if len(fields) == 3 and fields[2] in ("0", "1")]
    for first, second, same in threes:
        if known.row(first) is not None and known.row(second) is not None:
            return known.row(first), known.row(second), same == "1"
    where = f"pairs {path}: line {number}"
    if not threes:
        raise UserError(f"{where} must hold two image ids and 1 (same class) or 0, got {_short(line)!r}.")
    unknown = next(name for name in threes[0][:2] if known.row(name) is None)
    raise _unknown(where, unknown, known)


def _around_spaces(line, known):
    """Two ids with spaces in them, between spaces: the place where both halves are known."""
    words = line.replace(",", " ").replace("\t", " ").split(" ")
    for middle in range(1, len(words) - 1):
        first, second = " ".join(words[:middle]).strip(), " ".join(words[middle:-1]).strip()
        if known.row(first) is not None and known.row(second) is not None:
            yield [first, second, words[-1]]


def _is_heading(line, known) -> bool:
    """Whether the first line names columns."""
    fields = next(_split(line))
    has_word = len(fields) == 3 and any(letter.isalpha() for letter in fields[2])  # such as is_same
    return has_word and all(known.row(field) is None for field in fields)


def _is_lfw(line) -> bool:
    fields = line.split()
    return len(fields) in (1, 2) and all(map(_is_number, fields))


def _lfw(path, numbered, known):
    """Return the rows of LFW's pairs.txt: folds and pairs a fold, then a person and two numbers, or two of each."""
    (_, heading), *lines = numbered
    count = 2
    for factor in heading.split():
        count *= int(factor)
    if len(lines) != count:
        raise UserError(
            f"pairs {path}: the list must hold {count:,} pairs, as its first line {heading!r} says, got {len(lines):,}."
        )
    rows = []
    for number, line in lines:
        fields = line.split("\t") if "\t" in line else line.split()
        where = f"pairs {path}: line {number}"
        if len(fields) == 3:
            pictures = (fields[0], fields[1]), (fields[0], fields[2])
        elif len(fields) == 4:
            pictures = (fields[0], fields[1]), (fields[2], fields[3])
        else:
            raise UserError(
                f"{where} must hold a name and two numbers, or a name and a number twice, got {_short(line)!r}."
            )
        found = [known.picture(*picture) for picture in pictures]
        for row, picture in zip(found, pictures):
            if row is None:
                raise _unknown(where, " ".join(picture), known)
        rows.append((*found, len(fields) == 3))
    return rows


def _unknown(where, name, known):
    return UserError(
        f"{where} must hold ids of the split's {len(known.names)} images, like {known.example()}, got {_short(name)}."
    )


def _short(text) -> str:
    return text if len(text) <= 80 else f"{text[:77]}..."
