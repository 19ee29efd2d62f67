from __future__ import annotations

from typing import Any

import pytest
from archloom.bench.hypervolume import hypervolume
from archloom.space import Architecture, Space, load_preset
from archloom.strategy import Goal, Objective, SearchSpec
from archloom.strategy.runtime import StrategyRuntime
from archloom.testing.probe import TINY_SPACE, TREE_SPACE
from archloom.testing.rehearsal import rehearse
from archloom.testing.session import Session
from archloom.v1 import strategy_pb2
from archloom_strategies.bayesian.strategy import BayesianOptimization
from archloom_strategies.random_search import RandomSearch

TREE = Space.from_yaml(TREE_SPACE)


def spec_of(space: Space, **fields: Any) -> SearchSpec:
    return SearchSpec(
        space=space, **{"objectives": (Objective("score"),), "trials": 40, "parallelism": 1, **fields}
    )


def search(
    strategy: Any, spec: SearchSpec, settings: dict[str, Any], seed: int, trials: int, batch: int = 1
) -> list[float]:
    """Maximises the multiply-adds of the tree space less a price of parameters; what each trial scored."""
    session = Session(StrategyRuntime(strategy), spec, settings, seed=seed)
    scores: list[float] = []
    while len(scores) < trials:
        answer = session.ask(batch)
        taken = [session.accept(n, each) for n, each in enumerate(answer.proposals.proposals)]
        for trial in taken:
            scores.append(score_of(spec.space, Architecture.from_proto(trial.proposal.architecture)))
            session.finish(trial, {"score": scores[-1]})
    return scores


def score_of(space: Space, architecture: Architecture) -> float:
    graph = space.graph(architecture)
    return graph.flops**0.5 - graph.parameters / 20 + 30 * (architecture["recipe.optimizer"] == "sgd")


BEST = max(score_of(TREE, architecture) for architecture in TREE.enumerate())


@pytest.mark.parametrize(
    ("settings", "trials"),
    [
        ({}, 30),
        ({"acquisition": "upper-confidence-bound"}, 30),
        ({"acquisition": "thompson"}, 16),
        ({"surrogate": "trees"}, 20),
    ],
)
def test_it_finds_in_a_thousand_what_chance_does_not(settings: dict[str, Any], trials: int) -> None:
    spec = spec_of(TREE)
    found = max(search(BayesianOptimization(), spec, settings, 1, trials))
    assert found > max(search(RandomSearch(), spec, {}, 1, trials))
    assert found == BEST or trials < 30


def test_a_batch_is_no_heap_of_alike() -> None:
    spec = spec_of(TREE, parallelism=8)
    scores = search(BayesianOptimization(), spec, {}, 3, 48, batch=8)
    assert len(set(scores[8:16])) > 4
    assert max(scores) == BEST


def test_no_network_is_proposed_twice() -> None:
    """Cells that are written differently and make one network are one."""
    cells = load_preset("nasbench201")
    spec = spec_of(cells, parallelism=4)
    result = rehearse(Session(StrategyRuntime(BayesianOptimization()), spec), spec, trials=16, parallel=4)
    networks = {cells.graph(each).hash for each in result.proposed}
    assert len(networks) == len(result.proposed) == 16


def test_it_says_when_every_network_was_proposed() -> None:
    spec = spec_of(Space.from_yaml(TINY_SPACE))
    result = rehearse(Session(StrategyRuntime(BayesianOptimization()), spec), spec, trials=20, parallel=3)
    assert result.exhausted == "every network of the space was proposed"
    assert len(result.trials) == 8


def test_users_results_are_a_warm_start() -> None:
    spec = spec_of(TREE)
    session = Session(StrategyRuntime(BayesianOptimization()), spec)
    for number in range(0, 1080, 90):
        architecture = TREE.at(number)
        assert architecture is not None
        trial = session.enqueue(strategy_pb2.Proposal(architecture=architecture.to_proto()))
        session.finish(trial, {"score": score_of(TREE, architecture)})
    (proposal,) = session.ask(1).proposals.proposals
    assert proposal.note == "surrogate"


def test_a_short_budget_begins_with_fewer_random_trials() -> None:
    for trials, expected in ((8, 2), (400, 5)):
        session = Session(StrategyRuntime(BayesianOptimization()), spec_of(TREE, trials=trials))
        notes = []
        for number in range(7):
            (proposal,) = session.ask(1).proposals.proposals
            notes.append(proposal.note)
            session.finish(session.accept(0, proposal), {"score": float(number)})
        assert notes.count("random") == expected


def test_two_objectives_cover_more_than_chance_does() -> None:
    """The score against the layers, on the tree space: the hypervolume of 20 trials."""
    spec = spec_of(TREE, objectives=(Objective("score"), Objective("weights", Goal.MINIMIZE)))
    covered = []
    for strategy in (BayesianOptimization(), RandomSearch()):
        session, points = Session(StrategyRuntime(strategy), spec, seed=2), []
        for _ in range(20):
            (proposal,) = session.ask(1).proposals.proposals
            architecture = Architecture.from_proto(proposal.architecture)
            width = architecture.decisions["stem.out"]
            assert isinstance(width, int)
            metrics = {"score": score_of(TREE, architecture), "weights": float(width) ** 2}
            points.append((BEST - metrics["score"], metrics["weights"]))
            session.finish(session.accept(0, proposal), metrics)
        covered.append(hypervolume(points, (BEST, 1025.0)))
    best = {
        out: max(score_of(TREE, a) for a in TREE.enumerate() if a["stem.out"] == out)
        for out in range(8, 40, 8)
    }
    whole = hypervolume([(BEST - score, float(out) ** 2) for out, score in best.items()], (BEST, 1025.0))
    assert covered[1] < covered[0]
    assert covered[0] > 0.95 * whole
