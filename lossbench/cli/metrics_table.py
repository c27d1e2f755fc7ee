"""Metrics of several runs as tables on the screen: a column a group of seeds, mean and standard deviation."""

from __future__ import annotations

import functools

from lossbench import console


def print_tables(labels, measured) -> None:
    """Print what groups of runs measured; of two groups also the second less the first.

    Parameters
    ----------
    labels : list of str
        What each group is called.
    measured : list of list of dict
        For every group, the metrics of its runs, as `metrics.json` has them.
    """
    from lossbench.report import metrics

    heads = [f"{label}, n = {len(group)}" for label, group in zip(labels, measured)]
    for checkpoint, split in metrics.parts([each for group in measured for each in group]):
        print(f"\n{checkpoint} epoch, {split} images" if checkpoint == "last" else f"\n{checkpoint}, {split} images")
        for table in metrics.tables(measured, checkpoint, split):
            _print(table, heads, [len(group) for group in measured])


def _print(table, heads, counts):
    is_pair = len(heads) == 2
    rows = [[f"{table.title}", *heads, *["difference"] * is_pair]]
    for column in table.columns:
        means = [cell.mean for cell in column.cells]
        row = [
            f"{column.title}{', %' * column.is_fraction}",
            *map(functools.partial(_cell, column), column.cells, counts),
        ]
        if is_pair:
            row.append(_signed(column, means[1] - means[0]) if None not in means else "")
        rows.append(row)
    console.print_columns(rows, indent="  ")


def _cell(column, cell, count):
    if cell.mean is None:
        return "unavailable" if any(cell.reasons) else "-"
    deviation = "" if cell.deviation is None else f" ± {column.written(cell.deviation)}"
    return column.written(cell.mean) + deviation + f" (n = {cell.n})" * (cell.n < count)


def _signed(column, difference):
    return ("+" if difference > 0 else "") + column.written(difference)
