import json
import os
import re
import subprocess
import sys

import numpy as np
import pytest

from lossbench import _cores, _mxnet, config, experiment
from lossbench._mxnet import mx
from lossbench.backbones import CifarResNet, ConvNet, LeNet, bfloat16, fuse

NETWORKS = {"resnet": lambda: CifarResNet(8), "lenet": lambda: LeNet(embedding_size=16), "convnet": ConvNet}
TINY = """\
data: {source: digits, batch_size: 64, validation_fraction: 0.1}
backbone: {name: lenet, embedding_size: 32, initializer: msra}
head: {name: lgm}
optimizer: {name: nag, learning_rate: 0.01}
schedule: {name: one_cycle}
trainer: {epochs: 3, progress: none, precision: bfloat16}
evaluation: {methods: [softmax], pictures: [], embeddings_every_epochs: null}
"""

has_instructions = pytest.mark.skipif(not _cores.has_bfloat16(), reason="this processor has no bfloat16 instructions")


def computed(network, narrow, rng):
    """Embedding and gradients of one step, and the types of what the convolutions compute."""
    mx.random.seed(5)
    net = NETWORKS[network]()
    net.initialize(mx.init.Xavier())
    fuse(net)
    if narrow:
        bfloat16.narrow(net)
    net.hybridize(static_alloc=True, static_shape=True)
    image, gradient = mx.nd.array(rng.normal(size=(16, *net.image_shape))), mx.nd.array(rng.normal(size=(16, 1)))
    with mx.autograd.record():
        embedding = net(image)
        loss = (embedding * gradient).sum()
    loss.backward()
    gradients = {n: p.grad().asnumpy() for n, p in net._collect_params_with_prefix().items() if p.grad_req != "null"}
    inner = net._cached_graph[1].get_internals()
    types = dict(zip(inner.list_outputs(), inner.infer_type(**{inner.list_inputs()[0]: "float32"})[1]))
    convolved = [str(t) for name, t in types.items() if re.search(r"_conv\d+_fwd_output$", name)]
    return embedding.asnumpy(), gradients, convolved


def has_lower_half(values):
    """Whether float32 values are no bfloat16, whose lower sixteen bits would be 0."""
    return ((values.view(np.uint32) & 0xFFFF) != 0).mean() > 0.9


@has_instructions
@pytest.mark.parametrize("network", NETWORKS)
def test_a_step_is_that_of_float32_but_for_the_precision(network, seed):
    plain, narrow = (computed(network, flag, np.random.default_rng(seed)) for flag in (False, True))
    assert {"float32" in kind for kind in plain[2]} == {True}
    wide = [k for k, kind in enumerate(narrow[2]) if "float32" in kind]
    assert wide == ([0, 1, 2, 3, 5] if network == "resnet" and _mxnet.has_amx else [0])  # those that read few channels
    assert narrow[0].dtype == np.float32
    assert has_lower_half(narrow[0])  # the mean or linear layer at the end is not of bfloat16
    size = np.linalg.norm(plain[0])
    assert 1e-5 * size < np.linalg.norm(narrow[0] - plain[0]) < 0.02 * size
    for name, expected in plain[1].items():
        assert narrow[1][name].dtype == np.float32
        similarity = (narrow[1][name] * expected).sum() / np.linalg.norm(narrow[1][name]) / np.linalg.norm(expected)
        assert similarity > 0.95, name


@has_instructions
def test_a_network_that_ends_in_bfloat16_gives_float32():
    net = mx.gluon.nn.HybridSequential()
    net.add(mx.gluon.nn.Conv2D(16, 3, in_channels=32))
    net.initialize()
    bfloat16.narrow(net)
    embedding = net(mx.nd.ones((2, 32, 5, 5)))
    assert embedding.dtype == np.float32
    assert not has_lower_half(embedding.asnumpy())


