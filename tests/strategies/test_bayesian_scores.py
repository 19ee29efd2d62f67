"""Training-free scores as features."""

from __future__ import annotations

import math
import random
from collections.abc import Callable

import numpy as np
import pytest
from archloom.space import Architecture, load_preset
from archloom.strategy import Goal, Objective, SearchSpec
from archloom.strategy.runtime import StrategyRuntime
from archloom.testing.session import Session
from archloom.v1 import strategy_pb2
from archloom_strategies.bayesian.scores import ENOUGH, Scores, ScoreView
from archloom_strategies.bayesian.strategy import BayesianOptimization
from archloom_strategies.features import Encoder, measure

CELLS = load_preset("nasbench201")
ENCODER = Encoder(CELLS)
DRAWN = [CELLS.sample(random.Random(seed)) for seed in range(120)]


def size_of(architecture: Architecture) -> float:
    return math.log1p(ENCODER(architecture).parameters)


def scores_of(scored: list[Architecture]) -> Scores:
    values = np.array([[size_of(each)] for each in scored])
    values = (values - values.mean()) / values.std()
    return Scores(scored, values, {each.key: place for place, each in enumerate(scored)})


def test_scores_are_known_or_predicted() -> None:
    known, unknown = DRAWN[:80], DRAWN[80:]
    scores = scores_of(known)
    view = ScoreView(scores, ENCODER, measure(ENCODER), lean=True)
    own = [each.rows[-1][0] for each in view([ENCODER(each) for each in known])]
    assert own == pytest.approx(scores.known[:, 0], abs=1e-6)
    predicted = [each.rows[-1][0] for each in view([ENCODER(each) for each in unknown])]
    assert np.corrcoef(predicted, [size_of(each) for each in unknown])[0, 1] > 0.9


def searched(score: Callable[[Architecture], float], scored: int, trials: int) -> list[float]:
    """Sizes of the trials of a search for the largest network, with a score that proxy trials told of."""
    spec = SearchSpec(CELLS, (Objective("size"),), trials=100, proxy_trials=200)
    session = Session(StrategyRuntime(BayesianOptimization()), spec, {"initial": 2}, seed=4)
    for place, architecture in enumerate(DRAWN[:scored]):
        proposal = strategy_pb2.Proposal(architecture=architecture.to_proto())
        proposal.fidelity.proxies.append("guess")
        session.finish(session.accept(place, proposal), {"guess": score(architecture)})
    found: list[float] = []
    while len(found) < trials:
        (proposal,) = session.ask(1).proposals.proposals
        architecture = Architecture.from_proto(proposal.architecture)
        found.append(size_of(architecture))
        session.finish(session.accept(0, proposal), {"size": found[-1]})
    return found


def test_the_first_guess_follows_the_scores() -> None:
    largest = sorted(size_of(each) for each in DRAWN[:100])[-10]
    assert max(searched(size_of, 100, 4)[2:]) >= largest
    assert searched(size_of, ENOUGH - 1, 4) == searched(lambda each: -size_of(each), ENOUGH - 1, 4)


def test_scores_that_mislead_are_found_out() -> None:
    largest = max(size_of(architecture) for architecture in DRAWN)
    assert max(searched(lambda each: -size_of(each), 100, 16)) >= largest


@pytest.mark.parametrize("surrogate", ["gaussian-process", "trees"])
def test_with_several_objectives_scores_change_nothing(surrogate: str) -> None:
    objectives = (Objective("size"), Objective("latency", Goal.MINIMIZE))
    spec = SearchSpec(CELLS, objectives, trials=100, proxy_trials=200)
    settings = {"initial": 4, "surrogate": surrogate}

    def proposed(score: Callable[[Architecture], float]) -> list[bytes]:
        session = Session(StrategyRuntime(BayesianOptimization()), spec, settings)
        for place, architecture in enumerate(DRAWN[: 2 * ENOUGH]):
            proposal = strategy_pb2.Proposal(architecture=architecture.to_proto())
            proposal.fidelity.proxies.append("guess")
            session.finish(session.accept(place, proposal), {"guess": score(architecture)})
        for place, architecture in enumerate(DRAWN[-4:]):
            trial = session.enqueue(strategy_pb2.Proposal(architecture=architecture.to_proto()))
            session.finish(trial, {"size": size_of(architecture), "latency": float(place)})
        found = session.ask(2).proposals.proposals
        assert [each.note for each in found] == ["surrogate"] * 2
        return [each.SerializeToString(deterministic=True) for each in found]

    unrelated = random.Random(3)
    assert proposed(size_of) == proposed(lambda _: unrelated.random())
