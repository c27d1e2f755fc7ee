"""What the benchmarks make of the times they take, on a clock that only the measured work moves; no MXNet step runs."""

import argparse
import itertools
import json
import time

import numpy as np
import pytest

from lossbench.benchmarks import earlier_rows, evaluation, scaling, training
from lossbench.benchmarks import heads as benchmark
from lossbench.benchmarks.contest import child, measure, run, table, task
from lossbench.benchmarks.timing import interleaved
from lossbench.cli import benchmark as command
from lossbench.cli import benchmark_heads, benchmark_scaling, benchmark_train

SIZE = (4, 3, 5)


class Clock:
    """Stands still, but while work is done; notes whose."""

    def __init__(self):
        self.now, self.worked = 0.0, []

    def __call__(self):
        return self.now

    def steps(self, name, *durations):
        """Return work of so many steps, whose length is the next duration at each call, the last one for ever."""
        durations = itertools.chain(durations, itertools.repeat(durations[-1]))

        def do(count=1):
            self.now += count * next(durations)
            self.worked.append(name)

        return do


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(time, "perf_counter", clock)
    return clock


def test_pieces_of_work_take_turns_and_the_first_round_is_not_counted(clock):
    work = {"a": clock.steps("a", 9, 1, 2), "b": clock.steps("b", 8, 3, 4)}
    assert interleaved(work, 2) == {"a": [1, 2], "b": [3, 4]}
    assert "".join(clock.worked) == "ababab"


def test_ratios_of_a_step_are_repetition_by_repetition(clock, monkeypatch):
    """Three calls come before those that count: two to find out how many steps, and the round to warm up."""
    plain, ours, theirs = (9, 0.01, 7, 0.01, 0.02, 0.04), (9, 0.01, 7, 0.01, 0.04, 0.02), (9, 1, 7, 0.03, 0.02, 0.08)
    sizes = []

    def new_steps(name, *size):
        sizes.append(size)
        return clock.steps(name, *{"plain": plain, "arcface": ours}[name])

    class Peer(benchmark.contextlib.nullcontext):
        def __enter__(self):
            return self

        def new_steps(self, name, *size):
            sizes.append(size)
            return clock.steps("theirs", *theirs)

    monkeypatch.setattr(benchmark.head_steps, "new_steps", new_steps)
    monkeypatch.setattr(benchmark.peers, "Peer", Peer)
    rows = benchmark.measure(SIZE, ["arcface"], repetitions=3, libraries=("gluonfr",), with_memory=False)["rows"]
    assert set(sizes) == {SIZE}

    def values(row, key):
        return [row[key][part] for part in ("median", "min", "max", "n")]

    for row, milliseconds, ratio in zip(
        rows, ([20, 10, 40, 3], [20, 10, 40, 3], [30, 20, 80, 3]), ([1, 1, 1, 3], [1, 0.5, 2, 3], [2, 1, 3, 3])
    ):
        assert values(row, "milliseconds") == pytest.approx(milliseconds)
        assert values(row, "ratio") == pytest.approx(ratio)
    assert values(rows[2], "ours") == pytest.approx([3, 0.5, 4, 3])
    assert "ours" not in rows[1]


def test_growth_is_measured_in_milliseconds_of_one_step(clock, monkeypatch):
    durations = {}
    monkeypatch.setattr(scaling.head_steps, "new_steps", lambda name, *size: durations[name, size])
    for batch_size, first in ((32, 0.1), (128, 0.2), (512, 0.3)):
        durations["plain", (batch_size, 256, 1000)] = clock.steps("plain", 9, first, first + 1, first + 5)
    rows = scaling.measure(["plain"], ["batch_size"], repetitions=3, with_memory=False)
    assert [row["milliseconds"]["median"] for row in rows] == pytest.approx([1100, 1200, 1300])


class Steps:
    """A contestant of 60 images a step, two of which make a turn; one that has a model, too."""

    def __init__(self, clock, waiting=0, **turns):
        self.clock, self.waiting = clock, waiting
        self.turns = {kind: itertools.chain.from_iterable((s / 2, s / 2) for s in turn) for kind, turn in turns.items()}

    def step(self, kind):
        self.clock.now += next(self.turns[kind])
        return 60

    def wait(self):
        self.clock.now += self.waiting

    @property
    def model(self):
        return self

    def outputs(self, split):
        self.step("scoring")
        self.step("scoring")


