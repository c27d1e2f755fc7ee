"""Wrong labels that are repeated and corrected, against a count one by one."""

import re

import numpy as np
import pytest

from lossbench.evaluation import Unavailable
from lossbench.evaluation.memorization import memorization


def counted(predicted, label, true_label):
    """The same, image by image."""
    wrong = memorized = corrected = right = fitted = 0
    for taken, given, true in zip(predicted.tolist(), label.tolist(), true_label.tolist()):
        if given == true:
            right += 1
            fitted += taken == given
        else:
            wrong += 1
            memorized += taken == given
            corrected += taken == true
    return {
        "memorized": memorized / wrong,
        "corrected": corrected / wrong,
        "fitted": fitted / right,
        "wrong_labels": wrong,
    }


@pytest.mark.parametrize("seed", range(5))
def test_each_share_is_that_of_its_own_images(seed):
    rng = np.random.default_rng(seed)
    true_label = rng.integers(0, 6, 500)
    label = np.where(rng.random(500) < 0.3, rng.integers(0, 6, 500), true_label).astype(np.int32)
    predicted = np.where(rng.random(500) < 0.5, label, rng.integers(0, 6, 500))
    assert memorization(predicted, label, true_label) == pytest.approx(counted(predicted, label, true_label))


@pytest.mark.parametrize(("label", "wrong"), [([0, 1, 1], 0), ([1, 0, 0], 3)])
def test_without_right_and_wrong_labels_there_is_none(label, wrong):
    sentence = "`label` must be right for some images and wrong for others, got {} wrong of 3"
    with pytest.raises(Unavailable, match=re.escape(sentence.format(wrong))):
        memorization([0, 1, 1], label, [0, 1, 1])
