"""What Gluon people do with a block: stores, workers, copies, files, sharing, export, half precision around it."""

import copy
import pickle
import subprocess
import sys

import numpy as np
import pytest

from lossbench import LGM, ArcFace, CenterLoss, RingLoss, Softmax, _gluon
from lossbench._mxnet import mx
from lossbench.testing import values
from lossbench.testing.subject import Within

nn = mx.gluon.nn
B, D, C = 6, 4, 3
LABEL = np.array([0, 2, 1, 1, 0, 2])
DEVICES = [mx.cpu(0), mx.cpu(1)]


class Model(mx.gluon.HybridBlock):
    """A network around a head."""

    def __init__(self, head, backbone=None):
        super().__init__()
        with self.name_scope():
            self.backbone = nn.Dense(D, in_units=D) if backbone is None else backbone
            self.head = head

    def hybrid_forward(self, F, image, label):
        return self.head(self.backbone(image), label)


def images(rng, ctx=None):
    return mx.nd.array(rng.normal(size=(B, D)), ctx=ctx)


def initialized(block, **where):
    block.initialize(**where)
    return block


@pytest.mark.parametrize("on_the_store", [False, True])
def test_a_trainer_on_a_store_keeps_the_multipliers(on_the_store, rng):
    head = initialized(LGM(C, D, variance="diagonal", variance_lr_mult=0.25, mean_wd_mult=0.5), ctx=DEVICES)
    start, scheduled = values(head), head.scheduled()
    settings = {"learning_rate": 1.0, "wd": 0.1}
    store = {"kvstore": "device", "update_on_kvstore": on_the_store}
    trainer = mx.gluon.Trainer(head.collect_params(), "sgd", settings, **store)
    x = mx.gluon.utils.split_and_load(images(rng), DEVICES)
    label = mx.gluon.utils.split_and_load(mx.nd.array(LABEL), DEVICES)
    with mx.autograd.record():
        losses = [head(*part)[0] for part in zip(x, label)]
    mx.autograd.backward(losses)
    gradient = {
        name: sum(g.asnumpy() for g in getattr(head, name).list_grad()) / B for name in start if name in LEARNED
    }
    trainer.step(B)
    assert (head.scheduled(), gradient.keys()) == (scheduled, LEARNED.keys())
    for name, (rate, decay) in LEARNED.items():
        expected = start[name] - rate * (gradient[name] + 0.1 * decay * start[name])
        np.testing.assert_allclose(values(head)[name], expected, rtol=1e-5, atol=1e-6)


LEARNED = {"mean": (1.0, 0.5), "raw_log_variance": (0.25, 0.0)}


@pytest.mark.parametrize("threads", [False, True])
def test_batches_of_a_loaders_workers_are_taken_as_they_come(threads, rng):
    data = mx.gluon.data.ArrayDataset(rng.normal(size=(B, D)).astype(np.float32), LABEL)
    head, expected = initialized(ArcFace(C, D)), []
    for hybridized in (False, True):
        head.hybridize(hybridized)
        for x, label in mx.gluon.data.DataLoader(data, 2, num_workers=2, thread_pool=threads):
            loss, _ = head(x, label)
            assert loss.context == mx.cpu()
            expected += [loss.asnumpy(), head(x.as_in_context(mx.cpu()), label)[0].asnumpy()]
    np.testing.assert_array_equal(np.concatenate(expected[::2]), np.concatenate(expected[1::2]))


def test_labels_may_be_on_another_device(rng):
    head = initialized(ArcFace(C, D), ctx=DEVICES)
    x = images(rng, DEVICES[1])
    loss, _ = head(x, mx.nd.array(LABEL, ctx=DEVICES[0]))
    assert loss.context == DEVICES[1]
    np.testing.assert_array_equal(loss.asnumpy(), head(x, mx.nd.array(LABEL, ctx=DEVICES[1]))[0].asnumpy())


