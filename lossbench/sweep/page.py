"""The results of a sweep as one HTML page, in the frame of the report."""

from __future__ import annotations

from lossbench.report.markup import Markup, element, together
from lossbench.report.page import document
from lossbench.report.tables import plain_table
from lossbench.sweep import drawing, sections, wording


def page(results) -> str:
    """Return the whole page; it needs no other file and no network."""
    sweep = results.plan.sweep
    blocks = [(_name(number), wording.heading(table), _table(table)) for number, table in enumerate(results.tables)]
    searched = [_plain(sections.trials(search)) for search in results.searches]
    blocks.append(("search", "Search", together(*searched)))
    if results.rows:
        blocks += [
            ("settings", "Settings", _plain(sections.settings(results), "Config and overrides of every variant")),
            ("runs", "Runs", _plain(sections.runs(results), "Every run that is begun")),
        ]
    return document(sweep.title or sweep.name, " ".join(sections.facts(results)), blocks)


def _name(number) -> str:
    return f"results-{number + 1}"


def _table(table) -> Markup:
    parts = [_plain(sections.summaries(table), "Means")]
    if table.comparisons:
        figure = element("figure", element("figcaption", "Paired differences"), drawing.differences(table))
        parts += [element("div", figure, class_="drawing"), _plain(sections.comparisons(table))]
    return together(*parts)


def _plain(grid, title="") -> Markup:
    remarks = [element("p", remark, class_="remark") for remark in grid.remarks]
    return together(plain_table(title or grid.title, grid.heads, grid.rows), remarks)
