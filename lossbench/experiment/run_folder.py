"""The files of a run folder other than checkpoints: config, environment, history, metrics; and its lock."""

from __future__ import annotations

import contextlib
import fcntl
import io
import json
import os
import pathlib
import platform
import subprocess
import sys
from dataclasses import dataclass

import numpy as np

from lossbench import __version__, _mxnet
from lossbench.atomic import write_atomically, write_json
from lossbench.errors import UserError


class RunFolder:
    """Paths of one run, and reading and writing of its small files, each whole or not at all."""

    def __init__(self, path):
        self.path = pathlib.Path(path)

    @property
    def config(self) -> pathlib.Path:
        return self.path / "config.yaml"

    @property
    def checkpoints(self) -> pathlib.Path:
        return self.path / "checkpoints"

    @property
    def embeddings(self) -> pathlib.Path:
        return self.path / "embeddings"

    @property
    def plots(self) -> pathlib.Path:
        return self.path / "plots"

    def require_run(self) -> None:
        """`ValueError` where this is not a run folder."""
        if not self.config.is_file():
            raise UserError(
                f"run: {self.path} must be a run folder, but has no config.yaml. Name one that train.py wrote."
            )

    def history(self) -> list[dict]:
        """Rows of the history, one an epoch."""
        path = self.path / "history.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def write_history(self, rows: list[dict]) -> None:
        write_atomically(self.path / "history.jsonl", "".join(json.dumps(row) + "\n" for row in rows))

    def metrics(self) -> dict:
        """What was measured so far: `{"last": {"epoch", "step", "test": {...}}, "best": {...}}`."""
        path = self.path / "metrics.json"
        return json.loads(path.read_text()) if path.exists() else {}

    def merge_metrics(self, checkpoint: str, epoch: int, step: int, split: str, measured: dict) -> None:
        """Add measured values; those of another step under the same name are dropped, since they are outdated."""
        with self._alone():
            metrics = self.metrics()
            entry = metrics.get(checkpoint, {})
            if entry.get("step") != step:
                entry = {"epoch": epoch, "step": step}
            entry[split] = {**entry.get(split, {}), **measured}
            write_json(self.path / "metrics.json", {**metrics, checkpoint: entry})

    @contextlib.contextmanager
    def _alone(self):
        """Wait for other processes that merge into `metrics.json`; needs no file of its own."""
        handle = os.open(self.path, os.O_RDONLY)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)

    def record(self, checkpoint: str, epoch: int, step: int) -> Record:
        """Where the values of one checkpoint's evaluation go."""
        return Record(self, checkpoint, epoch, step)

    def write_environment(self, **more) -> None:
        """`environment.json`: versions, processor, threads, the checkout's git state, and what is handed in."""
        write_json(self.path / "environment.json", {**environment(), **more})

    @contextlib.contextmanager
    def locked(self):
        """Hold the folder against a second training in it; the lock ends with the process, however that ends."""
        self.path.mkdir(parents=True, exist_ok=True)
        with open(self.path / ".lock", "w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise UserError(
                    f"run: {self.path} must not be in use, but another process trains in it. Use another --run-dir."
                ) from error
            yield


@dataclass(frozen=True)
class Record:
    """Writes what is measured of one checkpoint into its run folder, as soon as it is known."""

    folder: RunFolder
    checkpoint: str
    epoch: int
    step: int

    def values(self, split: str, measured: dict) -> None:
        self.folder.merge_metrics(self.checkpoint, self.epoch, self.step, split, measured)

    def arrays(self, split: str, method: str, arrays: dict) -> str:
        """Write `evaluation/<checkpoint>-<split>-<method>.npz`; returns its path within the run folder."""
        place = f"evaluation/{self.checkpoint}-{split}-{method}.npz"
        path = self.folder.path / place
        path.parent.mkdir(exist_ok=True)
        content = io.BytesIO()
        np.savez_compressed(content, epoch=self.epoch, step=self.step, **arrays)
        write_atomically(path, content.getvalue())
        return place


def environment() -> dict:
    """Versions, processor, threads and git state of this process."""
    versions = {"lossbench": __version__, "python": platform.python_version()}
    for name in ("mxnet", "numpy", "sklearn", "scipy", "pydantic", "matplotlib"):
        module = sys.modules.get(name)
        if module is not None:
            versions[name] = module.__version__
    return {
        "versions": versions,
        "platform": platform.platform(),
        "processor": _processor(),
        "cores": _mxnet.thread_count(),
        "omp_num_threads": os.environ.get("OMP_NUM_THREADS"),
        "git": _git(),
    }


def _processor() -> str:
    with contextlib.suppress(OSError):
        for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor()


def _git() -> dict:
    """Commit of the checkout that this package lies in, and whether files differ from it; empty where there is none."""

    folder = pathlib.Path(__file__).resolve().parents[2]
    if not (folder / ".git").exists():
        return {}

    def ask(*arguments):
        done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    try:
        return {"commit": ask("rev-parse", "HEAD"), "modified": bool(ask("status", "--porcelain", "-uno"))}
    except (OSError, subprocess.CalledProcessError):
        return {}
