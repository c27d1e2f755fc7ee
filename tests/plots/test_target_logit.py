"""Curves of an angle or a length: what is drawn, and what is refused."""

import numpy as np
import pytest

from lossbench import plots

DEGREES = np.linspace(0, 180, 7)


def test_curves_with_their_names_and_axes():
    curves = {"one": np.cos(np.radians(DEGREES)), "two": -np.ones(7)}
    length = plots.Panel(np.arange(4), {"three": np.arange(4) ** 2}, xlabel="length", ylabel="penalty", title="right")
    figure = plots.target_logit([plots.Panel(DEGREES, curves, title="left"), length], title="a loss")
    left, right = figure.axes
    assert figure.get_suptitle() == "a loss"
    assert (left.get_title(), right.get_title()) == ("left", "right")
    assert left.get_xlabel() == "angle to the class weight (degrees)"
    assert left.get_ylabel() == "training logit of the true class"
    assert (right.get_xlabel(), right.get_ylabel()) == ("length", "penalty")
    np.testing.assert_array_equal(left.get_xticks(), [0, 30, 60, 90, 120, 150, 180])
    assert [text.get_text() for text in left.get_legend().get_texts()] == ["one", "two"]
    for line, values in zip(left.lines, curves.values()):
        np.testing.assert_array_equal(line.get_xydata(), np.stack([DEGREES, values], axis=1))
    np.testing.assert_array_equal(right.lines[0].get_ydata(), [0, 1, 4, 9])
    drawn = [(line.get_color(), line.get_linestyle()) for line in left.lines]
    assert len({color for color, _ in drawn}) == len({dash for _, dash in drawn}) == 2
    figure.draw_without_rendering()


@pytest.mark.parametrize("values", [np.ones(6), np.full(7, np.nan), np.r_[np.ones(6), np.inf]])
def test_a_curve_that_does_not_fit_is_refused(values):
    with pytest.raises(ValueError, match="target_logit: curve 'a' must have one finite value for each of the 7 x, got"):
        plots.target_logit([plots.Panel(DEGREES, {"a": values})], title="t")


def test_no_panel():
    with pytest.raises(ValueError, match="target_logit: `panels` must have at least one panel, got none"):
        plots.target_logit([], title="t")
