"""A run folder's state: written whole or not at all, verified on reading, never a pickle.

A checkpoint is the folder `checkpoints/step-<8 digits>`: NDArray `.params` files that `load_parameters` of a user's own
block reads too, `state.json`, the texts that prediction needs beside them, and `checksums.json` over all. It is made
under another name, synced to the disk and renamed, so that a run killed at any moment leaves either the whole
checkpoint or none. One that is replaced is renamed to `.replaced-step-<8 digits>` before, and counts until the new one
stands.

Files are read and written by `lossbench.params`, not by MXNet: a crafted one is an error, not the end of the process.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
import pathlib
import re
import shutil

import numpy as np

from lossbench import atomic, params, paths
from lossbench._mxnet import mx
from lossbench.errors import UserError

FORMAT = 1
MOST_JSON_BYTES = 1 << 24
_STEP = re.compile(r"(\.replaced-)?step-([0-9]{8,})")


class Damaged(UserError):
    """A checkpoint that this version cannot use: incomplete, or its files are not what was written."""


class NewerFormat(Damaged):
    """An intact checkpoint that a newer version wrote: read by that version, and touched by no other."""


def _checksum(path) -> str:
    digest = hashlib.sha256()
    with paths.open_regular(path) as file, paths.naming(path):
        for block in iter(lambda: file.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()


def save(folder, step: int, arrays: dict, state: dict, texts: dict | None = None) -> pathlib.Path:
    """Write one checkpoint.

    Parameters
    ----------
    folder : path
        The run's `checkpoints` folder.
    step : int
        Updates done; names the checkpoint. One of the same step is replaced, or left as it is where it holds the same.
    arrays : dict of str to dict of str to NDArray
        File stem -> name -> array, such as `{"backbone": {...}, "head": {...}, "optimizer": {...}}`.
    state : dict
        What else the run remembers, as JSON.
    texts : dict of str to str, optional
        Files of the run that are copied into the checkpoint, by name.

    Returns
    -------
    path
        The checkpoint's folder.

    Raises
    ------
    FloatingPointError
        A parameter is not finite: nothing is written from bad values.
    NewerFormat
        A newer version's checkpoint of this step stands there.
    OSError
        The disk is full or the folder cannot be written; what was there before is untouched.
    """
    plain = {stem: {name: array.asnumpy() for name, array in named.items()} for stem, named in arrays.items()}
    for stem, named in plain.items():
        for name, array in named.items():
            if not np.isfinite(array).all():
                raise FloatingPointError(f"checkpoint: {stem}.{name} must be finite to be saved, got nan or inf.")
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    final, partial = folder / f"step-{step:08d}", folder / f".partial-{os.getpid()}"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    try:
        for stem, named in plain.items():
            params.write(partial / f"{stem}.params", named)
        for name, text in (texts or {}).items():
            atomic.write_atomically(partial / name, text)
        atomic.write_json(partial / "state.json", dict(state, format=FORMAT, step=step))
        checksums = {p.name: _checksum(p) for p in sorted(partial.iterdir())}
        atomic.write_json(partial / "checksums.json", checksums)
        atomic.sync_folder(partial)
        _put(partial, final, checksums)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return final


def _put(partial, final, checksums):
    """Rename a checkpoint to its place; whatever moment a kill picks, the old one or the new one is there."""
    if os.path.lexists(final):
        try:
            if _verify(final)[0] == checksums:
                return
        except NewerFormat:
            raise
        except Damaged:
            pass
        aside = final.with_name(f".replaced-{final.name}")
        _remove(aside)
        os.replace(final, aside)
    os.replace(partial, final)
    atomic.sync_folder(final.parent)
    _remove(final.with_name(f".replaced-{final.name}"))


def _remove(path):
    """Remove a folder with all in it, or whatever else stands there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def steps(folder) -> list[pathlib.Path]:
    """The checkpoints of a folder by name, oldest first; whether they are whole is not looked at."""
    folder = pathlib.Path(folder)
    if not folder.is_dir():
        return []
    found = {}
    for path in sorted(folder.iterdir()):  # a replaced one before the one that takes its place
        match = _STEP.fullmatch(path.name)
        if match:
            found[int(match[2])] = path
    return [found[step] for step in sorted(found)]


def of_step(folder, step: int) -> pathlib.Path:
    """Where the checkpoint of a step is, or would be."""
    path = pathlib.Path(folder, f"step-{step:08d}")
    return next((found for found in steps(folder) if _step(found) == step), path)


def _step(path) -> int:
    return int(_STEP.fullmatch(path.name)[2])


def load(path) -> tuple[dict, dict]:
    """Read and verify one checkpoint.

    Returns
    -------
    arrays, state
        As they were given to `save`.

    Raises
    ------
    Damaged
        A file is missing, truncated, changed, unreadable or of another form; the message names it.
    NewerFormat
        A newer version wrote it.
    """
    path = pathlib.Path(path)
    checksums, state = _verify(path)
    arrays = {}
    for name in checksums:
        if name.endswith(".params"):
            with _damage_of(path, name):
                arrays[name[: -len(".params")]] = _finite(params.read(path / name))
    return arrays, state


