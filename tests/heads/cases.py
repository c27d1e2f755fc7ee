"""The heads of the contract suite: every class with the options that change its arithmetic."""

import dataclasses

from lossbench import heads, testing
from lossbench._mxnet import mx
from lossbench.testing import gradients as gradients
from lossbench.testing import learned as learned
from lossbench.testing import values as values
from tests.heads import reference


@dataclasses.dataclass(frozen=True)
class Case:
    """A head by config name, the options it is built with, and its reference with the options that one needs.

    ``numbers_only``: another case takes the same path through the code, so that only the numeric tests run this one.
    """

    name: str
    options: dict
    reference: object
    reference_options: dict = dataclasses.field(default_factory=dict)
    numbers_only: bool = False

    def __str__(self):
        return "-".join([self.name, *(f"{key}={value}" for key, value in self.options.items())])

    def build(self, num_classes=5, embedding_size=4, **more):
        return heads.HEADS[self.name](num_classes, embedding_size, **self.options, **more)

    @property
    def block(self):
        return heads.HEADS[self.name]

    def subject(self, seed=0):
        """The case as `lossbench.testing` takes it."""

        def expected(embedding, label, parameters, smoothing=0.0, **_):
            return self.expected(parameters, embedding, label, smoothing=smoothing)

        return testing.Subject(self.block, self.options, expected, seed)

    def expected(self, parameters, embedding, label, **more):
        options = {**self.reference_options, **more}
        return reference.batch(self.reference, embedding, label, parameters, **options)


CASES = [
    Case("softmax", {}, reference.softmax),
    Case("softmax", {"use_bias": True}, reference.softmax),
    Case("softmax", {"normalize_weight": True}, reference.softmax, {"normalize_weight": True}),
    Case("l2_softmax", {}, reference.l2_softmax),
    Case("l2_softmax", {"scale": 2.0, "learn_scale": True}, reference.l2_softmax),
    Case("normface", {}, reference.cosine_head),
    Case("normface", {"scale": 4.0, "learn_scale": True}, reference.cosine_head, numbers_only=True),
    Case("am_softmax", {}, reference.cosine_head, {"true_cosine": reference.additive_cosine}),
    Case("arcface", {}, reference.cosine_head, {"true_cosine": reference.additive_angle}),
    Case(
        "arcface", {"scale": 8.0, "margin": 1.5}, reference.cosine_head, {"true_cosine": reference.additive_angle}, True
    ),
    Case("arcface", {"easy_margin": True}, reference.cosine_head, {"true_cosine": reference.easy_additive_angle}),
    *(
        Case(
            name,
            {"margin": margin, "beta": beta},
            reference.multiplied_angle,
            {"margin": margin, "unit_weight": unit},
            numbers_only=margin != 3,
        )
        for name, unit in (("l_softmax", False), ("a_softmax", True))
        for margin, beta in ((1, 1.0), (2, 0.5), (3, 0.25), (4, 0.0), (7, 0.0))
    ),
    Case("lgm", {}, reference.lgm),
    Case("lgm", {"margin": 0.0, "likelihood_weight": 0.0}, reference.lgm, numbers_only=True),
    Case("lgm", {"variance": "isotropic", "likelihood_weight": 0.5}, reference.lgm),
    Case("lgm", {"variance": "diagonal", "margin": 1.0}, reference.lgm),
    Case(
        "lgm", {"variance": "diagonal", "log_variance_floor": -1.0}, reference.lgm, {"log_variance_floor": -1.0}, True
    ),
]


def randomize(head, rng, spread=1.0):
    """Give the class parameters of a head random values; its scale and scheduled values stay."""
    for parameter in head.collect_params().values():
        if parameter.shape != (1,):
            values = parameter.data().asnumpy()
            parameter.set_data(mx.nd.array(values * 0.5 + spread * rng.normal(size=values.shape), dtype=values.dtype))
