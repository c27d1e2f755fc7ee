"""Running statistics of heads in training: averaged over the parts of a batch, and resumed bit for bit."""

import numpy as np
import pytest

from lossbench import checkpoint, config, experiment, heads, testing
from lossbench._mxnet import mx
from lossbench.training.communication import ALONE
from lossbench.training.parts import Parts
from lossbench.training.step import Objective

D, C = 8, 5
STATEFUL = [
    name for name, head in heads.HEADS.items() if head.config_name == name and testing.Subject(head).build().state()
]
CONFIG = """\
data: {{source: digits, batch_size: 256, augment: {{pad: 1}}}}
backbone: {{name: lenet, embedding_size: 2}}
head: {{name: {name}}}
optimizer: {{name: nag, learning_rate: 0.01}}
trainer: {{epochs: {epochs}, progress: none}}
evaluation: {{methods: [softmax], pictures: [], embeddings_every_epochs: null}}
"""

pytestmark = pytest.mark.filterwarnings("ignore:.* keeps the (loss|cross-entropy):UserWarning")


def objective(name, devices):
    built = Objective(mx.gluon.nn.Dense(D, in_units=D), testing.Subject(heads.HEADS[name]).build(C, D))
    mx.random.seed(1)
    built.initialize(mx.init.Xavier(), ctx=devices)
    return built


def states(built, device=0):
    return {name: getattr(built.head, name).list_data()[device].asscalar() for name in built.head.state()}


@pytest.mark.parametrize("name", STATEFUL)
def test_states_of_two_devices_are_the_mean_weighed_by_the_parts(name, rng):
    image, label = rng.normal(size=(7, D)).astype(np.float32), rng.integers(0, C, 7)

    def alone(rows):
        one = objective(name, [mx.cpu()])
        with mx.autograd.record():
            one(mx.nd.array(image[rows]), mx.nd.array(label[rows]))
        return states(one)

    devices = [mx.cpu(0), mx.cpu(1)]
    two = objective(name, devices)
    before = states(two)
    parts = Parts(two, devices, ALONE)
    parts.begin("step 1")
    for x, y in parts.of(image, label):
        with mx.autograd.record():
            loss, _ = two(x, y)
        loss.backward()
    parts.done(label, [])
    parts.combine()
    first, second = alone(slice(0, 4)), alone(slice(4, 7))
    for key, value in states(two).items():
        assert value == pytest.approx((4 * first[key] + 3 * second[key]) / 7, rel=1e-6)
        assert states(two, 1)[key] == value != before[key]


@pytest.mark.parametrize("name", STATEFUL)
def test_a_resumed_training_equals_an_undisturbed_one_bit_for_bit(name, tmp_path):
    def train(folder, epochs, **options):
        path = tmp_path / "tiny.yaml"
        path.write_text(CONFIG.format(name=name, epochs=epochs))
        experiment.run(config.load(path), tmp_path / folder, **options)
        _, arrays, _, _ = checkpoint.newest(tmp_path / folder / "checkpoints")
        return {f"{stem}.{key}": array.asnumpy() for stem, named in arrays.items() for key, array in named.items()}

    undisturbed = train("undisturbed", 2)
    interrupted = train("resumed", 1)
    resumed = train("resumed", 2, resume=True)
    assert resumed.keys() == undisturbed.keys()
    for key, value in undisturbed.items():
        np.testing.assert_array_equal(resumed[key], value, err_msg=key)
    moved = [key for key in resumed if key.rpartition(".")[2] in heads.HEADS[name](C, D).state()]
    assert moved
    assert all((resumed[key] != interrupted[key]).all() for key in moved)
