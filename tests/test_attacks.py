import numpy as np
import pytest
from scipy.special import expit, logsumexp

from lossbench import attacks, inference
from lossbench._mxnet import mx
from lossbench.backbones import CifarResNet, LeNet
from lossbench.data import Split
from lossbench.heads import LGM, ArcFace, Softmax

nn = mx.gluon.nn
MEAN, STD = (0.5, 0.3), (0.25, 0.2)


class Tiny(nn.HybridSequential):
    """What training mode changes (batch normalization, dropout) and what inference mode breaks (max pooling)."""

    def __init__(self, size=3):
        super().__init__()
        with self.name_scope():
            self.add(
                nn.Conv2D(4, 3, padding=1, in_channels=2),
                nn.BatchNorm(in_channels=4),
                nn.Activation("tanh"),
                nn.MaxPool2D(),
                nn.Dropout(0.5),
                nn.Dense(size, in_units=4 * 9),
            )


def disturb(*blocks):
    """Parameters as after some training: no scale is 1 and no running statistic is that of a fresh network."""
    for block in blocks:
        for name, parameter in block.collect_params().items():
            if name.endswith(("gamma", "running_var")):
                parameter.set_data(mx.nd.random.uniform(0.5, 2, shape=parameter.shape))
            elif name.endswith(("beta", "bias", "running_mean", "mean")):
                parameter.set_data(mx.nd.random.normal(0, 0.3, shape=parameter.shape))


@pytest.fixture
def backbone():
    block = Tiny()
    block.initialize(mx.init.Xavier())
    block(mx.nd.zeros((1, 2, 6, 6)))
    disturb(block)
    return block


@pytest.fixture
def images(rng):
    return rng.integers(0, 256, (7, 2, 6, 6), dtype=np.uint8)


@pytest.fixture
def labels(rng):
    return rng.integers(0, 5, 7).astype(np.int32)


def head_of(kind, size=3, classes=5):
    head = kind(classes, size)
    head.initialize()
    disturb(head)
    return head


def log_odds(backbone, head, pixels, labels, mean=MEAN, std=STD):
    """The second implementation: eager, in inference mode, the sum over the wrong classes in NumPy."""
    mean, std = (np.reshape(value, (1, -1, 1, 1)) for value in (mean, std))
    dtype = next(iter(backbone.collect_params().values())).data().dtype
    logits = head.predict(backbone(mx.nd.array((pixels - mean) / std, dtype=dtype))).asnumpy().astype(np.float64)
    wrong = [np.delete(row, label) for row, label in zip(logits, labels)]
    return np.array([logsumexp(others) - row[label] for others, row, label in zip(wrong, logits, labels)])


@pytest.mark.parametrize("kind", [Softmax, LGM, ArcFace])
def test_gradient_is_the_difference_of_losses(backbone, images, labels, kind):
    head = head_of(kind)
    backbone.cast("float64")
    head.cast("float64")
    pixels = images / 255
    found = attacks.input_gradient(backbone, head, pixels, labels, MEAN, STD)
    assert found.dtype == np.float64
    step, size = 1e-6, pixels[0].size
    change = step * np.eye(size).reshape(size, 1, *pixels.shape[1:])  # of every pixel in turn, for every image
    up, down = (
        log_odds(backbone, head, (pixels + sign * change).reshape(-1, *pixels.shape[1:]), np.tile(labels, size))
        for sign in (1, -1)
    )

    def slope(rise):
        return rise.reshape(size, len(pixels)).T.reshape(pixels.shape) / (2 * step)

    np.testing.assert_allclose(found, slope(up - down), rtol=1e-4, atol=1e-7)
    mistaken = expit(log_odds(backbone, head, pixels, labels)).reshape(-1, 1, 1, 1)
    cross_entropy = slope(np.logaddexp(0, up) - np.logaddexp(0, down))
    np.testing.assert_allclose(mistaken * found, cross_entropy, rtol=1e-4, atol=1e-7)


