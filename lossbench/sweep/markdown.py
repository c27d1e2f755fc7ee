"""The results of a sweep as Markdown."""

from __future__ import annotations

from lossbench.sweep import sections, wording

MADE_BY = "Made by `lossbench sweep`"


def page(results, pictures) -> str:
    """Return the page.

    Parameters
    ----------
    results : comparison.Results
    pictures : dict
        Number of a table -> file of its drawing.
    """
    sweep = results.plan.sweep
    blocks = [
        f"# {sweep.title or sweep.name}",
        f"{MADE_BY} from `{results.plan.path.name}`; do not edit.",
    ]
    blocks.append(" ".join(sections.facts(results)))
    for number, table in enumerate(results.tables):
        blocks += _grid(sections.summaries(table))
        if table.comparisons:
            blocks += _grid(sections.comparisons(table), level=3)
            blocks.append(f"![Paired differences, {wording.heading(table)}]({pictures[number]})")
    if results.searches:
        blocks.append("## Search")
        blocks.append(
            f"{sweep.tune.trials} trials a variant, seed {sweep.tune.seed}; the test images were not looked at."
        )
        for search in results.searches:
            blocks += _grid(sections.trials(search), level=3)
    if results.rows:
        blocks += _grid(sections.settings(results), code=True)
        blocks += _grid(sections.runs(results))
    commands = sections.commands(results)
    what = "All of it, or the first run alone:" if len(commands) > 1 else "All of it:"
    blocks += ["## Repeat", what, "\n".join(f"    {command}" for command in commands)]
    return "\n\n".join(blocks) + "\n"


def _grid(grid, level=2, code=False) -> list[str]:
    lines = [_line(grid.heads), _line(["---"] * len(grid.heads))]
    lines += [
        _line([row[0], *(f"`{cell}`" if code and cell != "–" else cell for cell in row[1:])]) for row in grid.rows
    ]
    return [f"{'#' * level} {grid.title}", "\n".join(lines), *grid.remarks]


def _line(cells) -> str:
    return f"| {' | '.join(cell.replace('|', '&#124;') for cell in cells)} |"
