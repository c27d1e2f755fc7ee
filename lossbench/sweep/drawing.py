"""The paired differences of a table as SVG: a point a seed, below them mean and interval, the baseline at 0.

It carries its colors and a white ground in itself, so that it looks the same in a page and as a file of its own. Shapes
tell points from means; the one color is Okabe and Ito's blue.
"""

from __future__ import annotations

import itertools

from lossbench.report import curves
from lossbench.report.markup import Markup, element
from lossbench.sweep import wording

WIDTH, ROW, HEADING, TOP, BOTTOM, SIDE = 360, 56, 26, 30, 44, 20
INK, QUIET, RULE, POINT = "#1b1f24", "#59616b", "#dde1e6", "#0072b2"
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, Arial, sans-serif"


def differences(table) -> Markup:
    """Return the drawing, 360 units wide, which a phone shows one to one.

    Parameters
    ----------
    table : comparison.Table
        With at least one comparison.
    """
    unit = wording.Unit(table.metric)
    rows = table.comparisons
    low, high = _range(rows, unit.factor)
    groups = [(baseline, list(each)) for baseline, each in itertools.groupby(rows, lambda row: row.baseline)]
    heading = HEADING if len(groups) > 1 else 0
    bottom = TOP + ROW * len(rows) + heading * len(groups)
    height = bottom + BOTTOM

    def across(value):
        return f"{SIDE + (value - low) / (high - low) * (WIDTH - 2 * SIDE):.1f}"

    drawn = [element("rect", width=WIDTH, height=height, fill="#ffffff")]
    for value, text in curves.ticks(low, high, 4):
        text = text.replace("-", wording.MINUS)
        drawn.append(_line(across(value), TOP - 6, bottom, INK if value == 0 else RULE, 1.5 if value == 0 else 1))
        drawn.append(_text(text, across(value), bottom + 15, QUIET, 12, "middle"))
    named = "baseline" if heading else rows[0].baseline
    drawn.append(_text(named, across(0), TOP - 12, INK, 12, _anchor(float(across(0)))))
    top = TOP
    for baseline, members in groups:
        if heading:
            drawn.append(_text(f"less {baseline}", SIDE, top + 18, INK, 13, "start", font_weight="bold"))
        for number, each in enumerate(members):
            drawn.append(_row(each, top + heading + ROW * number, across, unit))
        top += heading + ROW * len(members)
    points = f" ({unit.of_differences})" if unit.of_differences else ""
    axis = f"difference by seed{points}; bar: 95 % interval of the mean"
    drawn.append(_text(axis, WIDTH / 2, height - 8, QUIET, 12, "middle"))
    spoken = "; ".join(f"{wording.pair(each)} {_spoken(each, unit)}" for each in rows)
    return element(
        "svg", drawn, xmlns="http://www.w3.org/2000/svg", viewBox=f"0 0 {WIDTH} {height}", width=WIDTH, height=height,
        font_family=FONT, role="img", aria_label=f"Paired differences, {wording.heading(table)}: {spoken}.",
        class_="differences",
    )  # fmt: skip


def _row(each, top, across, unit):
    seeds, mean = top + 28, top + 42  # apart, since many seeds would cover a narrow interval
    spoken = _spoken(each, unit)
    label = _text(_fitting(each.variant, 42 - len(spoken)), SIDE, top + 14, INK, 13, "start")
    drawn = [element("title", wording.pair(each)), label]
    drawn.append(_text(spoken, WIDTH - SIDE, top + 14, QUIET, 12, "end"))
    if each.interval is not None:
        left, right = (across(unit.factor * end) for end in (each.interval.low, each.interval.high))
        drawn.append(element("line", x1=left, x2=right, y1=mean, y2=mean, stroke=INK, stroke_width=2))
        for end in (left, right):
            drawn.append(element("line", x1=end, x2=end, y1=mean - 5, y2=mean + 5, stroke=INK, stroke_width=2))
    for seed, difference in each.differences.items():
        named = element("title", f"seed {seed}: {unit.difference(difference)}")
        look = {"fill": POINT, "fill_opacity": 0.45, "stroke": POINT, "stroke_width": 1.2}
        drawn.append(element("circle", named, cx=across(unit.factor * difference), cy=seeds, r=4.5, **look))
    if len(each.differences) > 1:
        x = float(across(unit.factor * each.summary.mean))
        corners = f"{x:.1f},{mean - 6} {x + 5:.1f},{mean} {x:.1f},{mean + 6} {x - 5:.1f},{mean}"
        drawn.append(element("polygon", points=corners, fill=INK, stroke="#ffffff", stroke_width=1))
    return element("g", drawn)


def _fitting(label, letters):
    """A label without its middle where it has more letters than there is room for."""
    half = (letters - 1) // 2
    return label if len(label) <= letters else f"{label[:half]}…{label[-half:]}"


def _spoken(each, unit):
    return f"{unit.difference(each.summary.mean)}, n = {len(each.differences)}"


def _range(rows, factor):
    """From the lowest to the highest that is drawn, 0 among them, and a little more."""
    values = [0.0]
    for each in rows:
        values += [factor * difference for difference in each.differences.values()]
        if each.interval is not None:
            values += [factor * each.interval.low, factor * each.interval.high]
    margin = 0.06 * (max(values) - min(values)) or 1.0
    return min(values) - margin, max(values) + margin


def _anchor(x):
    return "start" if x < 70 else "end" if x > WIDTH - 70 else "middle"


def _line(x, top, bottom, stroke, width):
    return element("line", x1=x, x2=x, y1=top, y2=bottom, stroke=stroke, stroke_width=width)


def _text(text, x, y, fill, size, anchor, **look):
    """Text that lines do not cross."""
    look = {"stroke": "#ffffff", "stroke_width": 4, "paint_order": "stroke", **look}
    return element("text", text, x=x, y=y, fill=fill, font_size=size, text_anchor=anchor, **look)
