import json
import subprocess
import sys

import numpy as np
import pytest

from lossbench import evaluation
from lossbench.evaluation import neighbors

ALL = ["softmax", "knn", "centers", "class_means"]


@pytest.fixture
def splits(rng):
    means = 4 * rng.standard_normal((5, 3))

    def split(count):
        label = rng.integers(0, 5, count).astype(np.int32)
        embedding = (means[label] + rng.standard_normal((count, 3))).astype(np.float32)
        return {"embedding": embedding, "logits": embedding @ means.T.astype(np.float32), "label": label}

    return split(200), split(80), means


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_every_method(splits, metric):
    train, test, means = splits
    metrics = evaluation.evaluate(ALL, test, train, {"prototypes": means, "metric": metric}, k=7)
    arguments = train["embedding"], train["label"], test["embedding"]
    assert metrics == {
        "accuracy": np.mean(test["logits"].argmax(1) == test["label"]),
        "accuracy_knn": np.mean(neighbors.knn(*arguments, 7, metric=metric) == test["label"]),
        "accuracy_centers": np.mean(neighbors.centers(test["embedding"], means, metric) == test["label"]),
        "accuracy_class_means": np.mean(neighbors.class_means(*arguments, metric=metric) == test["label"]),
    }
    assert json.loads(json.dumps(metrics)) == metrics


def test_density_scores_name_the_center(splits):
    train, test, means = splits
    description = {"prototypes": means, "metric": "density", "score": lambda x: -x @ means.T}
    metrics = evaluation.evaluate(["centers", "knn"], test, train, description)
    assert metrics["accuracy_centers"] == np.mean((-test["embedding"] @ means.T).argmax(1) == test["label"])
    assert metrics["accuracy_knn"] == evaluation.evaluate(["knn"], test, train, None)["accuracy_knn"]


def test_the_training_split_leaves_out_itself(splits):
    train, _, _ = splits
    scattered = {**train, "embedding": np.arange(200.0)[:, None] ** 2, "label": np.arange(200)}
    assert evaluation.evaluate(["knn"], scattered, scattered, None, k=1) == {"accuracy_knn": 0.0}
    assert evaluation.evaluate(["knn"], dict(scattered), scattered, None, k=1) == {"accuracy_knn": 1.0}


def test_one_failing_metric_never_loses_the_others(splits):
    train, test, means = splits
    diverged = {**test, "embedding": np.where(test["embedding"] > 4, np.nan, test["embedding"])}
    metrics = evaluation.evaluate(ALL, diverged, train, {"prototypes": means, "metric": "euclidean"})
    assert isinstance(metrics["accuracy"], float)
    for method in ALL[1:]:
        assert "must be finite" in metrics[f"accuracy_{method}"]["unavailable"]
    metrics = evaluation.evaluate(ALL, test, train, {"prototypes": means, "metric": "euclidean"}, k=201)
    assert "number of neighbors (200), got 201" in metrics.pop("accuracy_knn")["unavailable"]
    assert all(isinstance(value, float) for value in metrics.values())


def test_what_is_not_there(splits):
    _, test, _ = splits
    metrics = evaluation.evaluate(ALL, test, None, None)
    assert metrics["accuracy_knn"]["unavailable"].startswith("knn: `train` must hold the embeddings")
    assert metrics["accuracy_class_means"]["unavailable"].startswith("class_means: `train` must hold")
    assert metrics["accuracy_centers"]["unavailable"].startswith("centers: `description` must hold learned")


def test_predictions(splits):
    train, test, means = splits
    predicted = evaluation.predict(ALL, test, train, {"prototypes": means, "metric": "euclidean"}, k=1000)
    assert predicted["softmax"].tolist() == test["logits"].argmax(1).tolist()
    assert predicted["knn"].keys() == {"unavailable"}


def test_an_unknown_method(splits):
    _, test, _ = splits
    with pytest.raises(ValueError, match="`methods` must be of softmax, knn.*got 'center'. Did you mean `centers`?"):
        evaluation.evaluate(["softmax", "center"], test, None, None)


def test_our_own_mistakes_are_not_hidden(splits):
    _, test, means = splits
    with pytest.raises(ValueError, match=r"must have the shape \(N, 3\)"):
        evaluation.evaluate(["centers"], test, None, {"prototypes": means[:, :2], "metric": "euclidean"})


def test_imports_no_mxnet():
    code = "import sys, lossbench.evaluation; sys.exit('mxnet' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
