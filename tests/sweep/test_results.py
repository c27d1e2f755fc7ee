"""The results in docs/results are what `make results` makes of the files kept beside them."""

from pathlib import Path

import pytest

from lossbench import sweep

ROOT = Path(__file__).parents[2]
FOLDERS = sorted(path for path in (ROOT / "docs" / "results").iterdir() if path.is_dir())


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_the_tables_are_those_of_the_kept_runs(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    work = sweep.Work(sweep.load(Path("configs") / "sweeps" / f"{folder.name}.yaml"), folder)
    sweep.write(work.results(), tmp_path)
    assert (tmp_path / "README.md").read_text() == (folder / "README.md").read_text(), "make results"


def test_every_folder_of_results_is_listed():
    page = (ROOT / "docs" / "results" / "README.md").read_text()
    for folder in FOLDERS:
        assert f"({folder.name}/README.md)" in page
