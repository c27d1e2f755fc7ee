"""Tables of a page: those of metrics, which sort, and plain ones."""

from __future__ import annotations

import itertools
import re

from lossbench.report.markup import Markup, element, together

BEST = element("span", "★", class_="star", aria_hidden="true")
WRAPS_BEYOND = 32  # letters of a cell of a plain table


class Footnotes:
    """Reasons, numbered; a cell links to its own, which stands in words below the table."""

    def __init__(self, name: str):
        self.name, self._texts = name, []

    def link(self, text: str) -> Markup:
        if text not in self._texts:
            self._texts.append(text)
        number = self._texts.index(text) + 1
        return element(
            "a",
            element("span", "n/a", class_="missing"),
            element("sup", number),
            href=f"#{self.name}-{number}",
            title=text,
            aria_label=f"not available, reason {number}",
        )

    def listed(self) -> Markup:
        items = [element("li", text, id=f"{self.name}-{number}") for number, text in enumerate(self._texts, 1)]
        return element("ol", items, class_="reasons") if items else together()


def metric_table(table, groups, name: str) -> Markup:
    """Return a table of metrics: a row a group, a column a metric; its rows are sorted by pressing a heading.

    Where there are only remarks, there is no table.

    Parameters
    ----------
    table : metrics.Table
    groups : list of Group
    name : str
        Unlike that of other tables in the page.
    """
    notes = Footnotes(name)
    shared = _shared_headings(table.columns)
    heads = [_heading("run", "ascending"), _heading("n", "descending")]
    for column in table.columns:
        first = "ascending" if column.sign < 0 else "descending"
        heads.append(_heading(column.name if shared else column.title, first, column.unit))
    best = [column.best([group.kind for group in groups]) for column in table.columns]
    rows = []
    for number, group in enumerate(groups):
        if not any(column.cells[number].is_known for column in table.columns):
            continue  # a row of dashes alone says nothing
        cells = [element("th", run_name(group), scope="row", data_value=group.label)]
        cells.append(element("td", len(group.runs), data_value=len(group.runs)))
        for column, winners in zip(table.columns, best):
            cells.append(_cell(column, column.cells[number], number in winners, len(group.runs), notes))
        rows.append(element("tr", cells))
    drawn = element(
        "table",
        element("thead", element("tr", shared) if shared else None, element("tr", heads)),
        element("tbody", rows),
        class_="sortable",
        aria_label=table.title,
    )
    counts = element("span", [f" · {count}" for count in table.counts], class_="counts")
    remarks = [element("p", remark, class_="remark") for remark in table.remarks]
    shown = scrolling(drawn, table.title) if table.columns else together()
    return together(element("h4", table.title, counts), shown, notes.listed(), remarks)


def run_name(group, run=None) -> list:
    """Return a group's label, and in small its data and seeds, or the seed of one of its runs."""
    seeds = group.seeds if run is None else [run.seed]
    small = f"{group.data}, seed{'s' * (len(seeds) > 1)} {', '.join(map(str, seeds))}"
    return [element("span", breakable(group.label), class_="name"), element("span", small, class_="seeds")]


def breakable(text: str) -> list:
    """Return a text that may go on in the next line after `/`, and after `_`, `-` and a full stop before no digit."""
    return [[part, element("wbr")] for part in re.split(r"(?<=/)|(?<=[_.-])(?!\d)", text)]


def _shared_headings(columns) -> list:
    """Return the cells of a row above the headings, for what neighbors share; none where nothing is shared."""
    spans = [(above, len(list(members))) for above, members in itertools.groupby(columns, lambda column: column.above)]
    if not any(above and count > 1 for above, count in spans):
        return []
    cells = [element("th", above, scope="col", colspan=count) if above else element("td", colspan=count)
             for above, count in spans]  # fmt: skip
    return [element("td", colspan=2), *cells]


def _heading(text, first, unit=""):
    """`first`: the order that the first press gives. The last word, the unit and the arrow stay together."""
    words, _, last = text.rpartition(" ")
    end = element("span", last, element("span", f" {unit}", class_="unit") if unit else None, class_="end")
    button = element("button", [words, " "] if words else None, end, type="button", data_first=first)
    return element("th", button, scope="col", aria_sort="none")


def _cell(column, cell, is_best, runs, notes):
    if cell.mean is None:
        reasons = [reason for reason in cell.reasons if reason]
        if not reasons:
            return element(
                "td", element("span", "–", title="not measured", class_="missing"), hidden_text("not measured")
            )
        return element("td", [notes.link(reason) for reason in reasons])
    shown = [BEST, hidden_text("best ")] if is_best else []
    shown.append(element("span", column.written(cell.mean), class_="mean"))
    spreads = [f" ± {column.written(other.deviation)}" for other in column.cells if other.deviation is not None]
    if cell.deviation is not None:
        shown.append(element("span", f" ± {column.written(cell.deviation)}", class_="deviation"))
    elif spreads:  # as much room as the others take, so that means stand below each other
        shown.append(element("span", max(spreads, key=len), class_="deviation blank", aria_hidden="true"))
    if cell.n < runs:
        shown.append(element("span", f" n = {cell.n}", class_="deviation"))
        shown.append([[" ", notes.link(reason)] for reason in cell.reasons if reason])
    return element("td", shown, data_value=repr(float(cell.mean)), class_="best" if is_best else None)


def plain_table(caption: str, heads, rows) -> Markup:
    """Return a table of texts; the first cell of a row names it, and of the others those with long texts wrap."""
    body = [element("tr", _name_cell(row[0]), [_plain_cell(cell) for cell in row[1:]]) for row in rows]
    top = element("tr", [element("th", head, scope="col") for head in heads])
    drawn = element("table", element("thead", top), element("tbody", body), class_="plain", aria_label=caption)
    return together(element("h4", caption), scrolling(drawn, caption))


def _name_cell(content):
    return element("th", breakable(content) if type(content) is str else content, scope="row")


def _plain_cell(content):
    return element("td", content, class_="long" if len(str(content)) > WRAPS_BEYOND else None)


def scrolling(content, name: str) -> Markup:
    """Return a box that scrolls sideways by itself, by keyboard too."""
    return element("div", content, class_="scroll", role="region", aria_label=name, tabindex=0)


def hidden_text(text: str) -> Markup:
    """Return text for those who hear the page."""
    return element("span", text, class_="hidden")
