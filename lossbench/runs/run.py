"""One run folder: its files, what they say, and writing them."""

from __future__ import annotations

import contextlib
import filecmp
import functools
import io
import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lossbench import config, locking, paths, plugins
from lossbench.atomic import write_atomically, write_json
from lossbench.config import plain, yaml_file
from lossbench.errors import NotNow, UserError
from lossbench.runs import ending, reading
from lossbench.runs.environment import environment

_TEXTS = ("config.yaml", "data.json")
_STEP = re.compile(r"(?:\.replaced-)?step-(\d{8,18})")
_TEMPORARY = re.compile(r"\..+\.(\d{1,9})(\.[a-z]+)?")  # of lossbench.atomic, with the writer's process


class Run:
    """A run folder as it stands.

    What was read is kept, so make a new `Run` to look at a folder again. Nothing here needs MXNet, and no file can
    make it fail: what cannot be read is named in `problems`, and what is whole is there.

    Parameters
    ----------
    path : path
    """

    def __init__(self, path):
        self.path = Path(path)
        self.config_file = self.path / "config.yaml"
        self.checkpoints = self.path / "checkpoints"
        self.embeddings = self.path / "embeddings"
        self.evaluation = self.path / "evaluation"
        self.plots = self.path / "plots"
        self.exports = self.path / "export"
        self.problems = []
        """Sentences: what is missing or cannot be read, of what was asked for so far."""

    def require(self) -> None:
        """`UserError` where this is not a run folder."""
        if not self.config_file.is_file():
            inside = ", ".join(str(path.parent) for path in sorted(self.path.glob("*/config.yaml"))[:3])
            way_out = f"Name one of those in it: {inside}." if inside else "Name one that train.py wrote."
            raise UserError(f"run: {self.path} must be a run folder, but has no config.yaml. {way_out}")

    @property
    def is_checkpoint(self) -> bool:
        """Whether this is the folder of a checkpoint, out of its run: it has what scores other images, no more."""
        return (self.path / "checksums.json").is_file()

    @functools.cached_property
    def config(self) -> dict:
        """The resolved config as nested plain values; empty where it cannot be read."""
        return self._read("config.yaml", _config, required=True) or {}

    @functools.cached_property
    def values(self) -> dict:
        """The config's values by dotted key."""
        return plain.flat(self.config) if self.config else {}

    def value(self, key: str, default=None) -> Any:
        """Return one value of the config, such as that of `trainer.epochs`."""
        return self.values.get(key, default)

    @property
    def name(self) -> str:
        return self.value("name", "")

    @property
    def seed(self) -> int:
        return self.value("seed", 0)

    def load_config(self, overrides=()):
        """Return the validated config, for those who build models from it.

        Raises
        ------
        UserError
            This is no run folder, its config is not valid, or a plugin that it needs was not loaded.
        """
        self.require()
        loaded = {plugin.name for plugin in plugins.loaded()}
        for name in self.plugins:
            if name not in loaded:
                raise UserError(
                    f"run: {self.path} needs the plugin {name}, which was not loaded. "
                    f"Name its file: --plugin {name}.py."
                )
        return config.load(self.config_file, overrides)

    @property
    def plugins(self) -> dict:
        """Name -> SHA-256 of the plugins that the run was trained with."""
        found = self.environment.get("plugins")
        return {str(k): str(v) for k, v in found.items()} if isinstance(found, dict) else {}

    @property
    def precision(self) -> str | None:
        """`float32`, `bfloat16`, or both where it went on in the other; None where no file says it."""
        found = self.environment.get("precision")
        return found if isinstance(found, str) else None

    @property
    def threads(self) -> int | None:
        """How many computed; None where no file says it."""
        said = (str(self.environment.get(key)) for key in ("omp_num_threads", "threads"))
        return next((int(number) for number in said if number.isdecimal()), None)

    def changed_plugins(self) -> list[str]:
        """A sentence for each plugin that is not the one that the run was trained with; none before a checkpoint."""
        if not self.steps() and not self.metrics:
            return []
        return [
            f"The plugin {plugin.name} has changed since the run was trained "
            f"(SHA-256 {self.plugins[plugin.name][:12]}, now {plugin.checksum[:12]})."
            for plugin in plugins.loaded()
            if self.plugins.get(plugin.name, plugin.checksum) != plugin.checksum
        ]

    @functools.cached_property
    def history(self) -> list[dict]:
        """Rows of numbers, one an epoch."""
        return self._read("history.jsonl", reading.rows, required=True) or []

    @functools.cached_property
    def metrics(self) -> dict:
        """What was measured so far, by checkpoint (with its ``epoch`` and ``step``), split and method."""
        return self._read("metrics.json", reading.metrics) or {}

    @functools.cached_property
    def environment(self) -> dict:
        """Versions, machine and data that the run was trained with."""
        return self._read("environment.json", reading.mapping, required=True) or {}

    @functools.cached_property
    def data(self) -> dict | None:
        """What scoring other images needs of the data, as `data.rebuilt` reads it; None where no file says it."""
        return self._read("data.json", reading.mapping)

    @functools.cached_property
    def plan(self) -> dict | None:
        """What the end of the training asks for; None in a run of an earlier version, which wrote none."""
        exists = (self.path / "plan.json").exists()
        return (self._read("plan.json", reading.mapping) or {}) if exists else None

    @functools.cached_property
    def drawn(self) -> dict:
        """What came of the planned pictures: ``step`` and, of every one of ``kinds``, files or why there is none."""
        return self._read("drawn.json", reading.mapping) or {}

    @property
    def pictures(self) -> dict:
        """Name -> picture file."""
        if not self.plots.is_dir():
            return {}
        return {
            p.stem: p for p in sorted(self.plots.iterdir()) if p.suffix.lower() in (".png", ".gif") and _is_whole(p)
        }

    @property
    def checksums(self) -> dict:
        """Of the data files that the run was trained on, by name."""
        data = self.environment.get("data")
        data = data if isinstance(data, dict) else self.data or {}
        found = data.get("checksums")
        return found if isinstance(found, dict) else {}

    def read_other_files(self, other: Run) -> bool:
        """Whether the two were trained on other contents of a file; under another name, as packed, it may be alike."""
        ours, theirs = self.checksums, other.checksums
        return any(ours[name] != theirs[name] for name in ours.keys() & theirs.keys())

    def require_data(self, checksums: dict, *, whole: bool = True, accept: bool = False) -> None:
        """`UserError` where data files are not those that the run was trained on, unless that is accepted.

        Those that were not read are no matter unless the `whole` data were.
        """
        recorded = self.checksums
        read = {*checksums, *(recorded if whole else ())}
        other = sorted(name for name in read if recorded.get(name) != checksums.get(name))
        if recorded and other and not accept:
            named = ", ".join(other[:3]) + (f" and {len(other) - 3} more" if len(other) > 3 else "")
            raise UserError(
                f"run: the data of {self.path} must be those that it was trained on, got other contents of {named}. "
                "Name the folder of the original files with --data-root, or take these with --accept-changed-data."
            )

    def former_checksums(self, checksums: dict) -> list[dict]:
        """Return the checksums of the data that the run was trained on before it went on with these."""
        data = self.environment.get("data")
        former = data.get("former_checksums") if isinstance(data, dict) else None
        former = former if isinstance(former, list) else []
        return former if self.checksums in ({}, checksums) else [*former, self.checksums]

    def steps(self) -> list[Path]:
        """Return the folders of the checkpoints, oldest first; whether they are whole is not looked at."""
        if not self.checkpoints.is_dir():
            return []
        found = {}
        for path in sorted(self.checkpoints.iterdir()):  # one that was being replaced before the one in its place
            match = _STEP.fullmatch(path.name)
            if match:
                found[int(match[1])] = path
        return [found[step] for step in sorted(found)]

    @property
    def begun(self) -> Run | None:
        """What has the config of what was trained here: the run or, where its own is lost, its newest checkpoint."""
        return next((run for run in (self, *map(Run, self.steps()[::-1])) if run.config_file.exists()), None)

    def newest_state(self) -> dict:
        """Return what the newest checkpoint remembers besides arrays, unverified; empty where there is none."""
        for path in reversed(self.steps()):
            with contextlib.suppress(OSError, ValueError, RecursionError):
                return reading.mapping(path / "state.json", reading.Findings("state.json"))
        return {}

    @property
    def end(self) -> ending.End | None:
        """Where the training stands, None before the first epoch's end."""
        return ending.end(self)

    @property
    def missing(self) -> list[str]:
        """What the run still owes, in words."""
        return ending.missing(self)

    @property
    def is_finished(self) -> bool:
        """Whether the training is over and everything that the config asks for at its end is there."""
        return bool(self.values) and not self.missing

    def read_all(self) -> Run:
        """Read every file, so that `problems` is complete; returns the run."""
        _ = self.values, self.history, self.environment, self.metrics, self.data, self.plan, self.drawn
        return self

    def _read(self, name, reader, *, required=False):
        path, findings = self.path / name, reading.Findings(name)
        if not os.path.lexists(path):
            if required and not self.is_checkpoint:
                self.problems.append(f"There is no {name}.")
            return None
        try:
            return reader(path, findings)
        except (OSError, ValueError, RecursionError) as error:
            self.problems.append(f"{name} cannot be read: {' '.join(str(error).split())}")
            return None
        finally:
            self.problems += findings.sentences()

    def file(self, name: str) -> Path:
        """Return where a file of the run is written; what stands there and is no file, as a FIFO, is an `OSError`."""
        paths.require_file(self.path / name)
        return self.path / name

    def write_config(self, text: str) -> None:
        write_atomically(self.file("config.yaml"), text)
        for name in ("config", "values"):
            self.__dict__.pop(name, None)

    def write_history(self, rows: list[dict]) -> None:
        write_atomically(self.file("history.jsonl"), "".join(json.dumps(row) + "\n" for row in rows))
        self.history = rows

    def write_plan(self, measured: dict, pictures) -> None:
        """Say what the end of the training asks for: see `ending.plan`."""
        self.plan = ending.plan(measured, pictures)
        write_json(self.file("plan.json"), self.plan)

    def write_drawn(self, step: int, kinds: dict) -> None:
        """Say what came of the planned pictures."""
        self.drawn = {"step": step, "kinds": kinds}
        write_json(self.file("drawn.json"), self.drawn)

    def write_environment(self, **more) -> None:
        """`environment.json`: versions, processor, the checkout's git state, and what is handed in."""
        self.environment = {**environment(), **more}
        write_json(self.file("environment.json"), self.environment)

    def write_data(self, description: dict) -> None:
        """`data.json`: names, form and normalization of the data, as `data.Dataset.describe` gives them."""
        self.data = description
        write_json(self.file("data.json"), description)

    def texts(self) -> dict:
        """Name -> content of the files that make a folder a run: a checkpoint that holds them can be opened alone."""
        return {name: (self.path / name).read_text("utf-8") for name in _TEXTS}

    def unlike_kept(self) -> list[Path]:
        """The copies in the newest checkpoint of what the run has otherwise: one of the two may be damaged."""
        pairs = [(self.path / name, step / name) for step in self.steps()[-1:] for name in _TEXTS]
        return [
            kept for here, kept in pairs if kept.is_file() and not (here.is_file() and filecmp.cmp(here, kept, False))
        ]

    def write_embeddings(self, epoch: int, arrays: dict) -> None:
        """`embeddings/epoch-<epoch>.npz`."""
        self.embeddings.mkdir(exist_ok=True)
        write_arrays(self.file(f"embeddings/epoch-{epoch}.npz"), arrays)

    def evaluation_of(self, checkpoint: str, epoch: int, step: int) -> Evaluation:
        """Return where the values of one checkpoint go."""
        return Evaluation(self, checkpoint, epoch, step)

    def forget_measured(self) -> None:
        """Drop what was measured and drawn at the end, so that it is made anew."""
        with self._alone():
            write_json(self.file("metrics.json"), {})
        (self.path / "drawn.json").unlink(missing_ok=True)
        self.metrics, self.drawn = {}, {}

    @contextlib.contextmanager
    def _alone(self):
        """Wait for other processes that merge into `metrics.json`; needs no file of its own."""
        handle = os.open(self.path, os.O_RDONLY)
        try:
            locking.lock(handle, self.path, wait=True)
            yield
        finally:
            os.close(handle)

    @contextlib.contextmanager
    def locked(self):
        """Hold the folder against a second training in it; the lock ends with the process, however that ends."""
        self.path.mkdir(parents=True, exist_ok=True)
        with open(self.file(".lock"), "w") as file:
            if not locking.lock(file, self.path, wait=False):
                raise NotNow(
                    f"run: {self.path} must not be in use, but another process trains in it. "
                    "Wait for it, or choose another folder."
                )
            yield

    @property
    def is_locked(self) -> bool:
        """Whether a process trains in the folder just now."""
        path = self.path / ".lock"
        if not path.is_file():
            return False
        with open(path) as file:
            return not locking.lock(file, self.path, wait=False)

    @property
    def size(self) -> int:
        """Bytes of all its files; those that a training removes meanwhile are not counted."""
        total = 0
        for folder, _, names in os.walk(self.path):
            for name in names:
                with contextlib.suppress(FileNotFoundError):
                    total += os.lstat(os.path.join(folder, name)).st_size
        return total

    def temporary(self) -> list[Path]:
        """Return what killed writers left half-made; files of processes that live are theirs."""
        found = []
        for folder in (self.path, self.embeddings, self.evaluation, self.plots, self.exports):
            for path in sorted(folder.glob(".*")) if folder.is_dir() else ():
                writer = _TEMPORARY.fullmatch(path.name)
                if writer and path.is_file() and not _lives(int(writer[1])):
                    found.append(path)
        return found

    def remove_temporary(self) -> None:
        for path in self.temporary():
            path.unlink(missing_ok=True)


