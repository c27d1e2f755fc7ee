"""Each operator alone as ONNX: what onnxruntime computes is what MXNet computes, by whatever batch it is fed."""

import numpy as np
import pytest

from lossbench._mxnet import mx
from lossbench.errors import UserError
from lossbench.export import onnx_format, symbol_format
from lossbench.export.comparison import difference
from lossbench.export.network import INPUT, Network

pytest.importorskip("onnx", minversion="1.16")
RUNTIME = tuple(map(int, pytest.importorskip("onnxruntime").__version__.split(".")[:2]))

SYM = mx.sym
NORMALIZATION = {"gamma": (4,), "beta": (4,), "mean": (4,), "var": (4,)}
DENSE = {"weight": (5, 144), "bias": (5,)}


def pooled(**options):
    return lambda x: SYM.Pooling(x, kernel=(3, 3), stride=(2, 2), **options)


# Name -> function of the symbol and its parameters, and their shapes. The image is (4, 6, 6).
RIGHT = {
    "1 - parameter": (lambda x, p: SYM.broadcast_mul(x, 1 - p), {"p": (1, 4, 1, 1)}),
    "2 / parameter": (lambda x, p: SYM.broadcast_mul(x, 2 / p), {"p": (1, 4, 1, 1)}),
    "3 - (parameter - 1) / 2": (lambda x, p: SYM.broadcast_mul(x, 3 - (p - 1) / 2), {"p": (1, 4, 1, 1)}),
    "1 - x": (lambda x: 1 - x, {}),
    "1 / x": (lambda x: 1 / (x * x + 1), {}),
    "PReLU, a slope": (lambda x, p: SYM.LeakyReLU(x, p, act_type="prelu"), {"p": (1,)}),
    "PReLU, each channel": (lambda x, p: SYM.LeakyReLU(x, p, act_type="prelu"), {"p": (4,)}),
    "PReLU, as many channels as columns": (
        lambda x, p: SYM.LeakyReLU(
            SYM.concat(x, SYM.slice_axis(x, axis=1, begin=0, end=2), dim=1), p, act_type="prelu"
        ),
        {"p": (6,)},
    ),
    "PReLU of vectors": (lambda x, p: SYM.LeakyReLU(SYM.sum(x, axis=(2, 3)), p, act_type="prelu"), {"p": (4,)}),
    "BatchNorm": (lambda x, **p: SYM.BatchNorm(x, *p.values(), fix_gamma=False), NORMALIZATION),
    "BatchNorm without scale": (lambda x, **p: SYM.BatchNorm(x, *p.values()), NORMALIZATION),
    "FullyConnected of an image": (lambda x, **p: SYM.FullyConnected(x, *p.values(), num_hidden=5), DENSE),
    "LRN": (lambda x: SYM.LRN(x, nsize=3, alpha=0.5), {}),
    **{f"LeakyReLU {kind}": (lambda x, k=kind: SYM.LeakyReLU(x, act_type=k), {}) for kind in ("leaky", "elu", "gelu")},
    **{f"Activation {k}": (lambda x, k=k: SYM.Activation(x, act_type=k), {}) for k in ("relu", "softrelu", "tanh")},
    **{
        f"{kind} over {axis}": (lambda x, k=kind, a=axis: getattr(SYM, k)(x, axis=a, keepdims=True), {})
        for kind in ("sum", "mean", "max", "prod", "norm")
        for axis in (1, (2, 3))
    },
    **{f"softmax over {axis}": (lambda x, a=axis: SYM.softmax(x, axis=a), {}) for axis in (1, -1)},
    **{
        f"{kind} pooling, {convention}, padded by {pad}": (
            pooled(pool_type=kind, pooling_convention=convention, pad=(pad, pad)),
            {},
        )
        for kind in ("max", "avg")
        for convention in ("valid", "full")
        for pad in (0, 1)
    },
    "average pooling without its padding": (pooled(pool_type="avg", pad=(1, 1), count_include_pad=False), {}),
    "Convolution": (
        lambda x, p: SYM.Convolution(x, p, kernel=(3, 3), stride=(2, 2), num_filter=4, num_group=2, no_bias=True),
        {"p": (4, 2, 3, 3)},
    ),
    "LayerNorm": (lambda x, g, b: SYM.LayerNorm(x, g, b), {"g": (6,), "b": (6,)}),
    "clip": (lambda x: SYM.clip(x, -0.5, 0.5), {}),
    "transpose": (lambda x: SYM.transpose(x, axes=(0, 2, 3, 1)), {}),
    "reshape": (lambda x: SYM.reshape(x, shape=(0, -1)), {}),
    "split": (lambda x: SYM.split(x, 2, axis=1)[1], {}),
    "pad": (lambda x: SYM.pad(x, mode="edge", pad_width=(0, 0, 0, 0, 1, 2, 3, 1)), {}),
    "square root": (lambda x: SYM.sqrt(SYM.abs(x)), {}),
}