@pytest.mark.parametrize(
    ("name", "dtype", "largest"), [("float16", "float16", 2049), ("bfloat16", _gluon.BFLOAT16, 257)]
)
def test_labels_of_a_type_without_their_classes_are_refused(name, dtype, largest):
    label = mx.nd.array([largest - 1]).astype(dtype)
    for num_classes in (largest, largest + 1):
        head = initialized(Softmax(num_classes, D))
        if num_classes == largest:
            assert np.isfinite(head(mx.nd.ones((1, D)), label)[0].asnumpy())
            continue
        text = f"Softmax: `label` must have a type that holds {num_classes} classes, got '{name}'. Leave labels"
        with pytest.raises(ValueError, match=text):
            head(mx.nd.ones((1, D)), label)
    RingLoss().check_labels(label)
    initialized(RingLoss())(mx.nd.ones((1, D)), label)


@pytest.mark.parametrize("dtype", ["float16", _gluon.BFLOAT16])
@pytest.mark.parametrize("compiled", [False, True])
def test_a_model_cast_to_half_precision_keeps_its_loss_in_float32(dtype, compiled, rng):
    model = initialized(Model(ArcFace(C, D), nn.Flatten()))
    x = images(rng).astype(dtype).astype("float32")
    expected = [array.asnumpy() for array in model(x, mx.nd.array(LABEL))]
    model.cast(dtype)
    model.hybridize(compiled)
    for array, value in zip(model(x.astype(dtype), mx.nd.array(LABEL)), expected):
        assert array.dtype == np.float32
        np.testing.assert_allclose(array.asnumpy(), value, rtol=0.05, atol=0.05)
    with pytest.raises(ValueError, match="ArcFace: `dtype` must be a float type, got 'int8'"):
        model.cast("int8")


def test_parameters_of_another_type_than_the_block_are_refused(rng):
    head = initialized(ArcFace(C, D))
    head.weight.cast("float16")
    for block in (head, Within(head)):
        block.hybridize(block is not head)
        with pytest.raises(
            ValueError, match=r"ArcFace: `weight` must be float32, got 'float16'. Call cast\(\) of the block"
        ):
            block(images(rng), mx.nd.array(LABEL))
    head.cast("float16")
    assert head(images(rng), mx.nd.array(LABEL))[0].dtype == np.float32


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, pickle.dumps])
def test_a_copy_that_would_not_learn_is_refused(copied, rng):
    head = initialized(ArcFace(C, D))
    for block in (head, Model(head)):
        with pytest.raises(
            ValueError, match=r"ArcFace: `block` must be copied by its copy\(\) .*, got 'copy or pickle'"
        ):
            copied(block if copied is not copy.copy else head)
    x, label = images(rng), mx.nd.array(LABEL)
    twin = head.copy()
    with mx.autograd.record():
        loss, _ = twin(x, label)
    loss.backward()
    np.testing.assert_array_equal(loss.asnumpy(), head(x, label)[0].asnumpy())
    assert twin.weight.grad().asnumpy().any()


def test_parameters_are_shared_between_blocks_built_alike():
    head = initialized(ArcFace(C, D, margin=0.2))
    assert ArcFace(C, D, margin=0.2, params=head.params).weight is head.weight
    assert ArcFace(C, D, margin=0.2, params=head.collect_params()).margin is head.margin
    for other, name in [
        ({"margin": 0.3}, "margin"),
        ({"num_classes": C + 1}, "weight"),
        ({"embedding_size": 9}, "weight"),
    ]:
        text = rf"ArcFace: `params` must be those of a block with the same sizes and options, got 'another \w+_{name}'"
        with pytest.raises(ValueError, match=text):
            ArcFace(**{"num_classes": C, "embedding_size": D, "margin": 0.2, **other}, params=head.params)


def test_files_of_other_names_are_loaded(tmp_path):
    head = ArcFace(C, D, margin=0.2)
    model = initialized(Model(head))
    model.hybridize()
    model(mx.nd.ones((B, D)), mx.nd.array(LABEL))
    model.export(str(tmp_path / "exported"))
    model.save_parameters(str(tmp_path / "model"))
    model.collect_params().save(str(tmp_path / "collected"))
    head.save_parameters(str(tmp_path / "head"))
    head.collect_params().save(str(tmp_path / "own"))
    for file in ("head", "own", "model", "collected", "exported-0000.params"):
        other = ArcFace(C, D)
        other.load_parameters(str(tmp_path / file), ctx=DEVICES)
        assert other.scheduled() == {"scale": 64.0, "margin": 0.2}
        assert other.weight.list_ctx() == DEVICES
        np.testing.assert_array_equal(values(other)["weight"], values(head)["weight"])
    with mx.util.np_shape(True), mx.util.np_array(True):
        head = initialized(ArcFace(C, D))
        head.save_parameters(str(tmp_path / "numpy"))
        other.load_parameters(str(tmp_path / "numpy"))
        in_numpy = ArcFace(C, D)
        in_numpy.load_parameters(str(tmp_path / "own"))
        assert isinstance(in_numpy.weight.data(), mx.np.ndarray)
    np.testing.assert_array_equal(values(other)["weight"], values(head)["weight"])
    other.load_parameters(str(tmp_path / "numpy"))


