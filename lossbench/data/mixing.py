"""Images of a batch mixed with each other: MixUp and CutMix. A mixture has two labels, and a weight of the first."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Mixture:
    """What is drawn for a batch."""

    partner: np.ndarray
    """Row that each row is mixed with, (B,)."""
    weight: float
    """Share of the first label, in [0, 1]; the partner's has the rest."""
    box: tuple | None = None
    """Rows and columns (slices) that are the partner's, of CutMix; None mixes all pixels."""

    def of(self, first, second):
        """Mix images with their partners, uint8, rounded."""
        if self.box is None:
            return np.rint(self.weight * first.astype(np.float32) + (1 - self.weight) * second).astype(np.uint8)
        mixed = first.copy()
        mixed[:, :, self.box[0], self.box[1]] = second[:, :, self.box[0], self.box[1]]
        return mixed


def draw(rng, size, height_and_width, mixup, cutmix):
    """Draw the mixture of a batch.

    Parameters
    ----------
    rng : numpy.random.Generator
    size : int
    height_and_width : tuple of int
    mixup, cutmix : float
        Parameter of the beta distribution of the weight, 0 for none; of both, each has every second batch, by chance.

    References
    ----------
    H. Zhang, M. Cisse, Y. N. Dauphin, D. Lopez-Paz: mixup: Beyond Empirical Risk Minimization, ICLR 2018.
    S. Yun, D. Han, S. J. Oh, S. Chun, J. Choe, Y. Yoo: CutMix, ICCV 2019, section 3.1 and algorithm A1.
    """
    cuts = bool(cutmix) and (not mixup or bool(rng.integers(0, 2)))
    partner = rng.permutation(size)
    share = float(rng.beta(*2 * [cutmix if cuts else mixup]))
    if not cuts:
        return Mixture(partner, max(share, 1 - share))  # so that the first label is the main one
    sides = []
    for length in height_and_width:
        half, middle = int(length * np.sqrt(1 - share)) / 2, int(rng.integers(0, length))
        sides.append(slice(max(0, int(middle - half)), min(length, int(middle + half))))
    area = np.prod([side.stop - side.start for side in sides]) / np.prod(height_and_width)
    return Mixture(partner, float(1 - area), tuple(sides))