def test_a_turn_lasts_as_long_as_asked_and_counts_the_wait(clock):
    steps = Steps(clock, waiting=3, whole=(4, 4), bare=(1,))
    assert child.turn(steps, "whole", 7) == {"images": 240, "steps": 4, "seconds": 11}
    assert child.turn(steps, "bare", 0) == {"images": 120, "steps": 2, "seconds": 4}


def test_the_share_of_a_config_is_whole_to_bare_turn_by_turn(clock, monkeypatch):
    steps = Steps(clock, whole=(99, 4, 8, 4), bare=(99, 2, 2, 4))
    monkeypatch.setattr(training.Contestant, "of", lambda settings, device: steps)
    assert training.measure(None, seconds=0, repetitions=3) == {
        "whole": {"median": 30, "min": 15, "max": 30, "n": 3},
        "bare": {"median": 60, "min": 30, "max": 60, "n": 3},
        "share": {"median": 0.5, "min": 0.25, "max": 1, "n": 3},
    }


def test_scoring_is_compared_with_training_turn_by_turn(clock, monkeypatch, tmp_path):
    images, labels = np.zeros((12, 3, 32, 32), np.uint8), np.zeros(12, np.int32)
    np.savez(tmp_path / "images.npz", images=images, labels=labels, mean=np.zeros(3), std=np.ones(3))
    monkeypatch.setattr(evaluation, "write_images", lambda network, folder: (tmp_path / "images.npz", "synthetic"))
    steps = Steps(clock, scoring=(99, 2, 1, 4), whole=(99, 4, 8, 4))
    monkeypatch.setattr(evaluation, "Contestant", lambda task: steps)
    assert evaluation.measure_inference(count=8, seconds=0, repetitions=3) == {
        "inference": {"median": 4, "min": 2, "max": 8, "n": 3},
        "training": {"median": 30, "min": 15, "max": 30, "n": 3},
        "ratio": {"median": pytest.approx(4 / 30), "min": pytest.approx(2 / 30), "max": pytest.approx(8 / 15), "n": 3},
        "data": "synthetic",
        "images": 8,
    }


class Contestant:
    """Answers as `child.Child` does; 1200 images a turn, in the seconds of a list."""

    SECONDS = {  # of a kind's turns, the first of which is not counted
        "gluon": {"whole": [99, 4, 8, 4], "bare": [99, 2, 2, 4]},
        "lossbench": {"whole": [99, 2, 1, 4], "bare": [99, 1, 1, 1]},
    }
    asked = None  # every request to any of them

    def __init__(self, name):
        self.name = name
        self.left = {kind: iter(seconds) for kind, seconds in self.SECONDS.get(name, {}).items()}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def ask(self, order, *arguments):
        kind = arguments[0] if order == "run" else ""
        self.asked.append(f"{self.name} {order} {kind}".strip())
        if self.name == "pytorch":
            raise task.Missing("PyTorch is not installed")
        return {"images": 1200, "steps": 1, "seconds": next(self.left[kind])} if order == "run" else {}


