"""From a metric's values to numbers that a Gaussian process describes well, and back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri
from scipy.stats import rankdata, yeojohnson

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

    @staticmethod
    def smooth(values: Vector) -> Warp:
        """By the power transform that makes them most normal (Yeo and Johnson, "A new family of power
        transformations to improve normality or symmetry", 2000), for sizes of differences that count:
        normal scores stretch a gap between two values to one step. Outliers on the bad side count as the
        fence: how bad they are tells nothing of the good ones.
        """
        values = np.maximum(values, fence(values))
        with np.errstate(over="ignore", invalid="ignore"):  # of numbers near the largest
            deviation = float(values.std())
        if len(np.unique(values)) < 3 or not 1e-12 <= deviation < np.inf:
            return Warp.of(values)
        powered, _ = yeojohnson((values - values.mean()) / deviation)
        known, places = np.unique(values, return_index=True)
        scores = ((powered - powered.mean()) / max(float(powered.std()), 1e-12))[places]
        return Warp(known, scores) if (np.diff(scores) > 0).all() else Warp.of(values)

    def score(self, values: Vector) -> Vector:
        """Between known values linear; beyond them in the direction of the outermost quarter."""
        return _extended(values, self.values, self.scores)

    def value(self, scores: Vector) -> Vector:
        """The inverse of ``score``."""
        return _extended(scores, self.scores, self.values)


def fence(values: Vector) -> float:
    """Below it a value is an outlier: one and a half times the distance of the quartiles below the lower one
    (Tukey, "Exploratory Data Analysis", 1977); the least value where there is none below.
    """
    lower, upper = np.quantile(values, (0.25, 0.75))
    return float(max(values.min(), lower - 1.5 * (upper - lower))) if upper > lower else float(values.min())


def _extended(at: Vector, xs: Vector, ys: Vector) -> Vector:
    found = np.interp(at, xs, ys)
    last = len(xs) - 1
    if not last:
        return np.asarray(found + (at - xs[0]))
    quarter = max(1, last // 4)
    below = (ys[quarter] - ys[0]) / (xs[quarter] - xs[0])
    above = (ys[last] - ys[last - quarter]) / (xs[last] - xs[last - quarter])
    return np.asarray(found + below * np.minimum(at - xs[0], 0.0) + above * np.maximum(at - xs[-1], 0.0))
