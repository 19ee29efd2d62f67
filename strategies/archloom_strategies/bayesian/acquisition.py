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
from archloom_strategies.bayesian.warping import fence
from archloom_strategies.features import Encoded
from archloom_strategies.selection import dominators

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]

Kind = Literal["expected-improvement", "upper-confidence-bound", "thompson"]
#: Standard deviations above the mean that the upper confidence bound looks.
CONFIDENCE = 2.0
#: Of several objectives: at one in so many trials, deviations are taken for so many times larger.
DOUBTED, DOUBT = 4, 2.0
#: Of several objectives: of the grid that the hypervolume is counted in, at most.
CELLS = 8_000
#: Candidates that a sample is drawn of together.
HOPEFUL = 256


class Promise(Protocol):
    """Of the m candidates that it was made for."""

    def scores(self) -> Vector: ...

    def expect(self, place: int) -> None:
        """Candidate ``place`` is going to be evaluated."""
        ...


def promise(
    kind: Kind,
    model: Model,
    candidates: Sequence[Encoded],
    rows: Rows,
    random: Generator,
    trials: int = 0,
) -> Promise:
    """``random`` is drawn from; equal generators give the same promise to the same candidates. ``trials`` is
    how many there were.
    """
    beliefs = [metric.beliefs(candidates, rows) for metric in model.objectives]
    chances = [limit.model.beliefs(candidates, rows) for limit in model.limits]
    feasible = _Feasible(model, chances, len(candidates))
    if not len(model.reached):
        return feasible
    if len(beliefs) > 1:
        return _Volume(kind, model, beliefs, feasible, random, trials)
    return _Single(kind, model, beliefs[0], feasible, random)