@has_instructions
def test_grouped_convolutions_train_beside_others(rng):
    net = mx.gluon.nn.HybridSequential()
    net.add(
        mx.gluon.nn.Conv2D(32, 1, in_channels=64),
        mx.gluon.nn.Conv2D(32, 3, padding=1, groups=32, in_channels=32),
        mx.gluon.nn.BatchNorm(in_channels=32),
        mx.gluon.nn.Conv2D(32, 1, in_channels=32),
    )
    net.initialize()
    bfloat16.narrow(net)
    net.hybridize(static_alloc=True, static_shape=True)
    with mx.autograd.record():
        loss = net(mx.nd.array(rng.normal(size=(2, 64, 8, 8)))).square().sum()
    loss.backward()
    assert all(np.abs(layer.weight.grad().asnumpy()).max() > 0 for layer in (net[0], net[1], net[3]))


class Gated(mx.gluon.nn.HybridSequential):
    """Channels times numbers of a linear layer, as in a squeeze-and-excitation block."""

    def hybrid_forward(self, F, x):
        x = self[0](x)
        return F.broadcast_mul(x, F.reshape(self[1](x), shape=(0, 0, 1, 1)))


def test_what_takes_no_bfloat16_is_named():
    net = Gated()
    net.add(mx.gluon.nn.Conv2D(16, 3, in_channels=32), mx.gluon.nn.Dense(16, in_units=16 * 36))
    net.initialize()
    with pytest.raises(ValueError, match=r"`block` must be made of operators that take bfloat16, got Gated \(.*mul"):
        bfloat16.narrow(net)


@pytest.fixture
def settings(tmp_path):
    (tmp_path / "tiny.yaml").write_text(TINY)
    return lambda *overrides: config.load(tmp_path / "tiny.yaml", overrides)


@has_instructions
def test_a_training_learns_repeats_and_is_scored_in_float32(settings, tmp_path):
    scores = []
    for name in ("one", "two"):
        experiment.run(settings(), tmp_path / name)
        model = experiment.open_run(tmp_path / name).model
        measured = model.outputs(model.dataset.test)
        scores.append(measured["embedding"])
        assert (measured["logits"].argmax(axis=1) == measured["label"]).mean() > 0.5
    np.testing.assert_array_equal(*scores)
    assert has_lower_half(scores[0])


