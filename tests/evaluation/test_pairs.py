import os

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


NAMES = ["test/golden retriever/IMG 0.png", "test/golden retriever/IMG 1.png", "test/tabby, cat/2.png", "test/x/3.png"]


@pytest.mark.parametrize("separator", ["\t", ",", ";", "  "])
@pytest.mark.parametrize("quote", [True, False])
def test_names_with_spaces_and_commas(tmp_path, separator, quote):
    path = tmp_path / "pairs"
    names = [f'"{name}"' for name in NAMES] if quote else NAMES
    rows = [(0, 1, 1), (0, 2, 0), (3, 1, 0)] if quote or separator == "\t" else [(0, 1, 1), (3, 1, 0)]
    path.write_text("".join(separator.join([names[a], names[b], str(same)]) + "\r\n" for a, b, same in rows))
    found = pairs.read(path, NAMES)
    assert list(zip(found.first, found.second, found.same)) == rows


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_encodings(tmp_path, encoding):
    names = ["caf\u00e9/1.png", "\u732b/2.png"]
    path = tmp_path / "pairs"
    path.write_bytes("cafe\u0301/1.png\t\u732b/2.png\t0\n".encode(encoding))
    assert pairs.read(path, names).same.tolist() == [False]


@pytest.mark.parametrize(
    "heading", ["a b same", "image1,image2,is_same", "left\tright\tsame class", '"image 1";"image 2";"same?"', "x,y,y2"]
)
def test_a_first_line_may_name_the_columns(tmp_path, heading):
    path = tmp_path / "pairs"
    path.write_text(f"{heading}\nb/3.png,a/3.png,1\n")
    assert pairs.read(path, ["a/3.png", "b/3.png"]).first.tolist() == [1]


@pytest.mark.parametrize("form", ["./{}", "/data/{}", "C:\\data\\{}", "{}"])
def test_paths_that_end_in_an_id(tmp_path, form):
    path = tmp_path / "pairs"
    lines = [f"{form.format('test/x/3.png')}\ttabby, cat/2.png\t0\n", "3.png\tx/3.png\t1\n"]
    path.write_text("first\tsecond\tsame\n" + "".join(lines))
    found = pairs.read(path, NAMES)
    assert (found.first.tolist(), found.second.tolist()) == ([3, 3], [2, 3])


def test_the_end_of_two_ids_is_none(tmp_path):
    (tmp_path / "pairs").write_text("3.png\tb/3.png\t0\n")
    with pytest.raises(ValueError, match="images, like a/3.png, got 3.png"):
        pairs.read(tmp_path / "pairs", ["a/3.png", "b/3.png"])


def lfw(folds=2):
    ids = [f"test/{name}/{name}_{number:04d}.jpg" for name in ("Ann_Lee", "Bob_Ray") for number in range(1, 5)]
    lines = ["Ann_Lee\t1\t2", "Bob_Ray\t1\t3", "Ann_Lee\t1\tBob_Ray\t2", "Bob_Ray\t4\tAnn_Lee\t3"]
    return ids, [f"{folds}\t2", *lines * folds]


def test_lfws_own_list(tmp_path):
    ids, lines = lfw()
    path = tmp_path / "pairs.txt"
    path.write_text("\n".join(lines) + "\n")
    found = pairs.read(path, ids)
    assert found.first.tolist() == [0, 4, 0, 7] * 2
    assert found.second.tolist() == [1, 6, 5, 2] * 2
    assert found.same.tolist() == [True, True, False, False] * 2
    path.write_text("\n".join(["2", *lines[1:5]]))
    assert len(pairs.read(path, ids).same) == 4


@pytest.mark.parametrize(
    ("number", "line", "text"),
    [
        (0, "3\t2", "must hold 12 pairs, as its first line '3\\\\t2' says, got 8"),
        (2, "Bob_Ray\t1\t9", "line 3 must hold ids of the split's 8 images, like test/Ann.*got Bob_Ray 9"),
        (3, "Bob_Ray\t1", "line 4 must hold a name and two numbers"),
        (3, "Bob_Ray\t1\tx", "line 4 must hold ids .* got Bob_Ray x"),
    ],
)
def test_wrong_lists_of_lfw(tmp_path, number, line, text):
    ids, lines = lfw()
    lines[number] = line
    (tmp_path / "pairs.txt").write_text("\n".join(lines))
    with pytest.raises(ValueError, match=text):
        pairs.read(tmp_path / "pairs.txt", ids)


def test_a_fifo_is_not_read(tmp_path):
    os.mkfifo(tmp_path / "pairs")
    with pytest.raises(ValueError, match="must be a readable text file, got what is no regular file"):
        pairs.read(tmp_path / "pairs", range(3))


@pytest.mark.parametrize("text", ["x", "x ", 'x" ', "\t", ","])
def test_a_line_of_a_million_letters_is_not_read(tmp_path, text):
    (tmp_path / "pairs").write_text("y" + text * 1_000_000 + "y")
    with pytest.raises(ValueError, match="pairs: line 1 must have at most 10,000 letters, got ") as caught:
        pairs.read(tmp_path / "pairs", range(3))
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("line", ['a "b', '"', 'a "b" c "d', "a,'b,c", "a" * 9_000])
def test_odd_quotes_are_an_error_of_the_line(tmp_path, line):
    (tmp_path / "pairs").write_text(line)
    with pytest.raises(ValueError, match="line 1 must hold two image ids") as caught:
        pairs.read(tmp_path / "pairs", range(3))
    assert len(str(caught.value)) < 300
