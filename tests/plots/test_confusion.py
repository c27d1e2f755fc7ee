import numpy as np
import pytest

from lossbench import plots


def test_percent_of_each_true_class():
    figure = plots.confusion_matrix([[3, 1, 0], [0, 0, 0], [0, 1, 1]], title="t", class_names=["cat", "dog", "ship"])
    axes = figure.axes[0]
    np.testing.assert_allclose(axes.images[0].get_array(), [[75, 25, 0], [0, 0, 0], [0, 50, 50]])
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("predicted class", "true class")
    assert [t.get_text() for t in axes.get_yticklabels()] == ["cat", "dog", "ship"]
    numbers = {(text.get_position()): text.get_text() for text in axes.texts}
    assert numbers == {(0, 0): "75", (1, 0): "25", (1, 2): "50", (2, 2): "50"}


def test_numbers_have_a_zero_before_the_point():
    axes = plots.confusion_matrix([[981, 19], [2, 998]], title="t").axes[0]
    assert {text.get_text() for text in axes.texts} == {"98.1", "1.9", "0.2", "99.8"}


def test_many_classes_have_no_numbers_but_the_worst_mistakes_in_words():
    matrix = 90 * np.eye(100, dtype=int)
    matrix[7, 3], matrix[50, 99], matrix[1, 2], matrix[4, 5] = 60, 30, 10, 1
    figure = plots.confusion_matrix(matrix, title="t", class_names=[f"c{i}" for i in range(100)])
    axes = figure.axes[0]
    assert len(axes.texts) == 0
    assert axes.get_xlabel() == "predicted class\nmost often: c7 as c3 (40 %), c50 as c99 (25 %), c1 as c2 (10 %)"
    figure = plots.confusion_matrix(np.eye(100), title="t")
    assert figure.axes[0].get_xlabel() == "predicted class"


def test_errors():
    with pytest.raises(ValueError, match=r"`matrix` must have the shape \(C, C\), got \(2, 3\)"):
        plots.confusion_matrix(np.zeros((2, 3)), title="t")