# A window that sticks out is divided by all of it there (microsoft/onnxruntime#29629), so that an export is refused.
WRONG = {f"avg pooling, full, padded by {pad}" for pad in (0, 1)} if RUNTIME < (1, 29) else set()


def network(function, shapes, rng):
    """The network of one operator, named as Gluon does within a block."""
    arrays = {name: rng.uniform(0.5, 1.5, shape).astype(np.float32) for name, shape in shapes.items()}
    image = SYM.var(INPUT)
    with mx.name.Prefix("block0_"):
        result = function(image, **{n: SYM.var(n) for n in shapes})
    symbol = SYM.identity(result, name="y")
    kinds = {name: array.shape for name, array in arrays.items() if name in symbol.list_inputs()}
    shape = symbol.infer_shape(**{INPUT: (1, 4, 6, 6)}, **kinds)[1][0]
    return Network(symbol, arrays, (4, 6, 6), shape[1:], "float32", "y")


def numbers(form, network, images):
    return form.runner(form.files(network, {"lossbench": ""}, "network"))(images)


@pytest.mark.parametrize("name", RIGHT)
def test_an_operator_is_converted_rightly(name, rng):
    one = network(*RIGHT[name], rng)
    for count in (3, 1):
        images = rng.normal(size=(count, 4, 6, 6)).astype(np.float32)
        found, expected = (numbers(form, one, images) for form in (onnx_format, symbol_format))
        assert (difference(found, expected).share < 1e-5) == (name not in WRONG)


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (lambda x: SYM.erf(x), r"No conversion function registered for op type erf yet\. Write that layer with other"),
        (lambda x: SYM.reshape(x, shape=(-3, 0, 0)), r"Reshape: Shape value not supported in ONNX"),
    ],
)
def test_an_operator_without_a_converter_is_named(function, said, rng):
    with pytest.raises(UserError, match=said):
        onnx_format.files(network(function, {}, rng), {"lossbench": ""}, "network")


def test_more_parameters_than_a_file_holds_are_refused():
    one = Network(None, {"weight": np.zeros(2**31, np.uint8)}, (4, 6, 6), (1,), "float32", "y")
    with pytest.raises(UserError, match=r"must hold less than 2 GiB of parameters, got 2\.0\. Export the embedding"):
        onnx_format.files(one, {"lossbench": ""}, "network")


def test_the_first_operator_that_differs_is_named(rng):
    """A mean over all axes but two is converted into one over these two, and fits in shape."""

    def weighted(x):
        return SYM.broadcast_mul(x, SYM.sigmoid(SYM.mean(x * 2, axis=(0, 1), exclude=True, keepdims=True)))

    one = network(weighted, {}, rng)
    images = rng.normal(size=(3, 4, 6, 6)).astype(np.float32)
    files = onnx_format.files(one, {"lossbench": ""}, "network")
    assert not difference(onnx_format.runner(files)(images), numbers(symbol_format, one, images)).is_small
    assert onnx_format.first_difference(one, files, images) == "mean (block0_mean0)"
