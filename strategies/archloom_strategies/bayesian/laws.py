"""Metrics that need not be learnt: an affine function of parameters, of FLOPs, or of both and the numbers of
layers of each kind. Latency and energy from lookup tables are of the last form, a sum over layers (Cai, Zhu
and Han, "ProxylessNAS", ICLR 2019).

Whatever a metric's name and unit: one that keeps such a law in everything seen is taken to keep it wherever
what was seen determines its value.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from archloom_strategies.features import Encoded

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]
Columns = Callable[[Sequence[Encoded]], Matrix]

#: Observations beyond what determines a law, all of which keep it, before it counts as one.
PROOF = 2
#: How far an observation may be off, as a share of the values' spread: tables are rounded.
PRECISION = 2e-6
#: Of what determines a value: the square of the share that may lie beside all that was seen.
_SEEN = 1e-8


@dataclass(frozen=True)
class Law:
    columns: Columns
    units: Vector
    """Of each column, the greatest that was seen."""
    slopes: Vector
    seen: Matrix
    """An orthonormal basis of what was seen, [rank, columns]."""

    @staticmethod
    def of(encoded: Sequence[Encoded], values: Vector) -> Law | None:
        """The simplest that all ``values`` keep; None where none does or too little was seen."""
        forms = (_parameters, _flops, _by_layers(encoded))
        found = (_fitted(columns, encoded, values) for columns in forms)
        return next((law for law in found if law is not None), None)

    @property
    def complete(self) -> bool:
        """Whether it determines the value of every network."""
        return bool(len(self.seen) == self.seen.shape[1])

    def values(self, encoded: Sequence[Encoded]) -> Vector:
        """NaN where what was seen does not say it: of a network with layers of a new kind."""
        rows = self.columns(encoded) / self.units
        beside = rows - rows @ self.seen.T @ self.seen
        determined = (beside**2).sum(1) <= _SEEN * (rows**2).sum(1)
        return np.where(determined, rows @ self.slopes, np.nan)


def _fitted(columns: Columns, encoded: Sequence[Encoded], values: Vector) -> Law | None:
    rows = columns(encoded)
    units = np.maximum(np.abs(rows).max(0), 1.0)
    rows = rows / units
    while len(np.unique(rows, axis=0)) >= 2 + PROOF:
        left, strengths, right = np.linalg.svd(rows, full_matrices=False)
        rank = int((strengths > 1e-9 * strengths[0]).sum())
        left, seen = left[:, :rank], right[:rank]
        with np.errstate(over="ignore", invalid="ignore"):  # of numbers near the largest
            slopes = seen.T @ (left.T @ values / strengths[:rank])
            error = float(np.abs(rows @ slopes - values).max())
            precise = PRECISION * _spread(values)
        # Values that are all the same prove nothing: an accuracy of 0 may be that of every network so far.
        # Written so that what is no number fails.
        if not (0 < precise < np.inf and error <= precise and np.isfinite(slopes).all()):
            return None
        # What one network alone shows any law fits: it proves nothing, and determines nothing.
        confirmed = (left**2).sum(1) < 1 - 1e-6
        if confirmed.all():
            enough = rank > 1 and len(np.unique(rows, axis=0)) >= rank + PROOF
            return Law(columns, units, slopes, seen) if enough else None
        rows, values = rows[confirmed], values[confirmed]
    return None


def _spread(values: Vector) -> float:
    """The distance of the quartiles, since one penalty of 1e9 would excuse every error; the range where half
    of the values are the same.
    """
    lower, upper = np.quantile(values, (0.25, 0.75))
    return float(upper - lower) or float(np.ptp(values))


def _parameters(encoded: Sequence[Encoded]) -> Matrix:
    return np.array([(1.0, each.parameters) for each in encoded])


def _flops(encoded: Sequence[Encoded]) -> Matrix:
    return np.array([(1.0, each.flops) for each in encoded])


def _by_layers(known: Sequence[Encoded]) -> Columns:
    """Parameters, FLOPs, and how many layers are of each kind that is known; and of all others together, so
    that a network with a new kind is unlike anything seen.
    """
    names = np.unique(np.concatenate([each.kinds[0] for each in known]))

    def columns(encoded: Sequence[Encoded]) -> Matrix:
        found = np.zeros((len(encoded), len(names) + 1))
        for row, each in zip(found, encoded, strict=True):
            kinds, counts = each.kinds
            places = np.searchsorted(names, kinds)
            places[names[np.minimum(places, len(names) - 1)] != kinds] = len(names)
            np.add.at(row, places, counts)
        return np.column_stack([_parameters(encoded), _flops(encoded)[:, 1], found])

    return columns
