"""The results in docs/results are what `make results` makes of the files kept beside them."""

import json
from pathlib import Path

import pytest

from lossbench import sweep

ROOT = Path(__file__).parents[2]
FOLDERS = sorted(path for path in (ROOT / "docs" / "results").iterdir() if path.is_dir())


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_the_tables_are_those_of_the_kept_runs(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    work = sweep.Work(sweep.load(Path("configs") / "sweeps" / f"{folder.name}.yaml"), folder)
    for path in sweep.write(work.results(), tmp_path):
        assert _written(path) == _written(folder / path.name), f"make results ({path.name})"


def _written(path):
    """What a file says; numbers of JSON to ten digits, since processors differ in the last ones."""
    text = path.read_text()
    return json.loads(text, parse_float=lambda number: f"{float(number):.10g}") if path.suffix == ".json" else text


def test_every_folder_of_results_is_listed():
    page = (ROOT / "docs" / "results" / "README.md").read_text()
    for folder in FOLDERS:
        assert f"({folder.name}/README.md)" in page
