"""The contract suite over our own heads, each with its second implementation; and that the suite catches faults."""

from pathlib import Path

import pytest

from lossbench import heads, registry, testing
from tests.heads import cases

C, D = testing.C, testing.D
NUMERIC = ("reference", "small", "extremes")
RUNS = [(case, rule) for case in cases.CASES for rule in testing.HEAD_RULES if rule in NUMERIC or not case.numbers_only]


@pytest.mark.parametrize(("case", "rule"), RUNS, ids=[f"{case}-{rule}" for case, rule in RUNS])
def test_rule(case, rule, seed):
    if rule not in case.block.exceptions:
        testing.HEAD_RULES[rule](case.subject(seed))


@pytest.mark.parametrize("fault", ["loss", "gradient", "true class", "margin", "row"])
def test_a_planted_error_is_caught(fault, seed, monkeypatch):
    """The comparison itself: five small faults in the shared arithmetic, each of which it must refuse."""
    from lossbench import ops

    case = next(case for case in cases.CASES if case.name == "lgm" and case.options.get("variance") == "diagonal")
    original = ops.cross_entropy

    def faulty(F, logits, label, num_classes, smoothing, focusing):
        if fault == "true class":
            return original(F, logits, (label + 1) % num_classes, num_classes, smoothing, focusing)
        loss = original(F, logits, label, num_classes, smoothing, focusing)
        if fault == "loss":
            return loss * (1 + 1e-6)
        if fault == "gradient":
            return F.BlockGrad(loss) + (loss - F.BlockGrad(loss)) * (1 + 1e-4)
        return F.concat(
            F.slice_axis(loss, axis=0, begin=1, end=None), F.slice_axis(loss, axis=0, begin=0, end=1), dim=0
        )

    if fault == "margin":
        monkeypatch.setattr(ops, "with_true_class", lambda F, logits, *_: logits)
        faulty = original
    monkeypatch.setattr(ops, "cross_entropy", faulty)
    with pytest.raises(AssertionError, match=r"loss|gradient"):
        testing.numbers.reference(case.subject(seed))


def test_every_head_has_a_case_or_a_test_of_its_own():
    own = {
        head_class for name, head_class in heads.HEADS.items() if (Path(__file__).parent / f"test_{name}.py").exists()
    }
    assert {case.block for case in cases.CASES} | own == set(heads.HEADS.values())


def test_every_name_builds_from_a_config():
    for name, head_class in heads.HEADS.items():
        smoothed = {"label_smoothing": 0.1} if "label_smoothing" in head_class.options else {}
        head = heads.build({"name": name, "loss_weight": 2.0, **smoothed}, num_classes=C, embedding_size=D)
        assert type(head) is head_class
        assert {"label_smoothing": getattr(head, "label_smoothing", None)} == (smoothed or {"label_smoothing": None})
        assert head.config_name == heads.HEADS[head.config_name].config_name
        assert getattr(heads, head_class.__name__) is head_class
    with pytest.raises(ValueError, match="heads: `name` must be one of .*lgm.*, got 'lgn'"):
        heads.build({"name": "lgn"}, C, D)
    with registry.added(heads={"mine": heads.Softmax}):
        own = heads.build({"name": "mine", "use_bias": True}, C, D)
    assert own.use_bias


class Broken(heads.Softmax):
    """A head with a fault of its own."""

    fault = ""

    def loss(self, F, embedding, label, weight, bias=None):
        loss, logits = super().loss(F, embedding, label, weight)
        if self.fault == "averages":
            loss = F.broadcast_mul(F.ones_like(loss), F.mean(loss))
        if self.fault == "labels":
            logits = logits + F.cast(F.one_hot(label, self.num_classes), self._dtype)
        if self.fault == "gradient":
            loss = F.BlockGrad(loss) + 1.01 * (loss - F.BlockGrad(loss))
        if self.fault == "zero":
            loss = loss + 0 * F.norm(embedding, axis=1)
        return loss, logits


FAULTS = {"averages": "wrong_labels", "labels": "predict", "gradient": "differences", "zero": "extremes"}


@pytest.mark.parametrize(("fault", "rule"), FAULTS.items())
def test_a_fault_of_ones_own_head_is_named(fault, rule, monkeypatch):
    monkeypatch.setattr(Broken, "fault", fault)
    with pytest.raises(AssertionError, match=f"Broken breaks the rule '{rule}'"):
        testing.check_head(Broken)


def test_an_unknown_exception_is_refused():
    with pytest.raises(ValueError, match="exceptions must name rules .*, got hybridised"):
        testing.check_head(heads.Softmax, exceptions=["hybridised"])
