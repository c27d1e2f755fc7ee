"""Evaluation of a trained run by every method, on embedded digits of which 7, 8 and 9 are never trained on."""

import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np
import pytest
import yaml
from sklearn import metrics as sklearn_metrics
from sklearn.cluster import KMeans

from lossbench import config, experiment
from lossbench.cli import eval as command
from lossbench.evaluation import METHODS, Context, Method, Options, checks, context, open_set
from lossbench.experiment import Subject
from lossbench.runs import Run

CONFIG = """\
data: {source: digits, batch_size: 64, validation_fraction: 0, holdout_classes: [7, 8, 9]}
backbone: {name: convnet, embedding_size: 4}
head: {name: normface, scale: 10}
optimizer: {name: adam, learning_rate: 2e-3}
trainer: {epochs: 2, progress: none}
evaluation: {methods: [softmax, verification], pictures: [], pairs: 400, embeddings_every_epochs: null}
"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The run as it was trained."""
    folder = tmp_path_factory.mktemp("open_set")
    (folder / "open.yaml").write_text(CONFIG)
    experiment.run(config.load(folder / "open.yaml"), folder / "run", device="cpu")
    return folder / "run"


@pytest.fixture
def run(trained, tmp_path):
    """A copy of the run."""
    shutil.copytree(trained, tmp_path / "run")
    return tmp_path / "run"


@pytest.fixture(scope="module")
def outputs(trained):
    """Embeddings, logits and labels of the splits."""
    model = experiment.open_run(trained, device="cpu").model
    return {split: model.outputs(model.images(split)) for split in ("train", "test", "holdout")}


@pytest.fixture
def evaluate(run, tmp_path, capsys):
    """(arguments) -> status, what was printed, the JSON values."""

    def evaluate(*arguments):
        values = tmp_path / "values.json"
        values.unlink(missing_ok=True)
        capsys.readouterr()
        status = command.main(["--run", str(run), "--device", "cpu", "--json", str(values), *arguments], "eval.py")
        captured = capsys.readouterr()
        found = json.loads(values.read_text()) if values.exists() else None
        return SimpleNamespace(status=status, out=captured.out, err=captured.err, values=found)

    return evaluate


def stored(run):
    return json.loads((run / "metrics.json").read_text())


def cosine(embedding, a, b):
    embedding = embedding.astype(np.float64)
    unit = embedding / np.linalg.norm(embedding, axis=1, keepdims=True)
    return (unit[a] * unit[b]).sum(axis=1)


def test_held_out_classes_are_evaluated_apart_at_the_end_of_training(trained, outputs):
    last = stored(trained)["last"]
    assert set(last["holdout"]) == {"verification"}
    assert set(last["test"]) == {"accuracy", "verification"}
    assert "never trained" in last["holdout"]["verification"]["pairs"]
    assert "closed set" in last["test"]["verification"]["pairs"]
    assert outputs["test"]["logits"].shape[1] == 7
    assert set(outputs["test"]["label"].tolist()) == set(range(7))
    assert set(outputs["holdout"]["label"].tolist()) == {7, 8, 9}
    right = outputs["test"]["logits"].argmax(axis=1) == outputs["test"]["label"]
    assert last["test"]["accuracy"] == pytest.approx(right.mean())
    classes = json.loads((trained / "data.json").read_text())
    assert (len(classes["class_names"]), len(classes["holdout_names"])) == (7, 3)
    assert classes["source_ids"] == list(range(10))


