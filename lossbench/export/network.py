"""A trained network as one graph: image in, one output, the normalization inside where it is asked for."""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np

from lossbench._mxnet import mx
from lossbench.errors import UserError

INPUT = "image"


@dataclass(frozen=True)
class Network:
    """A graph with its parameters.

    Parameters
    ----------
    symbol : Symbol
        With the input `image` and one output.
    arrays : dict of str to ndarray
        Parameters and running statistics by their names in the symbol.
    image_shape, output_shape : tuple of int
        Without the batch.
    input : str
        One of `lossbench.export.INPUTS`.
    output : str
        One of `lossbench.export.OUTPUTS`, the name of the output.
    """

    symbol: object
    arrays: dict
    image_shape: tuple
    output_shape: tuple
    input: str
    output: str

    @property
    def input_type(self):
        """NumPy's type of the images."""
        return np.dtype("uint8" if self.input == "uint8" else "float32")

    def nodes(self) -> list:
        """The operators and inputs of the graph in the order of computation, as MXNet writes them."""
        return json.loads(self.symbol.tojson())["nodes"]


def traced(backbone, head, *, image_shape, mean, std, input, output) -> Network:
    """Make a graph of a trained backbone and head.

    Parameters
    ----------
    backbone, head : HybridBlock
        Initialized; `head.predict` maps an embedding (B, D) to logits (B, C).
    image_shape : tuple of int
        (channels, height, width).
    mean, std : sequence of float
        Per channel, of pixels in [0, 1].
    input, output : str
        See `lossbench.export.INPUTS` and `OUTPUTS`.

    Raises
    ------
    ValueError
        If the head's scores are no densities but one is asked for, or a block is not made of operators alone.
    """
    if output == "log_density" and head.metric != "density":
        raise UserError(
            f"export: `output` must be embedding or logits for {type(head).__name__}, got log_density. "
            "Only heads whose scores are log densities have one, such as lgm."
        )
    try:
        result, constants = _graph(backbone, head, mean, std, input, output)
        shapes = {INPUT: (1, *image_shape)}
        (output_shape,) = result.infer_shape(**shapes)[1]
    except Exception as error:  # whatever a block of the user's own raises where it is given no array
        raise UserError(
            "export: the network must be made of MXNet's operators alone, so that it is one graph, got "
            f"{type(error).__name__}: {' '.join(str(error).split())[:200]}. In hybrid_forward, neither look at shapes "
            "or values nor call NumPy."
        ) from error
    parameters = {**backbone.collect_params(), **head.collect_params()}
    arrays = {
        name: constants[name] if name in constants else parameters[name].list_data()[0].asnumpy()
        for name in result.list_inputs()
        if name != INPUT
    }
    return Network(result, arrays, tuple(image_shape), tuple(output_shape[1:]), input, output)


def _graph(backbone, head, mean, std, input, output):
    image, constants = mx.sym.var(INPUT), {}
    if input != "normalized":
        # One product and one difference, rounded as in `inference.outputs`.
        mean, std = (np.asarray(value, np.float64).reshape(1, -1, 1, 1) for value in (mean, std))
        constants = {
            "image_factor": (1 / (255 * std)).astype(np.float32),
            "image_offset": (mean / std).astype(np.float32),
        }
        factor, offset = (mx.sym.var(name, shape=array.shape) for name, array in constants.items())
        image = mx.sym.broadcast_mul(mx.sym.cast(image, dtype="float32"), factor)
        image = mx.sym.broadcast_sub(image, offset)
    result = backbone(image)
    if output != "embedding":
        result = head.predict(result)
    if output == "log_density":
        result = mx.sym.max(result, axis=1)
    return mx.sym.identity(result, name=output), constants
