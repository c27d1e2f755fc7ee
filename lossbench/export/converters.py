"""Converters for MXNet's ONNX exporter in place of those of its own that give another network.

MXNet's exporter keeps a table of operators. What it has wrong in 1.9.1, silently unless said:

- `1 - x` and `1 / x` of a parameter become `x - 1` and `x / 1`, unless the operator's name starts as no Gluon block
  names it.
- A PReLU with a slope for each channel has one for each column, or fails in the runtime.
- Batch normalization without a scale (`fix_gamma`) is scaled by what the parameter holds.
- Arguments that are left out take other defaults: `knorm` of LRN; `flatten` of FullyConnected, which then fails.

Parameters, which are right but made by way of Python numbers, are taken as they lie in memory. The others were held
against MXNet as well, each alone: `tests/export/test_converters.py`.
"""

from __future__ import annotations

import functools

import numpy as np

from lossbench import _gluon

DEFAULTS = {"FullyConnected": {"flatten": "True"}, "LRN": {"knorm": "2"}}

OPSET = 13
"""Of the exported graphs: the last one that MXNet has converters for."""


def register() -> None:
    """Put the converters into MXNet's table, where they precede those of older opsets."""
    table = _gluon.onnx_graph().registry_
    theirs = table[OPSET - 1]
    for name, defaults in DEFAULTS.items():
        table[OPSET][name] = functools.partial(_with_defaults, theirs[name], defaults)
    table[OPSET]["null"] = functools.partial(_parameter, theirs["null"])
    table[OPSET]["_rminus_scalar"] = functools.partial(_reversed, "Sub")
    table[OPSET]["_rdiv_scalar"] = functools.partial(_reversed, "Div")
    table[OPSET]["LeakyReLU"] = functools.partial(_rectifier, theirs["LeakyReLU"])
    table[OPSET]["BatchNorm"] = functools.partial(_batch_normalization, theirs["BatchNorm"])


def _parameter(convert, node, **graph):
    from onnx import helper

    if graph["is_input"]:
        return convert(node, **graph)
    array = graph["weights"][node["name"]]
    _add(node["name"], array, graph)
    kind = helper.np_dtype_to_tensor_dtype(array.dtype)
    return [helper.make_tensor_value_info(node["name"], kind, array.shape)], (array.dtype,)


def _with_defaults(convert, defaults, node, **graph):
    return convert({**node, "attrs": {**defaults, **node.get("attrs", {})}}, **graph)


def _reversed(operator, node, **graph):
    """`number - x` or `number / x`."""
    from onnx import helper

    (x,) = _inputs(node, graph)
    number = _constant(node, "number", np.array(float(node["attrs"]["scalar"]), x.dtype), graph)
    return [helper.make_node(operator, [number, x.name], [node["name"]], name=node["name"])]


def _rectifier(convert, node, **graph):
    from onnx import helper

    if node.get("attrs", {}).get("act_type") != "prelu":
        return convert(node, **graph)
    name = node["name"]
    x, slope = (each.name for each in _inputs(node, graph))
    two, end = (_constant(node, key, np.array([value]), graph) for key, value in (("two", 2), ("end", 2**31)))
    every = _constant(node, "every", np.array([-1]), graph)
    sizes = [f"{name}_{key}" for key in ("shape", "size", "ones", "slopes", "slope")]
    return [  # the slopes become (C, 1, 1), with a 1 for each dimension of x behind its channels
        helper.make_node("Shape", [x], sizes[:1]),
        helper.make_node("Slice", [sizes[0], two, end], sizes[1:2]),
        helper.make_node("Div", [sizes[1], sizes[1]], sizes[2:3]),
        helper.make_node("Concat", [every, sizes[2]], sizes[3:4], axis=0),
        helper.make_node("Reshape", [slope, sizes[3]], sizes[4:]),
        helper.make_node("PRelu", [x, sizes[4]], [name], name=name),
    ]


def _batch_normalization(convert, node, **graph):
    nodes = convert(node, **graph)
    if node.get("attrs", {}).get("fix_gamma", "True") in ("True", "1"):
        scale = graph["weights"][nodes[0].input[1]]
        nodes[0].input[1] = _constant(node, "scale", np.ones_like(scale), graph)
    return nodes


def _inputs(node, graph) -> list:
    """What the operator reads, each with `name` and `dtype`."""
    return [graph["outputs_lookup"][place][number] for place, number, *_ in node["inputs"]]


def _constant(node, key, value, graph) -> str:
    """Add a constant of a node to the graph; returns its name."""
    name = f"{node['name']}_{key}"
    _add(name, value, graph)
    return name


def _add(name, array, graph) -> None:
    from onnx import numpy_helper

    graph["initializer"].append(numpy_helper.from_array(array, name))
