"""`benchmark.py evaluation`, `scaling`, `reading`: the real commands on small sizes, and the arithmetic of growth."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from lossbench.benchmarks import scaling
from lossbench.cli import benchmark_scaling
from lossbench.plots.drawing.scaling import scaling as draw

ROOT = Path(__file__).resolve().parent.parent.parent


def benchmark(*arguments, folder):
    environment = {**os.environ, "LOSSBENCH_DATA": str(folder), "MXNET_HOME": str(folder)}
    command = [sys.executable, ROOT / "scripts" / "benchmark.py", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300)


def test_evaluation_is_measured(tmp_path):
    sizes = ["--images", 300, "--queries", 50, "--references", 500, "--repetitions", 2, "--seconds", 0.01]
    done = benchmark("evaluation", *sizes, "--json", tmp_path / "e.json", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    measured = json.loads((tmp_path / "e.json").read_text())
    inference, knn = measured["inference"], measured["knn"]
    assert inference["data"] == "synthetic"
    assert inference["images"] == 300
    assert inference["inference"]["min"] / inference["training"]["max"] <= inference["ratio"]["median"]
    assert inference["inference"]["n"] == inference["training"]["n"] == inference["ratio"]["n"] == 2
    assert min(inference[name]["min"] for name in ("inference", "training")) > 1  # images/s, not seconds
    assert inference["ratio"]["median"] <= inference["inference"]["max"] / inference["training"]["min"]
    assert (knn["queries"], knn["references"], knn["seconds"]["n"]) == (50, 500, 2)
    assert f"{knn['seconds']['median']:.2f}" in done.stdout


def test_reading_is_measured(tmp_path):
    sizes = ["--count", 1500, "--images", 400, "--repetitions", 1]
    done = benchmark("reading", *sizes, "--json", tmp_path / "r.json", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    rows = {row["name"]: row for row in json.loads((tmp_path / "r.json").read_text())["rows"]}
    assert list(rows) == ["lossbench", "mxnet", "pytorch"]
    for row in [rows["lossbench"], rows["mxnet"]]:
        assert 100 < row["rate"]["median"] < 1e5
        assert 0 < row["start"]["median"] < 60
        assert 1e7 < row["memory"]["median"] < 1e10
        assert f"{row['rate']['median']:.0f}" in done.stdout
    assert "missing" in rows["pytorch"] or rows["pytorch"]["rate"]["median"] > 100


def test_counts_below_one_are_the_users_mistake(tmp_path):
    for arguments in (
        ["evaluation", "--images", 0],
        *([kind, "--repetitions", 0] for kind in ("scaling", "train", "load", "reading")),
    ):
        done = benchmark(*arguments, folder=tmp_path)
        assert (done.returncode, done.stderr.count("\n")) == (2, 1)
        assert "at least 1" in done.stderr


def test_the_load_is_made_and_its_shares_told(tmp_path):
    done = benchmark(
        *("load", "--config", ROOT / "configs" / "softmax_digits.yaml", "--seconds", 0.1, "--repetitions", 2),
        *("--json", tmp_path / "load.json"),
        folder=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    rows = {row["way"]: row for row in json.loads((tmp_path / "load.json").read_text())["rows"]}
    assert list(rows) == ["lossbench", "asleep", "awake", "one thread"]
    assert all(row[name]["n"] == 2 and row[name]["min"] > 1 for row in rows.values() for name in ("idle", "loaded"))
    assert rows["asleep"]["loaded_share"]["max"] == rows["awake"]["idle_share"]["max"] == 1
    assert f"{rows['lossbench']['loaded']['median']:.0f} (" in done.stdout
    assert "beside 2 busy, images/s" in done.stdout


def rows():
    """Costs that grow like the size, and like its square, along one axis."""
    measured = []
    for size in (10, 100, 1000):
        point = {**scaling.FIXED, "axis": "num_classes", "num_classes": size}
        measured.append({**point, "name": "a", "label": "A", "milliseconds": {"median": size / 4}})
        measured.append({**point, "name": "b", "label": "B", "bytes": 3e6 * size**2})
    return measured


def test_growth_is_told_and_drawn(tmp_path, capsys):
    benchmark_scaling._print(rows(), scaling)
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines[1] == ["classes", "A", "10", "100", "1000", "2.50", "25.00", "250.00", "1.00"]
    assert lines[2] == ["classes", "B", "10", "100", "1000", "300", "30000", "3000000", "2.00"]
    benchmark_scaling._draw(rows(), tmp_path / "growth.png")
    assert (tmp_path / "growth.png").stat().st_size > 10_000


def test_a_later_measurement_adds_to_the_kept_ones():
    first = rows()
    again = [{**{k: v for k, v in first[0].items() if k != "milliseconds"}, "bytes": 5}]
    after = scaling.merged(first, again)
    assert len(after) == len(first)
    assert after[0] == {**first[0], "bytes": 5}


def test_a_step_is_measured_at_every_point(monkeypatch):
    monkeypatch.setattr(scaling, "SIZES", dict.fromkeys(scaling.AXES, (2, 4)))
    monkeypatch.setattr(scaling, "FIXED", {"batch_size": 4, "num_classes": 5, "embedding_size": 3})
    measured = scaling.measure(["plain", "lgm"], ["embedding_size"], repetitions=2, with_memory=False)
    assert [(row["embedding_size"], row["batch_size"], row["name"]) for row in measured] == [
        (2, 4, "plain"),
        (2, 4, "lgm"),
        (4, 4, "plain"),
        (4, 4, "lgm"),
    ]
    assert all(row["milliseconds"]["n"] == 2 and "bytes" not in row for row in measured)


def test_a_point_without_a_cost_leaves_a_gap(capsys):
    """A step that needs no memory beside its batch has no place on a logarithmic axis, nor an exponent."""
    point = {**scaling.FIXED, "axis": "batch_size", "name": "plain", "label": "Dense"}
    measured = [
        {**point, "batch_size": size, "milliseconds": {"median": size}, "bytes": taken}
        for size, taken in ((32, 0), (128, 1e6), (512, 4e6))
    ]
    benchmark_scaling._print(measured, scaling)
    cells = capsys.readouterr().out.splitlines()[1].split()
    assert cells == "batch Dense 32 128 512 32.00 128.00 512.00 1.00 - 1 4 1.00".split()


def test_growth_is_drawn_against_size_and_a_proportional_line():
    lines = {"A": ((10, 100), (2, 30)), "B": ((10, 1000), (5, 6))}
    figure = draw([{"xlabel": "classes", "ylabel": "ms", "lines": lines}], title="growth")
    (axes,), (legend,) = figure.axes, figure.legends
    texts = [label.get_text() for label in axes.get_xticklabels()]
    assert dict(zip(texts, axes.get_xticks())) == {"10": 10, "100": 100}
    assert [text.get_text() for text in legend.get_texts()] == ["A", "B", "proportional"]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("classes", "ms")
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
    drawn = {line.get_label(): line.get_xydata().tolist() for line in axes.lines}
    assert drawn == {"A": [[10, 2], [100, 30]], "B": [[10, 5], [1000, 6]], "proportional": [[10, 3], [100, 30]]}


def test_nothing_to_draw_is_refused():
    with pytest.raises(ValueError, match="`panels` must each have a line"):
        draw([{"xlabel": "classes", "ylabel": "ms", "lines": {}}], title="")
