"""What is kept of every run in one row, for CSV and JSON, and the JSON of the comparisons."""

from __future__ import annotations

import csv
import io

from lossbench import config
from lossbench.sweep import comparison, state, timing

VERSIONS = ("lossbench", "python", "mxnet", "numpy")


def rows(results) -> list[dict]:
    """Return a row a run: what it is, its values, its time, what tells the variants apart, what it ran on."""
    keys = _telling(results)
    found = []
    for row in results.rows:
        planned, run = row.planned, row.state.run
        recorded = config.values(planned.settings)
        values = {".".join(place): state.value(run, *place) for place in comparison.wanted(results.plan.sweep)}
        found.append({
            **({"data_set": planned.arm.data_set} if planned.arm.data_set else {}),
            "variant": planned.arm.variant,
            "seed": planned.seed,
            "state": row.state.kind,
            "reason": row.state.reason,
            **(values if row.state.is_trained else dict.fromkeys(values)),
            "epochs": planned.settings.trainer.epochs,
            "training_seconds": timing.training_seconds(run) if row.state.is_trained else None,
            **{key: recorded.get(key) for key in keys},
            **_environment(run.environment if row.state.is_trained else {}),
            "threads": run.threads if row.state.is_trained else None,
            "precision": run.precision if row.state.is_trained else None,
        })  # fmt: skip
    return found


def _telling(results) -> list[str]:
    """Every key of the heads, with their multipliers, and each other key in which the variants differ."""
    every = [config.values(arm.settings) for arm in results.plan.arms]
    keys = list(dict.fromkeys(key for values in every for key in values))
    missing = object()
    differing = [key for key in keys if len({str(values.get(key, missing)) for values in every}) > 1]
    return [key for key in keys if key.startswith("head.") or (key in differing and key not in ("name", "seed"))]


def _environment(environment) -> dict:
    versions, git = (
        environment.get(name) if isinstance(environment.get(name), dict) else {} for name in ("versions", "git")
    )
    return {
        **{f"version_{name}": versions.get(name) for name in VERSIONS},
        "commit": git.get("commit"),
        "processor": environment.get("processor"),
    }


def as_csv(results) -> str:
    """Return the rows as CSV; a list or mapping stands as in YAML's one-line form."""
    found = rows(results)
    text = io.StringIO()
    writer = csv.DictWriter(text, list(dict.fromkeys(key for row in found for key in row)), lineterminator="\n")
    writer.writeheader()
    for row in found:
        writer.writerow(
            {
                key: value if isinstance(value, (int, float, str, type(None))) else str(value)
                for key, value in row.items()
            }
        )
    return text.getvalue()


def as_json(results) -> dict:
    """Return rows, tables and trials as plain values."""
    return {
        "sweep": results.plan.sweep.name,
        "runs": rows(results),
        "tables": [_table(table) for table in results.tables],
        "trials": [_search(search) for search in results.searches],
    }


def _table(table) -> dict:
    return {
        "data_set": table.data_set, "checkpoint": table.checkpoint, "split": table.split, "metric": table.metric,
        "variants": [
            {"variant": side.arm.variant, **(vars(side.summary) if side.summary else {"n": 0}),
             "values": {str(seed): value for seed, value in side.values.items()},
             "unavailable": {str(seed): reason for seed, reason in side.unavailable.items()}}
            for side in table.sides
        ],
        "comparisons": [_comparison(each) for each in table.comparisons],
    }  # fmt: skip


def _comparison(each) -> dict:
    return {
        "variant": each.variant,
        "baseline": each.baseline,
        **vars(each.summary),
        "differences": {str(seed): value for seed, value in each.differences.items()},
        "t_interval": _ends(each.interval),
        "bootstrap_interval": _ends(each.bootstrap),
        "p": each.p,
        "p_holm": each.adjusted,
        "unpaired": list(each.unpaired),
        "mixed_precision_seeds": list(each.mixed),
        "other_data_seeds": list(each.other_data),
        "judged_otherwise_seeds": list(each.judged_otherwise),
    }


def _ends(interval):
    return None if interval is None else [interval.low, interval.high]


def _search(search) -> dict:
    return {
        "data_set": search.arm.data_set,
        "variant": search.arm.variant,
        "trials": [
            {
                "number": trial.number,
                "parameters": trial.parameters,
                "value": trial.value,
                "precision": None if trial.value is None else trial.state.run.precision,
                "reason": trial.state.reason,
            }
            for trial in search.trials()
        ],
    }
