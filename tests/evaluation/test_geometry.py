import json
import math

import numpy as np
import pytest

from lossbench.evaluation import Unavailable, geometry


def slow_angle(a, b):
    return math.degrees(math.acos(max(-1.0, min(1.0, float(a @ b / np.sqrt((a @ a) * (b @ b)))))))


def slow(embedding, label, prototypes):
    classes = sorted(set(label.tolist()))
    members = {c: embedding[label == c] for c in classes}
    mean = {c: m.mean(axis=0) for c, m in members.items()}
    direction = {c: sum(x / np.linalg.norm(x) for x in m) for c, m in members.items()}
    pairs = [(c, d) for c in classes for d in classes if c < d]
    intra_distance = np.mean([np.mean([np.linalg.norm(x - mean[c]) for x in members[c]]) for c in classes])
    intra_angle = np.mean([np.mean([slow_angle(x, direction[c]) for x in members[c]]) for c in classes])
    inter_distance = np.mean([np.linalg.norm(mean[c] - mean[d]) for c, d in pairs])
    inter_angle = np.mean([slow_angle(direction[c], direction[d]) for c, d in pairs])
    return {
        "intra_class_distance": intra_distance,
        "inter_class_distance": inter_distance,
        "intra_class_angle": intra_angle,
        "inter_class_angle": inter_angle,
        "distance_ratio": intra_distance / inter_distance,
        "angle_ratio": intra_angle / inter_angle,
        "nearest_class_angle": np.mean(
            [min(slow_angle(direction[c], direction[d]) for d in classes if d != c) for c in classes]
        ),
        "prototype_angle": np.mean([slow_angle(prototypes[c], direction[c]) for c in classes]),
    }


@pytest.mark.parametrize("bound", [1, 10**9])
def test_is_the_slow_rule(rng, bound):
    label = rng.choice([0, 1, 4], 150)
    embedding, prototypes = rng.standard_normal((150, 4)) + 0.5, rng.standard_normal((6, 4))
    found = geometry.describe(embedding, label, prototypes, max_memory_bytes=bound)
    assert {n: v for n, v in found.items() if n not in ("norm", "per_class")} == pytest.approx(
        slow(embedding, label, prototypes)
    )
    norms = np.sqrt((embedding**2).sum(axis=1))
    assert found["norm"]["mean"] == pytest.approx(norms.mean())
    assert found["norm"]["standard_deviation"] == pytest.approx(norms.std())
    assert found["norm"]["quantiles"]["0.5"] == pytest.approx(np.median(norms))
    assert found["per_class"]["members"] == np.bincount(label, minlength=6).tolist()
    assert found["per_class"]["norm_mean"][4] == pytest.approx(norms[label == 4].mean())
    for values in found["per_class"].values():
        assert len(values) == 6
    for name in ("intra_class_distance", "intra_class_angle", "nearest_class_angle", "prototype_angle"):
        values = found["per_class"][name]
        assert values[2] is values[5] is None
        assert found[name] == pytest.approx(np.mean([v for v in values if v is not None]))
    assert json.loads(json.dumps(found)) == found


def test_closed_forms():
    """Four classes at the corners of a square of side 2, two members each, 0.1 to either side."""
    corners = np.array([[1.0, 1.0], [-1.0, 1.0], [-1.0, -1.0], [1.0, -1.0]])
    embedding = np.concatenate([corners + [0.1, 0], corners - [0.1, 0]])
    found = geometry.describe(embedding, np.tile(np.arange(4), 2), 7 * corners)
    assert found["intra_class_distance"] == pytest.approx(0.1)
    assert found["inter_class_distance"] == pytest.approx((4 * 2 + 2 * math.sqrt(8)) / 6)
    assert found["inter_class_angle"] == pytest.approx((4 * 90 + 2 * 180) / 6, abs=0.5)
    assert found["nearest_class_angle"] == pytest.approx(90, abs=0.5)
    assert found["prototype_angle"] == pytest.approx(0, abs=0.2)


def test_of_several_directions_of_a_class_the_nearest_counts(rng):
    label = np.arange(60) % 3
    embedding, several = rng.standard_normal((60, 4)) + 2 * np.eye(3, 4)[label], rng.standard_normal((3, 5, 4))
    several[2, 1:] = 0
    found = geometry.describe(embedding, label, several)["per_class"]["prototype_angle"]
    alone = [geometry.describe(embedding, label, several[:, k])["per_class"]["prototype_angle"] for k in range(5)]
    assert found == pytest.approx([min(each[c] for each in alone if each[c] is not None) for c in range(3)])
    assert [each[2] is None for each in alone] == [False, True, True, True, True]


def test_small_and_opposite_angles_are_exact():
    """The arc cosine of a cosine near 1 would lose half the digits."""
    tiny = 1e-9
    angles = geometry.angles_to([[1.0, tiny], [-1.0, 0.0], [0.0, 0.0]], [0, 0, 0], [[4.0, 0.0]])
    assert angles[0] == pytest.approx(math.degrees(tiny), rel=1e-9)
    assert angles[1] == 180
    assert np.isnan(angles[2])


def test_one_class_and_a_collapsed_space():
    found = geometry.describe([[1.0, 0.0], [0.0, 1.0]], [0, 0])
    assert found["intra_class_angle"] == pytest.approx(45)
    assert "two with members" in found["inter_class_distance"]["unavailable"]
    assert "unavailable" in found["distance_ratio"]
    assert "unavailable" in found["nearest_class_angle"]
    assert "prototype_angle" not in found
    found = geometry.describe(np.zeros((4, 3)), [0, 0, 1, 1])
    assert found["intra_class_distance"] == found["inter_class_distance"] == 0
    assert "one place" in found["distance_ratio"]["unavailable"]
    assert "every embedding is zero" in found["intra_class_angle"]["unavailable"]
    assert found["norm"]["mean"] == 0
    assert json.loads(json.dumps(found)) == found


def test_zero_embeddings_have_no_angle():
    found = geometry.describe([[1.0, 0.0], [0.0, 0.0], [0.0, 2.0]], [0, 0, 1])
    assert found["per_class"]["intra_class_angle"] == [0.0, 0.0]
    assert found["inter_class_angle"] == 90
    found = geometry.describe([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]], [0, 0, 0])
    assert found["intra_class_angle"] == pytest.approx(45)


def test_errors():
    with pytest.raises(Unavailable, match="geometry: `embedding` must be finite"):
        geometry.describe([[np.nan]], [0])
    with pytest.raises(Unavailable, match="geometry: `embedding` must have at least one row"):
        geometry.describe(np.zeros((0, 2)), [])
    with pytest.raises(ValueError, match="`prototypes` must have a row for class 3, got 2 rows"):
        geometry.describe([[1.0]], [3], [[1.0], [2.0]])
    with pytest.raises(ValueError, match=r"`prototypes` must have the shape \(N, 1\)"):
        geometry.describe([[1.0]], [0], [[1.0, 2.0]])
