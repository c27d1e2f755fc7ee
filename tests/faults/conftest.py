"""The trainings that faults strike: one process makes them for all files."""

import pytest

from tests.faults import amount
from tests.faults import trainings as _trainings


@pytest.fixture(scope="package")
def trainings(tmp_path_factory):
    trainings = _trainings.Trainings(tmp_path_factory.mktemp("trainings"))
    yield trainings
    trainings.close()


@pytest.fixture(scope="package")
def events(trainings):
    """Kind -> the files of the events that an undisturbed training has; its run is `whole`."""
    return trainings.events("whole")


@pytest.fixture(scope="package")
def undisturbed(trainings, events):
    return _trainings.contents(trainings.folder / "whole")


def pytest_terminal_summary(terminalreporter):
    if amount.ALL and amount.OUTCOMES:
        terminalreporter.section("what came of it")
        for outcome, count in sorted(amount.OUTCOMES.items()):
            terminalreporter.line(f"{count:7,}  {outcome}")
