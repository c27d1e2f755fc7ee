import numpy as np
import pytest

from lossbench.evaluation import Unavailable, pairs


@pytest.mark.parametrize("classes", [2, 3, 40])
def test_drawn_pairs_are_what_they_say(rng, classes):
    label = rng.integers(0, classes, 200)
    first, second, same = pairs.draw(label, 600, seed=3)
    assert ((label[first] == label[second]) == same).all()
    assert (first != second).all()
    assert len({frozenset(pair) for pair in zip(first.tolist(), second.tolist())}) == 600
    assert [same[fold].sum() for fold in np.split(np.arange(600), 10)] == [30] * 10
    again = pairs.draw(label, 600, seed=3)
    assert all((a == b).all() for a, b in zip(again, (first, second, same)))
    assert (pairs.draw(label, 600, seed=4).first != first).any()


def test_every_pair_is_as_likely_as_every_other():
    label = [0, 1, 0, 1, 0, 2]  # 3 + 1 pairs of one class; 15 - 4 of two
    counts = {}
    for seed in range(3000):
        for a, b, same in zip(*pairs.draw(label, 4, folds=2, seed=seed)):
            counts[bool(same), frozenset((int(a), int(b)))] = (
                counts.get((bool(same), frozenset((int(a), int(b)))), 0) + 1
            )
    of_one = [n for (same, _), n in counts.items() if same]
    of_two = [n for (same, _), n in counts.items() if not same]
    assert (len(of_one), len(of_two)) == (4, 11)
    assert np.abs(np.array(of_one) / 6000 - 1 / 4).max() < 0.03
    assert np.abs(np.array(of_two) / 6000 - 1 / 11).max() < 0.03


def test_all_pairs_there_are():
    first, second, same = pairs.draw([0, 0, 1], 2, folds=1)
    assert {int(first[0]), int(second[0])} == {0, 1}
    assert same.tolist() == [True, False]
    with pytest.raises(Unavailable, match="must have 2 pairs of one class, got 1. Ask for fewer pairs"):
        pairs.draw([0, 0, 1], 4, folds=1)
    with pytest.raises(Unavailable, match="must have 1 pairs of two classes, got 0"):
        pairs.draw([5, 5, 5], 2, folds=1)
    with pytest.raises(Unavailable, match="must have 1 pairs of one class, got 0"):
        pairs.draw([], 2, folds=1)
    with pytest.raises(ValueError, match="`count` must be a multiple of 20, .* got 30"):
        pairs.draw([0, 0, 1], 30)


def test_a_list(tmp_path):
    path = tmp_path / "pairs.txt"
    path.write_text("# first second same\na.png b.png 1\n\n b.png\tc.png 0\nc.png,a.png,0\n")
    first, second, same = pairs.read(path, ["a.png", "b.png", "c.png"])
    assert (first.tolist(), second.tolist(), same.tolist()) == ([0, 1, 2], [1, 2, 0], [True, False, False])
    path.write_text("0 2 1\n")
    assert pairs.read(path, range(3)).second.tolist() == [2]


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("0 1 1\n0 1\n", r"pairs .*pairs.txt: line 2 must hold two image ids and 1 \(same class\) or 0, got '0 1'"),
        ("0 1 1\n\n0 1 yes\n", "line 3 must hold .* got '0 1 yes'"),
        ("0 1 1 1\n", "line 1 must hold"),
        ("0 1 1\n0 7 1\n", "line 2 must hold ids of the split's 3 images, like 0, got 7"),
        ("# nothing\n", "must hold at least one pair, got none"),
        (b"\xff\xfe\x00", "must be a readable text file"),
        (None, "must be a readable text file, got .*No such file"),
    ],
)
def test_wrong_lists(tmp_path, content, text):
    path = tmp_path / "pairs.txt"
    if content is not None:
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(ValueError, match=text):
        pairs.read(path, range(3))
