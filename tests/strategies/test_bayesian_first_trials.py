"""What is tried before there is anything to learn from."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from archloom.space import Architecture, load_preset
from archloom.strategy import Goal, Objective, SearchSpec
from archloom.strategy.runtime import StrategyRuntime
from archloom.testing.session import Session
from archloom_strategies.bayesian.process import Rows
from archloom_strategies.bayesian.strategy import INITIAL, BayesianOptimization
from archloom_strategies.features import Encoder, measure

CELLS = load_preset("nasbench201")
ENCODER = Encoder(CELLS)
YARDSTICK = measure(ENCODER)
ONE, TWO = (Objective("size"),), (Objective("size"), Objective("latency", Goal.MINIMIZE))


def first(objectives: tuple[Objective, ...], seed: int, count: int = 1) -> list[Architecture]:
    """The trials that a search begins with, ``count`` at once, which end as they come."""
    spec = SearchSpec(CELLS, objectives, trials=100, parallelism=count)
    session = Session(StrategyRuntime(BayesianOptimization()), spec, seed=seed)
    found: list[Architecture] = []
    while len(found) < INITIAL:
        answer = session.ask(count)
        assert {each.note for each in answer.proposals.proposals} == {"random"}
        for ordinal, proposal in enumerate(answer.proposals.proposals):
            trial = session.accept(ordinal, proposal)
            found.append(Architecture.from_proto(proposal.architecture))
            session.finish(trial, {"size": float(len(found)), "latency": 1.0})
    return found[:INITIAL]


def nearest(architectures: list[Architecture]) -> float:
    """The distance of the two that are most alike, in medians of the space."""
    rows = Rows.of([ENCODER(each) for each in architectures], YARDSTICK)
    apart = np.mean(rows.distances(rows), axis=0)
    return min(float(apart[one, other]) for one, other in combinations(range(len(architectures)), 2))


@pytest.mark.parametrize("count", [1, 5])
def test_with_several_objectives_they_are_unlike_each_other(count: int) -> None:
    """In each of ten searches more than the median of random ones is."""
    random = float(np.median([nearest(first(ONE, seed)) for seed in range(10)]))
    assert min(nearest(first(TWO, seed, count)) for seed in range(10)) > random


def test_they_are_unlike_the_users_trials() -> None:
    spec = SearchSpec(CELLS, TWO, trials=100)
    for seed in range(5):
        session = Session(StrategyRuntime(BayesianOptimization()), spec, seed=seed)
        (alone,) = session.ask(1).proposals.proposals
        again = Session(StrategyRuntime(BayesianOptimization()), spec, seed=seed)
        again.finish(again.enqueue(alone), {"size": 1.0, "latency": 1.0})
        (other,) = again.ask(1).proposals.proposals
        pair = [Architecture.from_proto(each.architecture) for each in (alone, other)]
        assert nearest(pair) > 1.0
