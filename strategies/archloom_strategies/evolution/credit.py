"""What each value of each decision was good for so far, and which children have most of it.

A model of additive effects, fitted to the ended trials as a whole, is the simplest account of which
mutations helped. It is kin to the univariate marginals of an EDA (Larranaga and Lozano, "Estimation of
Distribution Algorithms", 2001), but tells effects apart that were seen together.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from random import Random
from statistics import NormalDist

import numpy as np
from archloom.space import Architecture, Space
from numpy.typing import NDArray

from archloom_strategies.evolution.population import Member

Array = NDArray[np.float64]

#: Trials below which nothing is guessed.
LEAST = 4
#: Noise variances that are tried, as shares of the effects' variance.
NOISES = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0)
#: Directions in which a gain of hypervolume is measured.
DIRECTIONS = 64


class Credit:
    """Ridge regression of normal scores on the space's vector encoding, its noise by marginal likelihood.

    Ranks alone count, so no scale of a metric matters, and no outlier. Each draw is one from the posterior of
    the effects (Thompson 1933), so that what is uncertain is tried now and then, and proposals that are made
    at once differ.
    """

    def __init__(self, space: Space, architectures: Sequence[Architecture], targets: Array) -> None:
        """``targets`` are normal scores, larger is better: [trials, objectives]."""
        self._space = space
        rows = np.stack([_row(space, each) for each in architectures])
        self._middle = rows.mean(0)
        rows = rows - self._middle
        self._scale = math.sqrt(float((rows**2).sum(1).mean())) or 1.0
        self._rows = rows / self._scale
        self._targets = targets
        self._lowest = targets.min(0)
        values, self._vectors = np.linalg.eigh(self._rows @ self._rows.T)
        self._values = np.maximum(values, 0.0)
        self._noises, self._deviations = zip(*(self._fitted(column) for column in targets.T), strict=True)

    def _fitted(self, column: Array) -> tuple[float, float]:
        """The likeliest noise, and the effects' standard deviation with it."""
        along = (self._vectors.T @ column) ** 2
        best, found = -math.inf, (1.0, 1.0)
        for noise in NOISES:
            spread = self._values + noise
            variance = max(float((along / spread).mean()), 1e-12)
            likelihood = -0.5 * (len(column) * math.log(variance) + float(np.log(spread).sum()))
            if likelihood > best:
                best, found = likelihood, (noise, math.sqrt(variance))
        return found

    def ordered(self, architectures: Sequence[Architecture], rng: Random) -> list[int]:
        """Their places, the one with most credit first; each call draws effects anew.

        With several objectives credit is the gain of hypervolume over all that was seen, measured from the
        worst in random directions (Zhang and Golovin, "Random Hypervolume Scalarizations", 2020).
        """
        rows = (self._space.encode_many(architectures) - self._middle) / self._scale
        draws = np.random.default_rng(rng.getrandbits(63))
        credit = rows @ self._effects(draws)
        one = credit[:, 0] if credit.shape[1] == 1 else self._gains(credit, draws)
        return [int(place) for place in np.argsort(-one, kind="stable")]

    def _gains(self, credit: Array, draws: np.random.Generator) -> Array:
        """Of hypervolume, [architectures] from [architectures, objectives]."""
        objectives = credit.shape[1]
        directions = np.abs(draws.standard_normal((DIRECTIONS, objectives))) + 1e-6
        directions /= np.linalg.norm(directions, axis=1, keepdims=True)

        def reached(points: Array) -> Array:
            above = np.maximum(points - self._lowest, 0.0)
            return np.asarray((above[:, None, :] / directions[None]).min(2) ** objectives)

        reach = reached(credit)
        gains = np.maximum(reach - reached(self._targets).max(0), 0.0).mean(1)
        # Where nothing gains, what comes near.
        return np.asarray(gains + 1e-6 * reach.mean(1))

    def _effects(self, draws: np.random.Generator) -> Array:
        """A draw of [coordinates, objectives] by Matheron's rule: one of the prior, corrected by what it
        misses.
        """
        trials, width = self._rows.shape
        columns = []
        for column, noise, deviation in zip(self._targets.T, self._noises, self._deviations, strict=True):
            prior = deviation * draws.standard_normal(width)
            error = deviation * math.sqrt(noise) * draws.standard_normal(trials)
            missed = column - self._rows @ prior - error
            solved = self._vectors @ ((self._vectors.T @ missed) / (self._values + noise))
            columns.append(prior + self._rows.T @ solved)
        return np.stack(columns, axis=1)


@lru_cache(maxsize=5_000)
def _row(space: Space, architecture: Architecture) -> Array:
    """Of an ended trial, which is wanted in many steps; what is kept is only speed."""
    return np.array(space.encode(architecture))


def targets_of(members: Sequence[Member], objectives: int) -> Array:
    """Normal scores, [members, objectives]: a trial that failed is worse than any that misses a limit, and
    that is worse than any that keeps it.
    """
    ranked = [
        normal_scores(
            [
                (-member.violation, member.scores[objective]) if member.scores else (-math.inf, -math.inf)
                for member in members
            ]
        )
        for objective in range(objectives)
    ]
    return np.array(ranked).T


def normal_scores(values: Sequence[tuple[float, ...]]) -> list[float]:
    """By rank, equal values alike: what as many draws of a standard normal would be."""
    order = sorted(range(len(values)), key=lambda place: values[place])
    found = [0.0] * len(values)
    normal, start = NormalDist(), 0
    while start < len(order):
        end = start
        while end < len(order) and values[order[end]] == values[order[start]]:
            end += 1
        score = normal.inv_cdf((start + end) / 2 / len(order))
        for place in order[start:end]:
            found[place] = score
        start = end
    return found
