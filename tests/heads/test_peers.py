"""Other implementations on the same inputs: their values where they follow the paper, and where they do not.

The numbers of gluonfr and pytorch-metric-learning (PML) were computed by running the releases named in `VERSIONS`;
where one of them is installed beside this package, `test_the_stored_values_are_those_of_...` computes them anew. Those
of projects that no registry carries (the Caffe, TensorFlow and Gluon ports of L-GM, insightface, SphereFace) restate
the formula of their code.
"""

import math

import numpy as np
import pytest

from lossbench._mxnet import mx
from lossbench.heads import LGM, AMSoftmax, ArcFace, ASoftmax, L2Softmax, LSoftmax, NormFace
from lossbench.heads.l_softmax import psi
from lossbench.regularizers import CenterLoss, RingLoss
from lossbench.training import schedules
from tests.heads import cases

VERSIONS = {"gluonfr": "1.0.2", "pytorch-metric-learning": "2.9.0"}
pytestmark = pytest.mark.filterwarnings("ignore:.* keeps the (loss|cross-entropy):UserWarning")

# --- pytorch-metric-learning, float64: class weights, embeddings, labels; loss and its gradients

WEIGHT = np.array([[1.0, 0.5, -0.2], [-0.3, 1.2, 0.4], [0.7, -0.8, 1.5]])
EMBEDDING = np.array([[2.0, 0.1, -0.4], [0.5, 1.0, 1.0], [-1.5, -0.6, 0.2], [0.3, -0.9, 1.1]])
LABEL = np.array([0, 1, 0, 2])
PML = {
    "ArcFaceLoss": (
        [0.03398927403, 1.70163666975, 9.85232451085, 0.00064547963],
        [
            [0.02946180063, -0.15569556374, 0.10838511222],
            [5.42581265155, -3.24693519065, 0.53402886487],
            [0.13797820398, 0.6808438141, 3.07736797216],
            [0.00075178529, -0.00018971587, -0.00036025442],
        ],
        [
            [-0.06927971644, 1.45103374476, 3.28118577969],
            [-6.48205112622, -0.73908653086, -2.64427875209],
            [-1.57680337386, 0.1100834951, 0.79455277187],
        ],
    ),
    "CosFaceLoss": (
        [1.240258829e-05, 2.43819285193, 38.34849729426, 0.0],
        [
            [3.861321e-05, -0.00015301372, 0.00015481264],
            [21.3925531353, -6.44892506967, -4.24735149797],
            [0.4905519619, 2.61307692707, 11.5183704955],
            [0.0, 0.0, 0.0],
        ],
        [
            [-0.61051465058, 8.53006395002, 18.27258662216],
            [-21.57668911404, -2.90260614413, -7.4746984031],
            [-7.00781593574, -2.49895362089, 1.93753883887],
        ],
    ),
    "NormalizedSoftmaxLoss": (
        [8.945049294e-06, 0.01536466773, 15.17599555281, 5.750657e-09],
        [
            [1.483985e-05, -5.876266e-05, 5.950857e-05],
            [0.18071215432, -0.07463357057, -0.01572250659],
            [0.27075508387, 1.37335243482, 6.15072043352],
            [4.249188e-08, 1.040981e-08, -3.071574e-09],
        ],
        [
            [0.62340741631, -0.89978686707, 0.86756991385],
            [-5.91280843654, -1.76056965195, 0.84710262845],
            [-3.84177983044, -1.74700438629, 0.86109491485],
        ],
    ),
    "LargeMarginSoftmaxLoss": (
        [1.37219063069, 3.56106176505, 13.26539546409, 0.267458204],
        [
            [0.5796499672, -3.67161064879, 0.91005502411],
            [1.98065876457, -0.0808642137, 1.8565062694],
            [-6.41785491988, -3.96079866053, 2.8488126980],
            [-0.98293090454, -0.62554915281, -0.64040802267],
        ],
        [
            [8.77598119225, 8.99911890566, 0.43471084565],
            [-1.7016611839, 0.96778829296, -0.2161745565],
            [1.41256634744, 1.3017948093, 0.406296666],
        ],
    ),
    "SphereFaceLoss": (
        [1.20800942326, 2.85855553002, 11.81769277836, 0.48429185708],
        [
            [0.31496919545, -2.82171284225, 0.43325601107],
            [1.48547706577, 0.13686792542, 1.1080248969],
            [-5.73418201352, -3.45435165386, 2.25286127011],
            [-0.82205180804, -0.47023386122, -0.56514147146],
        ],
        [
            [-1.10324034603, 3.12705987288, 2.30144795206],
            [-0.9620511802, -0.11422747546, -0.37885595878],
            [0.83000607041, 1.00064236987, 0.14633976441],
        ],
    ),
}
OPTIONS = {
    "ArcFaceLoss": {"margin": math.degrees(0.5), "scale": 8},  # degrees
    "CosFaceLoss": {"margin": 0.35, "scale": 30},
    "NormalizedSoftmaxLoss": {"temperature": 1 / 16},
    "LargeMarginSoftmaxLoss": {"margin": 4},
    "SphereFaceLoss": {"margin": 4},
}
OURS = {
    "ArcFaceLoss": lambda: ArcFace(3, 3, margin=0.5, scale=8),
    "CosFaceLoss": lambda: AMSoftmax(3, 3, margin=0.35, scale=30),
    "NormalizedSoftmaxLoss": lambda: NormFace(3, 3, scale=16),
    "LargeMarginSoftmaxLoss": lambda: LSoftmax(3, 3, margin=4),
    "SphereFaceLoss": lambda: ASoftmax(3, 3, margin=4),
}
# psi and its slope by the cosine, at 180 degrees: k = floor(m theta / pi) is m there, one more than the paper's.
PML_PSI_AT_MINUS_1 = (-7.0, -16.0)


