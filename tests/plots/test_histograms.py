import numpy as np
import pytest

from lossbench import plots


def outlines(axes):
    """The lines of the histograms, without their fillings: (heights, edges) each."""
    return [(p.get_data().values, p.get_data().edges) for p in axes.patches if not p.get_fill()]


def test_each_group_in_percent_of_itself(rng):
    groups = {"right": rng.normal(10, 2, 900), "wrong": rng.normal(5, 1, 30), "none": np.array([])}
    figure = plots.histograms(groups, title="norms", xlabel="norm", per="unit")
    (axes,) = figure.axes
    (right, edges), (wrong, wide) = outlines(axes)
    assert (len(right), len(wrong)) == (30, 15)
    assert (edges[0], edges[-1]) == (wide[0], wide[-1])
    for share, values, ends in ((right, groups["right"], edges), (wrong, groups["wrong"], wide)):
        inside = [np.count_nonzero((values >= a) & (values < b)) for a, b in zip(ends[:-1], ends[1:])]
        np.testing.assert_allclose(share[:-1] * np.diff(ends)[:-1], 100 * np.array(inside[:-1]) / len(values))
        assert 97 < (share * np.diff(ends)).sum() <= 100 + 1e-9
    texts = [text.get_text() for text in figure.legends[0].get_texts()]
    assert texts == [
        f"right: n = 900, median {np.median(groups['right']):.1f}",
        f"wrong: n = 30, median {np.median(groups['wrong']):.1f}",
    ]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("norm", "images (% per unit)")


def test_a_density_has_the_scale_of_the_bars(rng):
    values = rng.exponential(2.0, 200_000)
    figure = plots.histograms(
        {"a": values}, title="t", xlabel="x", per="x", density=lambda x: np.exp(-x / 2) / 2, density_name="expected"
    )
    (axes,) = figure.axes
    ((share, edges),) = outlines(axes)
    (line,) = axes.lines
    expected = np.interp((edges[1:] + edges[:-1]) / 2, *line.get_xydata().T)
    np.testing.assert_allclose(share, expected, atol=1)


def test_far_values_do_not_flatten_the_picture_and_equal_ones_are_drawn(rng):
    values = np.append(rng.uniform(0, 1, 10_000), 1e6)
    ((_, edges),) = outlines(plots.histograms({"a": values}, title="t", xlabel="x", per="x").axes[0])
    assert edges[-1] < 1.1
    for equal in (0.0, 7.0, -3.0):
        ((share, edges),) = outlines(plots.histograms({"a": np.full(9, equal)}, title="t", xlabel="x", per="x").axes[0])
        assert (share * np.diff(edges)).sum() == pytest.approx(100)


def test_few_values_are_all_drawn(rng):
    ((share, edges),) = outlines(plots.histograms({"a": rng.normal(5, 1, 20)}, title="t", xlabel="x", per="x").axes[0])
    assert (share * np.diff(edges)).sum() == pytest.approx(100)


def test_nothing_to_draw():
    with pytest.raises(plots.CannotDraw, match="histograms: `groups` must hold finite values, got none"):
        plots.histograms({"a": [np.nan]}, title="t", xlabel="x", per="x")
    with pytest.raises(plots.CannotDraw, match="got infinity"):
        plots.histograms({"a": [np.inf, 1]}, title="t", xlabel="x", per="x")


def test_a_panel_a_class(rng):
    label = {"test": np.arange(70) % 7, "train": np.arange(140) % 7}
    values = {name: 10.0 * label[name] + rng.uniform(0, 1, len(label[name])) for name in label}
    values["train"][0] = np.nan
    figure = plots.histograms_per_class(values, label, title="t", xlabel="angle", class_names="abcdefg")
    shown = [axes for axes in figure.axes if axes.get_visible()]
    assert [axes.get_title() for axes in shown] == list("abcdefg")
    for c, axes in enumerate(shown):
        for patch in axes.patches:
            share, edges = patch.get_data().values, patch.get_data().edges
            assert share.sum() == pytest.approx(100, abs=15)
            middle = (edges[1:] + edges[:-1]) / 2
            assert 10 * c - 1.2 <= (middle * share).sum() / share.sum() <= 10 * c + 2.2
    assert figure.get_supxlabel() == "angle; test (filled), train (line)"


def test_many_classes_as_quantiles(rng):
    label = np.arange(4000) % 40
    values = (label * 7 % 40) + rng.uniform(0, 1, 4000)
    figure = plots.histograms_per_class({"test": values}, {"test": label}, title="t", xlabel="angle")
    (axes,) = figure.axes
    assert axes.get_title() == "t, test"
    (median,) = axes.lines
    per_class = np.array([np.median(values[label == c]) for c in range(40)])
    np.testing.assert_allclose(median.get_ydata(), np.sort(per_class))
    lowest, highest = per_class.argmin(), per_class.argmax()
    assert [text.get_text() for text in axes.texts] == [
        f"{lowest}: {per_class[lowest]:.1f}",
        f"{highest}: {per_class[highest]:.1f}",
    ]
    wide = axes.collections[0].get_paths()[0].get_extents()
    assert wide.y0 == pytest.approx(min(np.quantile(values[label == c], 0.05) for c in range(40)))
    assert wide.y1 == pytest.approx(max(np.quantile(values[label == c], 0.95) for c in range(40)))
