"""The tables of a sweep as headings and cells of text, for Markdown and the page alike."""

from __future__ import annotations

from dataclasses import dataclass

from lossbench import plugins
from lossbench.report.details import duration
from lossbench.runs import shown
from lossbench.sweep import comparison, state, timing, wording


@dataclass(frozen=True)
class Grid:
    """A table of texts; the first cell of a row names it."""

    title: str
    heads: tuple
    rows: tuple
    remarks: tuple = ()


def summaries(table) -> Grid:
    """Of each variant n, mean and standard deviation, and how many runs failed where any did."""
    unit = wording.Unit(table.metric)
    sides = [side for side in table.sides if side.values or side.failed or side.unavailable]
    with_failed = any(side.failed for side in sides)
    heads = ["variant", "n", *(["failed"] if with_failed else []), _with_unit("mean ± sd", unit.of_means)]
    rows = []
    for side in sides:
        failed = [str(side.failed)] if with_failed else []
        rows.append((side.arm.variant, str(len(side.values)), *failed, unit.mean(side.summary)))
    return Grid(wording.heading(table), tuple(heads), tuple(rows), tuple(wording.remarks_on_means(table)))


def comparisons(table) -> Grid:
    """Of each pair the mean difference, its intervals and p values."""
    unit = wording.Unit(table.metric)
    several = len({each.baseline for each in table.comparisons}) > 1
    with_bootstrap = any(each.bootstrap for each in table.comparisons)
    heads = ["variant − baseline" if several else f"less {table.comparisons[0].baseline}", "n"]
    heads += [_with_unit("mean difference", unit.of_differences), "95 % interval"]
    heads += [*(["bootstrap"] if with_bootstrap else []), "p", "Holm", "reading"]
    rows = []
    for each in table.comparisons:
        spread = f" ± {unit.value(each.summary.deviation)}" if each.summary.deviation is not None else ""
        cells = [wording.pair(each) if several else each.variant, str(len(each.differences))]
        cells += [unit.difference(each.summary.mean) + spread, unit.interval(each.interval)]
        cells += [*([unit.interval(each.bootstrap)] if with_bootstrap else [])]
        cells += [wording.p_value(each.p), wording.p_value(each.adjusted), wording.reading(each)]
        rows.append(tuple(cells))
    return Grid("Paired differences", tuple(heads), tuple(rows), tuple(wording.remarks(table)))


def _with_unit(text, unit):
    return f"{text} ({unit})" if unit else text


def runs(results) -> Grid:
    """A row a run that is begun: its values and its time, or what became of it."""
    sweep = results.plan.sweep
    places, splits = comparison.wanted(sweep), {split for split, _ in sweep.places}
    heads = ["run"]
    for checkpoint, split, metric in places:
        text = wording.metric(metric) + (f", {checkpoint}" if len(sweep.checkpoints) > 1 else "")
        text += f", {split}" if len(splits) > 1 else ""
        heads.append(_with_unit(text, wording.Unit(metric).of_means))
    begun = [row for row in results.rows if row.state.kind != state.ABSENT]
    rows = []
    for row in begun:
        run = row.state.run
        if row.state.is_trained:
            values = [(state.value(run, *place), wording.Unit(place[2])) for place in places]
            seconds = timing.training_seconds(run)
            cells = ["–" if value is None else unit.value(value) for value, unit in values]
            end = "–" if seconds is None else duration(seconds)
        else:
            cells, end = ["–"] * len(places), row.state.kind
        if row.state.reason:
            is_lacking = row.state.is_trained and row.state.kind == state.BEGUN
            end = f"{'trained' if is_lacking else row.state.kind}: {row.state.reason}"
        rows.append((row.planned.name, *cells, end))
    absent = len(results.rows) - len(begun)
    remarks = (f"{wording.counted(absent, 'run')} not begun.",) if absent else ()
    return Grid("Runs", (*heads, "training time"), tuple(rows), remarks)


def trials(search) -> Grid:
    """A row a trial: the setting and its value on validation images."""
    found = search.trials()
    keys = list(dict.fromkeys(key for trial in found for key in trial.parameters))
    unit = wording.Unit(search.metric)
    values = [trial.value for trial in found if trial.value is not None]
    rows = []
    for trial in found:
        cells = [_setting(trial.parameters.get(key)) for key in keys]
        text = trial.state.kind if trial.value is None else unit.value(trial.value)
        is_chosen = search.is_done and trial.number == search.best.number if values else False
        rows.append((str(trial.number), *cells, f"{text}, chosen" if is_chosen else text))
    where = f"{search.arm.data_set}: " if search.arm.data_set else ""
    value = _with_unit(f"{wording.metric(search.metric)} on validation images", unit.of_means)
    remarks = () if "trainer.precision" in keys else _precisions(found)
    return Grid(f"{where}Trials of {search.arm.variant}", ("trial", *keys, value), tuple(rows), remarks)


