"""What every backbone of this package must do, and how the table is read."""

import os
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from lossbench import backbones, config, registry
from lossbench._mxnet import mx
from lossbench.backbones import CifarResNet, ConvNet, LeNet
from tests.backbones import reference

# name: (image shape, trainable parameters, the second implementation in training mode)
SHIPPED = {
    "lenet": ((1, 28, 28), 797_602, reference.lenet),
    "convnet": ((1, 28, 28), 1_684_482, reference.convnet),
    "resnet20": ((3, 32, 32), 271_824, reference.resnet(20, training=True)),
    "resnet32": ((3, 32, 32), 466_256, reference.resnet(32, training=True)),
    "resnet56": ((3, 32, 32), 855_120, reference.resnet(56, training=True)),
    "resnet110": ((3, 32, 32), 1_730_064, reference.resnet(110, training=True)),
}
SMALL = ["lenet", "convnet", "resnet20"]

every_backbone = pytest.mark.parametrize("name", SHIPPED)
every_small_backbone = pytest.mark.parametrize("name", SMALL)


class Section(SimpleNamespace):
    """What `build` reads of a config's section."""

    def model_dump(self):
        return vars(self)


class Outer(mx.gluon.HybridBlock):
    """A backbone inside another block, as the trainer has it."""

    def __init__(self, backbone):
        super().__init__()
        with self.name_scope():
            self.backbone = backbone
            self.head = mx.gluon.nn.Dense(3, in_units=backbone.embedding_size)

    def hybrid_forward(self, F, x):
        return self.head(self.backbone(x))


def built(name, image_shape=None, embedding_size=None, dtype="float32", contexts=None, **options):
    section = Section(name=name, embedding_size=embedding_size, initializer="msra", **options)
    backbone = backbones.build(section, SHIPPED[name][0] if image_shape is None else image_shape)
    backbone.initialize(backbones.initializer("msra"), ctx=contexts)
    backbone.cast(dtype)
    return backbone


def images(rng, name, batch_size=2, dtype="float32", image_shape=None):
    return mx.nd.array(rng.normal(size=(batch_size, *(image_shape or SHIPPED[name][0]))), dtype=dtype)


def randomize(backbone, rng):
    """No parameter at a value that hides it (a bias of 0, a variance of 1)."""
    for parameter in backbone.collect_params().values():
        value = parameter.data()
        noise = mx.nd.array(rng.uniform(0.05, 0.2, value.shape), dtype=value.dtype)
        parameter.set_data(value + noise if value.ndim == 1 else value * (1 + noise))


def trained(backbone):
    return {n: p for n, p in backbone._collect_params_with_prefix().items() if p.grad_req != "null"}


def values(backbone):
    return [p.data().asnumpy() for p in backbone._collect_params_with_prefix().values()]


@every_backbone
def test_number_of_trained_parameters(name):
    backbone = built(name)
    assert sum(p.data().size for p in trained(backbone).values()) == SHIPPED[name][1]


@pytest.mark.parametrize(
    ("depth", "published"), [(20, 269_722), (32, 464_154), (56, 853_018), (110, 1_727_962)], ids=str
)
def test_resnet_parameters_differ_from_the_published_count_by_head_and_shortcuts(depth, published):
    """The count of the paper's option A holds 10 classes' layer, and no parameters in its two changing shortcuts."""
    shortcuts = 16 * 32 + 2 * 32 + 32 * 64 + 2 * 64
    assert SHIPPED[f"resnet{depth}"][1] == published - (64 * 10 + 10) + shortcuts


@pytest.mark.parametrize("embedding_size", [None, 5])
@every_small_backbone
def test_training_output_and_gradients_are_those_of_the_second_implementation(name, embedding_size, rng):
    backbone = built(name, embedding_size=embedding_size, dtype="float64")
    randomize(backbone, rng)
    x = images(rng, name, 3, "float64")
    weight = rng.normal(size=(3, backbone.embedding_size))
    parameters = values(backbone)
    with mx.autograd.record():
        y = backbone(x)
    y.backward(mx.nd.array(weight, dtype="float64"))
    network = SHIPPED[name][2]
    np.testing.assert_allclose(y.asnumpy(), network(x.asnumpy(), parameters), rtol=1e-9, atol=1e-9)

    gradients = [
        p.grad().asnumpy() if p.grad_req != "null" else np.zeros(p.shape)
        for p in backbone._collect_params_with_prefix().values()
    ]
    directions = [rng.normal(size=g.shape) * np.abs(p).mean() for g, p in zip(gradients, parameters)]

    def along(step):
        moved = [p + step * d for p, d in zip(parameters, directions)]
        return (network(x.asnumpy(), moved) * weight).sum()

    slope = sum((g * d).sum() for g, d in zip(gradients, directions))
    steps = np.array([1e-7, 1e-8, 1e-9])  # the longer ones may meet a kink, the shortest rounding
    differences = [(along(step) - along(-step)) / (2 * step) for step in steps]
    assert np.abs(differences / slope - 1).min() < 1e-4


