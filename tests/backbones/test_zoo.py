"""Networks of gluoncv: these tests need it and are skipped where it is not installed."""

import importlib.util
import subprocess
import sys
import textwrap

import numpy as np
import pytest

from lossbench._mxnet import mx
from lossbench.backbones import CifarResNet, Zoo, zoo
from lossbench.backbones.layers import GlobalMean

needs_gluoncv = pytest.mark.skipif(
    importlib.util.find_spec("gluoncv") is None, reason="gluoncv is not installed (pip install gluoncv==0.10.5.post0)"
)


def theirs(model, **options):
    network = zoo._model_zoo().get_model(model, **options)
    network.initialize(mx.init.MSRAPrelu("in", 0))
    return network


def copy(source, target):
    arrays = {name: p.data() for name, p in source._collect_params_with_prefix().items()}
    for name, parameter in target._collect_params_with_prefix().items():
        parameter.set_data(arrays[name])


def gradients(block, x, weight):
    with mx.autograd.record():
        y = block(x)
    y.backward(weight)
    return {n: p.grad().asnumpy() for n, p in block._collect_params_with_prefix().items() if p.grad_req != "null"}


def randomize_statistics(network, rng):
    for name, parameter in network._collect_params_with_prefix().items():
        if "running" in name:
            parameter.set_data(mx.nd.array(rng.uniform(0.5, 1.5, parameter.shape)))


@needs_gluoncv
@pytest.mark.parametrize("depth", [20, 56, 110])
def test_gluoncvs_file_loads_into_our_resnet_and_gives_its_features(depth, rng, tmp_path):
    network = theirs(f"cifar_resnet{depth}_v1")
    x = mx.nd.array(rng.normal(size=(2, 3, 32, 32)))
    network(x)
    randomize_statistics(network, rng)
    network.save_parameters(str(tmp_path / "file"))
    backbone = CifarResNet(depth)
    backbone.load_parameters(str(tmp_path / "file"), ignore_extra=True)
    expected = network.features(x).asnumpy().reshape(2, 64)
    np.testing.assert_allclose(backbone(x).asnumpy(), expected, rtol=1e-4, atol=1e-5 * np.abs(expected).max())


@needs_gluoncv
@pytest.mark.parametrize(
    ("model", "image_shape"),
    [("cifar_resnet20_v1", (3, 32, 32)), ("cifar_resnet20_v2", (3, 32, 32)), ("resnet18_v1", (3, 64, 64))]
    + [("resnet18_v1b", (1, 64, 48)), ("mobilenet0.25", (3, 64, 64)), ("mobilenetv3_small", (3, 64, 64))],
)
def test_scores_and_gradients_are_those_of_the_whole_network(model, image_shape, rng):
    """gluoncv's own network, and its output layer upon our embedding, on the same weights."""
    whole, backbone = theirs(model, classes=5), Zoo(model, image_shape)
    backbone.initialize()
    x = mx.nd.array(rng.normal(size=(4, *image_shape)))
    whole(x), backbone(x)
    copy(whole, backbone.features[0])
    output_name = next(name for name in zoo.OUTPUT_NAMES if name in whole._children)
    output = whole._children[output_name]
    weight = mx.nd.array(rng.normal(size=(4, 5)))
    embedding_shape = backbone(x).shape
    assert embedding_shape == (4, backbone.embedding_size)

    class Together(mx.gluon.HybridBlock):
        def __init__(self):
            super().__init__()
            self.backbone, self.output = backbone, output

        def hybrid_forward(self, F, x):
            embedding = self.backbone(x)
            four = F.reshape(embedding, shape=(0, 0, 1, 1))
            return self.output(four if isinstance(self.output, mx.gluon.nn.HybridSequential) else embedding)

    together = Together()
    together.hybridize(static_alloc=True, static_shape=True)
    whole.hybridize()
    expected = whole(x).asnumpy()
    np.testing.assert_allclose(together(x).asnumpy(), expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max())
    if "mobilenetv3" not in model:  # it drops features at random while it trains
        wanted = gradients(whole, x, weight)
        got = gradients(together, x, weight)
        checked = 0
        for name, gradient in got.items():
            name = name.replace("backbone.features.0.", "").replace("output.", f"{output_name}.")
            largest = np.abs(wanted[name]).max()
            np.testing.assert_allclose(gradient, wanted[name], rtol=1e-2, atol=1e-3 * largest + 1e-6, err_msg=name)
            checked += largest > 0
        assert checked == len(wanted)


@needs_gluoncv
@pytest.mark.parametrize("model", ["cifar_resnet20_v1", "cifar_resnet20_v2", "cifar_resnext29_32x4d"])
def test_no_pooling_is_left_at_the_end_of_a_cifar_resnet(model):
    backbone = Zoo(model, (3, 32, 32))
    kinds = []
    backbone.apply(lambda block: kinds.append(type(block)))
    assert mx.gluon.nn.GlobalAvgPool2D not in kinds
    assert GlobalMean in kinds


