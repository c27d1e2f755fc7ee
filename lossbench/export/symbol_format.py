"""MXNet's own form: a symbol, its parameters, and metadata beside them, run by MXNet alone."""

from __future__ import annotations

import json
import tempfile
import warnings
from pathlib import Path

from lossbench import params
from lossbench._mxnet import mx
from lossbench.export.network import INPUT

SYMBOL, PARAMETERS, METADATA = "-symbol.json", "-0000.params", ".json"


def files(network, metadata: dict, path) -> dict:
    """Return what is to be written where, bytes by path; see `onnx_format.files`.

    `path` is the beginning of the names of three files.
    """
    states = set(network.symbol.list_auxiliary_states())
    named = {f"{'aux' if name in states else 'arg'}:{name}": array for name, array in network.arrays.items()}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "parameters")
        params.write(file, named)
        parameters = file.read_bytes()
    text = json.dumps(metadata, ensure_ascii=False, indent=2) + "\n"
    contents = {SYMBOL: network.symbol.tojson().encode(), PARAMETERS: parameters, METADATA: text.encode()}
    return {Path(f"{path}{ending}"): content for ending, content in contents.items()}


def imported(written: dict):
    """Return the block that MXNet makes of the files."""
    with tempfile.TemporaryDirectory() as folder:
        places = []
        for ending, content in zip((SYMBOL, PARAMETERS), written.values()):
            places.append(Path(folder, f"network{ending}"))
            places[-1].write_bytes(content)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it says of every file that the type of the input is not known yet
            return mx.gluon.SymbolBlock.imports(str(places[0]), [INPUT], str(places[1]), ctx=mx.cpu())


def runner(written: dict):
    """Return the function from images to the output that the files compute, by MXNet."""
    block = imported(written)
    return lambda images: block(mx.nd.array(images, dtype=images.dtype)).asnumpy()


def first_difference(network, written: dict, images):
    """MXNet runs its own operators: none differs."""
    return None
