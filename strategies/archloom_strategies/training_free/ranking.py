"""Scores combined by ranks, with weights that no result ever touches.

Each score ranks the pool; scores that say the same thing share one voice; the voices' mean is the rank.
Ranks, since scores live on scales that cannot be compared, some of them over many orders of magnitude
(Abdelfattah et al., "Zero-Cost Proxies for Lightweight NAS", ICLR 2021, who let them vote).

The voices are what the scores look at, not how well they did on a table (Lee and Ham, "AZ-NAS: Assembling
Zero-Cost Proxies for Network Architecture Search", CVPR 2024, who combine such views by ranks):

- size: parameters and FLOPs. They are a baseline that few scores beat (Ning et al., "Evaluating Efficient
  Performance Estimators of Neural Architectures", NeurIPS 2021; White et al., "A Deeper Look at Zero-Cost
  Proxies for Lightweight NAS", ICLR blog track 2022).
- synflow: the strength of all paths through the weights (Tanaka et al. 2020).
- naswot: how well the activations tell inputs apart (Mellor et al. 2021).
- jacob_cov: how well the gradients at the input do (Mellor et al. 2021).
- zen: expressivity, with the effect of normalisation kept (Lin et al. 2021).

snip and grad_norm have no voice: both are gradient norms at one batch, say nearly the same, and follow
accuracy less than parameters do on most benchmarks (Krishnakumar et al., "NAS-Bench-Suite-Zero", NeurIPS
2022). They are asked as features for a surrogate, which may find out otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from archloom.space import Architecture
from archloom.strategy import Goal, SearchSpec
from numpy.typing import NDArray
from scipy.stats import rankdata

from archloom_strategies.selection import layers
from archloom_strategies.training_free.log import Scored
from archloom_strategies.trials import Log, Trial

Vector = NDArray[np.float64]

#: Which voice a score speaks with; one of another name has a voice of its own. Empty: none.
VOICES: Mapping[str, str] = {
    "parameters": "size",
    "flops": "size",
    "snip": "",
    "grad_norm": "",
}
#: What stands for the cost of a network where several objectives are wanted and none is known exactly.
COSTS = ("flops", "parameters")


def combined(pool: Sequence[Scored]) -> Vector:
    """The mean rank of each of the pool, from 0 to 1, larger is better; -1 of one without any score.

    A score that is missing or no finite number ranks last: a network on which a score overflows is suspect.
    Where nobody has a voice (only snip was offered), every score has one.
    """
    names = sorted({name for each in pool for name in each.values})
    voices: dict[str, list[str]] = {}
    for name in names:
        voices.setdefault(VOICES.get(name, name), []).append(name)
    silent = voices.pop("", [])
    voices = voices or {name: [name] for name in silent}
    if not voices:
        return np.full(len(pool), -1.0)
    heard = np.mean([np.mean([_ranks(pool, name) for name in each], 0) for each in voices.values()], 0)
    return np.where([bool(each.values) for each in pool], heard, -1.0)


def _ranks(pool: Sequence[Scored], name: str) -> Vector:
    values = np.array([each.values.get(name, -np.inf) for each in pool])
    found: Vector = (rankdata(values) - 0.5) / len(pool)
    return found


def order(pool: Sequence[Scored], spec: SearchSpec) -> list[int]:
    """Places of the pool, the most promising first.

    What breaks a constraint that scores say exactly comes behind what holds it, by how far it misses; what
    has no score comes last. An objective of a score's name is taken as exact. The first objective that is not
    is what the combined rank predicts. Several are sorted by dominance, each front by how much room a member
    has; where none of several is exact, a smaller network is the second aim, since what accuracy is weighed
    against is nearly always some cost.
    """
    if not pool:
        return []
    lacking = np.array([not each.values for each in pool])
    return _sorted(np.stack(_aims(pool, spec), 1), np.array([each.violation for each in pool]), lacking)


def best_trials(log: Log, spec: SearchSpec) -> list[Architecture]:
    """The trials with results, the best first, sorted as the pool is."""
    ended = [trial for trial in log.ended if all(np.isfinite(_scores(trial, spec)))]
    if not ended:
        return []
    aims = np.array([_scores(trial, spec) for trial in ended])
    violations = np.array([_violation(trial, spec) for trial in ended])
    refused = np.array([trial.refused for trial in ended])
    return [ended[place].architecture for place in _sorted(aims, violations, refused)]


def _scores(trial: Trial, spec: SearchSpec) -> list[float]:
    return [goal.score(trial.metrics.get(goal.metric, np.nan)) for goal in spec.objectives]


def _violation(trial: Trial, spec: SearchSpec) -> float:
    found = [
        limit.violation(trial.metrics[limit.metric])
        for limit in spec.constraints
        if limit.metric in trial.metrics
    ]
    return float(np.nan_to_num(sum(found)))


def _sorted(aims: Vector, violations: Vector, last: NDArray[np.bool_]) -> list[int]:
    """Places by ``aims`` [n, d], larger is better; those of ``last`` last, the others by violation."""
    fronts = layers(aims) if aims.shape[1] > 1 else np.zeros(len(aims), np.intp)
    room = _room(aims, fronts) if aims.shape[1] > 1 else aims[:, 0]
    return [int(place) for place in np.lexsort((-room, fronts, violations, last))]


def _aims(pool: Sequence[Scored], spec: SearchSpec) -> list[Vector]:
    exact = [
        np.array([each.values.get(goal.metric, np.nan) for each in pool])
        * (1.0 if goal.goal is Goal.MAXIMIZE else -1.0)
        for goal in spec.objectives
        if any(goal.metric in each.values for each in pool)
    ]
    exact = [np.where(np.isnan(values), -np.inf, values) for values in exact]
    if len(exact) < len(spec.objectives):
        rank = combined(pool)
        if not exact and len(spec.objectives) > 1:
            cost = next((name for name in COSTS if any(name in each.values for each in pool)), None)
            if cost is not None:
                exact = [-np.array([each.values.get(cost, np.inf) for each in pool])]
        return [rank, *exact]
    return exact


def _room(aims: Vector, fronts: NDArray[np.intp]) -> Vector:
    """The crowding distance of each point in its front, in ranks (Deb et al. 2002); ends have the most."""
    room = np.zeros(len(aims))
    for number in np.unique(fronts):
        front = np.flatnonzero(fronts == number)
        for aim in range(aims.shape[1]):
            ranks = rankdata(aims[:, aim])[front]
            by = np.argsort(ranks, kind="stable")
            gaps = np.full(len(front), float(len(aims)))
            gaps[by[1:-1]] = ranks[by[2:]] - ranks[by[:-2]]
            room[front] += gaps
    return room