def test_verification_of_held_out_classes_is_scikit_learns(run, evaluate, outputs):
    found = evaluate("--method", "verification")
    assert found.status == 0
    assert ", holdout:" in found.out
    values = found.values["verification"]
    assert stored(run)["last"]["holdout"]["verification"] == values
    opened = experiment.open_run(run, device="cpu")
    pairs = Context(Subject(opened.model), "holdout").drawn_pairs()
    label, embedding = (outputs["holdout"][name] for name in ("label", "embedding"))
    assert ((label[pairs.first] == label[pairs.second]) == pairs.same).all()
    assert [fold.sum() for fold in np.split(pairs.same, 10)] == [20] * 10
    distance = np.linalg.norm(embedding[pairs.first] - embedding[pairs.second], axis=1)
    for metric, score in ("euclidean", -distance), ("cosine", cosine(embedding, pairs.first, pairs.second)):
        assert values[metric]["area_under_roc"] == pytest.approx(sklearn_metrics.roc_auc_score(pairs.same, score))
        impostors = np.sort(score[~pairs.same])[::-1]
        for rate, allowed in ("1e-1", 20), ("1e-2", 2):
            accepted = (score[pairs.same] > impostors[allowed]).mean()
            assert values[metric][f"tar_at_far_{rate}"] == pytest.approx(accepted)
        assert "needs at least 1,000 different pairs, got 200" in values[metric]["tar_at_far_1e-3"]["unavailable"]
        with np.load(run / values["arrays"]) as arrays:
            far, tar = arrays[f"{metric}_false_accept_rate"], arrays[f"{metric}_true_accept_rate"]
            area = (np.diff(far) * (tar[1:] + tar[:-1]) / 2).sum()
            assert area == pytest.approx(values[metric]["area_under_roc"])
            assert (arrays["epoch"], arrays["step"]) == (2, stored(run)["last"]["step"])


def test_runs_of_other_seeds_are_judged_by_the_same_pairs(run):
    opened = experiment.open_run(run, device="cpu")
    one = Context(Subject(opened.model), "holdout").drawn_pairs()
    settings = opened.run.load_config(["seed=9"])
    fresh = experiment.Model(settings, opened.model.dataset, opened.model.devices)
    other = Context(Subject(fresh), "holdout").drawn_pairs()
    assert all((a == b).all() for a, b in zip(one, other))


def test_a_list_of_pairs(run, evaluate, outputs, tmp_path):
    label = outputs["holdout"]["label"]
    first, second = np.arange(0, 300), np.arange(100, 400)
    lines = [f"{a} {b} {int(label[a] == label[b])}" for a, b in zip(first, second)]
    (tmp_path / "pairs.txt").write_text("# held-out digits\n" + "\n".join(lines) + "\n")
    found = evaluate("--method", "verification", "--pairs", str(tmp_path / "pairs.txt")).values["verification"]
    same = label[first] == label[second]
    assert (found["same_pairs"], found["different_pairs"]) == (same.sum(), (~same).sum())
    score = cosine(outputs["holdout"]["embedding"], first, second)
    assert found["cosine"]["area_under_roc"] == pytest.approx(sklearn_metrics.roc_auc_score(same, score))
    assert found["pairs"].endswith("pairs.txt")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("0 1 1\n0 1\n", "line 2 must hold two image ids and 1 (same class) or 0, got '0 1'"),
        ("0 1 1\n0 90000 1\n", "line 2 must hold ids of the split's 533 images, like 0, got 90000"),
        (None, "must be a readable text file"),
    ],
)
def test_a_wrong_list_is_named_before_anything_is_computed(run, evaluate, tmp_path, content, message):
    path = tmp_path / "pairs.txt"
    if content:
        path.write_text(content)
    before = stored(run)
    found = evaluate("--method", "softmax", "--method", "verification", "--split", "holdout", "--pairs", str(path))
    assert found.status == 2
    assert message in found.err
    assert len(found.err.splitlines()) == 1
    assert stored(run) == before


def test_ids_of_image_folders_are_their_paths(run, outputs):
    model = experiment.open_run(run, device="cpu").model
    names = np.array([f"train/{number}.png" for number in range(len(model.dataset.holdout))])
    named = model.dataset.holdout.__class__(model.dataset.holdout.images, model.dataset.holdout.labels, names)
    model.dataset.holdout = named
    (run / "pairs.txt").write_text("train/3.png train/5.png 1\n")
    options = Options(pairs=str(run / "pairs.txt"))
    pairs = Context(Subject(model), "holdout", options).listed_pairs
    assert (pairs.first.tolist(), pairs.second.tolist()) == ([3], [5])
    (run / "pairs.txt").write_text("3 5 1\n")
    with pytest.raises(ValueError, match="like train/0.png, got 3"):
        _ = Context(Subject(model), "holdout", options).listed_pairs


