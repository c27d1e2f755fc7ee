"""Numbers and sentences of a sweep as people read them; every output takes them from here."""

from __future__ import annotations

import math

from lossbench.report import names
from lossbench.sweep import statistics

SPLITS = {
    "test": "test images",
    "validation": "validation images",
    "holdout": "classes never trained on",
    "train": "training images",
}
CHECKPOINTS = {"last": "after the last epoch", "best": "at the epoch that was best on validation images"}
MINUS = "−"


def counted(count: int, what: str) -> str:
    """`1 run`, `2 runs`."""
    return f"{count} {what}{'s' * (count != 1)}"


class Unit:
    """How values of a metric are written: fractions as percentages, their differences as points.

    Examples
    --------
    >>> Unit("accuracy").mean(statistics.summarize([0.9861, 0.9889]))
    '98.75 ± 0.20'
    >>> Unit("accuracy").difference(0.0014)
    '+0.14'
    """

    def __init__(self, metric: str):
        self.is_fraction = names.value(metric.split(".")).is_fraction
        self.factor = 100 if self.is_fraction else 1
        self.of_means = "%" if self.is_fraction else ""
        self.of_differences = "points" if self.is_fraction else ""

    def value(self, value: float, further: int = 0) -> str:
        """With two decimals of points or four digits, and further ones where asked for."""
        return f"{self.factor * value:.{2 + further}f}" if self.is_fraction else f"{value:.{4 + further}g}"

    def mean(self, summary) -> str:
        if summary is None:
            return "–"
        spread = f" ± {self.value(summary.deviation)}" if summary.deviation is not None else ""
        return self.value(summary.mean) + spread

    def difference(self, value: float, further: int = 0) -> str:
        text = self.value(abs(value), further)
        is_zero = float(text) == 0
        return text if is_zero else f"{'+' if value > 0 else MINUS}{text}"

    def interval(self, interval) -> str:
        """Both ends, with as many digits as show on which side of 0 they are."""
        if interval is None:
            return "–"
        ends = interval.low, interval.high
        further = next(k for k in range(10) if k == 9 or all(float(self.value(abs(x), k)) > 0 or x == 0 for x in ends))
        return " to ".join(self.difference(end, further) for end in ends)


def metric(name: str) -> str:
    """A metric as people say it.

    Examples
    --------
    >>> metric("accuracy"), metric("accuracy_knn"), metric("retrieval.cosine.map_at_r")
    ('accuracy by logits', 'accuracy by k-NN', 'retrieval, cosine, MAP@R')
    """
    path = name.split(".")
    return f"accuracy by {names.value(path).text}" if name.startswith("accuracy") else ", ".join(names.within(path, 0))


def heading(table) -> str:
    """What a table shows."""
    where = f"{table.data_set}: " if table.data_set else ""
    name = metric(table.metric)
    name = name if where else name[:1].upper() + name[1:]
    return f"{where}{name} on {SPLITS[table.split]}, {CHECKPOINTS[table.checkpoint]}"


def pair(comparison) -> str:
    return f"{comparison.variant} {MINUS} {comparison.baseline}"


def p_value(p) -> str:
    """A p value with two digits, or as many as show on which side of 0.05 it is.

    Examples
    --------
    >>> p_value(0.03125), p_value(0.00012), p_value(0.0498), p_value(None)
    ('0.031', '0.00012', '0.0498', '–')
    """
    if p is None:
        return "–"
    if p < 0.001:
        return f"{p:.2g}"
    least = max(2, 1 - math.floor(math.log10(p)))
    texts = [f"{p:.{digits}f}" for digits in range(least, 18)]
    return next((text for text in texts if (float(text) < statistics.ALPHA) == (p < statistics.ALPHA)), texts[-1])


def reading(comparison) -> str:
    """What a comparison allows to say, in a few words."""
    higher = "higher" if comparison.summary.mean > 0 else "lower"
    is_by_p = comparison.adjusted is not None and comparison.adjusted < statistics.ALPHA
    if comparison.interval is None:
        if len(comparison.differences) == 1:
            return "one pair: no interval"
        return f"{higher} by Holm's p; " * is_by_p + "the same in every pair: no interval"
    if not comparison.interval.excludes_zero:
        return f"{higher} by Holm's p, not by the interval" if is_by_p else "not told apart"
    if comparison.adjusted is None:
        return f"{higher} by the interval; too few seeds for " + ("a p" if comparison.p is None else "Holm's p")
    return higher if is_by_p else f"{higher} by the interval, not by Holm's p"