def test_contestants_take_turns_and_are_compared_with_lossbench_turn_by_turn(monkeypatch):
    monkeypatch.setattr(run, "Child", Contestant)
    monkeypatch.setattr(run, "write_images", lambda network, folder: ("images.npz", "synthetic"))
    monkeypatch.setattr(Contestant, "asked", [])
    rows = measure([("lenet", "lgm", 8)], ["gluon", "lossbench", "pytorch"], repetitions=3)
    turns = [f"{name} run {kind}" for kind in ("whole", "bare") for name in ("gluon", "lossbench")]
    prepared = [f"{name} prepare" for name in ("gluon", "lossbench", "pytorch")]
    assert Contestant.asked == [*prepared, *4 * turns, "gluon drop", "lossbench drop"]
    key = {"network": "lenet", "loss": "lgm", "batch_size": 8, "data": "synthetic"}
    assert rows[0] == {
        **key,
        "contestant": "gluon",
        "whole": {"median": 300, "min": 150, "max": 300, "n": 3},
        "bare": {"median": 600, "min": 300, "max": 600, "n": 3},
        "share": {"median": 0.5, "min": 0.25, "max": 1, "n": 3},
        "ratio": {"median": 2, "min": 1, "max": 8, "n": 3},
    }
    assert rows[1]["ratio"] == {"median": 1, "min": 1, "max": 1, "n": 3}
    assert rows[2] == {**key, "contestant": "pytorch", "missing": "PyTorch is not installed"}
    title = "LeNet++, L-GM, 8, synthetic"
    gluon = ["300 (150 to 300)", "600 (300 to 600)", "0.50 (0.25 to 1.00)", "2.00 (1.00 to 8.00)", "3"]
    ours = ["600 (300 to 1200)", "1200 (1200 to 1200)", "0.50 (0.25 to 1.00)", "", "3"]
    assert table(rows)[1:] == [
        [title, "Gluon, threads set", *gluon],
        ["", "lossbench", *ours],
        ["", "PyTorch, channels last: PyTorch is not installed", "", "", "", "", ""],
    ]


def test_without_lossbench_nothing_is_called_a_ratio_to_it(monkeypatch):
    monkeypatch.setattr(run, "Child", Contestant)
    monkeypatch.setattr(run, "write_images", lambda network, folder: ("images.npz", "synthetic"))
    monkeypatch.setattr(Contestant, "asked", [])
    [row] = measure([("lenet", "lgm", 8)], ["gluon"], repetitions=3)
    assert "ratio" not in row
    assert table([row])[1][5] == ""


def test_the_table_of_heads_has_each_value_in_its_column():
    def three(median):
        return {"median": median, "min": median / 2, "max": 2 * median, "n": 7}

    row = {"library": "gluonfr", "name": "arcface", "label": "ArcLoss", "milliseconds": three(1), "bytes": 5_400_000}
    cells = benchmark_heads._cells({**row, "ratio": three(2), "ours": three(4)})
    spread = ["1.00 (0.50 to 2.00)", "2.00 (1.00 to 4.00)", "4.00 (2.00 to 8.00)"]
    assert cells == ["gluonfr ArcLoss (arcface)", *spread, "5", "7"]


def test_what_the_help_names_is_what_is_measured():
    """The command line names it a second time, to help without importing MXNet."""
    assert [benchmark_heads.size(text) for text in benchmark_heads.SIZES.split()] == list(benchmark.SIZES)
    parser = argparse.ArgumentParser()
    benchmark_train.add_arguments(parser)
    default = parser.parse_args([])
    assert list(default.networks) == list(task.NETWORKS)
    assert list(default.losses) == list(task.LOSSES)
    assert list(default.contestants) == list(child.CONTESTANTS)
    assert tuple(benchmark_scaling.AXES) == scaling.AXES == tuple(scaling.SIZES)


def test_points_of_another_axis_stay_where_the_sizes_are_the_same():
    point = {**scaling.FIXED, "name": "lgm"}
    first, second = ({**point, "axis": axis, "bytes": 5} for axis in ("batch_size", "num_classes"))
    assert scaling.merged([first, second], [{**first, "bytes": 6}]) == [{**first, "bytes": 6}, second]


@pytest.mark.parametrize("kind", ["train", "scaling"])
def test_a_file_of_something_else_is_refused_before_anything_is_measured(kind, tmp_path, capsys):
    path = tmp_path / "rates.json"
    for content in ('{"whole": 1}', "[]", "no JSON"):
        path.write_text(content)
        assert command.main([kind, "--json", str(path)], "benchmark.py") == 2
        assert capsys.readouterr().err == (
            f"benchmark: {path} must hold `rows` of an earlier run. Name another file.\n"
        )
        assert path.read_text() == content
    path.write_text(json.dumps({"rows": [1]}))
    assert earlier_rows.rows(path) == [1]
    assert earlier_rows.rows(None) == earlier_rows.rows(tmp_path / "absent.json") == []
