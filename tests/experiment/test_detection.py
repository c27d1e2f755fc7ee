"""Detection of foreign and of attacked images, on a few steps' training of the embedded digits."""

import json
import struct

import numpy as np
import pytest

from lossbench import attacks, config, data, experiment
from lossbench.cli import main
from lossbench.evaluation import Context, Options, detection, likelihood
from lossbench.experiment import Subject
from lossbench.experiment.subject import Pixels

CONFIG = """\
data: {source: digits, batch_size: 64, validation_fraction: 0.1, holdout_classes: [9]}
backbone: {name: lenet, embedding_size: 2}
head: {name: lgm}
regularizers: [{name: center}]
optimizer: {name: nag, learning_rate: 0.02, weight_decay: 1e-3}
trainer: {epochs: 3, progress: none}
evaluation: {methods: [softmax], pictures: [], embeddings_every_epochs: null}
"""


def write_idx(folder, rng):
    folder.mkdir()
    for part, count in (("train", 4), ("t10k", 30)):
        images = rng.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        (folder / f"{part}-images-idx3-ubyte").write_bytes(struct.pack(">4I", 0x803, *images.shape) + images.tobytes())
        labels = np.zeros(count, np.uint8)
        (folder / f"{part}-labels-idx1-ubyte").write_bytes(struct.pack(">2I", 0x801, count) + labels.tobytes())


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a trained run and noise in the place of MNIST."""
    folder = tmp_path_factory.mktemp("detection")
    (folder / "tiny.yaml").write_text(CONFIG)
    experiment.run(config.load(folder / "tiny.yaml"), folder / "run", device="cpu")
    write_idx(folder / "mnist", np.random.default_rng(0))
    return folder


@pytest.fixture(autouse=True)
def _only_these_files(folder, monkeypatch):
    monkeypatch.setenv("LOSSBENCH_DATA", str(folder))
    monkeypatch.setenv("MXNET_HOME", str(folder / "none"))
    monkeypatch.setenv("MXNET_GLUON_REPO", "http://127.0.0.1:9/no/")


@pytest.fixture(scope="module")
def opened(folder):
    return experiment.open_run(folder / "run", device="cpu")


def evaluate(folder, *arguments):
    """The real command; what it wrote."""
    assert main(["eval", "--run", str(folder / "run"), "--device", "cpu", *arguments]) == 0
    return json.loads((folder / "run" / "metrics.json").read_text())["last"]["test"]


def test_foreign_images_by_every_score(folder, opened, capsys):
    arguments = ["--method", "detection", "--foreign", "mnist", "holdout", "digits", "cifar100"]
    measured = evaluate(folder, *arguments)["detection"]
    model = opened.model
    train, known = (model.outputs(getattr(model.dataset, split)) for split in ("train", "test"))
    noise = data.foreign.fitted(data.idx.read(folder / "mnist" / "t10k-images-idx3-ubyte", 3)[:, None], (1, 8, 8))
    foreign = {
        "mnist": model.outputs(data.Split(noise, np.zeros(30, np.int32))),
        "holdout": model.outputs(model.dataset.holdout),
    }
    centers = model.regularizers[0].prototypes().asnumpy()

    def scores(outputs):
        return likelihood.scores(outputs, train, is_density=True, centers=centers)

    with np.load(folder / "run" / measured["arrays"]) as arrays:
        for source, outputs in foreign.items():
            assert list(measured[source]) == ["log_density", "softmax", "class_means", "centers"]
            for name, score in scores(outputs).items():
                np.testing.assert_allclose(arrays[f"{source}_{name}"], score)
                assert measured[source][name] == pytest.approx(likelihood.detect(scores(known)[name], score))
    assert measured["mnist"]["log_density"]["foreign"] == 30
    assert "must be another data set than the run's" in measured["digits"]["unavailable"]
    assert (
        "cifar-100-binary.tar.gz must be there or come from http://127.0.0.1:9/no/"
        in measured["cifar100"]["unavailable"]
    )
    out = capsys.readouterr().out
    assert "area_under_roc  false_positive_rate_at_95_tpr  known  foreign" in out


def test_attacks_are_those_of_fgsm(folder, opened, capsys):
    measured = evaluate(folder, "--method", "adversarial", "--epsilon", "0.2", "26/255", "--limit", "40")["adversarial"]
    model, test = opened.model, opened.model.dataset.test
    with np.load(folder / "run" / measured["arrays"]) as found:
        arrays = dict(found)
    ids, label = arrays["id"], test.labels[arrays["id"]]
    assert measured["images"] == len(set(ids)) == 40
    np.testing.assert_allclose(arrays["epsilon"], [0.2, 26 / 255])
    clean = model.outputs(test.take(ids))
    right = clean["logits"].argmax(axis=1) == label
    assert (arrays["clean_right"] == right).all()
    assert 0 < measured["right_when_clean"] == right.sum() < 40
    assert measured["accuracy_clean"] == right.mean()
    np.testing.assert_allclose(arrays["clean_log_density"], clean["logits"].max(axis=1), rtol=1e-2, atol=1e-2)
    for row, (name, epsilon) in enumerate([("0.2", 0.2), ("26/255", 26 / 255)]):
        given = model.backbone, model.head, test.images[ids], label, epsilon, model.dataset.mean, model.dataset.std
        outputs = model.outputs(Pixels(attacks.fgsm(*given), label))
        still = outputs["logits"].argmax(axis=1) == label
        assert (arrays["attacked_right"][row] == still).all()
        np.testing.assert_allclose(
            arrays["attacked_log_density"][row], outputs["logits"].max(axis=1), rtol=1e-2, atol=1e-2
        )
        of = measured[f"epsilon {name}"]
        assert of["accuracy"] == still.mean() < right.mean()
        assert of["success_rate"] == pytest.approx((right & ~still).sum() / right.sum())
        known = arrays["clean_centers"][right]
        for key, chosen in (("all", right), ("successful", right & ~still)):
            expected = likelihood.detect(known, arrays["attacked_centers"][row][chosen])
            assert of[key]["centers"] == pytest.approx(expected)
    assert "epsilon 26/255:" in capsys.readouterr().out


def test_an_attack_that_fools_some():
    known, attacked = {"score": np.array([3.0, 2.0, 1.0, 9.0])}, {"score": np.array([2.5, 0.0, 1.5, 9.0])}
    right, still_right = np.array([True, True, True, False]), np.array([True, False, False, False])
    assert detection._outcome(known, attacked, right, still_right) == {
        "accuracy": 0.25,
        "success_rate": pytest.approx(2 / 3),
        "all": {"score": likelihood.detect([3.0, 2.0, 1.0], [2.5, 0.0, 1.5])},
        "successful": {"score": likelihood.detect([3.0, 2.0, 1.0], [0.0, 1.5])},
    }
    nothing = detection._outcome(known, attacked, right, right)
    assert "there must be negative examples" in nothing["successful"]["score"]["area_under_roc"]["unavailable"]
    assert detection._outcome(known, attacked, ~right & False, still_right)["success_rate"] is None


def test_the_usual_epsilons_and_the_same_images_every_time(opened):
    def measure():
        context = Context(Subject(opened.model), "test", Options(limit=20))
        return detection.attacks_detected(context), context.kept

    (first, kept), (second, again) = measure(), measure()
    assert first == second
    assert {name for name in first if name.startswith("epsilon")} == {"epsilon 0.1", "epsilon 0.2", "epsilon 0.3"}
    for name, array in kept.items():
        np.testing.assert_array_equal(again[name], array)
    assert len(detection._sample(50, None)) == len(detection._sample(50, 90)) == 50
    assert max(detection._sample(50, 20)) > 19  # not the first ones


def test_attacks_leave_the_model_alone(opened):
    model = opened.model
    before = {name: p.data().asnumpy() for name, p in model.parameters().items()}
    predicted = model.outputs(model.dataset.test)["logits"]
    detection.attacks_detected(Context(Subject(model), "test", Options(limit=20)))
    for name, parameter in model.parameters().items():
        np.testing.assert_array_equal(parameter.data().asnumpy(), before[name], err_msg=name)
    np.testing.assert_array_equal(model.outputs(model.dataset.test)["logits"], predicted)


def test_without_a_counterpart_it_is_said(folder, tmp_path):
    evaluate(folder, "--method", "detection", "--json", str(tmp_path / "measured.json"))
    measured = json.loads((tmp_path / "measured.json").read_text())["detection"]
    assert measured["unavailable"] == (
        "detection: `foreign` must name a data set, since digits has no usual counterpart, got none. "
        "Choose of mnist, fashion_mnist, cifar10, cifar100."
    )


def test_files_that_are_not_there_are_not_fetched_unasked(opened, monkeypatch):
    context = Context(Subject(opened.model), "test")
    monkeypatch.setattr(detection, "COUNTERPARTS", {"digits": "cifar100"})
    with pytest.raises(ValueError, match="the files of cifar100, the usual counterpart of digits, must be on this"):
        detection.foreign_detected(context)
    monkeypatch.setattr(detection, "COUNTERPARTS", {"digits": "mnist"})
    assert list(detection.foreign_detected(context)) == ["mnist"]


@pytest.mark.parametrize("method", ["detection", "adversarial"])
def test_held_out_classes_are_not_known(opened, method):
    measured = experiment.measure(opened.model, ["holdout"], [method])["holdout"]
    assert "were never" in measured[method]["unavailable"] or "never were" in measured[method]["unavailable"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--epsilon", "8"], "argument --epsilon: invalid number in [0, 1] such as 0.1 or 8/255, value: '8'"),
        (["--epsilon", "1/0"], "argument --epsilon: invalid number in [0, 1] such as 0.1 or 8/255, value: '1/0'"),
        (["--limit", "0"], "argument --limit: invalid number of images value: '0'"),
        (["--foreign", "minst"], "argument --foreign: invalid choice: 'minst'"),
    ],
)
def test_mistakes(folder, arguments, message, capsys):
    with pytest.raises(SystemExit) as error:
        main(["eval", "--run", str(folder / "run"), *arguments])
    assert error.value.code == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--pairs", "pairs.txt"], "--pairs must come with the method verification, got softmax. Add --method verif"),
        (["--method", "knn", "--pair-count", "20"], "--pair-count must come with the method verification, got knn."),
        (["--method", "adversarial", "--foreign", "mnist"], "--foreign must come with the method detection, got adv"),
        (["--method", "knn", "--method", "detection", "--epsilon", "0"], "adversarial, got knn, detection."),
        (["--limit", "9"], "--limit must come with the method adversarial, got softmax."),
    ],
)
def test_an_option_of_a_method_that_is_not_asked_for_is_refused(folder, arguments, message, capsys):
    assert main(["eval", "--run", str(folder / "run"), *arguments]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert message in err