def test_all_methods_on_the_test_split(run, evaluate, outputs):
    methods = [name for name in METHODS if name not in ("detection", "adversarial")]
    found = evaluate("--split", "test", "--pair-count", "200", *(f"--method={name}" for name in methods))
    assert found.status == 0
    assert found.err == ""  # no bars where nobody looks
    values, tested = found.values, outputs["test"]
    assert {**stored(run)["last"]["test"], **values} == stored(run)["last"]["test"]
    predicted = tested["logits"].argmax(axis=1)
    with np.load(run / values["confusion"]["arrays"]) as arrays:
        assert arrays["softmax"].tolist() == sklearn_metrics.confusion_matrix(tested["label"], predicted).tolist()
        for method in ("knn", "centers"):
            assert np.trace(arrays[method]) / 252 == pytest.approx(values[f"accuracy_{method}"])
            of_classes = arrays[method].diagonal() / arrays[method].sum(axis=1)
            assert values["confusion"][method]["accuracy_per_class"] == pytest.approx(of_classes.tolist())
    # A normalized head is a softmax over its centers: the same decisions, as sure.
    same(values["calibration"]["centers"], values["calibration"]["softmax"], abs=1e-4)
    assert values["calibration"]["knn"] != values["calibration"]["softmax"]
    probability = np.exp(tested["logits"].astype(float))
    confidence = probability.max(axis=1) / probability.sum(axis=1)
    bins = np.ceil(confidence * 15).astype(int)
    gaps = [abs(((predicted == tested["label"])[bins == b] - confidence[bins == b]).sum()) for b in range(1, 16)]
    error = values["calibration"]["softmax"]["expected_calibration_error"]
    assert error == pytest.approx(sum(gaps) / 252, abs=1e-6)
    units = tested["embedding"] / np.linalg.norm(tested["embedding"], axis=1, keepdims=True)
    clusters = KMeans(7, n_init=3, random_state=0).fit_predict(units)
    mutual = sklearn_metrics.normalized_mutual_info_score(tested["label"], clusters)
    assert values["clustering"]["cosine"]["normalized_mutual_information"] == pytest.approx(mutual, abs=0.02)
    distance = np.linalg.norm(tested["embedding"][:, None] - tested["embedding"], axis=2) + np.diag([np.inf] * 252)
    hits = tested["label"][distance.argmin(axis=1)] == tested["label"]
    assert values["retrieval"]["euclidean"]["precision_at_1"] == pytest.approx(hits.mean())
    assert len(values["geometry"]["per_class"]["prototype_angle"]) == 7
    for method in ("retrieval", "clustering", "geometry", "verification", "calibration", "confusion"):
        assert f"  {method}:" in found.out
    assert "  6      " in found.out


def test_votes_are_as_sure_as_they_are_many(run, outputs):
    opened = experiment.open_run(run, device="cpu")
    predicted, share = Context(Subject(opened.model), "test").neighbors
    train, tested = outputs["train"], outputs["test"]
    unit = [part["embedding"] / np.linalg.norm(part["embedding"], axis=1, keepdims=True) for part in (tested, train)]
    nearest = np.linalg.norm(unit[0][:, None] - unit[1], axis=2).argsort(axis=1)[:, :10]
    votes = np.array([np.bincount(train["label"][row], minlength=7) for row in nearest])
    assert share == pytest.approx(votes.max(axis=1) / 10)
    assert (votes[np.arange(len(votes)), predicted] == votes.max(axis=1)).all()


def test_unknown_classes_have_no_accuracy_and_the_rest_is_computed(evaluate):
    found = evaluate("--split", "holdout", "--method", "softmax", "--method", "confusion", "--method", "geometry")
    assert found.status == 0
    assert (
        "the classes must be trained ones, but those of holdout never were" in found.values["accuracy"]["unavailable"]
    )
    assert "unavailable" in found.values["confusion"]
    assert found.values["geometry"]["per_class"]["members"][7:] == [179, 174, 180]
    assert "prototype_angle" not in found.values["geometry"]
    assert evaluate("--split", "holdout", "--method", "all", "--pair-count", "200").values.keys() == {
        name for name, method in METHODS.items() if not method.needs_trained_classes
    }