class _Feasible:
    """The chance that every constraint holds and the trial succeeds: all that counts until one did."""

    def __init__(self, model: Model, beliefs: Sequence[Beliefs], candidates: int) -> None:
        self._model = model
        self._beliefs = beliefs
        self._candidates = candidates

    def scores(self) -> Vector:
        chance = np.ones(self._candidates)
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
        objective = model.objectives[0]
        self._best = float(objective.warp.score(model.reached[:, 0].max(keepdims=True))[0])
        if objective.surrogate is not None and objective.law is None:
            self._best = min(self._best, objective.surrogate.best)

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

    That volume is what lies between the reference point and the candidate, and below no point of the front.
    The objectives are believed independent, so its expectation is the sum, over the cells of a grid through
    the front's points that the front leaves free, of products of expected lengths: one length for each
    objective, of the part of the cell that lies below the candidate (Emmerich, Giannakoglou and Naujoks
    2006; Yang et al., "Efficient Computation of Expected Hypervolume Improvement Using Box Decomposition
    Algorithms", 2019). Lengths have a closed form, for known objectives too. With many points and
    objectives the grid is thinned to ``CELLS``.

    A front has many places, and a surrogate that is wrong and sure of one never looks there again: at every
    ``DOUBTED``-th trial deviations count ``DOUBT``-fold.

    y is unwarped. Nobody says from where on an objective is worth anything: the reference point is the worst
    that was reached by a feasible trial and a tenth of the whole extent, or where there are outliers the
    fence of Tukey that they lie behind, so that no effort goes into networks that do not work at all.
    """

    def __init__(
        self,
        kind: Kind,
        model: Model,
        beliefs: Sequence[Beliefs],
        feasible: _Feasible,
        random: Generator,
        trials: int,
    ) -> None:
        self._kind = kind
        self._trials = trials
        self._model = model
        self._beliefs = beliefs
        self._feasible = feasible
        self._random = random
        reached = model.reached
        self._reference = np.array([_reference(column) for column in reached.T])
        self._extent = np.maximum(reached.max(0) - self._reference, 1e-12)
        self._front = self._with(np.empty((0, len(beliefs))), reached)

    def _with(self, front: Matrix, points: Matrix) -> Matrix:
        both = np.concatenate([front, points])
        both = np.unique(both[(both > self._reference).all(1)], axis=0)
        return both[_undominated(both)]

    def scores(self) -> Vector:
        nodes = [self._nodes(place) for place in range(len(self._beliefs))]
        lengths = [self._lengths(place, each) for place, each in enumerate(nodes)]
        free = self._free(nodes)
        added = np.tensordot(lengths[0], free, 1)
        for length in lengths[1:]:
            added = np.einsum("mi,mi...->m...", length, added)
        found: Vector = added / float(self._extent.prod()) * self._feasible.scores()
        return found

    def _nodes(self, place: int) -> Vector:
        """Where the cells of an objective begin, from the reference point on; the last has no end. At the
        front's points, and where there is room for more, at what others reached: the warp bends there.
        """
        most = max(2, int(CELLS ** (1 / len(self._beliefs))))
        front = _some(np.append(self._front[:, place], self._reference[place]), most)
        reached = self._model.reached[:, place]
        return np.union1d(front, _some(reached[reached > self._reference[place]], most - len(front)))

    def _free(self, nodes: Sequence[Vector]) -> Matrix:
        """Which cells the front does not cover, as 1.0: [nodes of the first objective, of the second, ...]"""
        covered = np.zeros([len(each) for each in nodes], bool)
        for point in self._front:
            inside = [each < value for each, value in zip(nodes, point, strict=True)]
            covered[np.ix_(*inside)] = True
        return (~covered).astype(float)

    def _lengths(self, place: int, nodes: Vector) -> Matrix:
        """How much of each cell is expected below each candidate: [candidates, nodes].

        Within a cell the warp is taken to be straight, as it is between known values.
        """
        mean, deviation = self._looked_at(self._beliefs[place])
        warp = self._model.objectives[place].warp
        scores = warp.score(nodes)
        beyond = expected_improvement(mean[:, None], deviation[:, None], scores)
        last = float(warp.value(scores[-1:] + 1.0)[0] - warp.value(scores[-1:])[0])
        steepness = np.append(np.diff(nodes) / np.maximum(np.diff(scores), 1e-12), last)
        return steepness * (beyond - np.append(beyond[:, 1:], np.zeros((len(mean), 1)), axis=1))

    def _looked_at(self, beliefs: Beliefs) -> tuple[Vector, Vector]:
        """Means and deviations: what is believed, or one value of it that is taken for sure."""
        deviation = np.sqrt(beliefs.variance)
        if (self._trials + 1) % DOUBTED == 0:
            deviation = DOUBT * deviation
        if self._kind == "expected-improvement":
            return beliefs.mean, deviation
        sure = np.full(len(deviation), 1e-6)
        if self._kind == "upper-confidence-bound":
            return beliefs.mean + deviation, sure
        return draw(beliefs, self._random), sure

    def expect(self, place: int) -> None:
        for beliefs in self._beliefs:
            beliefs.expect(place)
        means = [
            model.warp.value(beliefs.mean[place : place + 1])
            for model, beliefs in zip(self._model.objectives, self._beliefs, strict=True)
        ]
        self._front = self._with(self._front, np.stack(means, 1))
        self._trials += 1
        self._feasible.expect(place)


def expected_improvement(mean: Vector, deviation: Vector, best: float | Vector) -> Vector:
    """Over ``best``; Jones, Schonlau and Welch 1998."""
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


def _some(values: Vector, most: int) -> Vector:
    """At most so many of the different ones, evenly, ascending; the least and the greatest among them."""
    known = np.unique(values)
    return known[np.unique(np.linspace(0, len(known) - 1, max(0, min(most, len(known)))).astype(np.intp))]


def _reference(reached: Vector) -> float:
    cut, least = fence(reached), float(reached.min())
    return cut if cut > least else least - 0.1 * (float(np.ptp(reached)) or 1.0)


def _undominated(points: Matrix) -> NDArray[np.bool_]:
    return np.asarray(dominators(points) == 0)
