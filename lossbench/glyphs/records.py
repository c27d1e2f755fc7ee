"""Pictures into RecordIO files, each with a list of names beside it."""

from __future__ import annotations

import contextlib
import hashlib
import io
from pathlib import Path

from lossbench import _gluon
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
            with contextlib.suppress(mx.base.MXNetError):  # of a disk that is full, which was said
                file.close()

    def write(self, part, label, picture, name):
        """Append a picture as PNG."""
        content, lines = io.BytesIO(), self._lines[part]
        picture.save(content, "png")
        header = mx.recordio.IRHeader(0, label, len(lines), 0)
        try:
            self._files[part].write(mx.recordio.pack(header, content.getvalue()))
        except mx.base.MXNetError as error:
            raise OSError(f"{part}.rec cannot be written: {str(error).strip().splitlines()[-1]}") from None
        lines.append(f"{len(lines)}\t{label}\t{name}\n")

    def closed(self) -> dict:
        """End the files, write the lists, and return each file's number of images and SHA-256.

        Raises
        ------
        OSError
            The disk did not take all of a file, which MXNet does not say of what it writes last.
        """
        sizes = {part: _gluon.bytes_written(file) for part, file in self._files.items()}
        self.__exit__()
        said = {}
        for part, lines in self._lines.items():
            (self._folder / f"{part}.lst").write_text("".join(lines), encoding="utf-8")
            content = (self._folder / f"{part}.rec").read_bytes()
            if len(content) != sizes[part]:
                raise OSError(f"{part}.rec must have {sizes[part]:,} bytes, got {len(content):,}. Is the disk full?")
            said[f"{part}.rec"] = {"images": len(lines), "sha256": hashlib.sha256(content).hexdigest()}
        return said
