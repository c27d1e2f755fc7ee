"""Training curves of all runs, one over the other, as SVG that takes its colors from the page."""

from __future__ import annotations

import math

from lossbench.report.markup import Markup, element

SPREAD_FOR_LOGARITHM = 50
WIDTH, HEIGHT = 420, 250
LEFT, RIGHT, TOP, BOTTOM = 54, 12, 12, 38
COLORS = 8  # .color-0 … in page.css
DASHES = ("", "7 3", "2 3", "9 3 2 3")
PANELS = {
    "loss": "training loss (mean per image)",
    "accuracy": "training accuracy (%)",
    "validation_accuracy": "validation accuracy (%)",
    "test_accuracy": "test accuracy (%)",
    "learning_rate": "learning rate",
    "log_variance_min": "smallest log variance",
    "log_variance_max": "largest log variance",
    "images_per_second": "images per second",
}


def panels(groups) -> list[tuple[str, Markup]]:
    """Return titles and drawings: loss, accuracies, learning rate, scheduled values, images per second by epoch.

    Parameters
    ----------
    groups : list of (label, list of history)
        Runs that are drawn alike; a history is the rows of one run.
    """
    rows = [row for _, histories in groups for history in histories for row in history]
    keys = [key for key in PANELS if key != "images_per_second"]
    keys += sorted({key for row in rows for key in row if "." in key}) + ["images_per_second"]
    found = []
    for key in keys:
        lines = [(number, label, _points(history, key)) for number, (label, histories) in enumerate(groups)
                 for history in histories]  # fmt: skip
        lines = [line for line in lines if line[2]]
        if lines:
            title = PANELS.get(key) or key.replace(".", " ").replace("_", " ")
            found.append((title, _panel(title, lines)))
    return found


def sample(number: int) -> Markup:
    """Return a short line as the group with that number is drawn."""
    line = element("line", x1=1, y1=6, x2=33, y2=6, **_look(number))
    return element("svg", line, viewBox="0 0 34 12", width=34, height=12, aria_hidden="true", class_="sample")


def _look(number):
    return {
        "class_": f"line color-{number % COLORS}",
        "stroke_dasharray": DASHES[(number + number // COLORS) % len(DASHES)] or None,
    }


def _points(history, key):
    factor = 100 if key.endswith("accuracy") else 1
    points = []
    for row in history:
        value = row.get(key)
        if isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value):
            points.append((row["epoch"], factor * value))
    return points


def _panel(title, lines):
    epochs = [x for _, _, points in lines for x, _ in points]
    values = [y for _, _, points in lines for _, y in points]
    logarithmic = "loss" in title and min(values) > 0 and max(values) > SPREAD_FOR_LOGARITHM * min(values)
    across = _Axis(min(epochs), max(epochs), LEFT, WIDTH - RIGHT, whole=True)
    up = _Axis(min(values), max(values), HEIGHT - BOTTOM, TOP, logarithmic=logarithmic)
    drawn = [_grid(across, up)]
    for number, label, points in lines:
        placed = " ".join(f"{across.place(x):.1f},{up.place(y):.1f}" for x, y in points)
        named = element("title", f"{label}: {points[-1][1]:.5g} at epoch {points[-1][0]}")
        if len(points) == 1:
            x, y = placed.split(",")
            drawn.append(element("g", named, element("circle", cx=x, cy=y, r=3, class_=f"dot color-{number % COLORS}")))
        else:
            drawn.append(element("g", named, element("polyline", points=placed, **_look(number))))
    spoken = "; ".join(f"{label} ends at {points[-1][1]:.4g}" for _, label, points in lines)
    return element(
        "svg", drawn, viewBox=f"0 0 {WIDTH} {HEIGHT}", class_="curves", role="img", aria_label=f"{title}: {spoken}."
    )


def _grid(across, up):
    drawn = []
    for value, text in up.ticks():
        y = f"{up.place(value):.1f}"
        drawn.append(element("line", x1=LEFT, x2=WIDTH - RIGHT, y1=y, y2=y, class_="grid"))
        drawn.append(element("text", text, x=LEFT - 7, y=y, dy="0.32em", text_anchor="end"))
    for value, text in across.ticks():
        x = f"{across.place(value):.1f}"
        drawn.append(element("line", x1=x, x2=x, y1=HEIGHT - BOTTOM, y2=HEIGHT - BOTTOM + 4, class_="tick"))
        drawn.append(element("text", text, x=x, y=HEIGHT - BOTTOM + 17, text_anchor="middle"))
    middle = (LEFT + WIDTH - RIGHT) / 2
    drawn.append(element("text", "epoch", x=middle, y=HEIGHT - 4, text_anchor="middle"))
    return drawn


class _Axis:
    """Where values lie between two places, and which of them are written there."""

    def __init__(self, low, high, start, end, *, whole=False, logarithmic=False):
        self.start, self.end, self.whole, self.logarithmic = start, end, whole, logarithmic
        if logarithmic:
            self.low, self.high = math.log10(low), math.log10(high)
        elif whole:
            self.low, self.high = low, max(high, low + 1)
        else:
            margin = 0.05 * (high - low) or 0.05 * abs(high) or 1
            self.low, self.high = (0 if 0 <= low < margin else low - margin), high + margin

    def place(self, value):
        value = math.log10(value) if self.logarithmic else value
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)

    def ticks(self):
        if self.logarithmic:
            factors = (1,) if self.high - self.low > 3 else (1, 2, 5)
            powers = range(math.floor(self.low), math.ceil(self.high) + 1)
            values = [factor * 10.0**power for power in powers for factor in factors]
            return [(value, f"{value:g}") for value in values if self.low <= math.log10(value) <= self.high]
        return ticks(self.low, self.high, 5, least=1 if self.whole else 0)


def ticks(low: float, high: float, parts: int, *, least: float = 0) -> list[tuple[float, str]]:
    """Return the round values from `low` to `high` in at most `parts` steps, each with its text.

    The step is the smallest that does, of 1, 2 and 5 times a power of ten, and not below `least`. So four or more
    parts have at least two values, unless `least` leaves fewer.

    Examples
    --------
    >>> ticks(-0.1, 0.7, 4)
    [(0.0, '0.0'), (0.2, '0.2'), (0.4, '0.4'), (0.6, '0.6')]
    >>> ticks(1, 2, 5, least=1)
    [(1, '1'), (2, '2')]
    """
    power = 10.0 ** math.floor(math.log10((high - low) / parts))
    for factor in (1, 2, 5, 10):
        step = max(least, factor * power)
        numbers = range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)
        if len(numbers) <= parts + 1:
            break
    decimals = max(0, -math.floor(math.log10(step) + 1e-9))
    return [(k * step, _number(k * step, decimals)) for k in numbers]


def _number(value, decimals):
    """With as many digits as tell it from its neighbors, the small ones as powers of ten."""
    if decimals <= 4 or not value:
        return f"{value:.{decimals}f}"
    digits = max(0, decimals + math.floor(math.log10(abs(value)) + 1e-9))
    return f"{value:.{digits}e}".replace("e-0", "e-") if abs(value) < 0.1 else f"{value:.{decimals}f}"
