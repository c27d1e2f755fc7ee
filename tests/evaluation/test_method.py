"""Where the numbers of methods lie: what they declare against what finished trainings hold."""

import json
from pathlib import Path

import numpy as np
import pytest

from lossbench.evaluation import METHODS, geometry

RESULTS = Path(__file__).parents[2] / "docs" / "results"


def numbers(found, *place):
    for key, value in found.items():
        if isinstance(value, dict) and "unavailable" not in value:
            yield from numbers(value, *place, key)
        elif isinstance(value, (int, float)):
            yield ".".join((*place, key))


def known(metric):
    return any(method.number(metric) for method in METHODS.values())


def test_every_number_of_kept_runs_has_its_declared_place():
    folders = ("digits", "glyphs_small", "noise_margin_mnist", "lgm_mnist", "center_mnist")
    paths = [path for folder in folders for path in sorted((RESULTS / folder).glob("**/seed-*0/metrics.json"))]
    assert len(paths) > 10
    keys = {method.key for method in METHODS.values()}
    for path in paths:
        for split in json.loads(path.read_text())["last"].values():
            for metric in numbers(split) if isinstance(split, dict) else ():
                assert metric.partition(".")[0] not in keys or known(metric), (path, metric)


def test_every_number_of_the_geometry_has_its_declared_place(rng):
    found = geometry.describe(rng.standard_normal((20, 3)), np.arange(20) % 4, prototypes=np.eye(4, 3))
    del found["per_class"], found["norm"]["quantiles"]
    assert all(map(known, numbers(found, "geometry")))
    assert len(found) == 9


@pytest.mark.parametrize(
    "metric",
    [
        "retrieval", "retrieval.map_at_r", "retrieval.cosin.map_at_r", "retrieval.cosine.cosine.map_at_r",
        "verification.cosine.same_pairs", "detection.area_under_roc", "geometry.norm.intra_class_angle",
        "calibration.expected_calibration_error", "accuracy.accuracy", "confusion", "memorization.memorised",
    ],
)  # fmt: skip
def test_what_no_run_has_is_known_to_be_none(metric):
    assert not known(metric)
