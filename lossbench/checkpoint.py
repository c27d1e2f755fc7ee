"""A run folder's state: written whole or not at all, verified on reading, never a pickle.

A checkpoint is the folder `checkpoints/step-<8 digits>`: NDArray `.params` files that `load_parameters` of a user's own
block reads too, `state.json`, and `checksums.json` over both. It is made under another name, synced to the disk and
renamed, so that a run killed at any moment leaves either the whole checkpoint or none.
"""

from __future__ import annotations

import hashlib
import json
import os
import pathlib
import re
import shutil

import numpy as np

from lossbench import atomic
from lossbench._mxnet import mx
from lossbench.errors import UserError

FORMAT = 1
_STEP = re.compile(r"step-(\d{8,})")


class Damaged(UserError):
    """A checkpoint that is incomplete or whose files are not what was written."""


def _checksum(path) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()


def save(folder, step: int, arrays: dict, state: dict) -> pathlib.Path:
    """Write one checkpoint.

    Parameters
    ----------
    folder : path
        The run's `checkpoints` folder.
    step : int
        Updates done; names the checkpoint. One of the same step is replaced.
    arrays : dict of str to dict of str to NDArray
        File stem -> name -> array, such as `{"backbone": {...}, "head": {...}, "optimizer": {...}}`.
    state : dict
        What else the run remembers, as JSON.

    Returns
    -------
    path
        The checkpoint's folder.

    Raises
    ------
    FloatingPointError
        A parameter is not finite: nothing is written from bad values.
    OSError
        The disk is full or the folder cannot be written; what was there before is untouched.
    """
    for stem, named in arrays.items():
        for name, array in named.items():
            if not np.isfinite(array.asnumpy()).all():
                raise FloatingPointError(f"checkpoint: {stem}.{name} must be finite to be saved, got nan or inf.")
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    final, partial = folder / f"step-{step:08d}", folder / f".partial-{os.getpid()}"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    try:
        for stem, named in arrays.items():
            _save_arrays(partial / f"{stem}.params", named)
        atomic.write_json(partial / "state.json", dict(state, format=FORMAT, step=step))
        atomic.write_json(partial / "checksums.json", {p.name: _checksum(p) for p in sorted(partial.iterdir())})
        atomic.sync_folder(partial)
        if final.exists():
            shutil.rmtree(final)
        os.replace(partial, final)
        atomic.sync_folder(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return final


def _save_arrays(path, named) -> None:
    """MXNet's writer does not notice a full disk: sync the file, read it back and compare."""
    try:
        mx.nd.save(str(path), named)
        with open(path, "rb+") as file:
            os.fsync(file.fileno())
        written = mx.nd.load(str(path)) if named else {}
    except mx.MXNetError as error:
        raise OSError(f"checkpoint: {path} could not be written in full. Is the disk full?") from error
    for name, array in named.items():
        if name not in written or not np.array_equal(written[name].asnumpy(), array.asnumpy()):
            raise OSError(f"checkpoint: {path} could not be written in full. Is the disk full?")


def steps(folder) -> list[pathlib.Path]:
    """The checkpoints of a folder by name, oldest first; whether they are whole is not looked at."""
    folder = pathlib.Path(folder)
    if not folder.is_dir():
        return []
    found = [(int(_STEP.fullmatch(p.name)[1]), p) for p in folder.iterdir() if _STEP.fullmatch(p.name)]
    return [path for _, path in sorted(found)]


def load(path) -> tuple[dict, dict]:
    """Read and verify one checkpoint.

    Returns
    -------
    arrays, state
        As they were given to `save`.

    Raises
    ------
    Damaged
        A file is missing, truncated or changed; the message names it.
    """
    path = pathlib.Path(path)
    try:
        checksums = json.loads((path / "checksums.json").read_text())
        for name, expected in {"state.json": None, **checksums}.items():
            if _checksum(path / name) != expected:
                raise Damaged(f"checkpoint {path}: {name} must have the checksum it was written with.")
        state = json.loads((path / "state.json").read_text())
    except FileNotFoundError as error:
        raise Damaged(f"checkpoint {path}: {pathlib.Path(error.filename).name} is missing.") from error
    except (json.JSONDecodeError, UnicodeDecodeError, TypeError) as error:
        raise Damaged(f"checkpoint {path}: checksums.json must be the JSON it was written as.") from error
    if state["format"] != FORMAT:
        raise Damaged(
            f"checkpoint {path}: format must be {FORMAT}, got {state['format']}. Use the version that wrote it."
        )
    files = [name for name in checksums if name.endswith(".params")]
    arrays = {name[: -len(".params")]: mx.nd.load(str(path / name)) for name in files}
    return {stem: named if isinstance(named, dict) else {} for stem, named in arrays.items()}, state


def newest(folder) -> tuple:
    """The newest whole checkpoint.

    Returns
    -------
    path, arrays, state, damage
        `path` is None where there is no usable one; `damage` lists a sentence for each newer one that was passed over.
    """
    damage = []
    for path in reversed(steps(folder)):
        try:
            arrays, state = load(path)
            return path, arrays, state, damage
        except Damaged as error:
            damage.append(str(error))
    return None, None, None, damage


def prune(folder, keep: int, best_step=None) -> None:
    """Remove all but the newest `keep` checkpoints and the one of `best_step`, and what a killed run left half-made."""
    folder = pathlib.Path(folder)
    paths = steps(folder)
    best = f"step-{best_step:08d}" if best_step is not None else None
    for path in paths[: max(0, len(paths) - keep)]:
        if path.name != best:
            shutil.rmtree(path)
    for path in folder.glob(".partial-*"):
        shutil.rmtree(path, ignore_errors=True)
