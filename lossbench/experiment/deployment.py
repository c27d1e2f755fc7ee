"""A trained run as files to serve, held against the run's own numbers before anything stands under their names."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lossbench import __version__, atomic, data
from lossbench.data.files import count
from lossbench.data.streamed import sample
from lossbench.errors import RunFailed, UserError
from lossbench.export import TOLERANCE, converters, onnx_format, symbol_format
from lossbench.export.comparison import Difference, compared
from lossbench.export.network import INPUT, traced

COMPARED_IMAGES = 32
_FORMATS = {"onnx": onnx_format, "symbol": symbol_format}


@dataclass(frozen=True)
class Exported:
    """What was written."""

    files: list
    metadata: dict
    difference: Difference
    """Worst difference from the run."""
    images: str
    """Which images it is of, in words."""


def export(opened, path=None, *, form="onnx", output="logits", input="uint8", paths=()) -> Exported:
    """Write a trained run as files that are served without lossbench.

    Parameters
    ----------
    opened : OpenedRun
    path : path, optional
        The file, or how the names of the files begin; by default in the folder `export` of the run.
    form, output, input : str
        See `lossbench.export.FORMATS`, `OUTPUTS` and `INPUTS`.
    paths : sequence of path
        Image files to compare on, in place of images of the run's own data.

    Raises
    ------
    UserError
        The network has no such output, or cannot be converted.
    RunFailed
        What was converted computes something else than the run.
    OSError
        The files cannot be written.
    """
    model, code = opened.model, _FORMATS[form]
    about = model.dataset
    network = traced(
        model.backbone,
        model.head,
        image_shape=about.image_shape,
        mean=about.mean,
        std=about.std,
        input=input,
        output=output,
    )
    own = opened.run.exports / (f"{output}.onnx" if form == "onnx" else output)
    metadata = _metadata(opened, network, form)
    files = code.files(network, metadata, own if path is None else Path(path))
    images, named = _images(about, paths)
    fed = _fed(images, about, input)
    found = compared(code.runner(files), fed, _expected(model, images, output))
    if not found.is_small:
        raise _refusal(found, named, code.first_difference(network, files, fed[:2]), form)
    if path is None:
        opened.run.exports.mkdir(exist_ok=True)
    _write(files)
    return Exported(list(files), metadata, found, named)


def _metadata(opened, network, form) -> dict:
    """What whoever serves the network must know, as plain values."""
    about, model = opened.model.dataset, opened.model
    return {
        "lossbench": __version__,
        "run": opened.run.name,
        "seed": opened.run.seed,
        "checkpoint": opened.checkpoint,
        "epoch": opened.epoch,
        "step": opened.step,
        "backbone": opened.run.value("backbone.name"),
        "head": opened.run.value("head.name"),
        "metric": model.description()["metric"],
        **({"opset": converters.OPSET} if form == "onnx" else {}),
        "input": {
            "name": INPUT,
            "type": str(network.input_type),
            "shape": ["batch", *network.image_shape],
            "layout": "NCHW",
            "colors": "gray" if network.image_shape[0] == 1 else "RGB",
            "pixels": "(pixel / 255 - mean) / std" if network.input == "normalized" else "0 to 255",
        },
        "resize": "bilinear until it covers the size; the middle is kept",
        "background": about.background,
        "mean": list(about.mean),
        "std": list(about.std),
        "normalized_inside": network.input != "normalized",
        "output": {"name": network.output, "type": "float32", "shape": ["batch", *network.output_shape]},
        "class_names": list(about.class_names),
    }


def _images(dataset, paths):
    """uint8 images to compare on, and what they are: those given, else some of the run's data, else noise."""
    if paths:
        return data.read_images(paths, dataset.image_shape, dataset.background), f"{count(len(paths), 'image')} given"
    try:
        if not dataset.is_here:
            raise UserError("they are not on this machine")
        split, name = (dataset.test, "test image") if len(dataset.test) else (dataset.train, "training image")
        images = sample(split.images, COMPARED_IMAGES)[:]
        return images, count(len(images), name)
    except (UserError, OSError) as error:
        shape = (COMPARED_IMAGES, *dataset.image_shape)
        noise = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
        return noise, f"{count(len(noise), 'image')} of noise, for the run's own cannot be read ({error})"


def _fed(images, about, input):
    """Images as the exported network takes them."""
    if input != "normalized":
        return images.astype(input)
    mean, std = (np.reshape(value, (-1, 1, 1)) for value in (about.mean, about.std))
    return ((images / 255 - mean) / std).astype(np.float32)


def _expected(model, images, output):
    outputs = model.outputs(data.Split(images, np.zeros(len(images), np.int32)))
    return outputs["logits"].max(axis=1) if output == "log_density" else outputs[output]


def _refusal(found, named, operator, form):
    why = f"MXNet's ONNX exporter converts {operator} wrongly. " if operator else ""
    way_out = f"{onnx_format.WAY_OUT} " if form == "onnx" else ""
    return RunFailed(
        f"export: the exported network must compute what the run does, within {TOLERANCE:g} of the largest value, got "
        f"a difference of {found.largest:.2g} where that is {found.scale:.2g}, on {named}. {why}{way_out}Nothing was "
        "written."
    )


def _write(files):
    """Write all files or, where one cannot be written, none."""
    with contextlib.ExitStack() as stack:
        for path, content in files.items():
            file = stack.enter_context(atomic.writing(path))
            file.write(content)
            file.flush()
