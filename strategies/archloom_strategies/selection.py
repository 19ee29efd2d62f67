"""Which of two trials is better: constraints first, then the objectives.

With constraints, Deb's rules: a feasible trial beats an infeasible one, and of two infeasible ones the
smaller violation wins. With several objectives, non-dominated trials first and of these the least crowded
(Deb et al., "A Fast and Elitist Multiobjective Genetic Algorithm: NSGA-II", 2002).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

Scores = tuple[float, ...]


def winner(scores: Sequence[Scores], violations: Sequence[float]) -> int:
    """The place of the best of a tournament; of equals the first, so shuffle them before.

    ``scores`` has one tuple a contestant, larger is better in each place; ``violations`` are 0 where every
    constraint holds.
    """
    least = min(violations)
    left = [place for place, violation in enumerate(violations) if violation == least]
    if len(scores[left[0]]) == 1:
        return max(left, key=lambda place: scores[place])
    front = [place for place in left if not any(dominates(scores[other], scores[place]) for other in left)]
    room = crowding([scores[place] for place in front])
    return front[max(range(len(front)), key=lambda place: room[place])]


def dominates(one: Scores, other: Scores) -> bool:
    """No worse in every objective and better in one."""
    return one != other and all(mine >= theirs for mine, theirs in zip(one, other, strict=True))


def fronts(scores: Sequence[Scores], violations: Sequence[float]) -> list[int]:
    """The number of each trial's front, 0 for the best: feasible ones by non-dominated sorting, behind them
    the infeasible ones in the order of their violations.
    """
    numbers = [0] * len(scores)
    left = [place for place, violation in enumerate(violations) if violation == 0]
    objectives = len(scores[0]) if scores else 0
    rows = np.array([scores[place] for place in left], float).reshape(len(left), objectives)
    no_worse = np.asarray((rows[:, None, :] >= rows[None, :, :]).all(2))
    beaten_by = no_worse.T & ~no_worse  # [loser, winner]
    winners = beaten_by.sum(1)
    remaining, front = np.ones(len(left), bool), 0
    while remaining.any():
        best = remaining & (winners == 0)
        winners -= beaten_by[:, best].sum(1)
        for place in np.flatnonzero(best).tolist():
            numbers[left[place]] = front
        remaining &= ~best
        front += 1
    for violation in sorted({each for each in violations if each != 0}):
        for place, each in enumerate(violations):
            if each == violation:
                numbers[place] = front
        front += 1
    return numbers


def crowding(front: Sequence[Scores]) -> list[float]:
    """How much room each point of a front has: the normalised perimeter to its neighbours; infinite at the
    ends.
    """
    room = [0.0] * len(front)
    for objective in range(len(front[0])):
        order = sorted(range(len(front)), key=lambda place: front[place][objective])
        low, high = front[order[0]][objective], front[order[-1]][objective]
        room[order[0]] = room[order[-1]] = math.inf
        width = high - low
        if not width or not math.isfinite(width):
            continue
        for before, place, after in zip(order, order[1:], order[2:], strict=False):
            room[place] += (front[after][objective] - front[before][objective]) / width
    return room
