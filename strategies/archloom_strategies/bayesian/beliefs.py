"""What a search believes of the candidates, metric by metric, and how it changes as trials are under way."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from archloom_strategies.bayesian.process import Process, Rows, fit

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]

#: The variance of what is known, in units of the targets.
CERTAIN = 1e-12


class Beliefs(Protocol):
    """Of m candidates, in units of the targets."""

    @property
    def mean(self) -> Vector: ...

    @property
    def variance(self) -> Vector: ...

    def covariance(self, place: int) -> Vector:
        """Of one candidate with all."""
        ...

    def expect(self, place: int) -> None:
        """Candidate ``place`` is going to be evaluated: as if it had come out at its mean, which moves no
        mean and leaves less to learn about what is like it (the "kriging believer": Ginsbourger et al.
        2010).
        """
        ...


class Surrogate(Protocol):
    @property
    def best(self) -> float:
        """The greatest mean among the observations."""
        ...

    def beliefs(self, rows: Rows) -> Beliefs: ...


class Believed:
    """Beliefs by a mean and a covariance; subclasses say the covariance before anything is expected."""

    def __init__(self, mean: Vector, variance: Vector, noise: float) -> None:
        self.mean = mean
        self.variance = variance
        self._noise = noise
        self._expected: list[Vector] = []

    def prior_covariance(self, place: int) -> Vector:
        raise NotImplementedError

    def covariance(self, place: int) -> Vector:
        found = self.prior_covariance(place)
        for row in self._expected:
            found = found - row[place] * row
        return found

    def expect(self, place: int) -> None:
        row = self.covariance(place) / np.sqrt(self.variance[place] + self._noise + 1e-12)
        self._expected.append(row)
        self.variance = np.maximum(self.variance - row * row, 1e-12)


@dataclass(frozen=True)
class GaussianSurrogate:
    process: Process
    unit: float = 1.0
    """Of what rows lean to; and what that is on average in the observations."""
    offset: float = 0.0

    @staticmethod
    def fitted(rows: Rows, targets: Vector, pending: Rows | None) -> GaussianSurrogate:
        """Trained on targets whose mean is near 0; trials under way are expected at their means."""
        unit, offset = float(targets.std()), 0.0
        if rows.lean is not None:
            offset = unit * float(rows.lean.mean())
            targets = targets - (unit * rows.lean - offset)
        kernel = fit(rows, targets)
        process = Process.of(kernel, rows, targets)
        if pending is not None:
            means, _ = process.posterior(pending)
            more = np.concatenate([targets, means])
            process = Process.of(kernel, rows.joined(pending), more, process.amplitude)
        return GaussianSurrogate(process, unit, offset)

    @property
    def best(self) -> float:
        return float(self.leaning(self.process.rows, self.process.means).max())

    def beliefs(self, rows: Rows) -> Beliefs:
        return _ProcessBeliefs(self, rows)

    def leaning(self, rows: Rows, means: Vector) -> Vector:
        """Means, with what the rows lean to."""
        return means if rows.lean is None else means + (self.unit * rows.lean - self.offset)


class _ProcessBeliefs(Believed):
    def __init__(self, surrogate: GaussianSurrogate, rows: Rows) -> None:
        process = surrogate.process
        mean, self._taken = process.posterior(rows)
        share = process.kernel.alone(rows) - (self._taken * self._taken).sum(0)
        variance = process.amplitude * np.maximum(share, 1e-10)
        super().__init__(surrogate.leaning(rows, mean), variance, process.amplitude * process.kernel.noise)
        self._process, self._rows = process, rows

    def prior_covariance(self, place: int) -> Vector:
        one = self._rows.take(np.array([place]))
        before = self._process.kernel.between(one, self._rows)[0]
        found: Vector = self._process.amplitude * (before - self._taken[:, place] @ self._taken)
        return found


class EnsembleBeliefs(Believed):
    """Beliefs by what several models say, ``said`` [models, shown + pending]: the last are under way, and
    expected.
    """

    def __init__(self, said: Matrix, shown: int) -> None:
        mean = said.mean(0)
        self._apart = (said - mean) / np.sqrt(len(said))
        super().__init__(mean, (self._apart**2).sum(0) + 1e-8, 1e-6)
        for place in range(shown, said.shape[1]):
            self.expect(place)
        self.mean, self.variance = self.mean[:shown], self.variance[:shown]
        self._apart = self._apart[:, :shown]
        self._expected = [row[:shown] for row in self._expected]

    def prior_covariance(self, place: int) -> Vector:
        found: Vector = self._apart[:, place] @ self._apart
        return found


class ExactBeliefs(Believed):
    """Of a metric that can be computed."""

    def __init__(self, values: Vector) -> None:
        super().__init__(values, np.full(len(values), CERTAIN), 0.0)

    def prior_covariance(self, place: int) -> Vector:
        return np.zeros(len(self.mean))


class PartlyExact:
    """Exact ``values`` where they are known; beliefs of the others, where they are NaN."""

    def __init__(self, values: Vector, others: Beliefs) -> None:
        self._values, self._known, self._others = values, ~np.isnan(values), others

    @property
    def mean(self) -> Vector:
        return np.where(self._known, self._values, self._others.mean)

    @property
    def variance(self) -> Vector:
        return np.where(self._known, CERTAIN, self._others.variance)

    def covariance(self, place: int) -> Vector:
        if self._known[place]:
            return np.zeros(len(self._known))
        return np.where(self._known, 0.0, self._others.covariance(place))

    def expect(self, place: int) -> None:
        if not self._known[place]:
            self._others.expect(place)
