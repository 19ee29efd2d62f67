"""What an arm's trials were worth, compared with all that ended lately.

Rewards are ranks, since only they mean the same in every search: scales, noise and monotone transformations
of the objectives do not show (Fialho et al., "Analyzing Bandit-based Adaptive Operator Selection
Mechanisms", Annals of Mathematics and Artificial Intelligence 2010, whose comparisons the AUC bandit of
OpenTuner, Ansel et al., PACT 2014, goes back to).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from archloom.strategy import Fidelity, Observation, ObservationKind, SearchSpec
from pydantic import BaseModel, ConfigDict

from archloom_strategies.selection import crowding, fronts
from archloom_strategies.trials import TELLING

#: How far a trial missed that failed, lacks a metric or was refused.
FAR = 1e300
_TOLD = (ObservationKind.FINISHED, ObservationKind.INFEASIBLE, ObservationKind.REFUSED)


class Outcome(BaseModel):
    """How one trial ended."""

    model_config = ConfigDict(frozen=True)

    arm: int
    """The place of the arm that proposed it."""
    scores: tuple[float, ...] = ()
    """By objective, larger is better; empty where it is not compared by them."""
    violation: float = 0.0
    """How far it missed; ``FAR`` where nobody can say."""
    weight: float = 1.0
    """Of a full trial, how much it cost."""

    @property
    def compared(self) -> bool:
        """A part of a training is not: its numbers are those of another fidelity."""
        return bool(self.scores or self.violation)


def outcome_of(event: Observation, arm: int, spec: SearchSpec) -> Outcome | None:
    """What an event of this arm's proposal tells of the arm; None where it tells nothing, as of a machine
    that broke, or of scores without training.
    """
    weight = share_of(event.fidelity, spec)
    failed = event.kind is ObservationKind.FAILED and event.failure in TELLING
    if not weight or not (failed or event.kind in _TOLD):
        return None
    if weight < 1.0:
        return Outcome(arm=arm, weight=weight)
    scores, violation = spec.scores(event), spec.violation(event)
    if event.kind is ObservationKind.INFEASIBLE and 0.0 < violation < FAR:
        return Outcome(arm=arm, violation=violation)
    if event.kind is ObservationKind.FINISHED and all(map(math.isfinite, scores)):
        return Outcome(arm=arm, scores=scores)
    return Outcome(arm=arm, violation=FAR)


def share_of(fidelity: Fidelity, spec: SearchSpec) -> float:
    """What a trial costs of a full one; 0 for scores without training."""
    if fidelity.proxies:
        return 0.0
    full, share = spec.fidelity, 1.0
    if fidelity.epochs and full.epochs:
        share *= min(1.0, fidelity.epochs / full.epochs)
    if fidelity.data_fraction:
        share *= min(1.0, fidelity.data_fraction / (full.data_fraction or 1.0))
    if fidelity.resolution_fraction:
        share *= min(1.0, fidelity.resolution_fraction / (full.resolution_fraction or 1.0)) ** 2
    return share


def utilities(outcomes: Sequence[Outcome]) -> list[float]:
    """Of each outcome, from 1 for the best down to 0: one less the logarithm of the rank, as a share of that
    of the last. So the tenth of a hundred is worth half: what matters in a search is its top, and a new best
    counts without counting alone. Equals share the mean of their places; failures are the last. What is not
    compared is worth nothing and is no rival.
    """
    worth = [0.0] * len(outcomes)
    places = [place for place, outcome in enumerate(outcomes) if outcome.compared]
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
    scores = [outcomes[place].scores for place in feasible]
    if feasible and len(scores[0]) == 1:
        for place, (score,) in zip(feasible, scores, strict=True):
            keys[place] = (0.0, -score, 0.0)
    else:
        numbers = fronts(scores, [0.0] * len(scores))
        for front in range(max(numbers, default=-1) + 1):
            members = [at for at, number in enumerate(numbers) if number == front]
            for at, room in zip(members, crowding([scores[at] for at in members]), strict=True):
                keys[feasible[at]] = (0.0, float(front), -room)
    groups: dict[tuple[float, float, float], list[int]] = {}
    for place in sorted(range(len(outcomes)), key=lambda place: keys[place]):
        groups.setdefault(keys[place], []).append(place)
    return list(groups.values())
