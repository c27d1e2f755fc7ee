"""What counts as the same numbers."""

import numpy as np
import pytest

from lossbench.export.comparison import compared, difference

EXPECTED = np.array([[100.0, -1.0], [3.0, 5.0]])


@pytest.mark.parametrize(
    ("found", "is_small"),
    [
        (EXPECTED, True),
        (EXPECTED + [[0, 0.009], [0, 0]], True),
        (EXPECTED + [[0, 0.011], [0, 0]], False),
        (EXPECTED[:1], False),
        (EXPECTED * [[1, np.nan], [1, 1]], False),
        (EXPECTED * [[1, np.inf], [1, 1]], False),
    ],
)
def test_small_is_a_share_of_the_largest_value(found, is_small):
    assert difference(found, EXPECTED).is_small == is_small


def test_zeros_are_zeros():
    assert difference(np.zeros(2), np.zeros(2)).is_small
    assert not difference(np.full(2, 1e-3), np.zeros(2)).is_small


def test_an_image_alone_is_compared_too():
    """A graph with the size of its batch built in is right for the images together."""
    images = np.arange(6.0).reshape(3, 2)
    assert compared(lambda batch: batch * len(batch), images, images * 3).largest == pytest.approx(2)
    assert compared(lambda batch: batch, images, images).largest == 0
