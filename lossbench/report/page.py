"""The page: its head, and its sections in their order."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

from lossbench import __version__
from lossbench.report import metrics
from lossbench.report.details import commands, configs, environment, problems, training
from lossbench.report.figures import curve_section, plot_section
from lossbench.report.markup import Markup, element, together
from lossbench.report.tables import BEST, metric_table

HERE = Path(__file__).parent
MAX_NAMED = 3


def page(comparison, title: str, now) -> str:
    """Return the whole HTML page.

    Parameters
    ----------
    comparison : writing.Comparison
    title : str
        Empty: the names of what is compared, or how many they are.
    now : datetime
        The date of the report.
    """
    title = title or _title([group.label for group in comparison.groups])
    sections = [
        ("results", "Results", _results(comparison)),
        ("curves", "Training curves", curve_section(comparison.groups)),
        ("plots", "Plots", plot_section(comparison.groups)),
        ("differences", "Configs", configs(comparison.groups)),
        ("commands", "Commands", commands(comparison.groups)),
        ("training", "Training", training(comparison.groups)),
        ("environment", "Environment", environment(comparison.groups)),
        ("problems", "Incomplete runs", problems(comparison.runs)),
    ]
    count = sum(len(group.runs) for group in comparison.groups)
    counted = f"{_counted(count, 'run')} of {_counted(len(comparison.groups), 'config')}"
    return document(title, f"{counted} · {now:%Y-%m-%d %H:%M %Z}", sections)


def document(title: str, facts: str, sections) -> str:
    """Return a page that needs no other file and no network.

    Parameters
    ----------
    title, facts : str
        Heading, and what stands in small below it.
    sections : iterable of (name, heading, content)
        Name of the anchor, heading, `Markup`; those without content are left out.
    """
    style, script = ((HERE / name).read_text(encoding="utf-8") for name in ("page.css", "page.js"))
    sections = [section for section in sections if section[2]]
    links = [element("li", element("a", heading, href=f"#{name}")) for name, heading, _ in sections]
    header = element(
        "header",
        element("h1", title),
        element("p", f"{facts} · lossbench {__version__}", class_="facts"),
        element("nav", element("ul", links), aria_label="Sections"),
    )
    main = element("main", [_section(*section) for section in sections])
    body = element("body", header, main, element("script", Markup(script)))
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=_policy(style, script)),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("title", title),
        element("style", Markup(style)),
    )
    return "<!doctype html>\n" + element("html", head, body, lang="en") + "\n"


def _title(labels):
    return " · ".join(labels) if len(labels) <= MAX_NAMED else f"{len(labels)} configs compared"


def _policy(style, script):
    """Allow this style, this script and embedded pictures, and nothing from anywhere else."""
    hashed = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in (style, script)]
    return f"default-src 'none'; img-src data:; style-src 'sha256-{hashed[0]}'; script-src 'sha256-{hashed[1]}'"


def _section(name, heading, content):
    return element("section", element("h2", heading), content, id=name)


def _counted(number, word):
    return f"{number} {word}" + ("" if number == 1 else "s")


def _results(comparison):
    groups = comparison.finished
    measured = [[run.metrics for run in group.runs] for group in groups]
    blocks = []
    for checkpoint, split in metrics.parts([each for group in measured for each in group]):
        tables = metrics.tables(measured, checkpoint, split)
        name = f"{checkpoint}-{split}"
        drawn = [metric_table(table, groups, f"{name}-{number}") for number, table in enumerate(tables)]
        heading = f"{split.capitalize()} split, {CHECKPOINTS.get(checkpoint, checkpoint)}"
        if blocks:
            blocks.append(element("details", element("summary", element("h3", heading)), drawn))
        else:
            blocks.append(together(element("h3", heading), drawn))
    if not blocks:
        return element("p", "No run is finished yet.")
    return together(element("p", *EXPLANATION, class_="lead"), blocks)


CHECKPOINTS = {"last": "last epoch", "best": "epoch that was best on validation images"}
EXPLANATION = (
    "Mean ± sample standard deviation over n seeds. ",
    BEST,
    " marks the best mean of a column among runs on the same data; with few seeds a small difference says little. "
    "Press a heading to sort.",
)