def closest_in_a_pooling(backbone, pixels):
    """The smallest difference of the two largest values in a window of the max poolings, relative to the largest."""
    closest = [np.inf]

    def look(block, inputs):
        x = inputs[0].asnumpy()
        x = x[:, :, : x.shape[2] // 2 * 2, : x.shape[3] // 2 * 2]
        windows = x.reshape(*x.shape[:2], x.shape[2] // 2, 2, x.shape[3] // 2, 2).swapaxes(3, 4)
        ordered = np.sort(windows.reshape(-1, 4), axis=1)
        closest.append((ordered[:, 3] - ordered[:, 2]).min() / abs(x).max())

    handles = []
    backbone.apply(lambda b: handles.append(b.register_forward_pre_hook(look)) if isinstance(b, nn.MaxPool2D) else None)
    backbone(mx.nd.array((pixels - 0.4) / 0.3))
    for handle in handles:
        handle.detach()
    return min(closest)


@pytest.mark.parametrize(
    ("make", "shape"), [(lambda: LeNet((1, 14, 14), 2), (1, 14, 14)), (lambda: CifarResNet(8), (3, 32, 32))]
)
@pytest.mark.parametrize("hybridized", [False, True])
def test_oneDNN_gradients_are_those_of_float64(rng, make, shape, hybridized):
    # Recorded in inference mode, LeNet's gradient is noise: max pooling reads a workspace that nobody wrote.
    backbone = make()
    backbone.initialize(mx.init.Xavier())
    head = head_of(LGM, backbone.embedding_size)
    pixels, labels = rng.random((2, *shape), np.float32), rng.integers(0, 5, 2)
    backbone(mx.nd.array(pixels))
    disturb(backbone)
    while closest_in_a_pooling(backbone, pixels) < 4e-6:  # rounding would choose the maximum, and with it the gradient
        pixels = rng.random((2, *shape), np.float32)
    if hybridized:
        backbone.hybridize(static_alloc=True)
        head.hybridize(static_alloc=True)
    mean, std = [0.4] * shape[0], [0.3] * shape[0]
    found = attacks.input_gradient(backbone, head, pixels, labels, mean, std)
    assert found.dtype == np.float32
    backbone.hybridize(False)
    head.hybridize(False)
    backbone.cast("float64")
    head.cast("float64")
    exact = attacks.input_gradient(backbone, head, pixels, labels, mean, std)
    assert abs(found - exact).max() < 1e-4 * abs(exact).max()
    change, step = rng.standard_normal(pixels.shape), 1e-6
    up, down = (log_odds(backbone, head, pixels + s * step * change, labels, mean, std) for s in (1, -1))
    np.testing.assert_allclose((exact * change).sum(axis=(1, 2, 3)), (up - down) / (2 * step), rtol=1e-2, atol=1e-4)


def test_attack_of_a_linear_network_in_closed_form(rng):
    class Flat(mx.gluon.HybridBlock):
        def __init__(self):
            super().__init__()
            self.dense = nn.Dense(8, in_units=8, use_bias=False)

        def hybrid_forward(self, F, x):
            return self.dense(F.flatten(x))

    backbone, head = Flat(), Softmax(2, 8)
    backbone.initialize()
    head.initialize()
    backbone.dense.weight.set_data(mx.nd.array(np.eye(8)))
    images, labels = rng.random((6, 2, 2, 2), np.float32), np.array([0, 1, 0, 1, 0, 1])
    weight = head.weight.data().asnumpy()
    slope = np.array([weight[1 - y] - weight[y] for y in labels]).reshape(images.shape)
    gradient = attacks.input_gradient(backbone, head, images, labels, MEAN, STD)
    np.testing.assert_allclose(gradient, slope / np.reshape(STD, (1, 2, 1, 1)), rtol=1e-5)
    attacked = attacks.fgsm(backbone, head, images, labels, 0.3, MEAN, STD)
    np.testing.assert_allclose(attacked, np.clip(images + 0.3 * np.sign(slope), 0, 1), rtol=1e-6)


@pytest.mark.parametrize("epsilon", [0, 0.004, 0.3, 1])
@pytest.mark.parametrize("kind", [Softmax, LGM])
def test_pixels_move_by_epsilon_inside_the_range(backbone, images, labels, kind, epsilon):
    head = head_of(kind)
    attacked = attacks.fgsm(backbone, head, images, labels, epsilon, MEAN, STD)
    assert attacked.dtype == np.float32
    assert attacked.min() >= 0
    assert attacked.max() <= 1
    moved = abs(attacked - images / 255)
    assert moved.max() <= epsilon + 1e-6
    inside = (images / 255 >= epsilon) & (images / 255 <= 1 - epsilon)
    np.testing.assert_allclose(moved[inside], epsilon, atol=1e-6)
    if 0 < epsilon < 0.01:
        assert (log_odds(backbone, head, attacked, labels) > log_odds(backbone, head, images / 255, labels)).all()


def test_sure_networks_are_attacked_too(backbone, images):
    head = head_of(Softmax)
    head.weight.set_data(1000 * head.weight.data())
    known = inference.outputs(backbone, head, Split(images, np.zeros(7, np.int32)), MEAN, STD)["logits"].argmax(axis=1)
    odds = log_odds(backbone, head, images / 255, known)
    assert (np.exp(odds.astype(np.float32)) < 1e-8).any()  # the probability of the class is 1 in float32
    attacked = attacks.fgsm(backbone, head, images, known, 0.1, MEAN, STD)
    assert (attacked != (images / 255).astype(np.float32)).mean(axis=(1, 2, 3)).min() > 0.5
    slightly = attacks.fgsm(backbone, head, images, known, 0.001, MEAN, STD)
    assert (log_odds(backbone, head, slightly, known) > odds).all()


def test_neither_batches_nor_the_type_of_the_pixels_matter(backbone, images, labels):
    head = head_of(LGM)
    whole = attacks.fgsm(backbone, head, images, labels, 0.1, MEAN, STD)
    assert (attacks.fgsm(backbone, head, images, labels, 0.1, MEAN, STD) == whole).all()
    for batch_size in (1, 3):
        found = attacks.fgsm(backbone, head, images, labels, 0.1, MEAN, STD, batch_size=batch_size)
        np.testing.assert_allclose(found, whole, atol=1e-6)
    np.testing.assert_allclose(attacks.fgsm(backbone, head, images / 255, labels, 0.1, MEAN, STD), whole, atol=1e-6)


def test_several_epsilons_need_one_gradient(backbone, images, labels):
    head = head_of(LGM)
    gradient = attacks.input_gradient(backbone, head, images, labels, MEAN, STD)
    for epsilon in (0.1, 0.3):
        expected = attacks.fgsm(backbone, head, images, labels, epsilon, MEAN, STD)
        assert (attacks.move(images, gradient, epsilon) == expected).all()


def values(*blocks):
    return [p.data().asnumpy() for block in blocks for p in block.collect_params().values()]


def gradients(*blocks):
    return [p.grad() for block in blocks for p in block.collect_params().values() if p.grad_req != "null"]


def test_the_model_is_left_as_it_was(backbone, images, labels):
    head = head_of(LGM)
    normalized = mx.nd.array((images / 255 - np.reshape(MEAN, (1, 2, 1, 1))) / np.reshape(STD, (1, 2, 1, 1)))
    before, predicted = values(backbone, head), head.predict(backbone(normalized)).asnumpy()
    for gradient in gradients(backbone, head):
        gradient[:] = 7
    attacks.fgsm(backbone, head, images, labels, 0.1, MEAN, STD)
    assert all((a == b).all() for a, b in zip(values(backbone, head), before))
    assert all((gradient.asnumpy() == 7).all() for gradient in gradients(backbone, head))
    for block in (backbone, head):
        assert not any(p.data()._fresh_grad for p in block.collect_params().values() if p.grad_req != "null")
    assert (head.predict(backbone(normalized)).asnumpy() == predicted).all()


def test_a_training_step_around_an_attack_is_the_step_without(images, labels):
    def step(attacked):
        mx.random.seed(3)
        backbone = Tiny()
        backbone.initialize(mx.init.Xavier())
        head = LGM(5, 3)
        head.initialize()
        backbone(mx.nd.zeros((1, 2, 6, 6)))
        mx.random.seed(4)
        with mx.autograd.record():
            loss, _ = head(backbone(mx.nd.array(images)), mx.nd.array(labels))
            if attacked:
                attacks.fgsm(backbone, head, images, labels, 0.1, MEAN, STD)
                assert mx.autograd.is_training()
        loss.backward()
        return [g.asnumpy() for g in gradients(backbone, head)] + values(backbone, head)

    for plain, around in zip(step(False), step(True)):
        np.testing.assert_array_equal(around, plain)


def test_progress_is_shown_only_when_asked(backbone, images, labels, capsys):
    head = head_of(Softmax)
    attacks.fgsm(backbone, head, images, labels, 0.1, MEAN, STD)
    assert capsys.readouterr() == ("", "")
    attacks.fgsm(backbone, head, images, labels, 0.1, MEAN, STD, progress=True)
    assert "/7" in capsys.readouterr().err


class Eager(mx.gluon.Block):
    def forward(self, x):
        return mx.nd.flatten(x)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"epsilon": 8}, r"attacks: `epsilon` must be in \[0, 1\], got 8. Divide levels of 255 by 255"),
        ({"epsilon": float("nan")}, r"attacks: `epsilon` must be in \[0, 1\], got nan"),
        ({"images": np.zeros((7, 6, 6))}, r"attacks: `images` must have the shape \(N, channels, height, width\)"),
        ({"images": np.zeros((0, 2, 6, 6))}, "N at least 1, got"),
        ({"images": np.full((7, 2, 6, 6), 2.5)}, r"hold pixels in \[0, 1\], got 2.5 to 2.5. Pass them as they are"),
        ({"images": np.zeros((7, 2, 6, 6), int)}, "attacks: `images` must be uint8 or floating point, got int64"),
        ({"labels": np.zeros(3, int)}, r"attacks: `labels` must have the shape \(7,\), got \(3,\)"),
        ({"labels": np.full(7, -1)}, "attacks: `labels` must be class ids 0, 1, 2"),
        ({"labels": np.full(7, 5)}, "attacks: `labels` must be class ids below 5, got 5"),
        ({"batch_size": 0}, "attacks: `batch_size` must be at least 1, got 0"),
        ({"mean": [0.5]}, "attacks: `mean` must have 2 values, one a channel, got 1"),
        ({"std": [0.5, 0.0]}, "attacks: `std` must be above 0"),
        (
            {"backbone": Eager()},
            r"`backbone` and `head` must be HybridBlocks that can be traced, got Eager and Softmax",
        ),
    ],
)
def test_errors(backbone, images, labels, change, message):
    given = {
        "backbone": backbone,
        "head": head_of(Softmax),
        "images": images,
        "labels": labels,
        "epsilon": 0.1,
        "mean": MEAN,
        "std": STD,
        **change,
    }
    with pytest.raises(ValueError, match=message):
        attacks.fgsm(**given)


def test_a_diverged_model_is_said(backbone, images, labels):
    head = head_of(Softmax)
    head.weight.set_data(head.weight.data() * np.nan)
    with pytest.raises(ValueError, match="attacks: the gradient must be finite, got NaN or infinity"):
        attacks.fgsm(backbone, head, images, labels, 0.1, MEAN, STD)
