"""What an arm's trials were worth, compared with all that ended lately.

Rewards are ranks, since only they mean the same in every search: scales, noise and monotone transformations
of the objectives do not show (Fialho et al., "Analyzing Bandit-based Adaptive Operator Selection
Mechanisms", Annals of Mathematics and Artificial Intelligence 2010, whose comparisons the AUC bandit of
OpenTuner, Ansel et al., PACT 2014, goes back to).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict

from archloom_strategies.selection import crowding, dominates

NOBODY = -1


class Outcome(BaseModel):
    """How one trial ended."""

    model_config = ConfigDict(frozen=True)

    arm: int
    """The place of the arm that proposed it; ``NOBODY`` for a user's trial and one long past."""
    scores: tuple[float, ...] = ()
    """By objective, larger is better; empty where it failed, was refused or lacks a metric."""
    violation: float = 0.0
    weight: float = 1.0
    """Of a full trial, how much it cost."""


def utilities(outcomes: Sequence[Outcome]) -> list[float]:
    """Of each outcome, from 1 for the best down to 0: one less the logarithm of the rank, as a share of that
    of the last. So the tenth of a hundred is worth half: what matters in a search is its top, and a new best
    counts without counting alone. Equals share the mean of their places. One that brought no scores is worth
    nothing and is no rival.
    """
    worth = [0.0] * len(outcomes)
    places = [place for place, outcome in enumerate(outcomes) if outcome.scores]
    if len(places) < 2:
        return worth
    classes = _classes([outcomes[place] for place in places])
    below = 0
    for equals in classes:
        ranks = range(below + 1, below + len(equals) + 1)
        mean = math.fsum(math.log(rank) for rank in ranks) / len(equals)
        for member in equals:
            worth[places[member]] = 1.0 - mean / math.log(len(places))
        below += len(equals)
    return worth


def _classes(outcomes: Sequence[Outcome]) -> list[list[int]]:
    """Places of equals, the best first: feasible ones by their front and, in it, by how much room they have;
    then the infeasible by how far they miss (Deb et al. 2002).
    """
    keys: list[tuple[float, float, float]] = [(1.0, outcome.violation, 0.0) for outcome in outcomes]
    feasible = [place for place, outcome in enumerate(outcomes) if not outcome.violation]
    if feasible and len(outcomes[feasible[0]].scores) == 1:
        for place in feasible:
            keys[place] = (0.0, -outcomes[place].scores[0], 0.0)
    else:
        for front, members in enumerate(_fronts(outcomes, feasible)):
            room = crowding([outcomes[place].scores for place in members])
            for place, free in zip(members, room, strict=True):
                keys[place] = (0.0, float(front), -free)
    groups: dict[tuple[float, float, float], list[int]] = {}
    for place in sorted(range(len(outcomes)), key=lambda place: keys[place]):
        groups.setdefault(keys[place], []).append(place)
    return list(groups.values())


def _fronts(outcomes: Sequence[Outcome], left: list[int]) -> list[list[int]]:
    fronts = []
    while left:
        front = [
            place
            for place in left
            if not any(dominates(outcomes[other].scores, outcomes[place].scores) for other in left)
        ]
        fronts.append(front)
        taken = frozenset(front)
        left = [place for place in left if place not in taken]
    return fronts
