import numpy as np
import pytest
from sklearn import metrics

from lossbench.evaluation import Unavailable, classification


def test_against_scikit_learn(rng):
    logits, label = rng.standard_normal((300, 6)), rng.integers(0, 6, 300)
    predicted = logits.argmax(axis=1)
    matrix = metrics.confusion_matrix(label, predicted)
    assert classification.accuracy(logits, label) == pytest.approx(metrics.accuracy_score(label, predicted))
    assert (classification.confusion_matrix(predicted, label, 6) == matrix).all()
    assert classification.per_class(predicted, label, 6) == pytest.approx(
        metrics.recall_score(label, predicted, average=None)
    )


def test_equal_logits_name_the_lowest_class():
    assert classification.predict([[1.0, 1.0, 1.0], [0.0, 2.0, 2.0]]).tolist() == [0, 1]


def test_a_class_without_members_and_one_class():
    assert classification.per_class([2, 2], [0, 2], num_classes=4) == [0.0, None, 1.0, None]
    assert classification.confusion_matrix([2, 2], [0, 2], num_classes=4)[:, 2].tolist() == [1, 0, 1, 0]
    assert classification.accuracy([[0.3]], [0]) == 1.0
    assert classification.per_class([0], [0], num_classes=1) == [1.0]


def test_labels_of_every_type():
    for kind in (np.int32, np.int64, np.uint8, np.float32):
        assert classification.accuracy([[1.0, 0.0], [0.0, 1.0]], np.array([0, 0], kind)) == 0.5


@pytest.mark.parametrize(
    ("logits", "label", "error", "text"),
    [
        ([[np.nan, 1.0]], [0], Unavailable, "`logits` must be finite.*1 of 1 rows.*earlier checkpoint"),
        (np.zeros((0, 3)), [], Unavailable, "`logits` must have at least one row, got none"),
        ([[1.0, 2.0]], [0, 1], ValueError, r"`label` must have the shape \(1,\), got \(2,\)"),
        ([1.0, 2.0], [0], ValueError, r"`logits` must have the shape \(N, D\)"),
    ],
)
def test_errors(logits, label, error, text):
    with pytest.raises(error, match=text):
        classification.accuracy(logits, label)


def test_a_class_id_beyond_num_classes():
    with pytest.raises(ValueError, match=r"`num_classes` must be above every class id, got 3 and id 3"):
        classification.confusion_matrix([0, 1], [0, 3], num_classes=3)