@needs_gluoncv
def test_embedding_size_adds_a_linear_layer(rng):
    backbone = Zoo("cifar_resnet20_v1", (3, 32, 32), embedding_size=7)
    backbone.initialize()
    assert backbone.embedding_size == 7
    assert backbone(mx.nd.array(rng.normal(size=(2, 3, 32, 32)))).shape == (2, 7)
    assert backbone.embedding.weight.shape == (7, 64)


@needs_gluoncv
def test_published_weights_are_set_on_every_device_and_only_they(rng, monkeypatch):
    source = theirs("cifar_resnet20_v1")
    x = mx.nd.array(rng.normal(size=(2, 3, 32, 32)))
    source(x)
    randomize_statistics(source, rng)
    monkeypatch.setattr(zoo, "_pretrained", lambda model: source)
    backbone = Zoo("cifar_resnet20_v1", (3, 32, 32), embedding_size=3, pretrained=True)
    contexts = [mx.cpu(0), mx.cpu(1)]
    backbone.initialize(mx.init.One(), ctx=contexts)
    assert (backbone.embedding.weight.data(contexts[0]).asnumpy() == 1).all()
    expected = source.features(x).asnumpy().reshape(2, 64)
    for context in contexts:
        embedding = backbone.features(x.as_in_context(context)).asnumpy()
        np.testing.assert_allclose(embedding, expected, rtol=1e-4, atol=1e-4)


@needs_gluoncv
@pytest.mark.parametrize(
    ("error", "reason"),
    [(OSError("no route"), "its download failed"), (ValueError("Pretrained model for x is not available."), "Pre.*")],
)
def test_weights_that_cannot_be_had_are_one_line(error, reason, monkeypatch):
    genuine = zoo._model_zoo()

    class Offline:
        get_model_list = staticmethod(genuine.get_model_list)

        @staticmethod
        def get_model(name, pretrained=False):
            if pretrained:
                raise error
            return genuine.get_model(name)

    monkeypatch.setattr(zoo, "_model_zoo", lambda: Offline)
    expected = rf"^Zoo: `pretrained` must be false .*, got true for 'cifar_resnet20_v1' \({reason}\)\. Copy .* false\.$"
    with pytest.raises(ValueError, match=expected):
        Zoo("cifar_resnet20_v1", (3, 32, 32), pretrained=True)


@needs_gluoncv
@pytest.mark.parametrize(
    ("model", "hint"),
    [("resnt18_v1", "Did you mean resnet18_v1, "), ("ssd_300_vgg16_atrous_voc", "Examples are "), (18, "Did|Examples")]
    + [("fcn_resnet50_ade", "Did you mean"), ("nasnet_4_1056", "Did you mean"), ("resnet50_v1_int8", "Did you mean")],
)
def test_what_is_no_classification_network_is_refused_before_it_is_built(model, hint):
    with pytest.raises(ValueError, match=rf"^Zoo: `model` must be a classification network .*, got {model!r}\. {hint}"):
        Zoo(model)


@needs_gluoncv
@pytest.mark.slow
def test_every_name_that_is_not_refused_has_an_output_layer_that_can_be_left_out():
    names = [name for name in zoo._model_zoo().get_model_list() if not zoo.OTHER.search(name)]
    assert len(names) > 100
    without = [name for name in names if not set(zoo.OUTPUT_NAMES) & set(zoo._network(name)._children)]
    assert without == []


@needs_gluoncv
def test_an_image_that_does_not_suit_is_refused_in_one_line(capfd):
    with pytest.raises(
        ValueError, match=r"^Zoo: `image_shape` must suit 'densenet121', got \(3, 64, 64\) \(.*\)\. Res"
    ):
        Zoo("densenet121", (3, 64, 64))
    assert capfd.readouterr().out == ""


def test_a_missing_gluoncv_is_said_in_one_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "gluoncv", None)
    expected = r"^Zoo: gluoncv must be installed, got ImportError \(.*\)\. Try: pip install gluoncv==0\.10\.5\.post0$"
    with pytest.raises(ValueError, match=expected):
        Zoo("resnet18_v1")


def test_gluoncv_is_not_imported_until_it_is_asked_for():
    code = "import sys, lossbench.backbones; assert 'gluoncv' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


@needs_gluoncv
def test_a_new_torch_beside_gluoncv_does_no_harm(tmp_path):
    """gluoncv refuses to be imported beside torch 2."""
    (tmp_path / "torch.py").write_text('__version__ = "2.13.0"')
    code = """
        from lossbench.backbones.zoo import Zoo
        Zoo("cifar_resnet20_v1", image_shape=(3, 32, 32))
        import torch
        assert torch.__version__ == "2.13.0"
        Zoo("cifar_resnet20_v1", image_shape=(3, 32, 32))
        assert sys.modules["torch"] is torch
    """
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n{textwrap.dedent(code)}"
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True)
