"""Which results of one fidelity are the better ones.

Deb's rules: what holds every constraint comes first, by the objectives; the rest by how far it breaks them.
With several objectives: non-dominated results first, of these the least crowded (NSGA-II, Deb et al. 2002).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from archloom.strategy import SearchSpec

from archloom_strategies.selection import crowding, layers

Metrics = Mapping[str, float]


def scores_of(spec: SearchSpec, metrics: Metrics) -> tuple[float, ...]:
    """Larger is better; minus infinity for what is missing or not a number."""
    scores = (goal.score(metrics.get(goal.metric, math.nan)) for goal in spec.objectives)
    return tuple(-math.inf if math.isnan(score) else score for score in scores)


def violation_of(spec: SearchSpec, metrics: Metrics) -> float:
    """How far the constraints are broken; infinity for a value that is not a number."""
    values = ((limit, metrics[limit.metric]) for limit in spec.constraints if limit.metric in metrics)
    return math.fsum(math.inf if math.isnan(value) else limit.violation(value) for limit, value in values)


def ordered(spec: SearchSpec, results: Sequence[Metrics]) -> list[int]:
    """The places of the results, best first; of equals the earlier one."""
    scores = [scores_of(spec, each) for each in results]
    broken = [violation_of(spec, each) for each in results]
    places = sorted(range(len(results)), key=lambda place: broken[place])
    kept = [place for place in places if broken[place] == 0.0]
    return _by_objectives(kept, scores) + places[len(kept) :]


def _by_objectives(places: list[int], scores: Sequence[tuple[float, ...]]) -> list[int]:
    if not places:
        return []
    if len(scores[places[0]]) == 1:
        return sorted(places, key=lambda place: -scores[place][0])
    found: list[int] = []
    numbers = layers(np.array([scores[place] for place in places]))
    for number in range(numbers.max() + 1):
        front = [places[each] for each in np.flatnonzero(numbers == number)]
        room = crowding([scores[place] for place in front])
        found += [front[each] for each in sorted(range(len(front)), key=lambda each: -room[each])]
    return found
