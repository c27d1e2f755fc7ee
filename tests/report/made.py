"""Run folders made by hand: as the training writes them, in a moment, with what a test wants in them."""

import json

from PIL import Image, ImageDraw

CONFIG = """\
name: {name}
seed: {seed}
data: {{source: mnist}}
backbone: {{name: lenet, embedding_size: 2}}
head: {{name: lgm, margin: {margin}}}
optimizer: {{name: nag, learning_rate: {rate}}}
init_from: null
freeze: []
trainer: {{epochs: 3}}
"""
ENVIRONMENT = {
    "versions": {"lossbench": "0.1.0", "python": "3.11.7", "mxnet": "1.9.1", "numpy": "1.23.5"},
    "processor": "a processor",
    "cores": 2,
    "git": {"commit": "0123456789abcdef", "modified": True},
    "data": {"checksums": {"images": "ab" * 32}, "notes": []},
}


def run(folder, name="one", seed=0, metrics=None, *, margin=0.5, rate=0.1, epochs=3, plots=("embedding-test",)):
    """Write a run folder; `metrics` are those of the last epoch's test split."""
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text(CONFIG.format(name=name, seed=seed, margin=margin, rate=rate))
    rows = [
        {
            "epoch": epoch, "step": 10 * epoch, "loss": 2.0 / epoch + 0.1 * seed, "accuracy": 1 - 0.3 / epoch,
            "learning_rate": rate / epoch, "images_per_second": 600.0 + epoch, "seconds": 40.0, "head.margin": margin,
        }
        for epoch in range(1, epochs + 1)
    ]  # fmt: skip
    (folder / "history.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "environment.json").write_text(json.dumps(ENVIRONMENT))
    if metrics is not None:
        last = {"epoch": epochs, "step": 10 * epochs, "test": metrics}
        (folder / "metrics.json").write_text(json.dumps({"last": last}))
    (folder / "plots").mkdir()
    for plot in plots:
        picture((120, 90), seed).save(folder / "plots" / f"{plot}.png")
    return folder


def picture(size, number=0):
    image = Image.new("RGB", size, "white")
    ImageDraw.Draw(image).ellipse((10 + number, 10, size[0] // 2, size[1] // 2), fill="#3f90da")
    return image
