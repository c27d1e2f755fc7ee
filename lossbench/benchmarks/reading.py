"""Reading a large record file: seconds to the first batch, images/s of a core, and whether the memory stays flat.

`python -m lossbench.benchmarks.reading CONTESTANT FILE IMAGES` is the process of one contestant: one thread (or one
worker process) decodes, mirrors at random and normalizes batches of 128 in a random order. It answers in one line.
"""

from __future__ import annotations

import io
import itertools
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from lossbench.benchmarks.timing import spread
from lossbench.errors import RunFailed

CONTESTANTS = {
    "lossbench": "lossbench, streaming",
    "mxnet": "MXNet's ImageRecordIter",
    "pytorch": "PyTorch's DataLoader, Pillow",
}
SIDE, BATCH = 112, 128
_CLASSES, _PICTURES = 1000, 500
_MEAN, _STD = 0.5, 0.5


def write_records(path, count: int) -> None:
    """Write so many JPEG records of 112 x 112: smooth noise, as detailed as photographs of faces."""
    from PIL import Image

    from lossbench._mxnet import mx

    rng, pictures = np.random.default_rng(0), []
    for _ in range(_PICTURES):
        noise = Image.fromarray(rng.integers(0, 256, (28, 28, 3), dtype=np.uint8))
        file = io.BytesIO()
        noise.resize((SIDE, SIDE), Image.BICUBIC).save(file, "JPEG", quality=90)
        pictures.append(file.getvalue())
    writer = mx.recordio.MXRecordIO(str(path), "w")
    for number in range(count):
        header = mx.recordio.IRHeader(0, number % _CLASSES, number, 0)
        writer.write(mx.recordio.pack(header, pictures[number % _PICTURES]))
    writer.close()


def measure(path, *, images=20_000, repetitions=3, progress=lambda: None) -> list[dict]:
    """Let every contestant read a record file of 112 x 112, in turn, each time in a process of its own.

    Parameters
    ----------
    path : path
    images : int
        How many each reads in a turn.
    repetitions : int
    progress : callable, optional
        Called once per turn.

    Returns
    -------
    list of dict
        A row per contestant: `name`; `missing`, or spreads of `start` (seconds to the first batch), `rate` (images a
        second of processor time, of all its threads and processes), `memory` and `growth` (resident bytes after a tenth
        of the images, and how much more after all).
    """
    turns = {name: [] for name in CONTESTANTS}
    for _ in range(repetitions):
        for name, done in turns.items():
            done.append(_turn(name, path, images))
            progress()
    rows = []
    for name, done in turns.items():
        row = {"name": name}
        if "missing" in done[0]:
            row["missing"] = done[0]["missing"]
        else:
            row.update({key: spread([one[key] for one in done]) for key in done[0]})
        rows.append(row)
    return rows


def _turn(name, path, images):
    command = [sys.executable, "-W", "ignore", "-m", "lossbench.benchmarks.reading", name, str(path), str(images)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RunFailed(f"benchmark: {name} must read {path}, got {done.stderr.strip()[-200:]}")
    return json.loads(done.stdout.splitlines()[-1])


def _lossbench(path):
    from lossbench import data
    from lossbench.config.data import RecordData

    section = RecordData(
        source="record",
        train=str(path),
        test=str(path),
        image_size=SIDE,
        num_classes=_CLASSES,
        streaming=True,
        validation_fraction=0,
        normalize={"mean": [_MEAN] * 3, "std": [_STD] * 3},
    )
    dataset = data.load(section, 0)
    batches = data.Batches(dataset.train, BATCH, seed=0, mean=dataset.mean, std=dataset.std, flip=True)
    for epoch in itertools.count(1):
        yield from (len(images) for images, _ in batches.epoch(epoch))


def _mxnet(path):
    from lossbench._mxnet import mx

    means = {f"mean_{channel}": 255 * _MEAN for channel in "rgb"}
    deviations = {f"std_{channel}": 255 * _STD for channel in "rgb"}
    batches = mx.io.ImageRecordIter(
        path_imgrec=str(path),
        data_shape=(3, SIDE, SIDE),
        batch_size=BATCH,
        shuffle=True,
        rand_mirror=True,
        preprocess_threads=1,
        **means,
        **deviations,
    )
    while True:
        batches.reset()
        for batch in batches:
            batch.data[0].wait_to_read()
            yield BATCH


def _pytorch(path):
    import torch
    from PIL import Image, ImageOps

    from lossbench.data import recordio

    torch.set_num_threads(1)
    scan = recordio.scan(path)
    reader = recordio.Reader(path, scan)

    class Images(torch.utils.data.Dataset):
        def __len__(self):
            return len(scan.label)

        def __getitem__(self, row):  # as torchvision's RandomHorizontalFlip, ToTensor and Normalize
            image = Image.open(io.BytesIO(reader.image(row))).convert("RGB")
            image = ImageOps.mirror(image) if torch.rand(1) < 0.5 else image
            pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous()
            return pixels.to(torch.float32).div(255).sub_(_MEAN).div_(_STD), int(scan.label[row])

    batches = torch.utils.data.DataLoader(Images(), BATCH, shuffle=True, num_workers=1, drop_last=True)
    while True:
        yield from (len(images) for images, _ in batches)


def _processes():
    """This process and those that it started."""
    own = os.getpid()
    children = [path.read_text().split() for path in Path(f"/proc/{own}/task").glob("*/children")]
    return [own, *(int(number) for numbers in children for number in numbers)]


def _processor_seconds():
    fields = [Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split() for number in _processes()]
    return sum(int(one[11]) + int(one[12]) for one in fields) / os.sysconf("SC_CLK_TCK")


def _resident_bytes():
    pages = [int(Path(f"/proc/{number}/statm").read_text().split()[1]) for number in _processes()]
    return sum(pages) * os.sysconf("SC_PAGE_SIZE")


def _read(name, path, images):
    began = time.perf_counter()
    batches = {"lossbench": _lossbench, "mxnet": _mxnet, "pytorch": _pytorch}[name](path)
    next(batches)
    start = time.perf_counter() - began
    done, early = 0, None
    before = _processor_seconds()
    while done < images:
        done += next(batches)
        if early is None and done >= images / 10:
            early = _resident_bytes()
    spent = _processor_seconds() - before
    answer = {"start": start, "rate": done / spent, "memory": early, "growth": _resident_bytes() - early}
    batches.close()
    return answer


def main() -> None:
    name, path, images = sys.argv[1:]
    try:
        answer = _read(name, path, int(images))
    except ModuleNotFoundError as error:
        answer = {"missing": f"{error.name} is not installed"}
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