@pytest.mark.parametrize("name", ["resnet20", "resnet56"])
def test_evaluation_uses_running_statistics(name, rng):
    backbone = built(name, dtype="float64")
    randomize(backbone, rng)
    x = images(rng, name, 2, "float64")
    expected = reference.resnet(int(name[6:]), training=False)(x.asnumpy(), values(backbone))
    np.testing.assert_allclose(backbone(x).asnumpy(), expected, rtol=1e-9)


@every_small_backbone
def test_hybridized_in_an_outer_block_equals_eager(name, rng):
    backbone = built(name)
    outer = Outer(backbone)
    outer.head.initialize()
    x = images(rng, name, 4)
    weight = mx.nd.array(rng.normal(size=(4, 3)))

    def step():
        with mx.autograd.record():
            y = outer(x)
        y.backward(weight)
        return [y.asnumpy()] + [p.grad().asnumpy() for p in trained(outer).values()]

    eager = step()
    outer.hybridize(static_alloc=True, static_shape=True)
    for _ in range(3):
        for actual, expected in zip(step(), eager):
            np.testing.assert_allclose(actual, expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max())


@every_small_backbone
def test_a_gradient_reaches_every_parameter(name, rng):
    backbone = built(name)
    x = images(rng, name, 8)
    with mx.autograd.record():
        y = (backbone(x) * mx.nd.array(rng.normal(size=(8, backbone.embedding_size)))).sum()
    y.backward()
    dead = [name for name, p in trained(backbone).items() if not np.abs(p.grad().asnumpy()).max() > 0]
    assert dead == []


@every_small_backbone
def test_number_of_channels_is_taken_from_the_first_batch(name, rng):
    backbone = built(name, image_shape=(0, 16, 16))
    outer = Outer(backbone)
    outer.head.initialize()
    outer.hybridize(static_alloc=True, static_shape=True)
    assert outer(mx.nd.array(rng.normal(size=(2, 5, 16, 16)))).shape == (2, 3)
    assert next(iter(backbone.collect_params().values())).shape[1] == 5


@pytest.mark.parametrize(
    ("name", "image_shape"),
    [("lenet", (1, 8, 8)), ("lenet", (3, 32, 32)), ("lenet", (1, 17, 30))]
    + [("convnet", (1, 3, 3)), ("convnet", (1, 8, 8)), ("convnet", (3, 32, 32)), ("convnet", (1, 17, 30))]
    + [("resnet20", (1, 1, 1)), ("resnet20", (1, 8, 8)), ("resnet20", (1, 28, 28)), ("resnet20", (3, 33, 18))],
)
@pytest.mark.parametrize("embedding_size", [None, 7])
def test_other_image_shapes(name, image_shape, embedding_size, rng):
    backbone = built(name, image_shape, embedding_size)
    natural = 64 if name == "resnet20" else 2
    assert backbone.embedding_size == (embedding_size or natural)
    y = backbone(images(rng, name, 2, image_shape=image_shape))
    assert y.shape == (2, backbone.embedding_size)
    assert np.isfinite(y.asnumpy()).all()


@pytest.mark.parametrize("hybridize", [False, True], ids=["eager", "hybridized"])
@pytest.mark.parametrize("shape", [(2, 1, 28, 30), (2, 1, 56, 28), (2, 3, 28, 28), (2, 28, 28), (2, 1, 14, 56)])
@every_small_backbone
def test_images_of_another_shape_are_refused(name, shape, hybridize):
    backbone = built(name, (1, 28, 28))
    if hybridize:
        backbone.hybridize(static_alloc=True, static_shape=True)
        backbone(mx.nd.zeros((2, 1, 28, 28)))
    with pytest.raises(ValueError, match=r": `image` must have the shape \(B, 1, 28, 28\), got \(2, .*\)\. Resize "):
        backbone(mx.nd.zeros(shape))


@every_small_backbone
def test_several_contexts(name, rng):
    contexts = [mx.cpu(0), mx.cpu(1)]
    backbone = built(name, contexts=contexts)
    x = images(rng, name)
    outputs = [backbone(x.as_in_context(context)).asnumpy() for context in contexts]
    np.testing.assert_array_equal(*outputs)


@every_small_backbone
def test_cast_to_float16_changes_the_whole_graph_but_batch_normalization(name):
    """Only its types: a CPU has no float16 convolution."""
    backbone = built(name, embedding_size=4, dtype="float16")
    symbol = backbone(mx.sym.var("image", dtype="float16"))
    types, outputs, _ = symbol.infer_type(image="float16")
    assert outputs == [np.float16]
    for argument, dtype in zip(symbol.list_arguments(), types):
        assert dtype == (np.float32 if "batchnorm" in argument else np.float16), argument


@every_small_backbone
def test_save_and_load(name, rng, tmp_path):
    file = str(tmp_path / "parameters")
    first, second = built(name), built(name)
    x = images(rng, name)
    first.save_parameters(file)
    second.load_parameters(file)
    np.testing.assert_array_equal(first(x).asnumpy(), second(x).asnumpy())


