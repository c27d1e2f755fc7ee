import numpy as np
import pytest

from lossbench import plots
from lossbench.evaluation import roc as exact
from lossbench.plots.drawing.roc import MAX_CORNERS


def test_a_line_is_the_exact_curve_without_interpolation(rng):
    positive, negative = rng.normal(1, 1, 50), rng.normal(0, 1, 40)
    _, x, y = exact.curve(positive, negative)
    figure = plots.roc({"pairs": (x, y)}, title="t", xlabel="far", ylabel="tar")
    (axes,) = figure.axes
    line, chance = axes.lines
    assert line.get_drawstyle() == "steps-post"
    assert axes.get_xscale() == "log"
    drawn = line.get_xydata()
    for rate in (1 / 40, 0.1, 0.5, 1.0):
        last = drawn[drawn[:, 0] <= rate * (1 + 1e-12)][-1, 1]
        assert last == pytest.approx(100 * exact.true_positive_rate_at(positive, negative, rate))
    np.testing.assert_allclose(chance.get_ydata(), 100 * chance.get_xdata())
    assert axes.get_xlim()[0] == pytest.approx(1 / 40)
    texts = [axes.xaxis.get_major_formatter()(rate, None) for rate in (1e-4, 1e-3, 0.1, 1)]
    assert texts == ["0.01", "0.1", "10", "100"]


def test_a_short_axis_has_no_numbers_of_another_unit():
    (axes,) = plots.roc({"a": ([0, 0, 1], [0, 1, 1])}, title="t", xlabel="x", ylabel="y").axes
    axes.figure.draw_without_rendering()
    low, high = axes.get_xlim()
    ticks = [*axes.xaxis.get_major_ticks(), *axes.xaxis.get_minor_ticks()]
    assert [tick.label1.get_text() for tick in ticks if low <= tick.get_loc() <= high and tick.label1.get_text()] == [
        "10", "100",
    ]  # fmt: skip


def test_a_million_points_are_thinned_without_leaving_the_curve(rng):
    x = np.sort(rng.uniform(0, 1, 300_000))
    x[-1] = 1
    y = np.sort(rng.uniform(0, 1, 300_000))
    y[-1] = 1
    line = plots.roc({"a": (x, y)}, title="t", xlabel="x", ylabel="y").axes[0].lines[0]
    assert len(line.get_xdata()) <= MAX_CORNERS + 1
    place = np.searchsorted(x, line.get_xdata()[1:], side="left")
    np.testing.assert_allclose(line.get_ydata()[1:], 100 * y[place])


def test_errors():
    with pytest.raises(plots.CannotDraw, match="roc: `curves` must have at least one curve, got none"):
        plots.roc({}, title="t", xlabel="x", ylabel="y")
    for x, y in (([0, 2], [0, 1]), ([1, 0], [0, 1]), ([0, 1], [1, 0]), ([0, 1], [1]), ([0, 0], [0, 1])):
        with pytest.raises(plots.CannotDraw, match="roc: the rates of a must rise"):
            plots.roc({"a": (x, y)}, title="t", xlabel="x", ylabel="y")
