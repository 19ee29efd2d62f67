"""A Gaussian process over encoded architectures.

Its kernel is a product of squared exponentials, one for each block of the encoding::

    k(a, b) = amplitude * exp(-sum_i rate_i * distance_i(a, b))

with distance_i the squared distance of block i over its median in the space. A block that tells nothing gets
a rate near 0: so the evidence chooses the encoding. Rates and noise are the most probable ones (marginal
likelihood and a prior by which all blocks together make two random architectures correlate by 1/e); the
amplitude is optimal in closed form.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import cast

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_solve, cholesky, solve_triangular
from scipy.optimize import minimize

from archloom_strategies.features import BLOCKS, Encoded, Yardstick, squared_distances

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]

#: Observations that rates and noise are fitted to: a fit costs some thirty decompositions.
FITTED = 200
#: Prior of the logarithm of a rate: its mean is 1 over the number of blocks.
RATE_SPREAD = 1.5
#: Prior of the logarithm of the noise's share of the amplitude.
NOISE, NOISE_SPREAD = -4.0, 1.5
_RATE_BOUNDS, _NOISE_BOUNDS = (-7.0, 4.0), (-9.0, 1.0)


@dataclass(frozen=True)
class Rows:
    """Encoded architectures, a matrix [n, width] for each block that counts."""

    blocks: tuple[Matrix, ...]
    scales: tuple[float, ...]

    @staticmethod
    def of(encoded: Sequence[Encoded], yardstick: Yardstick) -> Rows:
        used = [place for place, block in enumerate(BLOCKS) if block in yardstick.scales]
        return Rows(
            tuple(np.stack([each.rows[place] for each in encoded]).astype(float) for place in used),
            tuple(yardstick.scales[BLOCKS[place]] for place in used),
        )

    def __len__(self) -> int:
        return len(self.blocks[0])

    def take(self, places: NDArray[np.intp]) -> Rows:
        return Rows(tuple(block[places] for block in self.blocks), self.scales)

    def joined(self, other: Rows) -> Rows:
        pairs = zip(self.blocks, other.blocks, strict=True)
        return Rows(tuple(np.concatenate(pair) for pair in pairs), self.scales)

    def distances(self, other: Rows) -> list[Matrix]:
        """Of each block, [n, m]."""
        return [
            squared_distances(mine, theirs) / scale
            for mine, theirs, scale in zip(self.blocks, other.blocks, self.scales, strict=True)
        ]


@dataclass(frozen=True)
class Kernel:
    rates: tuple[float, ...]
    noise: float
    """As a share of the amplitude."""

    def __call__(self, distances: Sequence[Matrix]) -> Matrix:
        total = sum(rate * distance for rate, distance in zip(self.rates, distances, strict=True))
        return cast("Matrix", np.exp(-np.asarray(total)))


def fit(rows: Rows, targets: Vector) -> Kernel:
    """The most probable kernel of targets whose mean is near 0."""
    blocks = len(rows.blocks)
    start = np.array([-math.log(blocks)] * blocks + [NOISE])
    if len(targets) < 2 or float(np.ptp(targets)) < 1e-12:
        return _kernel(start)
    some = representative(targets, FITTED)
    evidence = _Evidence(rows.take(some).distances(rows.take(some)), targets[some], start)
    found = minimize(
        evidence,
        start,
        jac=True,
        method="L-BFGS-B",
        bounds=[_RATE_BOUNDS] * blocks + [_NOISE_BOUNDS],
        options={"maxiter": 40},
    )
    return _kernel(found.x)


def representative(targets: Vector, most: int) -> NDArray[np.intp]:
    """Places of at most ``most``: the best half, and of the rest each so-and-so-many-th; ascending."""
    if len(targets) <= most:
        return np.arange(len(targets))
    order = np.argsort(-targets, kind="stable")
    best = most // 2
    rest = np.linspace(best, len(order) - 1, most - best).astype(np.intp)
    return np.sort(np.concatenate([order[:best], order[rest]]))


def _kernel(logarithms: Vector) -> Kernel:
    return Kernel(tuple(np.exp(logarithms[:-1]).tolist()), math.exp(logarithms[-1]))


class _Evidence:
    """The negative logarithm of the posterior of rates and noise, and its gradient."""

    def __init__(self, distances: Sequence[Matrix], targets: Vector, start: Vector) -> None:
        self._distances = distances
        self._targets = targets
        self._start = start
        self._spread = np.array([RATE_SPREAD] * len(distances) + [NOISE_SPREAD])

    def __call__(self, logarithms: Vector) -> tuple[float, Vector]:
        kernel, n = _kernel(logarithms), len(self._targets)
        correlation = kernel(self._distances)
        lower = cholesky(correlation + kernel.noise * np.eye(n), lower=True, check_finite=False)
        inverse = cho_solve((lower, True), np.eye(n), check_finite=False)
        weights = inverse @ self._targets
        amplitude = max(float(self._targets @ weights) / n, 1e-12)
        away = (logarithms - self._start) / self._spread
        value = 0.5 * n * math.log(amplitude) + float(np.log(np.diag(lower)).sum()) + 0.5 * float(away @ away)
        slope = 0.5 * (inverse - np.outer(weights, weights) / amplitude)
        weighted = slope * correlation
        gradient = [
            -rate * float((weighted * distance).sum())
            for rate, distance in zip(kernel.rates, self._distances, strict=True)
        ]
        gradient.append(kernel.noise * float(np.trace(slope)))
        return value, np.array(gradient) + away / self._spread


@dataclass(frozen=True)
class Process:
    """A kernel conditioned on observations."""

    kernel: Kernel
    rows: Rows
    amplitude: float
    best: float
    """The greatest posterior mean among the observations."""
    _lower: Matrix = field(repr=False)
    _weights: Vector = field(repr=False)

    @staticmethod
    def of(kernel: Kernel, rows: Rows, targets: Vector, amplitude: float | None = None) -> Process:
        correlation = kernel(rows.distances(rows))
        lower = cholesky(correlation + kernel.noise * np.eye(len(targets)), lower=True, check_finite=False)
        weights = cho_solve((lower, True), targets, check_finite=False)
        if amplitude is None:
            amplitude = float(targets @ weights) / len(targets)
            amplitude = amplitude if amplitude > 1e-9 else 1.0
        return Process(kernel, rows, amplitude, float((correlation @ weights).max()), lower, weights)

    def posterior(self, rows: Rows) -> tuple[Vector, Matrix]:
        """Of m architectures: the means [m], and [n, m], whose columns' products are what the observations
        take from the covariance.
        """
        across = self.kernel(self.rows.distances(rows))
        taken = solve_triangular(self._lower, across, lower=True, check_finite=False)
        return across.T @ self._weights, taken