def _finite(named) -> dict:
    for name, array in named.items():
        if not np.isfinite(array).all():
            raise params.Malformed(f"{name} must be finite, got nan or inf.")
    return {name: mx.nd.array(array, dtype=array.dtype.type) for name, array in named.items()}


def _verify(path) -> tuple[dict, dict]:
    """The checksums and the state of a checkpoint whose files are those that were written, of this format."""
    with _damage_of(path, "checksums.json"):
        checksums = _json(path / "checksums.json")
        for name in checksums:
            if name != os.path.basename(name):
                raise ValueError
    for name, expected in {"state.json": None, **checksums}.items():
        with _damage_of(path, name):
            found = _checksum(path / name)
        if found != expected:
            raise Damaged(f"checkpoint {path}: {name} must have the checksum it was written with.")
    with _damage_of(path, "state.json"):
        state = _json(path / "state.json")
        version, step = state.get("format"), state.get("step")
    if isinstance(version, int) and version > FORMAT:
        raise NewerFormat(
            f"checkpoint {path}: format must be {FORMAT}, got {version}. Use the version that wrote it, "
            "or another folder."
        )
    if version != FORMAT:
        raise Damaged(f"checkpoint {path}: format must be {FORMAT}, got {version}. Use the version that wrote it.")
    if not isinstance(step, int) or (_STEP.fullmatch(path.name) and step != _step(path)):
        raise Damaged(f"checkpoint {path}: step in state.json must be the folder's, got {step}.")
    return checksums, state


@contextlib.contextmanager
def _damage_of(path, name):
    """Turn whatever keeps a file of a checkpoint from being read into `Damaged`."""
    try:
        yield
    except FileNotFoundError as error:
        raise Damaged(f"checkpoint {path}: {name} is missing.") from error
    except OSError as error:
        raise Damaged(f"checkpoint {path}: {name} must be a readable file, got: {error.strerror}.") from error
    except params.Malformed as error:
        raise Damaged(f"checkpoint {path}: {name} must hold arrays. {error}") from error
    except (ValueError, RecursionError) as error:  # ValueError: also of decoding, and of numbers of 5,000 digits
        raise Damaged(f"checkpoint {path}: {name} must be the JSON it was written as.") from error


def _json(path) -> dict:
    with paths.open_regular(path) as file, paths.naming(path):
        content = file.read(MOST_JSON_BYTES + 1)
    value = json.loads(content) if len(content) <= MOST_JSON_BYTES else None
    if not isinstance(value, dict):
        raise ValueError
    return value


def newest(folder, accepts=None) -> tuple:
    """The newest usable checkpoint.

    Parameters
    ----------
    folder : path
    accepts : callable, optional
        `accepts(path, arrays, state)` raises a `UserError` where a whole checkpoint does not fit: it is passed over.

    Returns
    -------
    path, arrays, state, damage
        `path` is None where there is no usable one; `damage` lists a sentence for each newer one that was passed over.

    Raises
    ------
    NewerFormat
        An intact checkpoint of a newer version comes first: to go on from an older one would lose what it did.
    """
    damage = []
    for path in reversed(steps(folder)):
        try:
            arrays, state = load(path)
            if accepts:
                accepts(path, arrays, state)
            return path, arrays, state, damage
        except NewerFormat:
            raise
        except UserError as error:
            damage.append(str(error))
    return None, None, None, damage


def prune(folder, keep: int, best_step=None, step=None) -> None:
    """Remove old checkpoints: usable ones that are neither among the newest `keep` nor of `best_step`.

    One that is damaged or of another format is left alone and counts for nothing, and so does what lies beyond `step`,
    the step of the run. What a killed run left half-made goes too.
    """
    folder = pathlib.Path(folder)
    usable = [path for path in steps(folder) if (step is None or _step(path) <= step) and _is_usable(path)]
    for path in usable[: max(0, len(usable) - keep)]:
        if _step(path) != best_step:
            gone = path.with_name(f".partial-{path.name}")
            _remove(gone)
            path.rename(gone)  # a kill while it is removed leaves nothing that looks like a checkpoint
            _remove(gone)
    replaced = {path.with_name(f".replaced-{path.name}") for path in usable}
    for path in [*folder.glob(".partial-*"), *replaced]:
        shutil.rmtree(path, ignore_errors=True)


def _is_usable(path) -> bool:
    try:
        written = os.stat(path / "checksums.json")
    except OSError:
        return False
    return _was_usable(path, written.st_ino, written.st_mtime_ns)


@functools.lru_cache(maxsize=1024)
def _was_usable(path, inode, time) -> bool:
    """Whether a checkpoint was whole when this process first looked: `prune` need not read all of them every time."""
    try:
        _verify(path)
    except UserError:
        return False
    return True
