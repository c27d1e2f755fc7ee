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


def test_many_classes_have_no_numbers():
    figure = plots.confusion_matrix(np.eye(100), title="t")
    assert len(figure.axes[0].texts) == 0


def test_errors():
    with pytest.raises(ValueError, match=r"`matrix` must have the shape \(C, C\), got \(2, 3\)"):
        plots.confusion_matrix(np.zeros((2, 3)), title="t")
