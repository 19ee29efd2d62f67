"""Which of two trials is better: constraints first, then the objectives.

With constraints, Deb's rules: a feasible trial beats an infeasible one, and of two infeasible ones the
smaller violation wins. With several objectives, non-dominated trials first and of these the least crowded
(Deb et al., "A Fast and Elitist Multiobjective Genetic Algorithm: NSGA-II", 2002).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Scores = tuple[float, ...]

#: Points whose dominators are counted together; the memory it takes is that of so many times all.
COUNTED = 256


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
    found = layers(np.array([scores[place] for place in left], float).reshape(len(left), objectives))
    for place, number in zip(left, found.tolist(), strict=True):
        numbers[place] = number
    front = 1 + max(found.tolist(), default=-1)
    for violation in sorted({each for each in violations if each != 0}):
        for place, each in enumerate(violations):
            if each == violation:
                numbers[place] = front
        front += 1
    return numbers


def dominators(points: NDArray[np.float64]) -> NDArray[np.intp]:
    """How many others dominate each point [n, objectives]; larger is better."""
    found = np.zeros(len(points), np.intp)
    for start in range(0, len(points), COUNTED):
        some = points[start : start + COUNTED]
        no_worse, better = np.ones((len(some), len(points)), bool), np.zeros((len(some), len(points)), bool)
        for mine, column in zip(some.T, points.T, strict=True):
            no_worse &= column[None] >= mine[:, None]
            better |= column[None] > mine[:, None]
        found[start : start + COUNTED] = (no_worse & better).sum(1)
    return found


def layers(points: NDArray[np.float64]) -> NDArray[np.intp]:
    """Which front each point [n, objectives] is in: 0 where nothing dominates it, 1 where only front 0 does,
    ...; larger is better.
    """
    no_worse = np.ones((len(points), len(points)), bool)
    for column in points.T:
        no_worse &= column[:, None] >= column
    dominates = no_worse & ~no_worse.T
    winners, found = dominates.sum(0), np.full(len(points), -1, np.intp)
    while (found < 0).any():
        best = (found < 0) & (winners == 0)
        found[best] = found.max() + 1
        winners -= dominates[best].sum(0)
    return found


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
