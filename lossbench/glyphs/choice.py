"""Which characters are classes, which of them are never trained on, and which fonts are kept for the test."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lossbench.errors import UserError


@dataclass(frozen=True)
class Choice:
    """Positions of characters, and of each font whether it is kept for the test."""

    trained: np.ndarray
    held_out: np.ndarray
    is_test_font: np.ndarray

    def classes(self, survey) -> dict:
        """How many characters have a picture to train on, to test, and to test of those never trained on."""
        parts = {
            "train": survey.has[~self.is_test_font][:, self.trained],
            "test": survey.has[self.is_test_font][:, self.trained],
            "held_out": survey.has[self.is_test_font][:, self.held_out],
        }
        return {part: int(has.any(axis=0).sum()) for part, has in parts.items()}


def choose(survey, train_classes, holdout_classes, test_share, seed) -> Choice:
    """Choose the characters that most fonts have, ties and the rest by the seed.

    Designs are kept for the test one after the other, in a random order, as long as `test_share` of the pictures of
    these characters is not passed; so no weight of a font that is trained on is in the test.

    Raises
    ------
    UserError
        If there are too few characters or designs.
    """
    rng = np.random.default_rng([seed])
    images, wanted = survey.has.sum(axis=0), train_classes + holdout_classes
    order = rng.permutation(len(images))
    order = order[np.argsort(-images[order], kind="stable")][:wanted]
    there = int((images[order] > 0).sum())
    if there < wanted:
        raise UserError(
            f"glyphs: `train_classes` + `holdout_classes` must be at most the {there:,} characters that fonts here "
            f"have, got {wanted:,}. Install fonts (docs/glyphs.md names packages), or take fewer classes."
        )
    order = rng.permutation(order)
    choice = Choice(order[:train_classes], order[train_classes:], _test_fonts(survey, order, test_share, rng))
    _require_both_parts(survey, choice, order, test_share)
    return choice


def _require_both_parts(survey, choice, order, test_share):
    more = "Install more fonts (docs/glyphs.md names packages), or take fewer classes."
    classes = choice.classes(survey)
    without = len(choice.trained) - classes["train"]
    if not choice.is_test_font.any():
        pictures = np.bincount(survey.design, weights=survey.has[:, order].sum(axis=1))
        there = pictures[pictures > 0]
        least = there.min() / there.sum()
        if len(there) == 1:
            raise UserError(f"glyphs: fonts must be of several designs, got one design. {more}")
        raise UserError(
            f"glyphs: `test_share` must leave a design for the test, got {test_share:g}, and the smallest of "
            f"{len(there)} has {least:.2f} of the pictures. {more} Or take a larger one."
        )
    if without:
        raise UserError(
            f"glyphs: fonts must be of several designs with every character, got {without:,} characters without a font "
            f"to train on. {more}"
        )
    for kind, name in (("test", "trained on"), ("held_out", "never trained on")):
        if not classes[kind]:
            raise UserError(f"glyphs: fonts of the test must have characters that are {name}, got none. {more}")


def _test_fonts(survey, chosen, share, rng):
    pictures = survey.has[:, chosen].sum(axis=1)
    of_design = np.bincount(survey.design, weights=pictures)
    is_test, taken = np.zeros(len(of_design), bool), 0
    for design in rng.permutation(len(of_design)):
        if 0 < of_design[design] and taken + of_design[design] <= share * pictures.sum():
            is_test[design], taken = True, taken + of_design[design]
    return is_test[survey.design]
