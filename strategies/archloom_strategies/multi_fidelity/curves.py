"""Which trials under way to end early, by their curves.

- median: Golovin et al., "Google Vizier: A Service for Black-Box Optimization", KDD 2017.
- curve: Domhan et al., "Speeding Up Automatic Hyperparameter Optimization of Deep Neural Networks by
  Extrapolation of Learning Curves", IJCAI 2015, with a few shapes fitted by least squares on a grid instead
  of eleven by sampling.

With several objectives a trial is ended only if it is hopeless in each; without a measurement of some
objective along the way, never.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from archloom.strategy import Objective
from numpy.typing import NDArray

from archloom_strategies.multi_fidelity.board import Board, Configuration
from archloom_strategies.multi_fidelity.settings import Stopping

#: Curves that have come as far, before a trial is held against their median.
COMPARED = 5
#: Share of a trial's epochs before it may be ended.
GRACE = 0.1
#: Points that a curve needs to be extrapolated, and the share of the way.
POINTS = 4
FITTED_SHARE = 0.3
#: A trial is ended when the chance that it matters is below this.
CHANCE = 0.05

Points = Sequence[tuple[float, float]]
"""(progress, score), larger is better, by progress."""


def hopeless(board: Board, stopping: Stopping) -> list[int]:
    """The numbers of the trials to end."""
    if stopping == "none":
        return []
    found = []
    for each in board.configurations:
        for rung in sorted(each.pending):
            number = each.trials.get(rung, -1)
            if each.own and number > 0 and _is_hopeless(board, each, rung, stopping):
                found.append(number)
    return found


def _is_hopeless(board: Board, configuration: Configuration, rung: int, stopping: Stopping) -> bool:
    begun = board.ladder.levels[configuration.reached] if configuration.results else 0.0
    target = board.ladder.levels[rung]
    progress = max(configuration.curve, default=0.0)
    if board.ladder.dimension != "epochs" or not begun < progress < target or progress < GRACE * target:
        return False
    for goal in board.spec.objectives:
        points = points_of(configuration, goal)
        if not points or points[-1][0] < progress:
            return False
        others = [points_of(each, goal) for each in board.configurations if each is not configuration]
        if below_median(points, others):
            continue
        if stopping == "median" or progress < FITTED_SHARE * target:
            return False
        least = _least_that_matters(board, configuration, rung, goal)
        if least is None or chance_to_reach(points, target, least) >= CHANCE:
            return False
    return True


def points_of(configuration: Configuration, goal: Objective) -> Points:
    """A curve over all trials of an architecture; what is not a number is left out."""
    return [
        (progress, goal.score(metrics[goal.metric]))
        for progress, metrics in sorted(configuration.curve.items())
        if math.isfinite(metrics.get(goal.metric, math.nan))
    ]


def below_median(points: Points, others: Sequence[Points]) -> bool:
    """Whether the best so far is worse than the median of the others' running means up to the same place."""
    progress = points[-1][0]
    means = [
        statistics.fmean(score for at, score in other if at <= progress)
        for other in others
        if other and other[0][0] <= progress <= other[-1][0]
    ]
    return len(means) >= COMPARED and max(score for _, score in points) < statistics.median(means)


def _least_that_matters(
    board: Board, configuration: Configuration, rung: int, goal: Objective
) -> float | None:
    """The last score of the rung that is promoted, at the full fidelity the best one."""
    scores = sorted(
        (
            goal.score(each.results[rung][goal.metric])
            for each in board.configurations
            if rung in each.results
            and not each.stopped
            and math.isfinite(each.results[rung].get(goal.metric, math.nan))
        ),
        reverse=True,
    )
    if len(scores) < COMPARED:
        return None
    taken = 1 if rung == board.ladder.top else max(1, board.ladder.promoted(rung, len(scores)))
    return scores[taken - 1]


# ------------------------------------------------------------------ extrapolation


@dataclass(frozen=True)
class Forecast:
    mean: float
    deviation: float


def chance_to_reach(points: Points, target: float, least: float) -> float:
    """The chance that the curve has come to ``least`` by ``target``; 1 where nothing can be said."""
    if max(score for _, score in points) >= least:
        return 1.0
    forecasts = extrapolate(points, target)
    if forecasts is None:
        return 1.0
    return sum(
        weight * 0.5 * math.erfc((least - each.mean) / (each.deviation * math.sqrt(2)))
        for each, weight in forecasts
    )


def extrapolate(points: Points, target: float) -> list[tuple[Forecast, float]] | None:
    """Of each shape and rate the value at ``target``, with its weight; None for too few points.

    score(t) = limit - gain * shape(t), limit and gain by least squares, the rate from a grid; weights by the
    Bayesian information criterion. The deviation grows with how far the target is.
    """
    if len(points) < POINTS:
        return None
    at = np.array([progress for progress, _ in points])
    scores = np.array([score for _, score in points])
    further = math.sqrt(target / at[-1])
    floor = 1e-3 * max(float(np.ptp(scores)), abs(float(scores[-1])), 1e-12)
    fits: list[tuple[Forecast, float]] = []
    for shape, value in _shapes(at, target):
        design = np.stack([np.ones_like(at), shape], 1)
        (limit, slope), *_ = np.linalg.lstsq(design, scores, rcond=None)
        residual = scores - design @ (limit, slope)
        variance = max(float(residual @ residual) / (len(at) - 2), floor**2)
        fit = -0.5 * len(at) * math.log(float(residual @ residual) / len(at) + floor**2)
        error = _prediction_error(design, np.array([1.0, value]))
        fits.append(
            (Forecast(float(limit + slope * value), math.sqrt(variance * (1 + error)) * further), fit)
        )
    best = max(fit for _, fit in fits)
    weights = [math.exp(fit - best) for _, fit in fits]
    return [(each, weight / sum(weights)) for (each, _), weight in zip(fits, weights, strict=True)]


def _shapes(at: NDArray[np.float64], target: float) -> list[tuple[NDArray[np.float64], float]]:
    """Falling shapes at the points and at the target: powers, exponentials, the inverse logarithm."""
    powers = [(at**-rate, target**-rate) for rate in (0.25, 0.5, 1.0, 2.0)]
    exponentials = [(np.exp(-rate * at / target), math.exp(-rate)) for rate in (1.0, 2.0, 4.0, 8.0)]
    return [*powers, *exponentials, (1 / np.log(at + math.e), 1 / math.log(target + math.e))]


def _prediction_error(design: NDArray[np.float64], row: NDArray[np.float64]) -> float:
    """How much the coefficients' uncertainty adds to a prediction's variance, in units of the noise's."""
    return float(row @ np.linalg.pinv(design.T @ design) @ row)