class WithLayer(Softmax):
    """A head with a layer that learns the size of its input from the first batch, and with a count."""

    def setup(self):
        super().setup()
        with self.name_scope():
            self.layer = nn.Dense(D)
            self.count = self.params.get("count", shape=(1,), dtype="int32", init="ones", differentiable=False)

    def loss(self, F, embedding, label, weight, count):
        logits = F.broadcast_mul(
            self.logits(F, self.layer(embedding), weight), F.cast(F.expand_dims(count, 0), "float32")
        )
        return self.cross_entropy(F, logits, label), logits


def test_a_head_of_ones_own_may_have_layers_and_integers(rng, tmp_path):
    head, other = initialized(WithLayer(C, D)), WithLayer(C, D)
    x, label = images(rng), mx.nd.array(LABEL)
    expected = head(x, label)[0].asnumpy()
    head.save_parameters(str(tmp_path / "head"))
    other.load_parameters(str(tmp_path / "head"))
    np.testing.assert_array_equal(other(x, label)[0].asnumpy(), expected)


def test_files_of_other_blocks_are_refused_by_name(tmp_path):
    file = str(tmp_path / "file")
    initialized(ArcFace(C, D)).save_parameters(file)
    for other, text in [
        (ArcFace(C + 1, D), rf"ArcFace: {file}: `weight` must have shape \(4, 4\), got \(3, 4\). For other classes"),
        (LGM(C, D), rf"LGM: {file}: `mean` must be there, got \['margin', 'scale', 'weight'\]. The file is of another"),
        (Softmax(C, D), rf"Softmax: {file}: `margin, scale` must be a parameter of the block, got \['weight'\]"),
    ]:
        with pytest.raises(ValueError, match=text):
            other.load_parameters(file)
    other.load_parameters(file, ignore_extra=True)
    ArcFace(C, D).collect_params()
    initialized(Softmax(C, D)).save_parameters(file)
    with pytest.raises(ValueError, match="`scale` must be there"):
        ArcFace(C, D).load_parameters(file)
    lenient = initialized(ArcFace(C, D))
    lenient.load_parameters(file, allow_missing=True)
    np.testing.assert_array_equal(values(lenient)["weight"], mx.nd.load(file)["weight"].asnumpy())
    two = nn.HybridSequential()
    two.add(Softmax(C, D), Softmax(C, D))
    initialized(two).save_parameters(file)
    with pytest.raises(ValueError, match=r"`weight` must be there once, got \['0.weight', '1.weight'\]"):
        Softmax(C, D).load_parameters(file)


@pytest.mark.parametrize("value", [1e-300, 1e-320, 5e-324])
def test_a_value_too_small_for_mxnet_is_set_to_zero(value):
    head = LGM(C, D)
    head.set_scheduled("margin", value)
    assert initialized(head).scheduled()["margin"] == 0
    head.set_scheduled("margin", 0.1)
    head.set_scheduled("margin", value)
    assert head.scheduled()["margin"] == 0


def test_initialized_again_it_starts_anew(rng):
    head = initialized(ArcFace(C, D, margin=0.3))
    head.set_scheduled("margin", 0.1)
    before = values(head)["weight"]
    head.initialize(force_reinit=True)
    assert head.scheduled() == {"scale": 64.0, "margin": 0.3}
    assert (values(head)["weight"] != before).all()
    ring = initialized(RingLoss(radius="auto"))
    ring.calibrate(3 * images(rng))
    assert not ring.needs_calibration
    ring.initialize(force_reinit=True)
    assert ring.needs_calibration