def float64(head, weight):
    head.initialize()
    head.cast("float64")
    getattr(head, "mean" if isinstance(head, LGM) else "weight").set_data(mx.nd.array(weight, dtype="float64"))
    return head


@pytest.mark.parametrize("name", PML)
def test_loss_and_gradients_are_those_of_pml(name):
    loss, embedding, weight = PML[name]
    found = cases.gradients(float64(OURS[name](), WEIGHT), EMBEDDING, LABEL)
    np.testing.assert_allclose(found[0], loss, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(found[2]["embedding"], embedding, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(found[2]["weight"], weight, rtol=1e-6, atol=1e-8)


def test_psi_turns_its_slope_around_at_180_degrees_in_pml_and_gluonfr_but_not_here():
    cosine = mx.nd.array([-1.0, -0.9999], dtype="float64")
    cosine.attach_grad()
    with mx.autograd.record():
        value = psi(mx.nd, cosine, 4)
    value.backward()
    found = value.asnumpy()[0], cosine.grad.asnumpy()[0]
    assert found == (PML_PSI_AT_MINUS_1[0], -PML_PSI_AT_MINUS_1[1])
    # gluonfr's loss of two classes, the other cosine being 0, with lambda 5: its own slope beside 180 degrees is the
    # formula's, and the one at 180 degrees is that of the slope -16.
    at, beside = GLUONFR["ASoftmax near 180 degrees"]
    wrong = 1 / (1 + math.exp(-2))  # the probability of the other class
    assert beside == pytest.approx(-wrong * (5 + found[1]) / 6, rel=1e-3)
    assert at == pytest.approx(-wrong * (5 - found[1]) / 6, rel=1e-3)


def test_a_sample_on_its_weight_has_a_gradient_here_and_nan_in_pmls_arcface():
    """PML 2.9.0: [nan, nan] for the embedding at cosine 1 and at cosine -1."""
    head = float64(ArcFace(2, 2), np.eye(2))
    for sign in (1, -1):
        for dtype in (np.float32, np.float64):
            _, _, gradient = cases.gradients(head, np.array([[sign, 0]], dtype), np.array([0]))
            assert all(np.isfinite(values).all() for values in gradient.values())


def test_the_weight_stays_float32_here_and_becomes_float16_in_pml():
    head = ArcFace(3, 3)
    head.initialize()
    with mx.autograd.record():
        loss, _ = head(mx.nd.array(EMBEDDING, dtype="float16"), mx.nd.array(LABEL))
    loss.backward()
    assert (head.weight.dtype, loss.dtype) == (np.float32, np.float32)


# --- gluonfr, float32: it takes cosines; here they come from orthogonal weights and unit embeddings

COSINE = np.array([[0.8, 0.1, -0.3], [0.2, -0.5, 0.6], [-0.95, 0.3, 0.0], [0.1, -0.2, 0.4]])
GLUONFR = {  # the loss, and its gradient by the cosines
    "CosLoss": (
        [2.61064e-05, 43.5, 48.0001221, 1.70151460],
        [
            [-0.000783205, 0.000826071, 5e-09],
            [0.000184325, -30.0, 29.999857],
            [-30.0, 29.9963417, 0.00370184],
            [24.5247364, 0.00302659, -24.5277901],
        ],
    ),
    "ArcLoss": (
        [0.0807794705, 11.6718540, 12.0045414, 1.77872932],
        [
            [-0.941675246, 0.596530735, 0.0243159141],
            [0.313321978, -4.80624771, 7.68658304],
            [-7.99995089, 7.3345947, 0.6653794],
            [6.09612942, 0.553028226, -7.22646809],
        ],
    ),
    "ArcLoss, easy margin (its default)": (
        [0.0807794705, 8.84010124, 10.0868750, 1.77872932],
        [
            [-0.941675246, 0.596530735, 0.0243159141],
            [0.313279271, -7.99884176, 7.6855354],
            [-7.99966717, 7.33433437, 0.66535574],
            [6.09612942, 0.553028226, -7.22646809],
        ],
    ),
    "ASoftmax": (
        [0.737534821, 2.37709522, 2.76069975, 1.06468797],
        [
            [-0.746391058, 0.312338382, 0.20936667],
            [0.364062995, -1.36077023, 0.54311812],
            [-2.69097757, 0.538110375, 0.398642004],
            [0.376355469, 0.278810978, -1.02118313],
        ],
    ),
    "ASoftmax near 180 degrees": (1.61479425, -3.08148551),  # the gradient at cosine -1, and at -0.9999
    "ASoftmax, lambda after 50 hybridized calls": 1363.6363636,  # as after the first; eager it is 250
    "L2Softmax": (0.343811393, 0.343811393, 0.0591172799),  # logits, 3 times these, logits with from_normx=True
    "RingLoss": ([0.45, 0.05, 3.2], [[0.18, 0.24], [0, -0.1], [0.48, 0.64]], -1.0),
    "CenterLoss": ([0.25, 2.25, 8.0], [[0.5, 0], [1.5, 0], [0, 4]], [[1 / 3, 0], [0, 2 / 3]]),
    "LGMLoss": [0.8557507991790771, 2.8602242469787598],
    "LGMLoss, class scores with label 0 and 1": ([0.444858104, 0.54607439], [0.66697681, 0.29819727]),
}
CENTER_EXAMPLE = np.array([[1, 0], [3, 0], [0, 4]], np.float32), np.array([0, 0, 1])
RING_EXAMPLE = np.array([[3, 4], [0, 1], [6, 8]], np.float32)
LGM_EXAMPLE = {
    "mean": np.array([[0.0, 0], [2, 0]]),
    "variance": np.array([[1, 2], [0.5, 1]]),
    "embedding": np.array([[1, 1], [0.5, -1]]),
    "label": np.array([0, 1]),
    "margin": 0.3,
    "likelihood_weight": 0.1,
}


def embeddings_with(cosine):
    """Unit embeddings (B, C + 1) that have these cosines (B, C) with the first C axes."""
    return np.concatenate([cosine, np.sqrt(1 - (cosine**2).sum(axis=1, keepdims=True))], axis=1)


@pytest.mark.parametrize(
    ("name", "build"),
    [
        ("CosLoss", lambda: AMSoftmax(3, 4, margin=0.35, scale=30)),
        ("ArcLoss", lambda: ArcFace(3, 4, margin=0.5, scale=8)),
        ("ArcLoss, easy margin (its default)", lambda: ArcFace(3, 4, margin=0.5, scale=8, easy_margin=True)),
        ("ASoftmax", lambda: ASoftmax(3, 4, margin=4, beta=5)),
    ],
)
def test_loss_and_gradient_are_those_of_gluonfr(name, build):
    expected_loss, slope = GLUONFR[name]
    embedding = embeddings_with(COSINE)
    loss, _, gradient = cases.gradients(float64(build(), np.eye(3, 4)), embedding, LABEL)
    np.testing.assert_allclose(loss, expected_loss, rtol=1e-5, atol=1e-5)  # oneDNN's float32 log_softmax
    # What is left of a gradient along the sphere: d cos_j = (e_j - cos_j x) dx.
    across = gradient["embedding"] - (gradient["embedding"] * embedding).sum(axis=1, keepdims=True) * embedding
    slope = np.array(slope)
    expected = slope @ np.eye(3, 4) - (slope * COSINE).sum(axis=1, keepdims=True) * embedding
    np.testing.assert_allclose(across, expected, rtol=2e-4, atol=2e-4)


def test_the_annealed_beta_moves_when_hybridized_and_gluonfrs_lambda_stands_still():
    head = float64(ASoftmax(3, 4, margin=4, beta=1500), np.eye(3, 4))
    head.hybridize(static_alloc=True, static_shape=True)
    embedding, label = mx.nd.array(embeddings_with(COSINE), dtype="float64"), mx.nd.array(LABEL)
    losses = []
    for beta in (1500 / 1.1, 250.0, 5.0):
        head.set_scheduled("beta", beta)
        losses.append(head(embedding, label)[0].asnumpy())
    assert GLUONFR["ASoftmax, lambda after 50 hybridized calls"] == pytest.approx(1500 / 1.1)
    assert (losses[1] > losses[0]).all()
    np.testing.assert_allclose(losses[2], GLUONFR["ASoftmax"][0], rtol=1e-5, atol=1e-5)


def test_l2_softmax_normalizes_the_embedding_and_gluonfr_the_logits():
    """Three times the class weights: another loss here, the same in gluonfr, unless from_normx is set."""
    logits, tripled, plain = GLUONFR["L2Softmax"]
    assert logits == tripled
    weight = np.array([[2.0], [1.0], [0.5]])
    loss, _, _ = cases.gradients(float64(L2Softmax(3, 1, scale=3), weight), np.array([[7.0]]), np.array([0]))
    np.testing.assert_allclose(loss, plain, rtol=1e-4)
    longer, _, _ = cases.gradients(float64(L2Softmax(3, 1, scale=3), 3 * weight), np.array([[7.0]]), np.array([0]))
    assert longer[0] < 1e-3


def test_l2_softmax_takes_scales_and_class_counts_that_gluonfr_refuses():
    """gluonfr: AssertionError for 10 classes and alpha 4, "math domain error" for two classes."""
    L2Softmax(10, 4, scale=4)
    L2Softmax(2, 4)


def test_ring_loss_has_gluonfrs_values_but_no_nan_at_zero_and_no_decay_of_its_radius():
    penalty, gradient, radius_gradient = GLUONFR["RingLoss"]
    ring = RingLoss(loss_weight=0.1, radius=2)
    ring.initialize()
    x = mx.nd.array(RING_EXAMPLE)
    x.attach_grad()
    with mx.autograd.record():
        found = ring(x, mx.nd.zeros(3))
    found.backward()
    np.testing.assert_allclose(found.asnumpy(), penalty, rtol=1e-5)
    np.testing.assert_allclose(x.grad.asnumpy(), gradient, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(ring.radius.grad().asnumpy(), [radius_gradient], rtol=1e-5)
    zero = mx.nd.zeros((1, 2))
    zero.attach_grad()
    with mx.autograd.record():
        found = ring(zero, mx.nd.zeros(1))
    found.backward()
    assert np.isfinite(zero.grad.asnumpy()).all()  # gluonfr: nan
    assert ring.radius.wd_mult == 0  # gluonfr: 1


def test_center_loss_is_the_papers_and_gluonfrs_is_divided_by_the_class_count():
    penalty, gradient, centers = (np.array(values) for values in GLUONFR["CenterLoss"])
    embedding, label = CENTER_EXAMPLE
    count = np.array([2, 2, 1])
    center = CenterLoss(2, 2, loss_weight=1, alpha=0.5, weight_initializer="zeros")
    center.initialize()
    trainer = mx.gluon.Trainer(center.collect_params(), "sgd", {"learning_rate": center.alpha})
    x = mx.nd.array(embedding)
    x.attach_grad()
    with mx.autograd.record():
        found = center(x, mx.nd.array(label))
    found.backward()
    trainer.step(3)
    np.testing.assert_allclose(found.asnumpy(), penalty * count, rtol=1e-6)
    np.testing.assert_allclose(x.grad.asnumpy(), gradient * count[:, None], rtol=1e-6)
    # alpha n / (1 + n) of the way to the class's mean; gluonfr's step is alpha / B of it.
    mean = np.array([[2.0, 0], [0, 4]])
    np.testing.assert_allclose(center.prototypes().asnumpy(), mean * 0.5 * np.array([[2 / 3], [1 / 2]]), rtol=1e-6)
    np.testing.assert_allclose(centers, mean * 0.5 / 3, rtol=1e-6)


def lgm(mean, variance=None, **options):
    head = float64(LGM(*np.shape(mean), variance="identity" if variance is None else "diagonal", **options), mean)
    if variance is not None:
        head.set_log_variance(np.log(variance))
    return head


def test_lgm_has_gluonfrs_loss_and_the_log_determinant_that_its_likelihood_lacks():
    example = dict(LGM_EXAMPLE)
    embedding, label = example.pop("embedding"), example.pop("label")
    loss, _, _ = cases.gradients(lgm(**example), embedding, label)
    missing = 0.5 * np.log(example["variance"]).sum(axis=1)[label]
    np.testing.assert_allclose(loss, GLUONFR["LGMLoss"] + 0.1 * missing, rtol=2e-6)


def test_the_class_of_an_embedding_does_not_depend_on_its_label():
    """gluonfr's and LeeJuly30's scores hold the margin of the label: at 0.9 between 0 and 2, each label is wrong."""
    scores = np.array(GLUONFR["LGMLoss, class scores with label 0 and 1"])
    assert list(scores.argmax(axis=1)) == [1, 0]
    head = lgm([[0, 0], [2, 0]], margin=1)
    embedding = mx.nd.array([[0.9, 0]], dtype="float64")
    logits = [head(embedding, mx.nd.array([label]))[1].asnumpy() for label in (0, 1)]
    np.testing.assert_array_equal(logits[0], logits[1])
    np.testing.assert_array_equal(logits[0], head.predict(embedding).asnumpy())
    assert logits[0].argmax() == 0


# --- projects that no registry carries, from the formulas in their code


@pytest.fixture
def sample(rng):
    return {"x": rng.normal(size=(1, 6)), "mean": rng.normal(size=(3, 6)), "var": rng.uniform(0.5, 2, size=(3, 6))}


def softmax_loss(logits, label):
    return np.log(np.exp(logits).sum()) - logits[label]


def test_lgm_beside_the_authors_caffe_layer(sample):
    """class_distance_layer.cu: no log-determinant, the true class's logit times 1 + alpha."""
    distance = 0.5 * ((sample["x"] - sample["mean"]) ** 2 / sample["var"]).sum(axis=1)
    caffe = -distance * np.where(np.arange(3) == 1, 1.3, 1)
    half_log_det = 0.5 * np.log(sample["var"]).sum(axis=1)
    head = lgm(sample["mean"], sample["var"], margin=0.3, likelihood_weight=0)
    loss, logits, _ = cases.gradients(head, sample["x"], np.array([1]))
    np.testing.assert_allclose(logits[0], -distance - half_log_det, rtol=1e-6)
    np.testing.assert_allclose(loss, softmax_loss(caffe - half_log_det, 1), rtol=1e-6)
    assert abs(loss[0] - softmax_loss(caffe, 1)) > 1e-3
    fixed = lgm(
        sample["mean"], margin=0.3, likelihood_weight=0
    )  # with the variance that its examples use, it is the same
    distance = 0.5 * ((sample["x"] - sample["mean"]) ** 2).sum(axis=1)
    caffe = -distance * np.where(np.arange(3) == 1, 1.3, 1)
    np.testing.assert_allclose(cases.gradients(fixed, sample["x"], np.array([1]))[0], softmax_loss(caffe, 1), rtol=1e-6)


def test_the_authors_later_code_weighs_the_likelihood_twice(sample):
    """jschenthu/GM-Loss: lambda |x - mean|^2, where the paper and the TensorFlow demo have half of it."""
    square = ((sample["x"] - sample["mean"]) ** 2).sum(axis=1)
    later = softmax_loss(-0.5 * square * np.where(np.arange(3) == 2, 1.3, 1), 2) + 0.1 * square[2]
    head = lgm(sample["mean"], margin=0.3, likelihood_weight=0.2)
    np.testing.assert_allclose(cases.gradients(head, sample["x"], np.array([2]))[0], later, rtol=1e-6)


def test_lgm_beside_the_gluon_port_that_sums_inverse_variances(sample):
    """yuyijie1995/gluon_GMLoss, L_GM_v6.py: -1/2 |x - mean|^2 sum_d 1/var_d; with variance 1, D times too large."""
    square = ((sample["x"] - sample["mean"]) ** 2).sum(axis=1)
    for variance in (np.ones((3, 6)), sample["var"]):
        port = -0.5 * square * (1 / variance).sum(axis=1)
        logits = lgm(sample["mean"], variance).predict(mx.nd.array(sample["x"], dtype="float64")).asnumpy()[0]
        mahalanobis = -0.5 * ((sample["x"] - sample["mean"]) ** 2 / variance).sum(axis=1)
        np.testing.assert_allclose(logits, mahalanobis - 0.5 * np.log(variance).sum(axis=1), rtol=1e-5)
        assert (port < 2 * mahalanobis).all()
    np.testing.assert_allclose(
        -0.5 * square * 6, 6 * lgm(sample["mean"]).describe()["score"](sample["x"])[0], rtol=1e-6
    )


def arcface_slope(degrees):
    """The training logit's slope by the cosine, for scale 1 and margin 0.5: half the gradient of twice log 2."""
    head, angle = ArcFace(2, 2, scale=1), math.radians(degrees)
    cosine = mx.nd.array([math.cos(angle)], dtype="float64")
    cosine.attach_grad()
    with mx.autograd.record():
        value = head._with_margin(mx.nd, cosine, mx.nd.array([0.5], dtype="float64"))
    value.backward()
    return value.asscalar(), cosine.grad.asscalar()


@pytest.mark.parametrize("degrees", [10, 60, 120, 150])
def test_arcface_is_insightfaces_up_to_the_guard_with_the_slope_of_the_formula(degrees):
    """arcface_torch adds the margin under no_grad: slope 1 at every angle. arcface_mxnet has the formula's."""
    angle = math.radians(degrees)
    value, slope = arcface_slope(degrees)
    assert value == pytest.approx(math.cos(angle + 0.5))
    assert slope == pytest.approx(math.sin(angle + 0.5) / math.sin(angle))
    assert abs(slope - 1) > 0.1


def test_past_the_guard_arcface_goes_on_falling_where_insightface_rises():
    unguarded = [math.cos(math.radians(degrees) + 0.5) for degrees in (155, 165, 175)]
    assert unguarded == sorted(unguarded)
    guarded = [arcface_slope(degrees)[0] for degrees in (155, 165, 175)]
    assert guarded == sorted(guarded, reverse=True)


def test_schedules_of_the_caffe_layers():
    """wy1iu/LargeMargin_Softmax_Loss, MNIST; wy1iu/sphereface, which stops at 5 after 1658 iterations."""
    beta = schedules.annealed(1, kind="inverse_power", base=1000, gamma=2.5e-5, power=35, floor=0)
    found = [beta(step) for step in (0, 2500, 5000, 7500, 10000)]
    np.testing.assert_allclose(found, [1000, 120, 16, 2.4, 0.41], rtol=0.03)
    sphere = schedules.annealed(1, kind="inverse_power", base=1000, gamma=0.12, power=1, floor=5)
    assert sphere(1657) > sphere(1659) == 5


# --- the stored numbers, computed anew where a peer is installed


@pytest.mark.filterwarnings("ignore")
def test_the_stored_values_are_those_of_pytorch_metric_learning():
    torch = pytest.importorskip("torch", reason="pytorch-metric-learning's values are stored; it needs torch")
    peer = pytest.importorskip("pytorch_metric_learning", reason="its values are stored; this would compute them anew")
    from pytorch_metric_learning import losses
    from pytorch_metric_learning.reducers import DoNothingReducer

    if peer.__version__ != VERSIONS["pytorch-metric-learning"]:
        pytest.skip(f"the values are of {VERSIONS['pytorch-metric-learning']}, installed is {peer.__version__}")
    for name, (loss, embedding, weight) in PML.items():
        block = getattr(losses, name)(3, 3, reducer=DoNothingReducer(), **OPTIONS[name]).double()
        block.W.data = torch.tensor(WEIGHT.T.copy())
        x = torch.tensor(EMBEDDING, requires_grad=True)
        found = block(x, torch.tensor(LABEL))["loss"]["losses"]
        found.sum().backward()
        np.testing.assert_allclose(found.detach().numpy(), loss, rtol=1e-8, atol=1e-10)
        np.testing.assert_allclose(x.grad.numpy(), embedding, rtol=1e-6, atol=1e-9)
        np.testing.assert_allclose(block.W.grad.numpy().T, weight, rtol=1e-6, atol=1e-9)
    block.cast_types(torch.float64, "cpu")
    cosine = torch.tensor([-1.0], dtype=torch.float64, requires_grad=True)
    value = block.modify_cosine_of_target_classes(cosine)
    value.backward()
    assert (value.item(), cosine.grad.item()) == PML_PSI_AT_MINUS_1
    for sign in (1.0, -1.0):
        block = losses.ArcFaceLoss(2, 2).double()
        block.W.data = torch.eye(2).double()
        x = torch.tensor([[sign, 0.0]], dtype=torch.float64, requires_grad=True)
        block(x, torch.tensor([0])).backward()
        assert torch.isnan(x.grad).all()
    block = losses.ArcFaceLoss(3, 3)
    block(torch.tensor(EMBEDDING).half(), torch.tensor(LABEL))
    assert block.W.dtype == torch.float16


@pytest.mark.filterwarnings("ignore")
def test_the_stored_values_are_those_of_gluonfr():
    peer = pytest.importorskip("gluonfr", reason="its values are stored; this would compute them anew")
    if peer.__version__ != VERSIONS["gluonfr"]:
        pytest.skip(f"the values are of {VERSIONS['gluonfr']}, installed is {peer.__version__}")
    losses = peer.loss

    def run(block, x, *rest):
        x = mx.nd.array(x)
        x.attach_grad()
        with mx.autograd.record():
            found = block(x, *(mx.nd.array(value) for value in rest))
            found = found[0] if isinstance(found, (list, tuple)) else found
        found.backward()
        return found.asnumpy(), x.grad.asnumpy()

    angular = losses.ASoftmax(3, 4, 1)
    angular.it = 10**9
    for name, block in (
        ("CosLoss", losses.CosLoss(3, 0.35, 30)),
        ("ArcLoss", losses.ArcLoss(3, 0.5, 8, easy_margin=False)),
        ("ArcLoss, easy margin (its default)", losses.ArcLoss(3, 0.5, 8)),
        ("ASoftmax", angular),
    ):
        for found, stored in zip(run(block, COSINE, LABEL), GLUONFR[name]):
            np.testing.assert_allclose(found, stored, rtol=1e-5, atol=1e-6)
    two = losses.ASoftmax(2, 4, 1)
    two.it = 10**9
    slopes = [run(two, [[cosine, 0.0]], [0])[1][0, 0] for cosine in (-1.0, -0.9999)]
    np.testing.assert_allclose(slopes, GLUONFR["ASoftmax near 180 degrees"], rtol=1e-4)
    frozen = losses.ASoftmax(3, 4, 1)
    frozen.hybridize()
    for _ in range(50):
        frozen(mx.nd.array(COSINE), mx.nd.array(LABEL))
    assert frozen.lamb == pytest.approx(GLUONFR["ASoftmax, lambda after 50 hybridized calls"])

    logits = np.array([[2, 1, 0.5]])
    found = [run(losses.L2Softmax(3, 3.0), factor * logits, [0])[0][0] for factor in (1, 3)]
    found.append(run(losses.L2Softmax(3, 3.0, from_normx=True), logits, [0])[0][0])
    np.testing.assert_allclose(found, GLUONFR["L2Softmax"], rtol=1e-4)
    with pytest.raises(AssertionError):
        losses.L2Softmax(classes=10, alpha=4.0)
    with pytest.raises(ValueError, match="math domain error"):
        losses.L2Softmax(classes=2, alpha=16.0)

    def beside_softmax(block, embedding, label):  # of two equal logits
        x = mx.nd.array(embedding)
        x.attach_grad()
        with mx.autograd.record():
            found = block(mx.nd.zeros((len(embedding), 2)), mx.nd.array(label), x)
        found.backward()
        return found.asnumpy() - math.log(2), x.grad.asnumpy()

    ring = losses.RingLoss(0.1, r_init=2.0)
    ring.initialize()
    found = (*beside_softmax(ring, RING_EXAMPLE, np.zeros(3)), ring.R.grad().asnumpy()[0])
    for value, stored in zip(found, GLUONFR["RingLoss"]):
        np.testing.assert_allclose(value, stored, rtol=1e-4, atol=1e-5)
    assert np.isnan(beside_softmax(ring, np.zeros((1, 2)), [0])[1]).all()
    assert ring.R.wd_mult == 1

    center = losses.CenterLoss(2, 2, 1.0)
    center.initialize()
    center.centers.set_data(mx.nd.zeros((2, 2)))
    trainer = mx.gluon.Trainer(center.collect_params(), "sgd", {"learning_rate": 0.5})
    found = beside_softmax(center, *CENTER_EXAMPLE)
    trainer.step(3)
    for value, stored in zip((*found, center.centers.data().asnumpy()), GLUONFR["CenterLoss"]):
        np.testing.assert_allclose(value, stored, rtol=1e-4, atol=1e-5)

    def mixture(mean, variance, margin, likelihood_weight):
        block = losses.LGMLoss(*np.shape(mean), margin, likelihood_weight, 1.0)
        block.initialize()
        block.mean.set_data(mx.nd.array(mean))
        block.var.set_data(mx.nd.array(variance))
        return block

    example = dict(LGM_EXAMPLE)
    embedding, label = example.pop("embedding"), example.pop("label")
    np.testing.assert_allclose(run(mixture(*example.values()), embedding, label)[0], GLUONFR["LGMLoss"], rtol=1e-5)
    block = mixture(example["mean"], np.ones((2, 2)), 1.0, 0.0)
    found = [block(mx.nd.array([[0.9, 0]]), mx.nd.array([label]))[1].asnumpy()[0] for label in (0, 1)]
    np.testing.assert_allclose(found, GLUONFR["LGMLoss, class scores with label 0 and 1"], rtol=1e-5)