def _is_reason(value):
    """Whether nothing was measured, by no metric."""
    return isinstance(value, dict) and ("unavailable" in value or bool(value) and all(map(_is_reason, value.values())))


@dataclass(frozen=True)
class Evaluation:
    """Writes what is measured of one checkpoint into its run folder, as soon as it is known."""

    run: Run
    checkpoint: str
    epoch: int
    step: int

    def values(self, split: str, measured: dict) -> None:
        """Add values to `metrics.json`; those of another step under the same name are outdated and dropped.

        Why something could not be measured takes the place of no value that was.
        """
        run = self.run
        with run._alone():
            metrics = Run(run.path).metrics
            entry = metrics.get(self.checkpoint, {})
            if entry.get("step") != self.step:
                entry = {"epoch": self.epoch, "step": self.step}
            before = entry.get(split)
            before = before if isinstance(before, dict) else {}
            lost = {
                key for key, value in measured.items() if _is_reason(value) and not _is_reason(before.get(key, value))
            }
            entry[split] = {**before, **{key: value for key, value in measured.items() if key not in lost}}
            run.metrics = {**metrics, self.checkpoint: entry}
            write_json(run.file("metrics.json"), run.metrics)

    def arrays(self, split: str, method: str, arrays: dict) -> str:
        """Write `evaluation/<checkpoint>-<split>-<method>.npz`; returns its path within the run folder."""
        place = self._place(split, method)
        self.run.evaluation.mkdir(exist_ok=True)
        write_arrays(self.run.file(place), {"epoch": self.epoch, "step": self.step, **arrays})
        return place

    def _place(self, split, method):
        return f"evaluation/{self.checkpoint}-{split}-{method}.npz"

    def take_over(self, other: Evaluation, wanted: dict) -> None:
        """Repeat those values and arrays, split -> keys, of the same step that another checkpoint has."""
        for split, keys in wanted.items():
            there = self.run.metrics[other.checkpoint].get(split, {})
            measured = {key: there[key] for key in keys if key in there}
            for key, value in measured.items():
                source, place = self.run.path / other._place(split, key), self._place(split, key)
                if source.is_file():
                    write_atomically(self.run.file(place), source.read_bytes())
                if isinstance(value, dict) and "arrays" in value:
                    measured[key] = {**value, "arrays": place}
            self.values(split, measured)


def write_arrays(path, arrays: dict) -> None:
    """Write a compressed NumPy archive, whole or not at all."""
    import numpy as np

    content = io.BytesIO()
    np.savez_compressed(content, **arrays)
    write_atomically(path, content.getvalue())


def _config(path, findings):
    """The config, of whose values those must be right that every reader relies on."""
    value = yaml_file.read(path)
    named = plain.flat(value)
    for key in ("name", "data.source"):
        if not isinstance(named.get(key), str):
            raise UserError(f"{key} must be text, got {named.get(key)!r:.60}.")
    for key in ("seed", "trainer.epochs"):
        if not reading.is_count(named.get(key)):
            raise UserError(f"{key} must be a whole number, got {named.get(key)!r:.60}.")
    return value


def _is_whole(path) -> bool:
    return not path.name.startswith(".")


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass
    return True
