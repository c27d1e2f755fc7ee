"""Pictures of a page: curves of all runs in one, plots of each side by side."""

from __future__ import annotations

from lossbench.report import curves, images
from lossbench.report.markup import Markup, element, together

FIRST = ("embedding-test", "embedding-train", "decisions-test")
LAST = ("training",)


def curve_section(groups) -> Markup:
    """Return a legend and a drawing per quantity."""
    drawn = curves.panels([(group.label, [run.history for run in group.runs]) for group in groups])
    if not drawn:
        return together()
    legend = [element("li", curves.sample(number), group.label) for number, group in enumerate(groups)]
    figures = [element("figure", element("figcaption", title), drawing) for title, drawing in drawn]
    return together(element("ul", legend, class_="legend"), element("div", figures, class_="grid"))


def plot_section(groups) -> Markup:
    """Return for each plot those of all groups side by side, by their first seed; the other seeds are folded away."""
    first = [(group, run) for group in groups for run in group.runs[:1]]
    others = [(group, run) for group in groups for run in group.runs[1:]]
    names = {name for group in groups for run in group.runs for name in run.pictures}
    blocks = []
    for name in sorted(names, key=lambda name: (_place(name), name)):
        words = name.replace("-", " ").replace("_", " ")
        heading = words[:1].upper() + words[1:]
        content = [_row(first, name, heading)]
        if any(name in run.pictures for _, run in others):
            content.append(element("details", element("summary", "Other seeds"), _row(others, name, heading)))
        summary = element("summary", element("h3", heading))
        blocks.append(element("details", summary, content, open=name not in LAST))
    return together(blocks)


def _row(runs, name, heading):
    figures = [_figure(group, run, name, heading) for group, run in runs if name in run.pictures]
    return element("div", figures, class_="row")


def _place(name):
    return FIRST.index(name) if name in FIRST else len(FIRST) + (name in LAST)


def _figure(group, run, name, heading):
    label = group.label + (f", seed {run.seed}" if len(group.runs) > 1 else "")
    try:
        picture = images.embedded(run.pictures[name])
    except ValueError as error:
        return element("figure", element("figcaption", label), element("p", str(error), class_="remark"))
    size = {"width": picture["width"], "height": picture["height"]}
    alt = f"{heading} of {label}"
    still = element("img", src=picture.get("still", picture["src"]), alt=alt, loading="lazy", decoding="async", **size)
    if "still" not in picture:
        return element("figure", element("figcaption", label), still)
    moving = element("img", src=picture["src"], alt=f"{alt}, animated", loading="lazy", decoding="async", **size)
    player = element("details", element("summary", "Play"), moving, class_="player")
    return element("figure", element("figcaption", label), element("div", player, still, class_="animation"))
