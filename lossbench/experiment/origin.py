"""What a training starts from: the parameters of another run, or of a backbone of the user's own."""

from __future__ import annotations

import pathlib

from lossbench import _gluon, checkpoint, param_names, params
from lossbench._mxnet import mx
from lossbench.errors import UserError


def take_over(model, source: str, say) -> None:
    """Set the parameters of a model that have a namesake of the same shape in `init_from`; scheduled values stay.

    Parameters
    ----------
    model : Model
    source : str
        A run folder, a checkpoint, or a `.params` file, of which the backbone alone is taken.
    say : callable
        Is told how many there were, and what was passed over.

    Raises
    ------
    ValueError
        If there is no such thing, it is damaged, or nothing in it fits the backbone.
    """
    path = pathlib.Path(source)
    if (path / "checkpoints").is_dir():
        path, arrays, _, damage = checkpoint.newest(path / "checkpoints")
        for sentence in damage:
            say(f"Passed over: {sentence}")
    elif path.is_dir():
        arrays, _ = checkpoint.load(path)
    elif path.is_file():
        arrays = {"backbone": _backbone(model.backbone, path)}
    if not path or not path.exists():
        rule = "must be a run or a checkpoint folder with a whole checkpoint, or a .params file"
        raise UserError(f"init_from: {rule}, got {source}.")
    loaded = model.load(arrays, path, partial=True)
    if not any(name.startswith("backbone.") for name in loaded):
        raise UserError(f"init_from: {path} must fit the backbone, but no parameter has the same name and shape.")
    say(f"Initialized {len(loaded)} of {len(model.parameters())} parameters from {path}.")


def _backbone(backbone, path) -> dict:
    """The arrays of a file by the backbone's own names; there, they may be Gluon's and have anything before them."""
    arrays, named = params.read(path), _gluon.named_parameters(backbone)
    of = {id(parameter): name for name, parameter in named.items()}
    collected = {name.removeprefix(backbone.prefix): of[id(p)] for name, p in backbone.collect_params().items()}
    found = [
        {own[name]: key for name, key in one.items()}
        for own in ({name: name for name in named}, collected)
        for one in param_names.alike(own, arrays)
    ]
    names = max(
        found, key=lambda one: sum(arrays[key].shape == named[name].shape for name, key in one.items()), default={}
    )
    return {name: mx.nd.array(arrays[key]) for name, key in names.items()}
