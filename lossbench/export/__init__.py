"""Trained networks as files that are served without lossbench: ONNX, and MXNet's own symbol.

A network becomes one graph from pixels to an output (`network`), a graph becomes files and a function that runs them
(`onnx_format`, `symbol_format`), and that function is held against the run's own numbers (`comparison`). Importing this
package loads no MXNet, so that a command can list its choices at once.
"""

from __future__ import annotations

FORMATS = {
    "onnx": "one file FILE.onnx, for onnxruntime and its like",
    "symbol": "FILE-symbol.json, FILE-0000.params and FILE.json, for MXNet's SymbolBlock.imports",
}
OUTPUTS = {
    "embedding": "(B, D)",
    "logits": "(B, C), the class scores without margin",
    "log_density": "(B,), the largest over the classes; of a head whose scores are log densities, such as lgm",
}
INPUTS = {
    "uint8": "pixels from 0 to 255, as a decoder gives them; normalized inside",
    "float32": "the same as floating point numbers; normalized inside",
    "normalized": "pixels / 255, less the mean, over the standard deviation: the metadata say both",
}
TOLERANCE = 1e-4
"""Largest difference from the run's own numbers, as a share of their largest absolute value."""
