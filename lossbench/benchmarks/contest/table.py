"""Measured rows as a table of texts."""

from __future__ import annotations

from lossbench.benchmarks.contest.child import CONTESTANTS
from lossbench.benchmarks.timing import spoken

HEADER = ["network, loss, batch", "", "whole, images/s", "bare step, images/s", "whole / bare", "x lossbench", "n"]
NETWORKS = {"resnet20": "ResNet-20", "lenet": "LeNet++"}
LOSSES = {"softmax": "softmax", "lgm": "L-GM"}


def _task(row):
    return row["network"], row["loss"], row["batch_size"]


def merged(kept: list, rows: list) -> list:
    """Rows measured anew in the place of those kept of the same task, the tasks in the order of the table.

    Examples
    --------
    >>> a, b = ({"network": "lenet", "loss": "lgm", "batch_size": size} for size in (64, 128))
    >>> merged([{**b, "old": True}], [b, a]) == [a, b]
    True
    """
    new = {_task(row) for row in rows}
    order = list(NETWORKS), list(LOSSES)
    return sorted(
        [row for row in kept if _task(row) not in new] + rows,
        key=lambda row: (order[0].index(row["network"]), order[1].index(row["loss"]), row["batch_size"]),
    )


def table(rows: list) -> list[list[str]]:
    """Header and a line of cells for each row; the ratio is how many times lossbench's whole training is faster."""
    lines, before = [HEADER], None
    for row in rows:
        task = _task(row)
        made_up = ", synthetic" if row["data"] == "synthetic" else ""
        title = "" if task == before else f"{NETWORKS[task[0]]}, {LOSSES[task[1]]}, {task[2]}{made_up}"
        before = task
        name = CONTESTANTS[row["contestant"]]
        if "missing" in row:
            lines.append([title, f"{name}: {row['missing']}", "", "", "", "", ""])
            continue
        ratio = spoken(row["ratio"], 2) if "ratio" in row and row["contestant"] != "lossbench" else ""
        rates = [spoken(row[kind], 0) for kind in ("whole", "bare")]
        lines.append([title, name, *rates, spoken(row["share"], 2), ratio, str(row["whole"]["n"])])
    return lines