@pytest.mark.filterwarnings("ignore:Cannot decide type:UserWarning")  # any block's import says so
def test_exported_with_its_network_and_upon_an_imported_one(rng, tmp_path):
    x, label = images(rng), mx.nd.array(LABEL)
    backbone = initialized(nn.Dense(D, in_units=D))
    backbone.hybridize()
    backbone(x)
    backbone.export(str(tmp_path / "backbone"))
    imported = mx.gluon.SymbolBlock.imports(
        str(tmp_path / "backbone-symbol.json"), ["data"], str(tmp_path / "backbone-0000.params")
    )
    model = Model(ArcFace(C, D), imported)
    model.head.initialize()
    expected = model.head(backbone(x), label)[0].asnumpy()
    for compiled in (False, True):
        model.hybridize(compiled)
        np.testing.assert_allclose(model(x, label)[0].asnumpy(), expected, rtol=1e-6)
    model.export(str(tmp_path / "model"))
    whole = mx.gluon.SymbolBlock.imports(
        str(tmp_path / "model-symbol.json"), ["data0", "data1"], str(tmp_path / "model-0000.params")
    )
    np.testing.assert_allclose(whole(x, label)[0].asnumpy(), expected, rtol=1e-6)


@pytest.mark.parametrize("make", [lambda: ArcFace(C, D), lambda: CenterLoss(C, D), RingLoss])
def test_its_summary_is_printed(make, rng, capsys):
    block = initialized(make())
    Within(block).summary(images(rng), mx.nd.array(LABEL))
    assert f"{type(block).__name__}-1" in capsys.readouterr().out


AMP = """
import warnings
warnings.simplefilter("ignore")
import lossbench
from lossbench import _cores, heads, regularizers
from lossbench._mxnet import mx
from lossbench.testing import gradients, values
from lossbench.testing.subject import Within
import numpy as np
from mxnet.contrib import amp

label = np.array([0, 2, 1, 1, 0, 2])
embedding = np.random.default_rng(0).normal(size=(6, 4)).astype("float32")

def results():
    found = {{}}
    kinds = {{kind.config_name: kind for kind in (*heads.HEADS.values(), *regularizers.REGULARIZERS.values())}}
    for name, kind in kinds.items():
        for compiled in (False, True):
            mx.random.seed(1)
            block = kind.create(3, 4) if hasattr(kind, "create") else kind(3, 4)
            block.initialize()
            outer = Within(block)
            outer.hybridize(compiled)
            x = mx.nd.array(embedding)
            x.attach_grad()
            with mx.autograd.record():
                loss = outer(x, mx.nd.array(label))
                loss = loss[0] if isinstance(loss, (list, tuple)) else loss
            loss.backward()
            found[name, compiled] = np.concatenate([loss.asnumpy(), x.grad.asnumpy().ravel()])
    return found

before = results()
amp.init("{dtype}")
for key, value in results().items():
    assert (value == before[key]).all(), key
if "{dtype}" == "bfloat16" and _cores.has_bfloat16():
    backbone = mx.gluon.nn.Dense(4, in_units=4)
    head = heads.ArcFace(3, 4, scale=8)
    net = mx.gluon.nn.HybridSequential()
    net.add(backbone)
    for block in (net, head):
        block.initialize()
        block.hybridize()
    trainer = mx.gluon.Trainer({{**net.collect_params(), **head.collect_params()}}, "sgd", {{"learning_rate": 0.1}})
    amp.init_trainer(trainer)
    for step in range(20):
        with mx.autograd.record():
            embedded = net(mx.nd.array(embedding))
            loss, logits = head(embedded, mx.nd.array(label))
            with amp.scale_loss(loss, trainer) as scaled:
                mx.autograd.backward(scaled)
        trainer.step(6)
        if step == 0:
            first = loss.mean().asscalar()
    assert str(embedded.dtype) != str(loss.dtype), embedded.dtype
    assert (loss.dtype, logits.dtype) == (np.float32, np.float32)
    assert loss.mean().asscalar() < first - 0.1, (first, loss.mean().asscalar())
print("done")
"""


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_amp_leaves_the_numbers_of_a_loss_as_they_are(dtype):
    command = [sys.executable, "-c", AMP.format(dtype=dtype)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.stdout == "done\n", done.stderr
