"""Sections in words: config differences, commands, training, environment, what is incomplete."""

from __future__ import annotations

import shlex
import statistics
from datetime import datetime

from lossbench.config import yaml_file
from lossbench.report.groups import ABSENT, differing
from lossbench.report.markup import Markup, element, together
from lossbench.report.tables import breakable, plain_table, run_name
from lossbench.runs import shown

LONG = 60  # letters; a fact beyond has a line of its own


def configs(groups) -> Markup:
    """Return the keys whose values differ, and every config in full."""
    rows = [[element("code", breakable(key)), *map(_value, values)] for key, values in differing(groups).items()]
    if rows:
        first = plain_table("Keys whose values differ", ["key", *(group.label for group in groups)], rows)
    elif len(groups) > 1:
        first = element("p", "The configs differ in nothing but their names.")
    else:
        first = element("p", "One config; there is nothing to compare it with.")
    whole = [
        element("details", element("summary", f"{group.label}: config.yaml"),
                element("pre", yaml_file.write(group.runs[0].config), tabindex=0))
        for group in groups
    ]  # fmt: skip
    return together(first, whole)


def _value(value):
    if value is ABSENT:
        return element("span", "–", class_="missing", title="no such key")
    return element("code", _as_yaml(value))


def _as_yaml(value):
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(_as_yaml, value))}]"
    return {"None": "null", "True": "true", "False": "false"}.get(repr(value), str(value))


def commands(groups) -> Markup:
    """Return what repeats each run in a folder of its own, and evaluates it."""
    blocks = []
    for group in groups:
        lines = []
        for run in group.runs:
            path = shown(run.path)
            lines.append(_command("train", "--config", f"{path}/config.yaml", "--run-dir", f"{path}-again"))
        lines += [_command("eval", "--run", shown(run.path)) for run in group.runs]
        blocks.append(together(element("h3", group.label), element("pre", "\n".join(lines), tabindex=0)))
    return together(element("p", "From the folder that the report was written in:", class_="lead"), blocks)


def _command(script, *arguments):
    return shlex.join(["python", f"scripts/{script}.py", *arguments])


def training(groups) -> Markup:
    """Return a row per run: epochs, time, throughput, how it ended."""
    heads = ["run", "epochs", "steps", "training time", "images/s, median", "last loss", "written"]
    rows = []
    for group in groups:
        for run in group.runs:
            rows.append([run_name(group, run), *_course(run), _written(run)])
    return plain_table("Time and throughput of every run", heads, rows)


def _course(run):
    rows, epochs = run.history, run.value("trainer.epochs")
    if not rows:
        return [f"0 of {epochs}", "", "", "", ""]
    done = rows[-1]["epoch"]
    seconds, rates = _numbers(rows, "seconds"), _numbers(rows, "images_per_second")
    loss = _numbers(rows[-1:], "loss")
    return [
        str(done) if done == epochs else f"{done} of {epochs}",
        f"{rows[-1]['step']:,}" if isinstance(rows[-1].get("step"), int) else "",
        duration(sum(seconds)) if seconds else "",
        f"{statistics.median(rates):,.0f}" if rates else "",
        f"{loss[0]:.4g}" if loss else "",
    ]


def _numbers(rows, key):
    return [row[key] for row in rows if isinstance(row.get(key), (int, float))]


def duration(seconds: float) -> str:
    """Return a length of time for people.

    Examples
    --------
    >>> duration(75), duration(3720)
    ('1 min 15 s', '1 h 2 min')
    """
    minutes, rest = divmod(round(seconds), 60)
    hours = minutes // 60
    return f"{hours} h {minutes % 60} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"


def _written(run):
    for name in ("metrics.json", "history.jsonl", "config.yaml"):
        path = run.path / name
        if path.exists():
            return f"{datetime.fromtimestamp(path.stat().st_mtime).astimezone():%Y-%m-%d %H:%M}"
    return ""


def environment(groups) -> Markup:
    """Return what all runs were trained with, and what differs."""
    runs = [(group, run) for group in groups for run in group.runs]
    facts = [_facts(run.environment) for _, run in runs]
    keys = list(dict.fromkeys(key for each in facts for key in each))
    same = {key: facts[0].get(key) for key in keys if all(each.get(key) == facts[0].get(key) for each in facts)}
    listed = [
        element("div", element("dt", key), element("dd", value), class_="wide" if len(value or "") > LONG else None)
        for key, value in same.items()
    ]
    blocks = [element("dl", listed)] if listed else []
    if len(same) < len(keys):
        heads = ["run", *(key for key in keys if key not in same)]
        rows = [[run_name(group, run), *(each.get(key, "–") for key in heads[1:])]
                for (group, run), each in zip(runs, facts)]  # fmt: skip
        blocks.append(plain_table("What differs between runs", heads, rows))
    return together(blocks) if keys else element("p", "No run says what it was trained with.")


def _facts(environment):
    """Names and texts of what an environment.json holds."""
    facts = {}
    for name, value in environment.items():
        if name == "versions" and isinstance(value, dict):
            facts.update(value)
        elif name == "git" and isinstance(value, dict):
            if value.get("commit"):
                facts["git commit"] = str(value["commit"])[:12] + (" and changes" if value.get("modified") else "")
        elif name == "data" and isinstance(value, dict):
            notes = value.get("notes")
            if isinstance(notes, list) and notes:
                facts["notes on the data"] = " ".join(map(str, notes))
            checksums = value.get("checksums")
            checksums = checksums if isinstance(checksums, dict) else {}
            facts["data checksums"] = ", ".join(f"{n} {str(c)[:12]}" for n, c in checksums.items()) or None
        elif isinstance(value, list):
            facts[name] = ", ".join(map(str, value))
        else:
            facts[name.replace("_", " ")] = value
    return {name: str(value) for name, value in facts.items() if value is not None}


def problems(runs) -> Markup:
    """Return the runs of which something is missing, with the reasons."""
    rows = [
        element("li", element("code", shown(run.path)), " ", " ".join(run.problems)) for run in runs if run.problems
    ]
    return element("ul", rows, class_="problems") if rows else together()
