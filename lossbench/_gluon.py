"""Every private name of MXNet that lossbench uses, each behind a function that says what it is for: MXNet 1.9.1 is the
last release, and where its public names do not reach, these do. A test refuses private names of MXNet elsewhere."""

from __future__ import annotations

import ctypes
import inspect

import numpy as np

from lossbench._mxnet import mx

# What MXNet takes for the name of the type.
BFLOAT16 = np.dtype([("bfloat16", np.uint16)])


def is_numpy(x) -> bool:
    """Whether it is an array or a symbol of `mx.np`."""
    return isinstance(x, (mx.np.ndarray, mx.sym.numpy._Symbol))


def without_amp(operator):
    """An operator as it was before `mx.contrib.amp.init` let it compute in half precision."""
    while getattr(operator, "__qualname__", "").startswith("_wrap_symbol_functions."):
        operator = inspect.getclosurevars(operator).nonlocals["f"]
    return operator


def named_parameters(block) -> dict:
    """Attribute path -> Parameter of a block and its children: the names in a `.params` file."""
    return block._collect_params_with_prefix()


def own_parameters(block) -> dict:
    """Attribute -> Parameter that the block itself registered, without its children's."""
    return dict(block._reg_params)


def is_initialized(parameter) -> bool:
    return parameter._data is not None


def value(parameter):
    """A parameter's value on its first context, as an array of `mx.nd`, also under ``npx.set_np()``."""
    return parameter.list_data()[0].as_nd_ndarray()


def in_its_form(parameter, array):
    """An array of `mx.nd`, as one of `mx.np` where those of the parameter are, or will be under ``npx.set_np()``."""
    numpy = is_numpy(parameter.list_data()[0]) if is_initialized(parameter) else mx.util.is_np_array()
    return array.as_np_ndarray() if numpy else array


def set_value(parameter, array) -> None:
    """Set an initialized parameter on every context to an array of `mx.nd`."""
    parameter.set_data(in_its_form(parameter, array))


def initialize_now(parameter, shape) -> None:
    """Give an initialized parameter the shape that it waited for a first batch to learn."""
    parameter.shape = shape
    parameter._finish_deferred_init()


def is_state(parameter) -> bool:
    """Whether the network moves the parameter by itself, as batch normalization does its running statistics.

    So are constants and scheduled values, which it leaves alone.
    """
    return parameter.grad_req == "null" and not parameter._differentiable


def got_gradient(parameter) -> bool:
    """Whether a backward pass has written the gradient on every context since the last update."""
    return all(data._fresh_grad for data in parameter.list_data())


def zero_gradient(parameter, context: int) -> None:
    """Make the gradient on one context what a backward pass without images would have written."""
    parameter.list_grad()[context][:] = 0
    parameter.list_data()[context]._fresh_grad = True


def child(block, name):
    """The child of that name, None where there is none."""
    return block._children.get(name)


def replace_child(block, name, new) -> None:
    """Put a block where another has its child `name`, whatever its type."""
    block._children[name] = new
    if name in vars(block):
        object.__setattr__(block, name, new)


def hybridize_like(block, other) -> None:
    """Hybridize a block with the options that another was hybridized with, or not at all."""
    block.hybridize(other._active, **dict(other._flags))


def layer_options(layer) -> dict:
    """The arguments that a layer of Gluon hands to its operator."""
    return layer._kwargs


def named_as(name: str):
    """Class decorator: the word that the parameters' names of such a block start with, in place of its class's."""

    def decorate(cls):
        cls._alias = lambda self: name
        return cls

    return decorate


class Value(mx.init.Initializer):
    """Sets a parameter to the value that it is given."""

    def __init__(self, value):
        super().__init__()
        self.value = value

    def _init_weight(self, _, arr):
        arr[:] = self.value


def optimizer_states(trainer) -> list[dict]:
    """For each context, position of a parameter in the trainer -> what the optimizer remembers of it."""
    return [updater.states for updater in trainer._updaters]


def update_counts(trainer) -> dict:
    """Position of a parameter in the trainer -> updates done."""
    return trainer._optimizer._index_update_count


def set_optimizer_state(trainer, counts: dict, restored) -> None:
    """Set what a trainer's optimizer remembers.

    Parameters
    ----------
    counts : dict
        Position of a parameter in the trainer -> updates done; of the others, nothing is remembered.
    restored : callable
        (number of the context, position of the parameter, optimizer) -> what the optimizer remembers of it there.
    """
    optimizer = trainer._optimizer
    for context, updater in enumerate(trainer._updaters):
        optimizer._set_current_context(context)
        optimizer._index_update_count.update(counts)
        for index in counts:
            updater.states[index] = restored(context, index, optimizer)
            updater.states_synced[index] = True
    optimizer._set_current_context(0)
    optimizer.num_update = max(counts.values(), default=0)


def begin_update(optimizer, index) -> tuple:
    """Count an update of a parameter; returns its number, from 1, and the learning rate and weight decay for it."""
    optimizer._update_count(index)
    return optimizer._index_update_count[index], optimizer._get_lr(index), optimizer._get_wd(index)


def dataset_url(dataset: str, file: str) -> str:
    """Where MXNet's servers keep a file of a data set."""
    return mx.gluon.utils._get_repo_file_url(f"gluon/dataset/{dataset}", file)


def onnx_graph():
    """The class that turns a symbol into an ONNX graph, by the converters in its `registry_`: opset -> operator."""
    return mx.onnx.mx2onnx._export_onnx.MXNetGraph


def bytes_written(record_file) -> int:
    """Return how many bytes a `mx.recordio.MXRecordIO` was given; its own `tell` is of files with an index."""
    position = ctypes.c_size_t()
    mx.base.check_call(mx.base._LIB.MXRecordIOWriterTell(record_file.handle, ctypes.byref(position)))
    return position.value
