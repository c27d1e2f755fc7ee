"""Networks for faces: their size as published, a second implementation, compiled and in other types."""

import functools

import numpy as np
import pytest

from lossbench import backbones, config
from lossbench._mxnet import mx
from lossbench.backbones import bfloat16
from lossbench.backbones.iresnet import IResNet
from lossbench.backbones.mobilefacenet import MobileFaceNet
from lossbench.config.backbones import BACKBONES as SECTIONS
from tests.backbones import reference
from tests.backbones.test_backbones import Outer, randomize, trained, values

BLOCKS = (1, 2, 1, 1)
BUILT = {
    "iresnet": (functools.partial(IResNet, 18, blocks=BLOCKS), reference.iresnet(BLOCKS, training=True)),
    "mobilefacenet": (MobileFaceNet, reference.mobilefacenet),
}
RUNNING = {
    "iresnet": reference.iresnet(BLOCKS, training=False),
    "mobilefacenet": functools.partial(reference.mobilefacenet, training=False),
}
every_network = pytest.mark.parametrize("name", BUILT)


def built(name, image_shape=(3, 18, 32), embedding_size=5, dtype="float32", **options):
    backbone = BUILT[name][0](image_shape=image_shape, embedding_size=embedding_size, **options)
    backbone.initialize(backbones.initializer("msra"))
    backbone.cast(dtype)
    return backbone


def count(name, **options):
    """Parameters as PyTorch counts them: without running statistics, with a scale that is fixed."""
    parameters = backbones.BACKBONES[name](image_shape=(3, 112, 112), **options)._collect_params_with_prefix()
    return sum(int(np.prod(p.shape)) for key, p in parameters.items() if "running" not in key)


@pytest.mark.parametrize(
    ("name", "millions", "digits"),
    # insightface's model zoo; MobileFaceNets, table 2, without the slopes of its 7,552 PReLUs, rounded down
    [("iresnet18", 24.03, 2), ("iresnet50", 43.59, 2), ("iresnet100", 65.16, 2), ("mobilefacenet", 1.0, 2)],
)
def test_parameters_are_as_many_as_published(name, millions, digits):
    assert round(count(name) / 1e6, digits) == millions


@every_network
def test_training_output_and_gradients_are_those_of_the_second_implementation(name, rng):
    backbone = built(name, dtype="float64")
    randomize(backbone, rng)
    x = mx.nd.array(rng.normal(size=(4, 3, 18, 32)), dtype="float64")
    weight = rng.normal(size=(4, 5))
    parameters = values(backbone)
    with mx.autograd.record():
        y = backbone(x)
    y.backward(mx.nd.array(weight, dtype="float64"))
    network = BUILT[name][1]
    if name == "iresnet":
        parameters[-4] = np.ones(5)  # the last scale is fixed, whatever its parameter says
    np.testing.assert_allclose(y.asnumpy(), network(x.asnumpy(), parameters), rtol=1e-7, atol=1e-7)
    gradients = [
        p.grad().asnumpy() if p.grad_req != "null" else np.zeros(p.shape)
        for p in backbone._collect_params_with_prefix().values()
    ]
    directions = [rng.normal(size=g.shape) * np.abs(p).mean() * np.any(g) for g, p in zip(gradients, parameters)]

    def along(step):
        moved = [p + step * d for p, d in zip(parameters, directions)]
        return (network(x.asnumpy(), moved) * weight).sum()

    slope = sum((g * d).sum() for g, d in zip(gradients, directions))
    steps = np.array([1e-7, 1e-8, 1e-9])  # the longer ones may meet a kink, the shortest rounding
    differences = [(along(step) - along(-step)) / (2 * step) for step in steps]
    assert np.abs(differences / slope - 1).min() < 1e-3


@every_network
def test_evaluation_uses_running_statistics(name, rng):
    backbone = built(name, dtype="float64")
    randomize(backbone, rng)
    x = mx.nd.array(rng.normal(size=(2, 3, 18, 32)), dtype="float64")
    np.testing.assert_allclose(
        backbone(x).asnumpy(), RUNNING[name](x.asnumpy(), values(backbone)), rtol=1e-7, atol=1e-9
    )


@every_network
def test_hybridized_in_an_outer_block_equals_eager(name, rng):
    outer = Outer(built(name))
    outer.head.initialize()
    outer.cast("float64")
    x, weight = (mx.nd.array(rng.normal(size=shape), dtype="float64") for shape in ((4, 3, 18, 32), (4, 3)))

    def step():
        with mx.autograd.record():
            y = outer(x)
        y.backward(weight)
        return [y.asnumpy()] + [p.grad().asnumpy() for p in trained(outer).values()]

    eager = step()
    outer.hybridize(static_alloc=True, static_shape=True)
    for _ in range(2):
        for actual, expected in zip(step(), eager):
            np.testing.assert_allclose(actual, expected, rtol=1e-6, atol=1e-7 * np.abs(expected).max())


@every_network
def test_types(name):
    symbol = built(name, dtype="float16")(mx.sym.var("image", dtype="float16"))
    types, outputs, _ = symbol.infer_type(image="float16")
    assert outputs == [np.float16]
    for argument, dtype in zip(symbol.list_arguments(), types):
        assert dtype == (np.float32 if "batchnorm" in argument else np.float16), argument
    narrowed = built(name)
    bfloat16.narrow(narrowed)
    graph = narrowed(mx.sym.var("image"))
    internals = [one for one in graph.get_internals() if one.name.endswith("fwd")]
    assert graph.infer_type(image="float32")[1] == [np.float32]
    embedding = [one for one in internals if "batchnorm" in one.name][-1]
    assert embedding.infer_type(image="float32")[1][0] == np.float32


@pytest.mark.parametrize("embedding_size", [128, 512])
@every_network
def test_one_image_of_full_size_in_its_usual_dimensions(name, embedding_size):
    """Eager, as a run begins."""
    backbone = built(name, (3, 112, 112), embedding_size)
    assert np.isfinite(backbone(mx.nd.ones((1, 3, 112, 112))).asnumpy()).all()


@pytest.mark.parametrize("name", ["iresnet18", "iresnet50", "iresnet100", "mobilefacenet"])
def test_a_config_builds_it(name, tmp_path):
    file = tmp_path / "own.yaml"
    options = "" if name == "mobilefacenet" else ", dropout: 0.4"
    file.write_text(
        f"data: {{source: digits}}\nbackbone: {{name: {name}, embedding_size: 3{options}}}\nhead: {{name: softmax}}\n"
        "optimizer: {name: nag, learning_rate: 0.1}\nschedule: {name: constant}\ntrainer: {epochs: 1}\n"
    )
    backbone = backbones.build(config.load(file).backbone, (1, 8, 8))
    assert backbone.embedding_size == 3
    assert any(isinstance(layer, mx.gluon.nn.Dropout) for layer in backbone.features) == bool(options)


def test_every_shipped_backbone_has_a_section():
    assert set(backbones.BACKBONES) == set(SECTIONS)
