"""Arrays that runs kept, as a picture takes them: what is missing, or another thing, is said with the file's name."""

import numpy as np
import pytest

from lossbench.plots import CannotDraw
from lossbench.plots.pictures.kept import Kept, of_file

ARRAYS = {
    "points": np.ones((3, 2)),
    "text": np.array(["a", "b", "c"]),
    "endless": np.array([1.0, np.inf]),
    "label": np.array([0, 2, 1]),
    "none": np.zeros((0, 2)),
}


def test_what_a_picture_takes_is_given():
    kept = Kept(ARRAYS)
    assert kept.points("points", None, 2) is ARRAYS["points"]
    assert kept.numbers("endless", None) is ARRAYS["endless"]
    assert kept.ids("label", 3, 3) is ARRAYS["label"]


def test_a_name_becomes_no_path_and_no_formula():
    for name in ("../../gone_softmax", "$\\frac{", "a\nb", "/", ""):
        with pytest.raises(CannotDraw, match=r"^the name of an array must be letters, digits, `_` and `-`, got '"):
            Kept({name: np.zeros(3)})


@pytest.mark.parametrize(
    ("ask", "said"),
    [
        (lambda kept: kept.points("absent", None), "absent must be numbers of the shape (N), got none."),
        (
            lambda kept: kept.points("points", None, 3),
            "points must be numbers of the shape (N, 3), got float64 of the ",
        ),
        (lambda kept: kept.points("points", None), "points must be numbers of the shape (N), got float64 of the shape"),
        (lambda kept: kept.points("text", 3), "text must be numbers of the shape (3), got <U1 of the shape (3,)."),
        (lambda kept: kept.points("none", None, 2), "none must be numbers of the shape (N, 2), got float64"),
        (lambda kept: kept.points("endless", None), "endless must be numbers below 1e+30, got others."),
        (lambda kept: kept.ids("label", 3, 2), "label must be whole numbers in [0, 2), got others."),
        (lambda kept: kept.ids("endless", 2, 5), "endless must be whole numbers in [0, 5), got others."),
    ],
)
def test_another_thing_is_said(ask, said):
    with pytest.raises(CannotDraw) as caught, of_file("epoch-1.npz"):
        ask(Kept(ARRAYS))
    assert str(caught.value).startswith(f"epoch-1.npz: {said}")
    assert str(caught.value).endswith("Make the file anew.")
