"""MixUp and CutMix: against the papers' formulas, in parts, and from the batches."""

import numpy as np
import pytest

from lossbench.data import Batches, Split, mixing

MEAN, STD = [0.5], [0.25]


def made(split, **options):
    return Batches(split, 6, seed=3, mean=MEAN, std=STD, pad=1, flip=True, **options)


@pytest.fixture
def split(rng):
    return Split(rng.integers(0, 256, (24, 1, 8, 10), dtype=np.uint8), np.arange(24, dtype=np.int32))


@pytest.mark.parametrize("options", [{"mixup": 0.4}, {"cutmix": 1.0}, {"mixup": 0.4, "cutmix": 1.0}], ids=str)
def test_a_batch_is_a_mixture_of_the_plain_one(split, options):
    plain, mixed = (list(made(split, **some).epoch(2)) for some in ({}, options))
    kinds = set()
    for (images, labels), (found, first, second, weight) in zip(plain, mixed):
        row_of = {int(label): row for row, label in enumerate(labels)}
        partner = images[[row_of[int(label)] for label in second]]
        np.testing.assert_array_equal(first, labels)
        assert sorted(second) == sorted(labels)
        assert (weight.dtype, len(set(weight))) == (np.float32, 1)
        smooth = weight[0] * images + (1 - weight[0]) * partner
        if np.abs(found - smooth).max() <= 0.51 / 255 / STD[0]:
            kinds.add("mixup")
            assert weight[0] >= 0.5
            continue
        kinds.add("cutmix")
        from_partner = np.all((found == partner) | (images == partner), axis=(0, 1)) & ~np.all(
            found == images, axis=(0, 1)
        )
        rows, columns = (np.flatnonzero(from_partner.any(axis=axis)) for axis in (1, 0))
        inside = np.zeros((8, 10), bool)
        inside[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] = True
        np.testing.assert_array_equal(found, np.where(inside, partner, images))
        np.testing.assert_allclose(weight[0], 1 - inside.mean(), rtol=1e-6)
    assert kinds <= set(options)


def test_parts_and_a_later_start_have_the_images_of_the_whole_batch(split):
    options = {"mixup": 0.3, "cutmix": 1.0}
    whole = list(made(split, **options).epoch(1))
    for count in (2, 3):
        parts = [list(made(split, part=(k, count), workers=1, **options).epoch(1, 1)) for k in range(count)]
        for step, expected in zip(zip(*parts), whole[1:]):
            np.testing.assert_array_equal(np.concatenate([images for images, *_ in step]), expected[0])
            for rest in (one[1:] for one in step):
                assert all(np.array_equal(a, b) for a, b in zip(rest, expected[1:]))
    pictures, labels = made(split, **options).pictures(1, 4)
    assert (pictures.dtype, len(labels)) == (np.uint8, 4)


def test_weights_are_those_of_the_papers():
    rng = np.random.default_rng(0)
    found = np.array([mixing.draw(rng, 4, (100, 100), 1.0, 0).weight for _ in range(2000)])
    assert abs(found.mean() - 0.75) < 0.01  # of the larger of w and 1 - w, uniform
    cut = [mixing.draw(rng, 4, (100, 100), 0, 1.0) for _ in range(2000)]
    for one in cut:
        high, wide = (side.stop - side.start for side in one.box)
        np.testing.assert_allclose(one.weight, 1 - high * wide / 10_000)
    whole = [one for one in cut if all(0 < side.start and side.stop < 100 for side in one.box)]
    assert abs(np.mean([one.box[0].stop - one.box[0].start for one in whole]) - 33) < 10
    kinds = [mixing.draw(rng, 4, (8, 8), 1.0, 1.0).box is None for _ in range(400)]
    assert 150 < sum(kinds) < 250
