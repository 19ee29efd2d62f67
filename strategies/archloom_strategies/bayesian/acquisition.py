"""What evaluating a candidate promises; never negative, so that chances multiply it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy.special import ndtr

from archloom_strategies.bayesian.beliefs import Beliefs
from archloom_strategies.bayesian.model import Model
from archloom_strategies.bayesian.process import Rows
from archloom_strategies.features import Encoded

Vector = NDArray[np.float64]

Kind = Literal["expected-improvement", "upper-confidence-bound", "thompson"]
#: Standard deviations above the mean that the upper confidence bound looks.
CONFIDENCE = 2.0
#: Of several objectives: weightings of the hypervolume, and samples of what a candidate may reach.
WEIGHTINGS, SAMPLES = 128, 32
#: Candidates that a sample is drawn of together.
HOPEFUL = 256


class Promise(Protocol):
    """Of the m candidates that it was made for."""

    def scores(self) -> Vector: ...

    def expect(self, place: int) -> None:
        """Candidate ``place`` is going to be evaluated."""
        ...


def promise(
    kind: Kind, model: Model, candidates: Sequence[Encoded], rows: Rows, random: Generator
) -> Promise:
    """``random`` is drawn from; equal generators give the same promise to the same candidates."""
    beliefs = [metric.beliefs(candidates, rows) for metric in model.objectives]
    chances = [limit.model.beliefs(candidates, rows) for limit in model.limits]
    feasible = _Feasible(model, chances)
    if not len(model.reached):
        return feasible
    if len(beliefs) > 1:
        return _Volume(kind, model, beliefs, feasible, random)
    return _Single(kind, model, beliefs[0], feasible, random)


class _Feasible:
    """The chance that every constraint holds and the trial succeeds: all that counts until one did."""

    def __init__(self, model: Model, beliefs: Sequence[Beliefs]) -> None:
        self._model = model
        self._beliefs = beliefs

    def scores(self) -> Vector:
        chance = np.ones(1)
        for limit, beliefs in zip(self._model.limits, self._beliefs, strict=True):
            chance = chance * limit.probability(beliefs)
        return chance

    def expect(self, place: int) -> None:
        for beliefs in self._beliefs:
            beliefs.expect(place)


class _Single:
    """One objective. Improvement is over the best mean of what was feasible, since values are noisy."""

    def __init__(
        self, kind: Kind, model: Model, beliefs: Beliefs, feasible: _Feasible, random: Generator
    ) -> None:
        self._kind = kind
        self._beliefs = beliefs
        self._feasible = feasible
        self._random = random
        surrogate = model.objectives[0].surrogate
        self._best = float(model.objectives[0].warp.score(model.reached[:, 0].max(keepdims=True))[0])
        if surrogate is not None:
            self._best = min(self._best, surrogate.best)

    def scores(self) -> Vector:
        mean, deviation = self._beliefs.mean, np.sqrt(self._beliefs.variance)
        if self._kind == "expected-improvement":
            promised = expected_improvement(mean, deviation, self._best)
        elif self._kind == "upper-confidence-bound":
            promised = _above_least(mean + CONFIDENCE * deviation)
        else:
            promised = _above_least(draw(self._beliefs, self._random))
        return promised * self._feasible.scores()

    def expect(self, place: int) -> None:
        self._beliefs.expect(place)
        self._best = max(self._best, float(self._beliefs.mean[place]))
        self._feasible.expect(place)


class _Volume:
    """Several objectives: the hypervolume that a candidate is expected to add to the front.

    The hypervolume is the mean over directions w of max_x min_i (y_i(x) / w_i)**d, up to a constant (Zhang
    and Golovin, "Random Hypervolume Scalarizations for Provable Multi-Objective Black Box Optimization", ICML
    2020): so what a candidate adds is what it adds to each direction's best, for any number of objectives d,
    under noise as without. An objective that is known exactly has no doubt to average over.

    y is unwarped, in shares of the front's extent; the reference point lies a tenth of it below the front's
    worst (Ishibuchi et al., "How to Specify a Reference Point in Hypervolume Calculation", 2018), or where a
    tenth of all trials are worse, if that is lower: a short front must not hide what lies beyond its ends.
    """

    def __init__(
        self,
        kind: Kind,
        model: Model,
        beliefs: Sequence[Beliefs],
        feasible: _Feasible,
        random: Generator,
    ) -> None:
        self._kind = kind
        self._model = model
        self._beliefs = beliefs
        self._feasible = feasible
        front = model.reached[_undominated(model.reached)]
        least, most = front.min(0), front.max(0)
        whole = model.reached.max(0) - model.reached.min(0)
        self._extent = np.where(most > least, most - least, np.where(whole > 0, whole, 1.0))
        self._reference = np.minimum(least - 0.1 * self._extent, np.quantile(model.reached, 0.1, axis=0))
        directions = np.abs(random.standard_normal((WEIGHTINGS, len(beliefs)))) + 1e-9
        self._directions = directions / np.linalg.norm(directions, axis=1, keepdims=True)
        self._noises = random.standard_normal((SAMPLES, len(beliefs)))
        self._random = random
        self._best = self._along(front).max(0)

    def _along(self, reached: NDArray[np.float64]) -> NDArray[np.float64]:
        """[points, objectives] -> what each is worth in each direction, [points, directions]."""
        shares = np.maximum(reached - self._reference, 0.0) / self._extent
        ratios = (shares[:, None, :] / self._directions[None]).min(2)
        found: NDArray[np.float64] = ratios ** shares.shape[1]
        return found

    def _reached(self, scores: Sequence[Vector]) -> NDArray[np.float64]:
        return np.stack(
            [model.warp.value(each) for model, each in zip(self._model.objectives, scores, strict=True)], 1
        )

    def _samples(self) -> list[list[Vector]]:
        """Of the candidates' objectives, warped."""
        if self._kind == "thompson":
            return [[draw(beliefs, self._random) for beliefs in self._beliefs]]
        if self._kind == "upper-confidence-bound":
            return [[beliefs.mean + np.sqrt(beliefs.variance) for beliefs in self._beliefs]]
        return [
            [
                beliefs.mean + noise * np.sqrt(beliefs.variance)
                for beliefs, noise in zip(self._beliefs, noises, strict=True)
            ]
            for noises in self._noises
        ]

    def scores(self) -> Vector:
        samples = self._samples()
        added = np.zeros(len(self._beliefs[0].mean))
        for sample in samples:
            added += np.maximum(self._along(self._reached(sample)) - self._best, 0.0).mean(1)
        return added / len(samples) * self._feasible.scores()

    def expect(self, place: int) -> None:
        for beliefs in self._beliefs:
            beliefs.expect(place)
        means = self._reached([beliefs.mean[place : place + 1] for beliefs in self._beliefs])
        self._best = np.maximum(self._best, self._along(means)[0])
        self._feasible.expect(place)


