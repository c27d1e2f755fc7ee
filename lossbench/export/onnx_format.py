"""ONNX: a graph converted by MXNet's exporter with right converters, and run by onnxruntime."""

from __future__ import annotations

import contextlib
import json
import warnings
from dataclasses import replace

from lossbench import _gluon
from lossbench._mxnet import mx
from lossbench.errors import UserError
from lossbench.export import converters, symbol_format
from lossbench.export.comparison import difference
from lossbench.export.network import INPUT

KEY = "lossbench"
"""Of the metadata in the file, a JSON text."""
MOST_BYTES = 2**31 - 1
"""Of an ONNX file, which is one message of protobuf."""
WAY_OUT = "Write that layer with other operators, or export with --format symbol."


def files(network, metadata: dict, path) -> dict:
    """Convert a network.

    Parameters
    ----------
    network : Network
    metadata : dict
        Plain values, which go into the file.
    path : path
        The file to be.

    Returns
    -------
    dict of path to bytes
        What is to be written where.

    Raises
    ------
    ValueError
        If onnx is not installed, an operator cannot be converted, or the parameters are too many for such a file.
    """
    size = sum(array.nbytes for array in network.arrays.values())
    if size > MOST_BYTES:
        raise UserError(
            f"export: an ONNX file must hold less than 2 GiB of parameters, got {size / 2**30:.1f}. Export the "
            "embedding alone, or with --format symbol."
        )
    onnx = _libraries()[0]
    converters.register()
    kind = onnx.helper.np_dtype_to_tensor_dtype(network.input_type)
    parameters = {name: mx.nd.array(array, dtype=array.dtype) for name, array in network.arrays.items()}
    try:
        with _at_opset(onnx):
            graph = _gluon.onnx_graph()().create_onnx_graph_proto(
                network.symbol,
                parameters,
                [(1, *network.image_shape)],
                [kind],
                opset_version=converters.OPSET,
                dynamic=True,
                dynamic_input_shapes=[("batch", *network.image_shape)],
            )
    except Exception as error:  # whatever a converter raises
        raise UserError(
            "export: the network must be made of operators that MXNet's ONNX exporter has converters for, got "
            f"{type(error).__name__}: {_line(error)}. {WAY_OUT}"
        ) from error
    # The exporter lists parameters among the inputs, so that a runtime may not fold them, and leaves those that it
    # folded itself.
    _keep(graph.input, {INPUT})
    _keep(graph.initializer, {name for node in graph.node for name in node.input})
    form = ("batch", *network.output_shape)
    graph.output[0].CopyFrom(onnx.helper.make_tensor_value_info(network.output, onnx.TensorProto.FLOAT, form))
    opset = onnx.helper.make_opsetid("", converters.OPSET)
    model = onnx.helper.make_model(graph, opset_imports=[opset], producer_name=KEY, producer_version=metadata[KEY])
    model.ir_version = onnx.helper.find_min_ir_version_for([opset])
    onnx.helper.set_model_props(model, {KEY: json.dumps(metadata, ensure_ascii=False)})
    return {path: model.SerializeToString()}


def runner(written: dict):
    """Return the function from images to the output that the files compute, by onnxruntime."""
    runtime = _libraries()[1]
    (content,) = written.values()
    try:
        session = _session(runtime, content)
    except Exception as error:  # onnxruntime's own classes
        raise _not_run(error) from error

    def run(images):
        try:
            return session.run(None, {INPUT: images})[0]
        except Exception as error:
            raise _not_run(error) from error

    return run


def first_difference(network, written: dict, images):
    """Return the first operator whose numbers are not MXNet's, as `LRN (lrn0)`; None where none can be told.

    Parameters
    ----------
    network : Network
    written : dict
        Of `files`.
    images : ndarray
        What the network is fed.
    """
    onnx, runtime = _libraries()
    model = onnx.load_from_string(next(iter(written.values())))
    converted = {name for node in model.graph.node for name in node.output} - {network.output}
    internals, nodes = network.symbol.get_internals(), network.nodes()
    outputs = set(internals.list_outputs())
    watched = [node for node in nodes if node["name"] in converted and f"{node['name']}_output" in outputs]
    names = [node["name"] for node in watched]
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    symbol = mx.sym.Group([*(internals[f"{name}_output"] for name in names), network.symbol])
    block = symbol_format.imported(symbol_format.files(replace(network, symbol=symbol), {}, ""))
    expected = dict(zip(names, (one.asnumpy() for one in block(mx.nd.array(images, dtype=images.dtype)))))
    found = dict(zip(names, _session(runtime, model.SerializeToString()).run(names, {INPUT: images})))
    known = {**network.arrays, INPUT: images, **expected}
    for node in watched:
        name = node["name"]
        # Of a difference of large numbers, rounding leaves as much as theirs.
        read = [known[nodes[place]["name"]] for place, *_ in node["inputs"] if nodes[place]["name"] in known]
        if not difference(found[name], expected[name], [expected[name], *read]).is_small:
            return f"{node['op']} ({name})"
    return None


def _keep(entries, names) -> None:
    for place in reversed(range(len(entries))):
        if entries[place].name not in names:
            del entries[place]


def _libraries():
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import onnx
            import onnxruntime
            from onnx import mapping  # noqa: F401  (MXNet's exporter reads it, and onnx 1.19 has it no more)
    except ImportError as error:
        raise UserError(
            f"export: onnx 1.16 to 1.18 and onnxruntime must be installed, got ImportError ({_line(error)}). "
            "Run: pip install 'onnx>=1.16,<1.19' onnxruntime, or export with --format symbol."
        ) from error
    return onnx, onnxruntime


@contextlib.contextmanager
def _at_opset(onnx):
    """Have MXNet's exporter check the graph by the rules of its own opset, without what onnx says of old names."""
    context = onnx.checker.DEFAULT_CONTEXT
    before = dict(context.opset_imports)
    context.opset_imports = {"": converters.OPSET}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        context.opset_imports = before


def _session(runtime, content):
    options = runtime.SessionOptions()
    options.log_severity_level = 4
    return runtime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def _not_run(error):
    return UserError(f"export: the ONNX graph must run in onnxruntime, got {_line(error)}. {WAY_OUT}")


def _line(error) -> str:
    return " ".join(str(error).split())[:200].rstrip(".")
