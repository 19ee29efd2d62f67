from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from archloom.space import Architecture, Space
from archloom.strategy import (
    Fidelity,
    NoSettings,
    Objective,
    Observation,
    ObservationKind,
    ProposeRequest,
    SearchSpec,
)
from archloom.testing.rehearsal import quality
from archloom.testing.spaces import space_named
from archloom_strategies.bayesian.model import Model, build
from archloom_strategies.bayesian.strategy import TRAINED
from archloom_strategies.training_free import guided
from archloom_strategies.training_free.guided import LOOKED_AT, choose
from archloom_strategies.trials import Log, Trial

TREE: Space = space_named("tree")
Value = Callable[[Architecture], float]


def value(architecture: Architecture) -> float:
    return quality(architecture, "score")


def drawn(count: int, seed: int = 0) -> list[Architecture]:
    rng = random.Random(seed)
    found = {each.key: each for each in (TREE.sample(rng) for _ in range(20 * count))}
    return list(found.values())[:count]


def request(step: int, scored: Sequence[Observation] = ()) -> ProposeRequest[NoSettings, None]:
    spec = SearchSpec(space=TREE, objectives=(Objective("score"),), trials=40)
    rng = random.Random(step)
    return ProposeRequest(spec, NoSettings(), step, step, None, (), 1, rng, read_history=lambda: scored)


def ended(architectures: Sequence[Architecture], measured: Value = value) -> Log:
    trials = {
        each.key: Trial(number, each, {"score": measured(each)}, ended=True)
        for number, each in enumerate(architectures, start=1)
    }
    return Log(trials, frozenset(trials))


def search(ranked: Sequence[Architecture], trials: int, scored: Sequence[Observation] = ()) -> list[int]:
    """The ranks of the trials, in their order."""
    found: list[int] = []
    for step in range(1, trials + 1):
        log = ended([ranked[rank - 1] for rank in found])
        left = {rank: each for rank, each in enumerate(ranked, start=1) if rank not in found}
        found += choose(request(step, scored), log, left, 1)
    return found


def test_without_results_the_rank_decides() -> None:
    ranked = dict(enumerate(drawn(10), start=1))
    assert choose(request(1), ended([]), ranked, 3) == [1, 2, 3]
    assert choose(request(1), ended([]), ranked, 99) == list(range(1, 11))
    assert choose(request(1), ended(drawn(3, seed=1)), {}, 2) == []


def test_where_all_results_are_equal_the_rank_decides() -> None:
    ranked = drawn(12)
    left = dict(enumerate(ranked[4:], start=5))
    assert choose(request(5), ended(ranked[:4], lambda _: 0.5), left, 1)[0] <= 7


def test_a_rank_that_is_right_is_followed() -> None:
    ranked = sorted(drawn(100), key=value, reverse=True)
    assert max(search(ranked, 8)) <= 16


def test_results_outweigh_a_rank_that_misleads() -> None:
    """The worst of 100 come first."""
    found = search(sorted(drawn(100), key=value), 20)
    assert found[:3] == [1, 2, 3]
    assert max(found) > 80
    assert sum(rank > 20 for rank in found[10:]) >= 7


def test_the_surrogate_learns_which_score_to_believe() -> None:
    """As before, but one of two scores says the truth, and the rank does not hear it."""
    ranked = sorted(drawn(100), key=value)
    rng = random.Random(0)
    scored = [
        Observation(
            number,
            ObservationKind.FINISHED,
            each,
            fidelity=Fidelity(proxies=("snip", "zen")),
            metrics={"snip": value(each), "zen": rng.random()},
        )
        for number, each in enumerate(ranked, start=1)
    ]
    found = search(ranked, 12, scored)
    assert found[:2] == [1, 2]
    assert max(found) > 95


def test_the_proposals_of_one_answer_differ_and_are_not_all_the_first() -> None:
    ranked = sorted(drawn(100), key=value)
    log = ended(ranked[:12])
    chosen = choose(request(13), log, dict(enumerate(ranked[12:], start=13)), 8)
    assert len(set(chosen)) == 8
    assert chosen != list(range(13, 21))


def test_of_a_large_pool_the_best_ranked_and_some_of_all_others_are_looked_at() -> None:
    ranks = list(range(1, 1_001))
    looked_at = guided._looked_at(ranks)
    assert looked_at[: LOOKED_AT // 2] == ranks[: LOOKED_AT // 2]
    assert len(looked_at) == len(set(looked_at)) == LOOKED_AT
    assert looked_at[-1] > 980
    assert guided._looked_at(ranks[:150]) == ranks[:150]
    assert guided._looked_at([7]) == [7]


def test_of_many_results_the_surrogate_learns_from_as_many_as_bayesian(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen = []

    def spied(spec: SearchSpec, trials: Sequence[Trial], *others: Any) -> Model | None:
        seen.append(len(trials))
        return build(spec, trials, *others)

    monkeypatch.setattr(guided, "build", spied)
    *known, one, other = drawn(TRAINED[1] + 12)
    assert choose(request(1), ended(known), {1: one, 2: other}, 1) in ([1], [2])
    assert seen == [TRAINED[1]]
