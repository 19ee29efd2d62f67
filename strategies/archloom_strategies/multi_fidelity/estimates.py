"""Results of all rungs on one scale: what each would be at the highest rung that is known.

A result is carried from rung to rung by a line fitted to the architectures that have both, as in Kennedy and
O'Hagan, "Predicting the output from a complex computer code when fast approximations are available",
Biometrika 2000. That the better ones were promoted does not bend such a line, since they were chosen by its
abscissa. The slope leans on 1 as by ``PRIOR`` pairs, so that with few pairs the line is a shift.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from archloom.strategy import SearchSpec

from archloom_strategies.multi_fidelity.board import Board, Configuration
from archloom_strategies.multi_fidelity.ranking import ordered

#: Pairs that the slope's prior is worth.
PRIOR = 3.0


@dataclass(frozen=True)
class Line:
    offset: float
    slope: float

    def __call__(self, value: float) -> float:
        return self.offset + self.slope * value


SAME = Line(0.0, 1.0)


class Estimates:
    """Of every configuration that has a result."""

    def __init__(self, board: Board) -> None:
        self._board = board
        self._names = _judged_by(board.spec)
        self._lines = {name: self._fitted(name) for name in self._names}

    def of(self, configuration: Configuration) -> dict[str, float]:
        """The metrics of its highest rung, those that the search judges by on the common scale."""
        metrics = dict(configuration.results[configuration.reached])
        for name in self._names:
            if name in metrics:
                for line in self._lines[name][configuration.reached :]:
                    metrics[name] = line(metrics[name])
        return metrics

    def _fitted(self, name: str) -> list[Line]:
        """From each rung to the next, as far as there are results."""
        by_rung: list[dict[int, float]] = [{} for _ in self._board.ladder.levels]
        for number, configuration in enumerate(self._board.configurations):
            for rung, metrics in configuration.results.items():
                if math.isfinite(metrics.get(name, math.nan)):
                    by_rung[rung][number] = metrics[name]
        known = [rung for rung, values in enumerate(by_rung) if values]
        lines = [SAME] * self._board.ladder.top
        # A rung that nothing has been at is passed over: its line stays the identity.
        for low, high in pairwise(known):
            lines[low] = fit(by_rung[low], by_rung[high])
        return lines


def fit(low: dict[int, float], high: dict[int, float]) -> Line:
    """From the values of one rung to those of another, by what they are of."""
    both = [key for key in low if key in high]
    if not both:
        return Line(float(np.median([*high.values()]) - np.median([*low.values()])), 1.0)
    x, y = np.array([low[key] for key in both]), np.array([high[key] for key in both])
    weight = PRIOR * float(np.var([*low.values()]))
    around = x - x.mean()
    spread = float(around @ around) + weight
    slope = max(0.0, (float(around @ (y - y.mean())) + weight) / spread) if spread > 0 else 1.0
    return Line(float(y.mean() - slope * x.mean()), slope)


def best_first(board: Board, configurations: Sequence[Configuration]) -> list[Configuration]:
    estimates = Estimates(board)
    order = ordered(board.spec, [estimates.of(each) for each in configurations])
    return [configurations[place] for place in order]


def _judged_by(spec: SearchSpec) -> tuple[str, ...]:
    names = [goal.metric for goal in spec.objectives] + [limit.metric for limit in spec.constraints]
    return tuple(dict.fromkeys(names))
