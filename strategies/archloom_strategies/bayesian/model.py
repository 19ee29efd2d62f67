"""The search's whole model: a surrogate for each metric, and one for whether trials succeed at all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from archloom.strategy import Comparison, Constraint, Objective, SearchSpec
from numpy.typing import NDArray
from scipy.special import log_ndtr, ndtr

from archloom_strategies.bayesian.beliefs import Beliefs, ExactBeliefs, PartlyExact, Surrogate
from archloom_strategies.bayesian.laws import Law
from archloom_strategies.bayesian.process import Rows
from archloom_strategies.bayesian.warping import Warp
from archloom_strategies.features import Encoded, Yardstick
from archloom_strategies.trials import Trial

Vector = NDArray[np.float64]
Fit = Callable[[Rows, Vector, Rows | None], Surrogate]


@dataclass(frozen=True)
class MetricModel:
    """One metric, turned so that larger is better (objectives) and warped."""

    warp: Warp
    surrogate: Surrogate | None
    """None where a law determines all."""
    law: Law | None = None
    """What the metric keeps exactly; the surrogate is asked of what that does not determine."""

    def beliefs(self, candidates: Sequence[Encoded], rows: Rows) -> Beliefs:
        learnt = None if self.surrogate is None else self.surrogate.beliefs(rows)
        if self.law is None:
            assert learnt is not None
            return learnt
        exact = self.warp.score(self.law.values(candidates))
        return ExactBeliefs(exact) if learnt is None else PartlyExact(exact, learnt)


@dataclass(frozen=True)
class Limit:
    """A constraint, or success itself: a model and the bound that its score has to reach."""

    model: MetricModel
    bound: float

    def probability(self, beliefs: Beliefs) -> Vector:
        """Never 0, and the greater the nearer the bound: where a metric is known and no candidate holds the
        bound, that is what leads to one that does.
        """
        ahead = (beliefs.mean - self.bound) / np.sqrt(beliefs.variance)
        found: Vector = np.maximum(ndtr(ahead), 1e-100 / (1.0 - log_ndtr(ahead)))
        return found


@dataclass(frozen=True)
class Model:
    objectives: tuple[MetricModel, ...]
    limits: tuple[Limit, ...]
    reached: NDArray[np.float64]
    """The objectives of the feasible trials, larger is better, unwarped: [trials, objectives]."""


def build(
    spec: SearchSpec,
    trials: Sequence[Trial],
    encoded: Sequence[Encoded],
    pending: Sequence[Encoded],
    yardstick: Yardstick,
    fit: Fit,
) -> Model | None:
    """From ended trials and their encodings; None while an objective has no values."""
    builder = _Builder(encoded, pending, yardstick, fit)
    warped = Warp.smooth if len(spec.objectives) > 1 else Warp.of
    objectives = [
        builder.metric(_values(trials, goal.metric, _sign(goal)), warped) for goal in spec.objectives
    ]
    if any(each is None for each in objectives):
        return None
    limits = []
    for limit in spec.constraints:
        sign = -1.0 if limit.comparison is Comparison.AT_MOST else 1.0
        model = builder.metric(_values(trials, limit.metric, sign))
        if model is not None:
            bound = float(model.warp.score(np.array([sign * limit.bound]))[0])
            limits.append(Limit(model, bound))
    success = np.array([float(not _at_fault(spec, trial)) for trial in trials])
    if not success.all():
        model = builder.plain(success)
        limits.append(Limit(model, float(model.warp.score(np.array([0.5]))[0])))
    reached = [
        tuple(_sign(goal) * trial.metrics[goal.metric] for goal in spec.objectives)
        for trial in trials
        if _feasible(spec, trial)
    ]
    return Model(
        tuple(each for each in objectives if each is not None),
        tuple(limits),
        np.array(reached, float).reshape(-1, len(spec.objectives)),
    )


def _sign(goal: Objective) -> float:
    return goal.score(1.0)


def _holds(limit: Constraint, trial: Trial) -> bool:
    return limit.metric not in trial.metrics or limit.violation(trial.metrics[limit.metric]) == 0


def _at_fault(spec: SearchSpec, trial: Trial) -> bool:
    """It failed, or was called infeasible, and no constraint says why."""
    return trial.refused and all(_holds(limit, trial) for limit in spec.constraints)


def _feasible(spec: SearchSpec, trial: Trial) -> bool:
    values = [trial.metrics.get(goal.metric, np.nan) for goal in spec.objectives]
    return (
        bool(np.isfinite(values).all())
        and not trial.refused
        and all(_holds(limit, trial) for limit in spec.constraints)
    )


def _values(trials: Sequence[Trial], metric: str, sign: float) -> Vector:
    """NaN where it was not reported, or is no finite number."""
    values = sign * np.array([trial.metrics.get(metric, np.nan) for trial in trials], float)
    return np.where(np.isfinite(values), values, np.nan)


class _Builder:
    def __init__(
        self, encoded: Sequence[Encoded], pending: Sequence[Encoded], yardstick: Yardstick, fit: Fit
    ) -> None:
        self._encoded = encoded
        self._rows = Rows.of(encoded, yardstick)
        self._pending = Rows.of(pending, yardstick) if pending else None
        self._fit = fit

    def metric(self, values: Vector, warped: Callable[[Vector], Warp] = Warp.of) -> MetricModel | None:
        """Without any value, None."""
        places = np.flatnonzero(~np.isnan(values))
        if not len(places):
            return None
        known = values[places]
        warp = warped(known)
        law = Law.of([self._encoded[place] for place in places.tolist()], known)
        if law is not None and law.complete:
            return MetricModel(warp, None, law)
        return MetricModel(warp, self._fit(self._rows.take(places), warp.score(known), self._pending), law)

    def plain(self, values: Vector) -> MetricModel:
        """Unwarped but for its mean."""
        mean = float(values.mean())
        warp = Warp(np.array([0.0, 1.0]), np.array([-mean, 1.0 - mean]))
        return MetricModel(warp, self._fit(self._rows, values - mean, self._pending))
