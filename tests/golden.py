"""Golden training curves: proof that a change is harmless.

    python tests/golden.py             # train the three runs and compare with tests/assets/golden.json
    python tests/golden.py --exact     # fail unless numbers and parameters are equal bit for bit: on one machine
    python tests/golden.py --write     # the curves of this machine become the golden ones

The runs take a quarter of a minute on two idle cores: L-GM with a learned variance; softmax with center and ring loss,
clipping and label smoothing; ArcFace in a ResNet-20 with augmentation and accumulated batches.
"""

from __future__ import annotations

import hashlib
import json
import os
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[1]
FILE = ROOT / "tests" / "assets" / "golden.json"
RUNS = {
    "lgm": ["lgm_digits", "trainer.epochs=4", "head.variance=diagonal", "head.variance_lr_mult=0.5"],
    "center": [
        *("softmax_digits", "trainer.epochs=4", "head.label_smoothing=0.1"),
        "regularizers=[{name: center, loss_weight: 0.05}, {name: ring, radius: auto}]",
        *("optimizer.name=sgd", "optimizer.clip_global_norm=1"),
    ],
    "arcface": [
        *("arcface_cifar10_short", "trainer.epochs=3", "head.scale=16", "trainer.accumulate_steps=2"),
        *("data.source=synthetic", "data.num_classes=10", "data.image_size=32", "data.channels=3"),
        *("data.train_size=1500", "data.test_size=300", "evaluation.embeddings_every_epochs=null"),
        "optimizer.learning_rate=0.005",  # at 0.1 a last bit grows to a third of the loss
    ],
}
TIMES = ("seconds", "images_per_second")


def train(folder: pathlib.Path) -> dict:
    """Run -> rows of its history, checksum of its last parameters, metrics."""
    return {name: _run(folder / name, overrides) for name, overrides in RUNS.items()}


def _run(run_dir, overrides):
    config, *overrides = overrides
    command = [sys.executable, str(ROOT / "scripts" / "train.py"), "--config", str(ROOT / "configs" / f"{config}.yaml")]
    environment = {**os.environ, "OMP_NUM_THREADS": "2", "PYTHONPATH": str(ROOT)}
    command += [*overrides, "evaluation.pictures=[]", "--run-dir", str(run_dir)]
    subprocess.run(command, check=True, env=environment, capture_output=True)
    from lossbench import params

    digest = hashlib.sha256()
    for path in sorted(max((run_dir / "checkpoints").glob("step-*")).glob("*.params")):
        for name, array in sorted(params.read(path).items()):
            digest.update(name.encode())
            digest.update(array.tobytes())
    rows = [json.loads(line) for line in (run_dir / "history.jsonl").read_text().splitlines()]
    rows = [{key: value for key, value in row.items() if key not in TIMES} for row in rows]
    last = json.loads((run_dir / "metrics.json").read_text())["last"]
    return {"rows": rows, "parameters": digest.hexdigest(), "last": last}


def main(arguments) -> int:
    with tempfile.TemporaryDirectory() as folder:
        found = train(pathlib.Path(folder))
    if "--write" in arguments:
        FILE.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n")
        return 0
    golden = json.loads(FILE.read_text())
    differing = [name for name in RUNS if found[name] != golden[name]]
    for name in differing:
        for row, expected in zip(found[name]["rows"], golden[name]["rows"]):
            print(f"{name}, epoch {row['epoch']}: loss {row['loss']!r}, golden {expected['loss']!r}")
    print(f"{len(RUNS) - len(differing)} of {len(RUNS)} runs are equal bit for bit")
    return 1 if differing and "--exact" in arguments else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