def remarks_on_means(table) -> list[str]:
    """What a reader of the means has to know."""
    found = []
    if max((len(side.values) for side in table.sides), default=0) == 1:
        found.append("One seed a variant: this ranks what to try further, and is no evidence of a difference.")
    return [*found, *_lacking(table)]


def _too_few_pairs(comparisons) -> list[str]:
    """Why rows have no p, or none by Holm's method."""
    one, all_rows = statistics.pairs_needed(1), statistics.pairs_needed(len(comparisons))
    pairs = {len(each.differences) for each in comparisons}
    found = []
    for rows, text in (
        ([each for each in comparisons if each.p is None], f"below {one} pairs no such p can be smaller than 0.05"),
        (
            [each for each in comparisons if each.p is not None and each.adjusted is None],
            f"with {len(comparisons)} comparisons Holm's p can be smaller than 0.05 from {all_rows} pairs on",
        ),
    ):
        if rows:
            few = sorted({len(each.differences) for each in rows})
            there = " there" * (len(pairs) > 1)
            found.append(f"n = {', '.join(map(str, few))}: {text}, so none is given{there}.")
    return found


def _lacking(table) -> list[str]:
    """Which sides lack values because runs failed, or are finished without one."""
    found = []
    for side in table.sides:
        runs = side.failed + len(side.unavailable) + len(side.values)
        if side.failed and side.values:
            found.append(
                f"{side.failed} of {runs} runs of {side.arm.variant} failed: what is said of it holds for those that "
                "did not."
            )
        for reason in dict.fromkeys(side.unavailable.values()):
            seeds = [str(seed) for seed, other in side.unavailable.items() if other == reason]
            others = ", and what is said of it holds for the others" * bool(side.values)
            named = f"seed{'s' * (len(seeds) > 1)} {', '.join(seeds)}: " * (len(seeds) < runs)
            found.append(
                f"{len(seeds)} of {runs} runs of {side.arm.variant} ha{'s' if len(seeds) == 1 else 've'} no value "
                f"({named}{reason.rstrip('.')}){others}."
            )
    return found


def _unlike(comparisons) -> list[str]:
    """What pairs do not share, each reason once with all pairs that it holds for."""
    pairs = {}
    for each in comparisons:
        batches = f"not the same batches, since the configs differ in {', '.join(each.unpaired)}"
        reasons = [batches] * bool(each.unpaired) + [
            f"not the same {what} of seed{'s' * (len(seeds) > 1)} {', '.join(map(str, seeds))}, {why}"
            for what, seeds, why in (
                ("precision", each.mixed, "since the processors differ"),
                ("data", each.other_data, "since files of the same name had other contents"),
                ("images or pairs", each.judged_otherwise, "as options of `eval` choose them"),
            )
            if seeds
        ]
        for reason in reasons:
            pairs.setdefault(reason, []).append(pair(each))
    return [f"{', '.join(named)}: {reason}." for reason, named in pairs.items()]


def remarks(table) -> list[str]:
    """What a reader of a table has to know."""
    if not table.comparisons:
        return []
    found = [
        "The difference is taken seed by seed; ± is the sample standard deviation. The interval is Student's, 95 %."
    ]
    if any(each.bootstrap for each in table.comparisons):
        found.append(
            f"The bootstrap draws seeds and test images anew, {statistics.RESAMPLES:,} times, and takes the middle "
            "95 %. It counts that other test images would give another difference; of few seeds it is too narrow where "
            "they differ much, and too wide where they differ little."
        )
    if any(each.p is not None for each in table.comparisons):
        holm = any(each.adjusted is not None for each in table.comparisons)
        adjusted = "; Holm: adjusted for all rows of the table" * holm
        is_sampled = max(len(each.differences) for each in table.comparisons) > statistics.EXACT_UP_TO
        signs = f"all signs of up to {statistics.EXACT_UP_TO} differences, of more over 2^20 random ones"
        over = f"over {signs}" if is_sampled else "exact, over all signs of the differences"
        found.append(f"p: {over}, two-sided{adjusted}.")
    return [*found, *_too_few_pairs(table.comparisons), *_unlike(table.comparisons)]
