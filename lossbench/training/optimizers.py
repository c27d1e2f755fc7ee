"""Parameter groups, each with its own optimizer, rate, multipliers, clipping and schedule, over `gluon.Trainer`.

`gluon.Trainer` knows one optimizer; a head's means, a variance or the centers of the center loss want others. A group's
state leaves and enters as plain arrays: `gluon.Trainer.save_states` would write a pickle.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, field

from lossbench import _gluon, patterns
from lossbench._mxnet import mx
from lossbench.errors import UserError
from lossbench.training.adamw import AdamW

_CLASSES = {"nag": mx.optimizer.NAG, "sgd": mx.optimizer.SGD, "adam": mx.optimizer.Adam, "adamw": AdamW}
_ADAM = ("beta1", "beta2", "epsilon")
_OPTIONS = {"nag": ("momentum",), "sgd": ("momentum",), "adam": _ADAM, "adamw": _ADAM}
_SHARED = ("optimizer", "learning_rate", "weight_decay", "lr_mult", "wd_mult", "clip_global_norm", "schedule")
_KEYS = {"name", "pattern", *_SHARED, *(option for options in _OPTIONS.values() for option in options)}


@dataclass
class Group:
    """The parameters that share one optimizer.

    Parameters
    ----------
    name : str
        Unique among the groups of a run; part of the names in the checkpoint.
    parameters : dict of str to Parameter
        By the names that patterns see: `backbone.…`, `head.…`, `regularizers.<name>.…`.
    optimizer : str
        nag, sgd, adam or adamw.
    options : dict
        Further arguments of that optimizer (momentum, or beta1, beta2, epsilon).
    learning_rate, weight_decay : float
        With the group's multipliers applied; a parameter's own `lr_mult` and `wd_mult` still multiply them.
    schedule : bool
        Whether the learning rate follows the schedule or stays constant.
    clip_global_norm : float, optional
        Largest Euclidean norm of the group's gradient, taken of the mean over the batch.
    """

    name: str
    parameters: dict
    optimizer: str
    learning_rate: float
    weight_decay: float
    schedule: bool = True
    clip_global_norm: float | None = None
    options: dict = field(default_factory=dict)

    def describe(self) -> list[str]:
        """Lines for `--show`: the group, then each of its parameters, with its multipliers where they are not 1."""
        options = "".join(f", {key} {value:g}" for key, value in self.options.items())
        clip = f", clipped to {self.clip_global_norm:g}" if self.clip_global_norm else ""
        rate = f"learning_rate {self.learning_rate:g} ({'scheduled' if self.schedule else 'constant'})"
        lines = [f"{self.name}: {self.optimizer}, {rate}, weight_decay {self.weight_decay:g}{options}{clip}"]
        for name, p in self.parameters.items():
            own = f" (lr_mult {p.lr_mult:g}, wd_mult {p.wd_mult:g})" if (p.lr_mult, p.wd_mult) != (1.0, 1.0) else ""
            lines.append(f"  {name}{own}")
        return lines


def split(parameters: dict, *, name: str, groups=(), declared=(), **values) -> list[Group]:
    """Give every trainable parameter to the first group whose pattern is found in its name.

    Parameters
    ----------
    parameters : dict of str to Parameter
        All parameters of a model; those with `grad_req="null"` are left out.
    name : str
        The main optimizer: nag, sgd, adam or adamw.
    groups : iterable of dict
        `name`, `pattern`, and what differs from the main optimizer: `optimizer`, `learning_rate`, `weight_decay`,
        `lr_mult`, `wd_mult`, `clip_global_norm`, `schedule` and the options of the optimizer; None is left to it.
    declared : iterable of dict
        What the blocks themselves ask for (`default_groups()`), in the same form. They follow `groups`, so that a
        config can overrule a block.
    values
        `learning_rate`, `weight_decay`, `clip_global_norm` and the options of the main optimizer.

    Returns
    -------
    list of Group
        Only groups that hold a parameter; the rest of the parameters is in the one named `default`.

    Raises
    ------
    ValueError
        One of `groups` matches no parameter (declared groups may).
    """
    trainable = {name: p for name, p in parameters.items() if p.grad_req != "null"}
    main = {"optimizer": name, "weight_decay": 0.0, **values}
    wanted = [(group, True) for group in groups] + [(group, False) for group in declared]
    found, taken = [], {}
    for fields, must_match in wanted:
        where = f"optimizer: group {fields['name']}"
        left = [name for name in trainable if name not in taken]
        matched = {name: trainable[name] for name in patterns.found(fields["pattern"], left, where)}
        if must_match and not matched:
            raise UserError(
                f"{where}: pattern must match a trainable parameter that no earlier group "
                f"took, got {fields['pattern']!r}. Names are: {', '.join(trainable)}."
            )
        taken.update(matched)
        if matched:
            found.append(_group(fields["name"], matched, main, fields))
    rest = {name: p for name, p in trainable.items() if name not in taken}
    return ([_group("default", rest, main, {})] if rest else []) + found


def _group(name, parameters, main, fields) -> Group:
    unknown = {*main, *fields} - _KEYS
    assert not unknown, f"group {name} has unknown keys {unknown}"
    chosen = {**main, **{key: value for key, value in fields.items() if value is not None}}
    return Group(
        name=name,
        parameters=parameters,
        optimizer=chosen["optimizer"],
        learning_rate=chosen["learning_rate"] * chosen.get("lr_mult", 1.0),
        weight_decay=chosen["weight_decay"] * chosen.get("wd_mult", 1.0),
        schedule=chosen.get("schedule", True),
        clip_global_norm=chosen.get("clip_global_norm"),
        options={key: chosen[key] for key in _OPTIONS[chosen["optimizer"]] if chosen.get(key) is not None},
    )


class Optimizers:
    """The groups of a run with their `gluon.Trainer`s: one update at a time.

    Parameters
    ----------
    groups : list of Group
        From `split`; their parameters are initialized.
    devices : list of Context
        Where the parameters live; gradients are summed over them.
    whole : dict of str to Parameter, optional
        Of parameters that hold the rows of a step alone, the one with all rows, of which everything is remembered.
    """

    def __init__(self, groups: list[Group], devices: list, whole=None):
        self.groups = groups
        self._devices = len(devices)
        self._trainers = [self._trainer(group) for group in groups]
        self._remembered = {
            (name, k): trainer.optimizer.create_state_multi_precision(index, array)
            for trainer, index, name in self._places()
            if whole and name in whole
            for k, array in enumerate(whole[name].list_data())
        }

    def _places(self):
        for group, trainer in zip(self.groups, self._trainers):
            for index, name in enumerate(group.parameters):
                yield trainer, index, name

    def _trainer(self, group):
        arguments = dict(group.options, learning_rate=group.learning_rate, wd=group.weight_decay)
        optimizer = _CLASSES[group.optimizer](**arguments)
        return mx.gluon.Trainer(
            list(group.parameters.values()),
            optimizer,
            kvstore="device" if self._devices > 1 else None,
            update_on_kvstore=False if self._devices > 1 else None,
        )

    def update(self, batch_size: int, factor: float) -> None:
        """Apply the gradients, a sum over `batch_size` samples, at the learning rates times `factor`."""
        for group, trainer in zip(self.groups, self._trainers):
            trainer.set_learning_rate(group.learning_rate * (factor if group.schedule else 1.0))
            if self._devices > 1:
                trainer.allreduce_grads()
            if group.clip_global_norm:
                self._clip(group, batch_size)
            trainer.update(batch_size)

    def _clip(self, group, batch_size):
        for device in range(self._devices):
            gradients = [p.list_grad()[device] for p in group.parameters.values()]
            squares = [mx.nd.sum(mx.nd.square(gradient)) for gradient in gradients]
            norm = mx.nd.sqrt(mx.nd.add_n(*squares)) / batch_size
            scale = mx.nd.minimum(group.clip_global_norm / (norm + 1e-12), 1.0)
            for gradient in gradients:
                mx.nd.broadcast_mul(gradient, scale.reshape((1,) * gradient.ndim), out=gradient)

    def halves(self, name: str, device: int) -> list:
        """Pairs of arrays: what is remembered of all rows of a parameter on a device, and of the rows of a step."""
        whole = _as_tuple(self._remembered.get((name, device)))
        found = [(trainer, index) for trainer, index, other in self._places() if other == name and whole]
        return [
            pair
            for trainer, index in found
            for pair in zip(whole, _as_tuple(_gluon.optimizer_states(trainer)[device].get(index)))
        ]

    def state(self) -> tuple[dict, dict]:
        """Everything that the optimizers remember.

        Returns
        -------
        arrays : dict of str to NDArray
            `<group>/<parameter>/<k>`: the k-th array of that parameter's state (a momentum, Adam's two moments).
        counts : dict
            group -> parameter -> number of updates, which Adam's bias correction needs.
        """
        arrays, counts = {}, {}
        for group, trainer in zip(self.groups, self._trainers):
            states = _gluon.optimizer_states(trainer)[0]
            done = _gluon.update_counts(trainer)
            counts[group.name] = {name: done[i] for i, name in enumerate(group.parameters) if i in done}
            for i, name in enumerate(group.parameters):
                for k, array in enumerate(_as_tuple(self._remembered.get((name, 0), states.get(i)))):
                    arrays[f"{group.name}/{name}/{k}"] = array
        return arrays, counts

    def load_state(self, arrays: dict, counts: dict) -> None:
        """Restore what `state` returned; `UserError` where it does not fit these groups."""
        expected = {f"{group.name}/{name}" for group in self.groups for name in group.parameters}
        foreign = sorted({key.rpartition("/")[0] for key in arrays} - expected)
        if foreign:
            raise UserError(
                f"optimizer: state must belong to the groups {', '.join(g.name for g in self.groups)}, "
                f"got {', '.join(foreign)}. Resume with the config that the checkpoint was written with."
            )
        _require_counts(counts, self.groups)
        for group, trainer in zip(self.groups, self._trainers):
            updates = {i: counts[group.name][n] for i, n in enumerate(group.parameters) if n in counts[group.name]}
            _gluon.set_optimizer_state(trainer, updates, functools.partial(self._restored, arrays, group))

    def _restored(self, arrays, group, context, index, optimizer):
        name, parameter = list(group.parameters.items())[index]
        weight = parameter.list_data()[context]
        fresh = optimizer.create_state_multi_precision(index, weight)
        for k, array in enumerate(_as_tuple(self._remembered.get((name, context), fresh))):
            key = f"{group.name}/{name}/{k}"
            if key not in arrays or arrays[key].shape != array.shape:
                raise UserError(
                    f"optimizer: state of {name} must have the shape {array.shape} of group {group.name}, got "
                    f"{arrays[key].shape if key in arrays else 'none'}. Resume with the checkpoint's own config."
                )
            array[:] = arrays[key].as_in_context(array.context)
        return fresh


def _require_counts(counts, groups):
    known = isinstance(counts, dict) and all(isinstance(counts.get(group.name), dict) for group in groups)
    done = [count for group in groups for count in counts[group.name].values()] if known else [None]
    if not all(type(count) is int and 0 <= count < 2**31 for count in done):
        raise UserError(
            "optimizer: update counts must be numbers by parameter for the groups "
            f"{', '.join(g.name for g in groups)}, "
            f"got {str(counts)[:200]}. Resume with the checkpoint's own config."
        )


def _as_tuple(state) -> tuple:
    if state is None:
        return ()
    return tuple(state) if isinstance(state, (tuple, list)) else (state,)