def _precisions(found) -> tuple:
    """What has to be said of trials that were not all trained in the same one."""
    numbers: dict = {}
    for trial in found:
        if trial.value is not None and trial.state.run.precision:
            numbers.setdefault(trial.state.run.precision, []).append(str(trial.number))
    if len(numbers) < 2:
        return ()
    listed = "; ".join(f"{precision}: {', '.join(each)}" for precision, each in numbers.items())
    return (f"The trials are not of the same precision, since the processors differ: {listed}.",)


def _setting(value) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def settings(results) -> Grid:
    """Config and overrides of every variant; what all share is said once."""
    arms = results.plan.arms
    shared = [each for each in arms[0].overrides if all(each in arm.overrides for arm in arms)] if len(arms) > 1 else []
    rows = []
    for arm in arms:
        own = " ".join(each for each in arm.overrides if each not in shared)
        rows.append(("/".join(filter(None, (arm.data_set, arm.variant))), arm.config_path.stem, own or "–"))
    remarks = (f"For every variant: {' '.join(shared)}.",) if shared else ()
    return Grid("Settings", ("variant", "config", "overrides"), tuple(rows), remarks)


def commands(results) -> list[str]:
    """What trains the sweep again, and its first run alone where there is one."""
    alone = [_alone(row) for row in results.rows[:1]]
    used = {name for row in results.rows for name in (row.state.run.plugins or plugins.used_by(row.planned.settings))}
    extra = "".join(f" --plugin {name}.py" for name in sorted(used))
    return [f"lossbench sweep {shown(results.plan.path)}{extra}", *(f"{command}{extra}" for command in alone)]


def _alone(row) -> str:
    """What trains the run with the threads, and where the config leaves it to the processor the precision, it had."""
    planned, precision, threads = row.planned, row.state.run.precision, row.state.run.threads
    if precision and planned.settings.trainer.precision == "fastest":
        planned = planned.arm.changed({"trainer.precision": precision}).run(planned.seed)
    return f"{planned.command} --threads {threads}" if threads else planned.command


def facts(results) -> list[str]:
    """What the runs were trained on and how long it took, in sentences."""
    finished = [row for row in results.rows if row.state.is_trained and row.state.kind != state.FAILED]
    waiting = sum(results.awaited.values())
    sentences = [f"{len(finished)} of {len(results.rows) + waiting} runs are finished."]
    lacking = sum(row.state.kind == state.BEGUN for row in finished)
    if lacking:
        sentences.append(f"Of {lacking} of them something is to be measured yet.")
    if waiting:
        sentences.append(f"Those of {', '.join(results.awaited)} wait for their search.")
    sentences += [f"Every trial of {name} failed." for name in results.hopeless]
    for reason in dict.fromkeys(reason for table in results.without for reason in table.reasons):
        named = "; ".join(wording.heading(table) for table in results.without if reason in table.reasons)
        sentences.append(f"No run has a value of {named} ({reason.rstrip('.')}).")
    seconds = [timing.training_seconds(row.state.run) for row in finished]
    if finished and None not in seconds:
        sentences.append(f"Training took {duration(sum(seconds))} in all.")
    found = {}
    for row in finished:
        surroundings, commit = _surroundings(row.state.run)
        found.setdefault(surroundings, []).append(commit)
    for surroundings, commits in found.items():
        several = f"{wording.counted(len(commits), 'run')} on" if len(found) > 1 else "Trained on"
        known = ", ".join(filter(None, dict.fromkeys(commits)))
        sentences.append(f"{several} {surroundings} ({known})." if known else f"{several} {surroundings}.")
    return sentences


def _surroundings(run) -> tuple:
    """What a run was trained on, and of which commit where that is known."""
    versions, git = (
        each if isinstance(each, dict) else {} for each in (run.environment.get(name) for name in ("versions", "git"))
    )
    threads = wording.counted(run.threads, "thread") if run.threads else None
    parts = [run.environment.get("processor", "unknown processor"), threads, run.precision]
    parts += [f"plugin {name} ({sha[:12]})" for name, sha in run.plugins.items()]
    parts += [f"{name} {versions[name]}" for name in ("mxnet", "numpy", "python", "lossbench") if name in versions]
    commit = git.get("commit")
    known = f"{commit[:12]}{' and changes' * bool(git.get('modified'))}" if isinstance(commit, str) else None
    return ", ".join(filter(None, parts)), known