@has_instructions
@pytest.mark.parametrize("kernel", [1, 3, 5])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize(("channels", "wider"), [(16, 32), (32, 20), (48, 96), (100, 64), (128, 128)])
def test_convolutions_of_any_size_have_the_gradients_of_float32(channels, wider, kernel, stride):
    """oneDNN chooses among its kernels, those of AMX too, by the numbers of channels."""
    nn, gradients = mx.gluon.nn, []
    image = mx.nd.random.normal(shape=(8, 3, 12, 12))
    for narrow in (False, True):
        mx.random.seed(1)
        net = nn.HybridSequential()
        for inputs, outputs, size, step in (
            (3, channels, 3, 1),
            (channels, wider, kernel, stride),
            (wider, wider, 3, 1),
        ):
            net.add(nn.Conv2D(outputs, size, step, size // 2, use_bias=False, in_channels=inputs))
            net.add(nn.BatchNorm(in_channels=outputs), nn.Activation("relu"))
        net.add(nn.GlobalAvgPool2D(), nn.Flatten())
        net.initialize(mx.init.Xavier())
        if narrow:
            bfloat16.narrow(net)
        net.hybridize(static_alloc=True, static_shape=True)
        with mx.autograd.record():
            loss = net(image).square().sum()
        loss.backward()
        parameters = net._collect_params_with_prefix().values()
        gradients.append(np.concatenate([p.grad().asnumpy().ravel() for p in parameters if p.grad_req != "null"]))
    expected, found = gradients
    assert 1e-5 < np.linalg.norm(found - expected) / np.linalg.norm(expected) < 0.2


@has_instructions
def test_amx_computes_where_the_processor_has_it():
    """In a process of its own, whose oneDNN says what it computes with."""
    code = """if True:
        import os
        from lossbench import _cores, _mxnet
        from lossbench._mxnet import mx
        assert "DNNL_MAX_CPU_ISA" not in os.environ  # nor in what is started from here
        print("has AMX:", _cores.grant_amx() == _mxnet.has_amx and _mxnet.has_amx)
        from lossbench.backbones import CifarResNet, bfloat16, fuse
        net = CifarResNet(8)
        net.initialize()
        fuse(net)
        bfloat16.narrow(net)
        with mx.autograd.record():
            loss = net(mx.nd.ones((4, 3, 32, 32))).sum()
        loss.backward()
        mx.nd.waitall()"""
    environment = {name: value for name, value in os.environ.items() if name != "DNNL_MAX_CPU_ISA"}
    said = subprocess.run(
        [sys.executable, "-c", code],
        env={**environment, "DNNL_VERBOSE": "1"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    kernels = set(re.findall(r"convolution,\S*amx_bf16,(forward|backward)_", said))
    assert kernels == ({"forward", "backward"} if "has AMX: True" in said else set())


@pytest.mark.parametrize(("chosen", "amx"), [("AVX512_CORE_BF16", False), ("AVX512_CORE_AMX", _cores.grant_amx())])
def test_a_user_chooses_the_instructions(chosen, amx):
    code = "import os; from lossbench import _mxnet; _mxnet.mx; print(_mxnet.has_amx, os.environ['DNNL_MAX_CPU_ISA'])"
    environment = {**os.environ, "DNNL_MAX_CPU_ISA": chosen}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == f"{amx} {chosen}\n"


@pytest.mark.slow
@pytest.mark.parametrize("able", [pytest.param(True, marks=has_instructions), False])
def test_fastest_takes_what_the_processor_is_faster_in_and_says_which(settings, tmp_path, monkeypatch, able):
    monkeypatch.setattr(_cores, "is_bfloat16_faster", lambda amx: able)
    quick = ["trainer.epochs=1", "trainer.precision=fastest"]
    experiment.run(settings(*quick), tmp_path / "run")
    chosen = json.loads((tmp_path / "run" / "environment.json").read_text())["precision"]
    assert chosen == ("bfloat16" if able else "float32")
    experiment.run(settings("trainer.epochs=1", f"trainer.precision={chosen}"), tmp_path / "same")
    expected, found = (
        experiment.open_run(tmp_path / name).model.head.mean.data().asnumpy() for name in ("same", "run")
    )
    np.testing.assert_array_equal(found, expected)


@pytest.mark.slow
def test_a_run_that_goes_on_in_another_precision_says_both(settings, tmp_path, monkeypatch, capsys):
    """As where a run folder moves to a machine without the instructions."""
    monkeypatch.setattr(_cores, "has_bfloat16", lambda: False)
    environment = tmp_path / "run" / "environment.json"

    def go_on(*overrides):
        experiment.run(
            settings("trainer.precision=fastest", "trainer.progress=lines", *overrides), tmp_path / "run", resume=True
        )
        return json.loads(environment.read_text())["precision"]

    assert go_on("trainer.epochs=1") == "float32"
    environment.write_text(environment.read_text().replace('"precision": "float32"', '"precision": "bfloat16"'))
    assert go_on("trainer.epochs=1", "evaluation.k=3") == "bfloat16"  # measured anew, not trained
    assert "from here on" not in capsys.readouterr().err
    assert go_on("trainer.epochs=2", "evaluation.k=3") == "bfloat16, float32"
    assert "Its steps were computed in bfloat16, from here on in float32." in capsys.readouterr().err
    assert go_on("trainer.epochs=3", "evaluation.k=3") == "bfloat16, float32"


@pytest.mark.parametrize("lacking", ["instructions", "kernels"])
def test_a_device_without_it_is_refused(settings, tmp_path, monkeypatch, lacking):
    if lacking == "kernels":
        monkeypatch.setattr(_mxnet, "has_onednn", lambda contexts: False)
    else:
        monkeypatch.setattr(_cores, "has_bfloat16", lambda: False)
    with pytest.raises(ValueError, match=r"trainer.precision: must be float32 on this device, got bfloat16"):
        experiment.run(settings(), tmp_path / "run")