def test_what_the_data_cannot_give_is_one_sentence_and_the_rest_is_computed(run, evaluate):
    settings = yaml.safe_load((run / "config.yaml").read_text())
    settings["evaluation"]["k"] = 5000
    (run / "config.yaml").write_text(yaml.safe_dump(settings))
    methods = ("knn", "confusion", "calibration", "verification", "softmax")
    found = evaluate("--split=test", "--pair-count=2000000", *(f"--method={name}" for name in methods))
    assert found.status == 0
    sentence = "knn: `k` must be at most the number of neighbors (1012), got 5000."
    assert found.values["accuracy_knn"]["unavailable"] == sentence
    assert found.values["confusion"]["knn"]["unavailable"] == sentence
    assert found.values["calibration"]["knn"]["unavailable"] == sentence
    assert "must have 1000000 pairs of one class" in found.values["verification"]["unavailable"]
    assert isinstance(found.values["accuracy"], float)
    assert len(found.values["confusion"]["softmax"]["accuracy_per_class"]) == 7
    assert f"unavailable: {sentence}" in found.out


def test_a_split_that_the_run_has_not_is_a_mistake(evaluate):
    found = evaluate("--split", "validation")
    assert (found.status, len(found.err.splitlines())) == (2, 1)
    assert "split validation must hold images, got none. Train with data.validation_fraction above 0." in found.err


def test_a_bug_in_one_method_does_not_lose_what_was_measured_before(run, evaluate, monkeypatch):
    def broken(context):
        context.keep(half=np.zeros(3))
        raise ZeroDivisionError

    monkeypatch.setitem(METHODS, "retrieval", Method("retrieval", "breaks", broken))
    with pytest.raises(ZeroDivisionError):
        evaluate("--split", "test", "--method", "centers", "--method", "retrieval", "--method", "geometry")
    assert "accuracy_centers" in stored(run)["last"]["test"]
    assert not (run / "evaluation" / "last-test-retrieval.npz").exists()


def test_the_memory_bound_reaches_every_method_and_changes_nothing(run, monkeypatch):
    opened = experiment.open_run(run, device="cpu")
    methods = [name for name in METHODS if name not in ("detection", "adversarial")]
    bounds = []
    for module, name in [
        (context, "predict"),
        (context.neighbors, "knn"),
        *((open_set.retrieval, name) for name in ("retrieve",)),
        (open_set.geometry, "describe"),
    ]:
        original = getattr(module, name)

        def spied(*arguments, original=original, **options):
            bounds.append(options["max_memory_bytes"])
            return original(*arguments, **options)

        monkeypatch.setattr(module, name, spied)
    found = [
        experiment.measure(opened.model, ["test"], methods, options=Options(max_memory_gb=size))["test"]
        for size in (None, 1e-4)
    ]
    assert set(bounds[: len(bounds) // 2]) == {10**9}
    assert set(bounds[len(bounds) // 2 :]) == {100_000}
    same(*found)


def same(one, other, **tolerance):
    """Equal but for rounding."""
    if isinstance(one, dict):
        assert one.keys() == other.keys()
        for name in one:
            same(one[name], other[name], **tolerance)
    elif isinstance(one, (float, list)):
        assert one == pytest.approx(other, **tolerance)
    else:
        assert one == other


def test_values_of_processes_that_merge_at_once_are_all_kept(tmp_path):
    folder = Run(tmp_path)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: folder.evaluation_of("last", 1, 5).values("test", {f"value_{n}": n}), range(40)))
    assert stored(tmp_path)["last"]["test"] == {f"value_{n}": n for n in range(40)}
    folder.evaluation_of("last", 2, 9).values("test", {"new": 1})
    assert stored(tmp_path)["last"] == {"epoch": 2, "step": 9, "test": {"new": 1}}


def test_a_method_without_arrays_writes_none(run):
    opened = experiment.open_run(run, device="cpu")
    assert "arrays" not in opened.measure("test", ["geometry"])["geometry"]
    assert checks.attempt(METHODS["geometry"].measure, Context(Subject(opened.model), "test"))