def expected_improvement(mean: Vector, deviation: Vector, best: float) -> Vector:
    """Jones, Schonlau and Welch 1998."""
    gap = (mean - best) / deviation
    density = np.exp(-0.5 * gap * gap) / np.sqrt(2 * np.pi)
    found: Vector = np.maximum(deviation * (gap * ndtr(gap) + density), 0.0)
    return found


def draw(beliefs: Beliefs, random: Generator) -> Vector:
    """One sample of the candidates together; of many, of the hopeful ones, and the least of it for others."""
    hope = beliefs.mean + CONFIDENCE * np.sqrt(beliefs.variance)
    hopeful = np.sort(np.argsort(-hope, kind="stable")[:HOPEFUL])
    covariance = np.stack([beliefs.covariance(place)[hopeful] for place in hopeful.tolist()])
    values, vectors = np.linalg.eigh(0.5 * (covariance + covariance.T))
    noise = random.standard_normal(len(hopeful))
    sample = beliefs.mean[hopeful] + vectors @ (np.sqrt(np.maximum(values, 0.0)) * noise)
    found: Vector = np.full(len(hope), sample.min())
    found[hopeful] = sample
    return found


def _above_least(values: Vector) -> Vector:
    found: Vector = values - values.min()
    return found


def _undominated(points: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which points no other one dominates; larger is better."""
    no_worse = np.all(points[None] >= points[:, None], axis=2)
    better = np.any(points[None] > points[:, None], axis=2)
    return np.asarray(~np.any(no_worse & better, axis=1))
