import numpy as np
import pytest

from lossbench._mxnet import mx
from lossbench.backbones import CifarResNet, fuse
from lossbench.backbones.layers import GlobalMean, PReLU
from tests.backbones import reference


def run(layer, x, gradient, hybridize):
    """Output, gradient for the input, gradients for the parameters."""
    if hybridize:
        layer.hybridize(static_alloc=True, static_shape=True)
    x = mx.nd.array(x, dtype=x.dtype)
    x.attach_grad()
    with mx.autograd.record():
        y = layer(x)
    y.backward(mx.nd.array(gradient, dtype=gradient.dtype))
    return y.asnumpy(), x.grad.asnumpy(), [p.grad().asnumpy() for p in layer.collect_params().values()]


@pytest.mark.parametrize("hybridize", [False, True], ids=["eager", "hybridized"])
@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-12), ("float32", 2e-5)])
def test_prelu_and_its_gradients_are_those_of_the_definition(rng, dtype, tolerance, hybridize):
    x, gradient = rng.normal(size=(2, 5, 4, 6, 3)).astype(dtype)
    x[0, :, 0, 0] = 0
    slope = np.array([0.25, -0.5, 0, 1, 3], dtype)[: x.shape[1]]
    layer = PReLU(x.shape[1])
    layer.initialize()
    layer.cast(dtype)
    layer.slope.set_data(mx.nd.array(slope[: x.shape[1]].reshape(-1, 1, 1, 1), dtype=dtype))
    y, x_gradient, (slope_gradient,) = run(layer, x, gradient, hybridize)
    assert y.dtype == dtype
    np.testing.assert_allclose(y, reference.prelu(x, slope), atol=tolerance)
    np.testing.assert_allclose(x_gradient, gradient * np.where(x > 0, 1, slope[:, None, None]), atol=tolerance)
    expected = (gradient * np.minimum(x, 0)).sum(axis=(0, 2, 3))
    np.testing.assert_allclose(slope_gradient.ravel(), expected, atol=tolerance * 10)


def test_prelu_equals_mxnets_own(rng):
    x, gradient = rng.normal(size=(2, 8, 32, 7, 7)).astype("float32")
    own, ours = mx.gluon.nn.PReLU(in_channels=32), PReLU(32)
    for layer in (own, ours):
        layer.initialize()
    for actual, expected in zip(run(ours, x, gradient, True), run(own, x, gradient, True)):
        np.testing.assert_allclose(np.ravel(actual), np.ravel(expected), rtol=1e-4, atol=1e-5)


def test_prelu_slopes_start_at_a_quarter_whatever_initializes_the_rest_and_are_not_decayed():
    layer = PReLU(4)
    layer.initialize(mx.init.Normal(1))
    assert (layer.slope.data().asnumpy() == 0.25).all()
    assert layer.slope.wd_mult == 0


@pytest.mark.parametrize("hybridize", [False, True], ids=["eager", "hybridized"])
def test_global_mean(rng, hybridize):
    x = rng.normal(size=(3, 4, 5, 6))
    gradient = rng.normal(size=(3, 4))
    y, x_gradient, _ = run(GlobalMean(5, 6), x, gradient, hybridize)
    np.testing.assert_allclose(y, x.mean(axis=(2, 3)), atol=1e-14)
    np.testing.assert_allclose(x_gradient, np.broadcast_to(gradient[:, :, None, None] / 30, x.shape), atol=1e-14)


def test_norm_and_relu_in_one_kernel_are_the_same_bits(rng):
    """Output, every gradient, running statistics; and the output with those statistics."""
    image, head = mx.nd.array(rng.normal(size=(8, 3, 16, 16))), mx.nd.array(rng.normal(size=(8, 64)))
    results = []
    for fused in (False, True):
        mx.random.seed(3)
        net = CifarResNet(8, image_shape=(3, 16, 16))
        net.initialize(mx.init.Xavier())
        if fused:
            fuse(net)
        net.hybridize(static_alloc=True, static_shape=True)
        with mx.autograd.record():
            loss = (net(image) * head).sum()
        loss.backward()
        named = net._collect_params_with_prefix()
        result = {name: p.data().asnumpy() for name, p in named.items()}
        result.update((f"{name} gradient", p.grad().asnumpy()) for name, p in named.items() if p.grad_req != "null")
        results.append({**result, "embedding": net(image).asnumpy(), "loss": loss.asnumpy()})
        operators = net._cached_graph[1].tojson()
        assert ("_contrib_BatchNormWithReLU" in operators) == fused
    plain, together = results
    assert plain.keys() == together.keys()
    assert any("gradient" in name and values.any() for name, values in plain.items())
    for name, values in plain.items():
        np.testing.assert_array_equal(values, together[name], err_msg=name)
