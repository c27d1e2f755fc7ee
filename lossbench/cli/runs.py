"""`lossbench runs`: what there is."""

from __future__ import annotations

from lossbench import console

DESCRIPTION = """\
List the runs below a folder: how far each is, its accuracy and its size on the disk.

The accuracy is that of the last epoch on test images, once that was measured. A run that a process trains just now is
in training; one that is neither that nor finished goes on with train.py --resume.
"""


@console.guarded
def main(arguments, prog):
    parser = console.parser(prog, DESCRIPTION)
    parser.add_argument("paths", nargs="*", default=["runs"], metavar="RUN", help="run folder, or one that holds runs")
    parser.add_argument("--json", type=console.output_file, metavar="FILE", help="also write the list there")
    options = parser.parse_args(arguments)

    from lossbench import atomic
    from lossbench.runs import Run, find, shown

    rows = [{"run": shown(path), **_state(Run(path))} for path in find(options.paths)]
    table = [["run", "state", "epochs", "test accuracy", "MB"]]
    for row in rows:
        accuracy = "" if row["test_accuracy"] is None else f"{100 * row['test_accuracy']:.2f} %"
        epochs = f"{row['epoch']} of {row['epochs']}"
        table.append([row["run"], row["state"], epochs, accuracy, f"{row['bytes'] / 1e6:.1f}"])
    console.print_columns(table)
    if options.json:
        atomic.write_json(options.json, rows)


def _state(run):
    end, last = run.end, run.metrics.get("last", {})
    values = last.get("test", {}) if end and last.get("step", end.step) == end.step else {}
    accuracy = values.get("accuracy") if isinstance(values, dict) else None
    if not run.values:
        state = "damaged" if run.config_file.exists() else "no run"
    elif run.is_locked:
        state = "in training"
    else:
        state = "finished" if run.is_finished else "unfinished"
    return {
        "state": state,
        "epoch": end.epoch if end else 0,
        "epochs": run.value("trainer.epochs", 0),
        "test_accuracy": accuracy if isinstance(accuracy, float) else None,
        "bytes": run.size,
        "problems": run.problems,
    }
