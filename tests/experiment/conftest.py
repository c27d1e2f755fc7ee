"""Trainings of these tests draw no pictures, which would take longer than they do, but where pictures are tested."""

import pytest

from lossbench.plots import pictures


@pytest.fixture(autouse=True)
def _no_pictures(request, monkeypatch):
    if request.module.__name__.rpartition(".")[2] not in ("test_pictures", "test_finishing"):
        monkeypatch.setattr(pictures, "after_training", lambda embedding_size: ())
