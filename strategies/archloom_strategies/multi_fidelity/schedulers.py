"""What comes next: a promotion, a new architecture at some rung, or nothing until something ends.

- asha: Li et al., "A System for Massively Parallel Hyperparameter Tuning", MLSys 2020.
- hyperband: Li et al., "Hyperband: A Novel Bandit-Based Approach to Hyperparameter Optimization", JMLR 2018;
  its brackets run side by side, each as asha does, and the one that has trained least gets the next.
- successive-halving: Jamieson and Talwalkar, AISTATS 2016, one cohort after the other.

Departures: a rung passes on as many as let it and the next cost the same, which is one in eta where rungs
are eta apart; and before the budget of trials ends, enough go straight to the full fidelity that there is a
front to choose from.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from archloom_strategies.multi_fidelity.board import Board, Configuration
from archloom_strategies.multi_fidelity.estimates import best_first
from archloom_strategies.multi_fidelity.settings import MultiFidelitySettings


@dataclass(frozen=True)
class Promote:
    configuration: Configuration
    rung: int


@dataclass(frozen=True)
class Start:
    rung: int


Move = Promote | Start | None
"""None waits."""


def next_move(board: Board, settings: MultiFidelitySettings) -> Move:
    if (lacking := _lacking(board, settings)) > 0 and board.spec.trials - board.charged <= lacking:
        return _finish(board)
    match settings.scheduler:
        case "asha":
            return _promotion(board, board.configurations) or Start(0)
        case "hyperband":
            return _hyperband(board)
        case "successive-halving":
            return _halving(board, settings)


def go_straight(board: Board) -> Promote | None:
    """To the full fidelity, without the rungs between: the best that has not been there."""
    top = board.ladder.top
    left = [each for each in board.configurations if board.promotable(each, top)]
    return Promote(best_first(board, left)[0], top) if left else None


def _lacking(board: Board, settings: MultiFidelitySettings) -> int:
    """How many trials at full fidelity are still owed."""
    if not board.spec.trials:
        return 0
    wanted = settings.full_trials or math.ceil(math.sqrt(board.spec.trials))
    return min(wanted, board.spec.trials) - board.at_top()


def _finish(board: Board) -> Move:
    straight = go_straight(board)
    if straight is None and any(each.pending - {board.ladder.top} for each in board.configurations):
        return None  # what is under way may be promoted yet
    return straight or Start(board.ladder.top)


def _promotion(board: Board, bracket: list[Configuration]) -> Promote | None:
    """From the highest rung that has one to pass on."""
    for rung in reversed(range(board.ladder.top)):
        ended = board.ordered_at(rung, bracket)
        for configuration in ended[: board.ladder.promoted(rung, len(ended))]:
            if board.promotable(configuration, rung + 1):
                return Promote(configuration, rung + 1)
    return None


def _hyperband(board: Board) -> Move:
    """Bracket ``s`` begins at rung ``s``."""
    brackets: list[list[Configuration]] = [[] for _ in board.ladder.levels]
    for each in board.configurations:
        brackets[each.start].append(each)
    for bracket in brackets:
        if (promotion := _promotion(board, bracket)) is not None:
            return promotion
    spent = [sum(_cost(board, each) for each in bracket if each.own) for bracket in brackets]
    return Start(spent.index(min(spent)))


def _cost(board: Board, configuration: Configuration) -> float:
    """What its trials train in all: each goes on from the one before."""
    return board.ladder.levels[max(configuration.trials)]


def _halving(board: Board, settings: MultiFidelitySettings) -> Move:
    own = [each for each in board.configurations if each.own and each.start == 0]
    begin = 0
    while True:
        size = _cohort(board, settings, begin)
        pool = own[begin : begin + size]
        if len(pool) < size:
            return Start(0)
        for rung in range(board.ladder.top):
            if any(rung in each.pending for each in pool):
                return None
            passed = [each for each in board.ordered_at(rung, pool) if not each.stopped]
            chosen = [each for each in passed if _went_or_may(board, each, rung + 1)]
            pool = chosen[: max(1, board.ladder.promoted(rung, len(pool)))]
            for each in pool:
                if board.promotable(each, rung + 1):
                    return Promote(each, rung + 1)
        begin += size


def _went_or_may(board: Board, configuration: Configuration, rung: int) -> bool:
    return rung in configuration.trials or board.promotable(configuration, rung)


def _cohort(board: Board, settings: MultiFidelitySettings, begun: int) -> int:
    """How many begin together once ``begun`` have: the last cohort is what the budget has left for one."""
    shares = board.ladder.shares
    usual = settings.cohort or max(math.ceil(1 / shares[-1] - 1e-9), board.spec.parallelism)
    if not board.spec.trials:
        return usual
    left = math.floor(board.spec.trials / math.fsum(shares)) - begun
    return usual if left >= usual or left < 2 else left