@every_backbone
def test_a_config_builds_it(name, tmp_path):
    file = tmp_path / "own.yaml"
    file.write_text(
        f"data: {{source: digits}}\nbackbone: {{name: {name}, embedding_size: 3}}\nhead: {{name: softmax}}\n"
        "optimizer: {name: nag, learning_rate: 0.1}\nschedule: {name: constant}\ntrainer: {epochs: 1}\n"
    )
    assert backbones.build(config.load(file).backbone, (1, 8, 8)).embedding_size == 3


def test_a_users_backbone_gets_its_options():
    given = {}

    def own(image_shape, **options):
        given.update(options, image_shape=image_shape)
        return LeNet(image_shape)

    section = Section(name="own", embedding_size=None, initializer="msra", width=3)
    with registry.added(backbones={"own": own}):
        assert isinstance(backbones.build(section, (1, 8, 8)), LeNet)
    assert given == {"image_shape": (1, 8, 8), "embedding_size": None, "width": 3}


def test_an_unknown_name_is_refused():
    section = Section(name="resnet21", embedding_size=None, initializer="msra")
    message = r"^backbones: `name` must be one of lenet, .*, got 'resnet21'\. Did you mean resnet"
    with pytest.raises(ValueError, match=message):
        backbones.build(section, (1, 8, 8))


@pytest.mark.parametrize("depth", [2, 18, 21, 20.0, "20", True])
def test_a_depth_other_than_6n_plus_2_is_refused(depth):
    with pytest.raises(ValueError, match=r"^CifarResNet: `depth` must be 6 n \+ 2, got .* 20, 32, 56 and 110\.$"):
        CifarResNet(depth)


@pytest.mark.parametrize(("block", "shape"), [(LeNet, (1, 7, 28)), (LeNet, (1, 28, 7)), (ConvNet, (1, 2, 28))])
def test_too_small_an_image_is_refused(block, shape):
    with pytest.raises(
        ValueError, match=rf"^{block.__name__}: `image_shape` must be at least [38] pixels high and wide"
    ):
        block(shape)


@pytest.mark.parametrize("shape", [None, 28, (28, 28), (1, 28, 28, 1), (-1, 28, 28), (1, 0, 28), (1, 28.0, 28), "abc"])
@pytest.mark.parametrize("block", [LeNet, ConvNet, lambda shape: CifarResNet(20, shape)])
def test_what_is_no_image_shape_is_refused(block, shape):
    with pytest.raises(ValueError, match=r": `image_shape` must be \(channels, height, width\), got "):
        block(shape)


@pytest.mark.parametrize("size", [0, -1, 2.0, "2", True])
@pytest.mark.parametrize(
    "block", [LeNet, ConvNet, lambda embedding_size: CifarResNet(20, embedding_size=embedding_size)]
)
def test_what_is_no_embedding_size_is_refused(block, size):
    with pytest.raises(ValueError, match=r": `embedding_size` must be a positive integer or None, got "):
        block(embedding_size=size)


@pytest.mark.parametrize(("name", "variance"), [("xavier", 2 / (64 * 9 + 128 * 9)), ("msra", 2 / (64 * 9))])
def test_initializers_have_the_variance_they_are_known_for(name, variance):
    layer = mx.gluon.nn.Conv2D(128, 3, in_channels=64)
    layer.initialize(backbones.initializer(name))
    weight = layer.weight.data().asnumpy()
    np.testing.assert_allclose(weight.var(), variance, rtol=0.03)
    assert abs(weight.mean()) < 5 * np.sqrt(variance / weight.size)
    assert (np.abs(weight).max() <= np.sqrt(3 * variance) * 1.001) == (name == "xavier")


def test_an_unknown_initializer_is_refused():
    with pytest.raises(ValueError, match=r"^backbones: `initializer` must be one of msra, xavier, got 'he'\.$"):
        backbones.initializer("he")


KERNELS = """
import sys
from lossbench import backbones
from lossbench._mxnet import mx
block, *shape = sys.argv[1:]
shape = tuple(map(int, shape))
network = backbones.BACKBONES[block](image_shape=shape, embedding_size=None)
network.initialize()
network.hybridize(static_alloc=True, static_shape=True)
for _ in range(2):
    with mx.autograd.record():
        y = network(mx.nd.ones((32, *shape)))
    y.backward()
    mx.nd.waitall()
"""


@every_small_backbone
def test_a_training_step_runs_no_slow_reference_kernel(name):
    """oneDNN names each kernel it runs; a pooling at a ResNet's end makes batch normalization fall to `ref:any`."""
    environment = {**os.environ, "DNNL_VERBOSE": "1", "MKLDNN_VERBOSE": "1"}
    command = [sys.executable, "-c", KERNELS, name, *map(str, SHIPPED[name][0])]
    shown = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
    if "AVX-512" not in shown:
        pytest.skip("which kernels oneDNN has is known for processors with AVX-512 only")
    kernels = {line.split(",")[4] for line in shown.splitlines() if ",exec,cpu," in line}
    assert any(kernel.startswith("jit:avx512") for kernel in kernels)
    assert [kernel for kernel in kernels if "ref" in kernel] == []
