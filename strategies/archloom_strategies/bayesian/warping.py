"""From a metric's values to numbers that a Gaussian process describes well, and back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri
from scipy.stats import rankdata

Vector = NDArray[np.float64]


@dataclass(frozen=True)
class Warp:
    """Values as normal scores: the quantiles of the standard normal at their ranks.

    Accuracies crowd at the top and straggle at the bottom; by ranks, the difference between two good
    networks weighs as much as that between two bad ones (Salinas et al., "A Quantile-based Approach for
    Hyperparameter Transfer Learning", ICML 2020). Monotone, so it moves no optimum.
    """

    values: Vector
    """Ascending, different."""
    scores: Vector

    @staticmethod
    def of(values: Vector) -> Warp:
        scores = ndtri((rankdata(values) - 0.5) / len(values))
        known, places = np.unique(values, return_index=True)
        return Warp(known, scores[places])

    def score(self, values: Vector) -> Vector:
        """Between known values linear; beyond them in the direction of the whole."""
        return _extended(values, self.values, self.scores)

    def value(self, scores: Vector) -> Vector:
        """The inverse of ``score``."""
        return _extended(scores, self.scores, self.values)


def _extended(at: Vector, xs: Vector, ys: Vector) -> Vector:
    found = np.interp(at, xs, ys)
    if len(xs) < 2:
        return np.asarray(found + (at - xs[0]))
    slope = (ys[-1] - ys[0]) / (xs[-1] - xs[0])
    return np.asarray(found + slope * (np.minimum(at - xs[0], 0.0) + np.maximum(at - xs[-1], 0.0)))
