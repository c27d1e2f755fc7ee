"""Export every backbone with every head as ONNX and hold onnxruntime's numbers against MXNet's.

    python docs/tools/export.py [--full]     # --full: a line for each, not one for each network

Parameters and images are drawn, so that nothing is 0 or 1. Another backbone or head appears without a change here.
"""

from __future__ import annotations

import argparse
import pathlib
import sys
import warnings

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402

from lossbench import backbones, data, heads, inference  # noqa: E402
from lossbench._mxnet import mx  # noqa: E402
from lossbench.export import OUTPUTS, network, onnx_format  # noqa: E402
from lossbench.export.comparison import compared  # noqa: E402

SHAPES = {"lenet": (1, 28, 28), "convnet": (1, 28, 28)}  # of the others: (3, 32, 32)
ZOO = {"resnet18_v1": (3, 32, 32), "mobilenetv2_1.0": (3, 32, 32)}  # gluoncv's
VARIANTS = {"lgm": ({"variance": "isotropic"}, {"variance": "diagonal"}), "softmax": ({"use_bias": True},)}
CLASSES, SIZE, IMAGES, PASSES = 10, 16, 8, 40
MOST_PARAMETERS = 3_000_000  # of a network that is exported with every head; a larger one takes long, with two


def main(arguments=None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true")
    options = parser.parse_args(arguments)
    rows = [row for name in networks() for row in differences(name)]
    print("\n".join(full(rows) if options.full else short(rows)))
    return 0 if all(found.is_small for *_, found in rows) else 1


def full(rows) -> list:
    """A line for each network, head and output."""
    lines = ["| network | head | output | worst difference | largest value | share |", "|---|---|---|---|---|---|"]
    for name, head, output, found in rows:
        lines.append(f"| {name} | {head} | {output} | {found.largest:.1e} | {found.scale:.3g} | {found.share:.1e} |")
    return lines


def short(rows) -> list:
    """A line for each network: the largest share of each output, and the head that has it."""
    lines = [f"| network | {' | '.join(OUTPUTS)} |", f"|{'---|' * (len(OUTPUTS) + 1)}"]
    for name in dict.fromkeys(row[0] for row in rows):
        cells = [name]
        for output in OUTPUTS:
            _, head, _, found = max(
                (row for row in rows if (row[0], row[2]) == (name, output)), key=lambda row: row[3].share
            )
            cells.append(f"{found.share:.0e}{f' ({head})' if head else ''}")
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def networks() -> dict:
    """Name -> function that builds the backbone, and the shape of its images."""
    own = {name: (build, SHAPES.get(name, (3, 32, 32))) for name, build in backbones.BACKBONES.items() if name != "zoo"}

    def zoo(model):
        return lambda **options: backbones.BACKBONES["zoo"](model=model, **options)

    return {**own, **{f"gluoncv {model}": (zoo(model), shape) for model, shape in ZOO.items()}}


def variants() -> dict:
    """Words -> class and options of every head."""
    found = {}
    for block in dict.fromkeys(heads.HEADS.values()):
        for more in ({}, *VARIANTS.get(block.config_name, ())):
            found[" ".join([block.config_name, *map(str, more.values())]).replace("True", "with bias")] = block, more
    return found


def differences(name):
    """Yield a row for each head and output: network, head, output, Difference."""
    build, shape = networks()[name]
    rng = np.random.default_rng(0)
    mx.random.seed(0)
    backbone = build(image_shape=shape, embedding_size=SIZE)
    backbone.initialize(mx.init.Xavier())
    images = rng.integers(0, 256, (IMAGES, *shape)).astype(np.uint8)
    backbone(mx.nd.array(images))  # shapes that wait for a first batch
    draw(backbone, rng)
    for _ in range(PASSES):  # running statistics that fit, without which numbers grow from layer to layer
        with mx.autograd.record():
            embedding = backbone(mx.nd.array((images[:2] / 255 - 0.45) / 0.25))
        embedding.backward()  # MXNet moves them here
    size = sum(parameter.data().size for parameter in backbone.collect_params().values())
    for words, (block, more) in variants().items():
        if size > MOST_PARAMETERS and block.metric != "density" and words != next(iter(variants())):
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what the head has to say of its options
            head = block(CLASSES, SIZE, **more)
        head.initialize()
        draw(head, rng)
        for output in OUTPUTS:
            if (
                output == "log_density"
                and head.metric != "density"
                or output == "embedding"
                and words != next(iter(variants()))
            ):
                continue
            yield name, "" if output == "embedding" else words, output, difference(backbone, head, images, output)


def draw(block, rng) -> None:
    """Set every parameter near its first value, none to one that leaves numbers as they are."""
    for name, parameter in block.collect_params().items():
        value = parameter.data().asnumpy()
        if name.endswith("var") or value.shape == (1,):
            value = value * rng.uniform(0.5, 1.5, value.shape)
        else:
            value = value + rng.normal(0, 0.05, value.shape)
        parameter.set_data(mx.nd.array(value))


def difference(backbone, head, images, output):
    """Hold one export against MXNet."""
    channels = images.shape[1]
    normalization = {"mean": (0.45, 0.5, 0.4)[:channels], "std": (0.2, 0.3, 0.25)[:channels]}
    split = data.Split(images, np.zeros(len(images), np.int32))
    outputs = inference.outputs(backbone, head, split, **normalization)
    expected = outputs["logits"].max(axis=1) if output == "log_density" else outputs[output]
    graph = network.traced(backbone, head, image_shape=images.shape[1:], input="uint8", output=output, **normalization)
    return compared(onnx_format.runner(onnx_format.files(graph, {"lossbench": ""}, "")), images, expected)


if __name__ == "__main__":
    sys.exit(main())
