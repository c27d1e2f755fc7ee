"""Pictures into RecordIO files, each with a list of names beside it."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

from lossbench._mxnet import mx


class Records:
    """Files `<part>.rec` and `<part>.lst` of a folder, as tools/im2rec.py writes them.

    Examples
    --------
    >>> import tempfile
    >>> from PIL import Image
    >>> with tempfile.TemporaryDirectory() as folder, Records(folder, ["train"]) as records:
    ...     records.write("train", 0, Image.new("L", (8, 8)), "U+4E00/ukai.ttc-0.png")
    ...     records.closed()["train.rec"]["images"]
    1
    """

    def __init__(self, folder, parts):
        self._folder, self._lines = Path(folder), {part: [] for part in parts}
        self._files = {part: mx.recordio.MXRecordIO(str(self._folder / f"{part}.rec"), "w") for part in parts}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for file in self._files.values():
            file.close()

    def write(self, part, label, picture, name):
        """Append a picture as PNG."""
        content, lines = io.BytesIO(), self._lines[part]
        picture.save(content, "png")
        header = mx.recordio.IRHeader(0, label, len(lines), 0)
        self._files[part].write(mx.recordio.pack(header, content.getvalue()))
        lines.append(f"{len(lines)}\t{label}\t{name}\n")

    def closed(self) -> dict:
        """End the files, write the lists, and return each file's number of images and SHA-256."""
        self.__exit__()
        said = {}
        for part, lines in self._lines.items():
            (self._folder / f"{part}.lst").write_text("".join(lines), encoding="utf-8")
            content = (self._folder / f"{part}.rec").read_bytes()
            said[f"{part}.rec"] = {"images": len(lines), "sha256": hashlib.sha256(content).hexdigest()}
        return said
