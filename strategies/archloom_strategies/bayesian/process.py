"""A Gaussian process over encoded architectures.

Its kernel is a product of squared exponentials, one for each block of the encoding::

    k(a, b) = amplitude * exp(-sum_i rate_i * distance_i(a, b))

with distance_i the squared distance of block i over its median in the space. A block that tells nothing gets
a rate near 0: so the evidence chooses the encoding. Rates and noise are the most probable ones (marginal
likelihood and a prior by which all blocks together make two random architectures correlate by 1/e); the
amplitude is optimal in closed form.

To it are added straight lines, ``slope_j * <a_j, b_j>``, with the yardstick's ``lines``, blocks centred and
of unit mean square: what each part adds is learnt from few trials, far from all of them. The evidence
sets the slopes too.
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

from archloom_strategies.features import BLOCKS, SCORES, Encoded, Yardstick, squared_distances

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]

#: Observations that rates and noise are fitted to: a fit costs some thirty decompositions.
FITTED = 200
#: Prior of the logarithm of a rate: its mean is 1 over the number of blocks.
RATE_SPREAD = 1.5
#: Prior of the logarithm of the noise's share of the amplitude.
NOISE, NOISE_SPREAD = -4.0, 1.5
#: Prior of the logarithm of a slope.
SLOPE, SLOPE_SPREAD = -1.0, 1.0
_RATE_BOUNDS, _NOISE_BOUNDS, _SLOPE_BOUNDS = (-7.0, 4.0), (-9.0, 1.0), (-9.0, 4.0)


@dataclass(frozen=True)
class Rows:
    """Encoded architectures, a matrix [n, width] for each block that counts."""

    blocks: tuple[Matrix, ...]
    scales: tuple[float, ...]
    lines: tuple[Matrix, ...] = ()
    """[n, width] each, of mean square length 1."""
    lean: Vector | None = None
    """What is thought of each before anything is known, in deviations of the target."""

    @staticmethod
    def of(encoded: Sequence[Encoded], yardstick: Yardstick) -> Rows:
        blocks = {
            block: np.stack([each.rows[place] for each in encoded]).astype(float)
            for place, block in enumerate((*BLOCKS, SCORES))
            if block in yardstick.scales
        }
        scales = yardstick.scales
        return Rows(
            tuple(blocks.values()),
            tuple(scales[block] for block in blocks),
            tuple(
                (blocks[block] - yardstick.centers[block]) / math.sqrt(scales[block] / 2.0)
                for block in yardstick.lines
                if block in blocks
            ),
            yardstick.lean * blocks[SCORES].mean(1) if yardstick.lean else None,
        )

    def __len__(self) -> int:
        return len(self.blocks[0])

    def take(self, places: NDArray[np.intp]) -> Rows:
        return Rows(
            tuple(block[places] for block in self.blocks),
            self.scales,
            tuple(line[places] for line in self.lines),
            None if self.lean is None else self.lean[places],
        )

    def joined(self, other: Rows) -> Rows:
        lean = None
        if self.lean is not None and other.lean is not None:
            lean = np.concatenate([self.lean, other.lean])
        return Rows(_joined(self.blocks, other.blocks), self.scales, _joined(self.lines, other.lines), lean)

    def distances(self, other: Rows) -> list[Matrix]:
        """Of each block, [n, m]."""
        return [
            squared_distances(mine, theirs) / scale
            for mine, theirs, scale in zip(self.blocks, other.blocks, self.scales, strict=True)
        ]

    def products(self, other: Rows) -> list[Matrix]:
        """Of each line, [n, m]."""
        return [mine @ theirs.T for mine, theirs in zip(self.lines, other.lines, strict=True)]


def _joined(one: Sequence[Matrix], other: Sequence[Matrix]) -> tuple[Matrix, ...]:
    return tuple(np.concatenate(pair) for pair in zip(one, other, strict=True))


@dataclass(frozen=True)
class Kernel:
    rates: tuple[float, ...]
    noise: float
    """As a share of the amplitude."""
    slopes: tuple[float, ...] = ()

    def __call__(self, distances: Sequence[Matrix]) -> Matrix:
        """What the blocks say."""
        total = sum(rate * distance for rate, distance in zip(self.rates, distances, strict=True))
        return cast("Matrix", np.exp(-np.asarray(total)))

    def between(self, one: Rows, other: Rows) -> Matrix:
        """The whole, [n, m]."""
        found = self(one.distances(other))
        for slope, product in zip(self.slopes, one.products(other), strict=True):
            found += slope * product
        return found

    def alone(self, rows: Rows) -> Vector:
        """Of each with itself."""
        found = np.ones(len(rows))
        for slope, line in zip(self.slopes, rows.lines, strict=True):
            found += slope * (line * line).sum(1)
        return found


def fit(rows: Rows, targets: Vector) -> Kernel:
    """The most probable kernel of targets whose mean is near 0."""
    blocks, lines = len(rows.blocks), len(rows.lines)
    start = np.array([-math.log(blocks)] * blocks + [SLOPE] * lines + [NOISE])
    if len(targets) < 2 or float(np.ptp(targets)) < 1e-12:
        return _kernel(start, blocks)
    some = rows.take(places := representative(targets, FITTED))
    evidence = _Evidence(some.distances(some), targets[places], start, some.products(some))
    found = minimize(
        evidence,
        start,
        jac=True,
        method="L-BFGS-B",
        bounds=[_RATE_BOUNDS] * blocks + [_SLOPE_BOUNDS] * lines + [_NOISE_BOUNDS],
        options={"maxiter": 40},
    )
    return _kernel(found.x, blocks)


def representative(targets: Vector, most: int) -> NDArray[np.intp]:
    """Places of at most ``most``: the best half, and of the rest each so-and-so-many-th; ascending."""
    if len(targets) <= most:
        return np.arange(len(targets))
    order = np.argsort(-targets, kind="stable")
    best = most // 2
    rest = np.linspace(best, len(order) - 1, most - best).astype(np.intp)
    return np.sort(np.concatenate([order[:best], order[rest]]))


def _kernel(logarithms: Vector, blocks: int) -> Kernel:
    """Of the logarithms of the rates, of the slopes, and of the noise."""
    *values, noise = np.exp(logarithms).tolist()
    return Kernel(tuple(values[:blocks]), noise, tuple(values[blocks:]))


class _Evidence:
    """The negative logarithm of the posterior of rates, slopes and noise, and its gradient."""

    def __init__(
        self,
        distances: Sequence[Matrix],
        targets: Vector,
        start: Vector,
        products: Sequence[Matrix] = (),
    ) -> None:
        self._distances = distances
        self._products = products
        self._targets = targets
        self._start = start
        spread = [RATE_SPREAD] * len(distances) + [SLOPE_SPREAD] * len(products)
        self._spread = np.array([*spread, NOISE_SPREAD])

    def __call__(self, logarithms: Vector) -> tuple[float, Vector]:
        kernel, n = _kernel(logarithms, len(self._distances)), len(self._targets)
        stationary = kernel(self._distances)
        whole = stationary + kernel.noise * np.eye(n)
        for slope, product in zip(kernel.slopes, self._products, strict=True):
            whole += slope * product
        lower = cholesky(whole, lower=True, check_finite=False)
        inverse = cho_solve((lower, True), np.eye(n), check_finite=False)
        weights = inverse @ self._targets
        amplitude = max(float(self._targets @ weights) / n, 1e-12)
        away = (logarithms - self._start) / self._spread
        value = 0.5 * n * math.log(amplitude) + float(np.log(np.diag(lower)).sum()) + 0.5 * float(away @ away)
        steep = 0.5 * (inverse - np.outer(weights, weights) / amplitude)
        weighted = steep * stationary
        gradient = [
            *(
                -rate * _inner(weighted, each)
                for rate, each in zip(kernel.rates, self._distances, strict=True)
            ),
            *(slope * _inner(steep, each) for slope, each in zip(kernel.slopes, self._products, strict=True)),
            kernel.noise * float(np.trace(steep)),
        ]
        return value, np.array(gradient) + away / self._spread


def _inner(one: Matrix, other: Matrix) -> float:
    return float(np.vdot(one, other))


@dataclass(frozen=True)
class Process:
    """A kernel conditioned on observations."""

    kernel: Kernel
    rows: Rows
    amplitude: float
    means: Matrix = field(repr=False)
    """Of the observations, afterwards."""
    _lower: Matrix = field(repr=False)
    _weights: Matrix = field(repr=False)

    @staticmethod
    def of(kernel: Kernel, rows: Rows, targets: Matrix, amplitude: float | None = None) -> Process:
        """``targets`` [n], or [n, k] of as many functions at once."""
        correlation = kernel.between(rows, rows)
        lower = cholesky(correlation + kernel.noise * np.eye(len(targets)), lower=True, check_finite=False)
        weights = cho_solve((lower, True), targets, check_finite=False)
        if amplitude is None:
            amplitude = float(np.vdot(targets, weights)) / len(targets)
            amplitude = amplitude if amplitude > 1e-9 else 1.0
        return Process(kernel, rows, amplitude, correlation @ weights, lower, weights)

    def posterior(self, rows: Rows) -> tuple[Matrix, Matrix]:
        """Of m architectures: the means [m], or [m, k], and [n, m], whose columns' products are what the
        observations take from the covariance.
        """
        across = self.kernel.between(self.rows, rows)
        taken = solve_triangular(self._lower, across, lower=True, check_finite=False)
        return across.T @ self._weights, taken
