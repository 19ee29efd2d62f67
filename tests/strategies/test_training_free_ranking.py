from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from archloom.space import Space
from archloom.strategy import (
    Comparison,
    Constraint,
    Fidelity,
    Goal,
    Objective,
    Observation,
    ObservationKind,
    SearchSpec,
)
from archloom.testing.spaces import space_named
from archloom_strategies.training_free.log import NEVER, SPENT, Scored, gather_scores
from archloom_strategies.training_free.ranking import best_trials, combined, order
from archloom_strategies.trials import Log, Trial

TINY: Space = space_named("tiny")
MEMBERS = tuple(TINY.enumerate())
ACCURACY = Objective("accuracy")


def spec_of(*objectives: Objective, constraints: tuple[Constraint, ...] = ()) -> SearchSpec:
    return SearchSpec(space=TINY, objectives=objectives or (ACCURACY,), constraints=constraints)


def pool_of(**columns: list[float | None]) -> list[Scored]:
    """One architecture for each place of the columns; None is no score."""
    rows = zip(*columns.values(), strict=True)
    return [
        Scored(
            MEMBERS[place],
            set(columns),
            {name: value for name, value in zip(columns, row, strict=True) if value is not None},
            ended=True,
        )
        for place, row in enumerate(rows)
    ]


def event(
    kind: ObservationKind,
    member: int,
    proxies: tuple[str, ...] = ("synflow", "zen"),
    metrics: Mapping[str, float] | None = None,
) -> Observation:
    fidelity = Fidelity(proxies=proxies)
    return Observation(1, kind, MEMBERS[member], 1, 1, 0, fidelity, metrics or {})


def test_scores_that_say_the_same_share_one_voice() -> None:
    pool = pool_of(parameters=[1, 2, 3], flops=[10, 20, 30], naswot=[3, 2, 1], zen=[3, 2, 1])
    assert order(pool, spec_of()) == [0, 1, 2]  # two voices against one, not two against two
    assert order(pool_of(parameters=[1, 2], flops=[1, 2], zen=[2, 1]), spec_of()) == [0, 1]  # a draw


def test_some_scores_have_no_voice_unless_they_are_alone() -> None:
    assert order(pool_of(snip=[1, 2, 3], grad_norm=[1, 2, 3], zen=[3, 2, 1]), spec_of()) == [0, 1, 2]
    assert order(pool_of(snip=[1, 3, 2]), spec_of()) == [1, 2, 0]


def test_ranks_count_not_values() -> None:
    pool = pool_of(synflow=[1e30, 2.0, 1.0], naswot=[1.0, 3.0, 2.0], jacob_cov=[-9.0, -1.0, -2.0])
    assert order(pool, spec_of()) == [1, 0, 2]


def test_a_constant_score_changes_nothing() -> None:
    pool = pool_of(zen=[2, 3, 1], naswot=[5, 5, 5])
    assert order(pool, spec_of()) == [1, 0, 2]


def test_without_any_score_it_comes_last_and_a_missing_one_counts_as_the_least() -> None:
    pool = pool_of(zen=[None, 1, 9, None], naswot=[None, 1, None, 8])
    assert order(pool, spec_of())[-1] == 0
    assert combined(pool)[0] == -1
    assert np.isclose(combined(pool)[2], combined(pool)[3])
    assert order([], spec_of()) == []


def test_no_finite_number_is_no_score() -> None:
    log = gather_scores(
        [
            event(ObservationKind.ACCEPTED, 0),
            event(ObservationKind.FINISHED, 0, metrics={"synflow": math.inf, "zen": math.nan}),
            event(ObservationKind.FINISHED, 1, metrics={"synflow": 1.0, "zen": -math.inf}),
        ],
        spec_of(),
    )
    assert [each.values for each in log.pool.values()] == [{}, {"synflow": 1.0}]
    assert log.with_scores == 1


def test_a_limit_on_what_a_score_says_exactly_comes_first() -> None:
    limit = Constraint("parameters", Comparison.AT_MOST, 100)
    events = [
        event(ObservationKind.FINISHED, place, ("parameters",), {"parameters": size})
        for place, size in enumerate([90.0, 400.0, 200.0, 95.0])
    ]
    spec = spec_of(constraints=(limit,))
    pool = list(gather_scores(events, spec).pool.values())
    assert order(pool, spec) == [3, 0, 2, 1]


def test_an_objective_that_is_a_score_is_exact() -> None:
    pool = pool_of(parameters=[3, 1, 2], zen=[3, 1, 2])
    assert order(pool, spec_of(Objective("parameters", Goal.MINIMIZE))) == [1, 2, 0]


def test_several_objectives_are_sorted_by_dominance() -> None:
    pool = pool_of(parameters=[4, 2, 3, 1], zen=[4, 3, 2, 1])
    both = spec_of(ACCURACY, Objective("parameters", Goal.MINIMIZE))
    assert order(pool, both)[-1] == 2  # less accurate and larger than the second
    unknown = spec_of(ACCURACY, Objective("latency_ms", Goal.MINIMIZE))
    assert order(pool, unknown) == order(pool, both)  # size stands for a cost that nobody knows


def test_the_best_trials_are_those_with_results_inside_the_limits() -> None:
    limit = Constraint("latency", Comparison.AT_MOST, 5)
    results = [{"accuracy": 0.9, "latency": 9}, {"accuracy": 0.5, "latency": 4}, {"accuracy": 0.7}, {}]
    trials = {
        MEMBERS[place].key: Trial(place, MEMBERS[place], metrics, ended=True)
        for place, metrics in enumerate(results)
    }
    best = best_trials(Log(trials, frozenset(trials)), spec_of(constraints=(limit,)))
    assert best == [MEMBERS[2], MEMBERS[1], MEMBERS[0]]


def test_what_is_offered_is_found_by_asking_each_alone() -> None:
    whole, alone = ("synflow", "zen"), (("synflow",), ("zen",))
    refused = [event(ObservationKind.REFUSED, 0, whole)] * NEVER
    assert gather_scores(refused[:-1], spec_of()).names(whole) == whole
    assert gather_scores(refused, spec_of()).names(whole) is None
    one = [*refused, event(ObservationKind.ACCEPTED, 0, alone[1])]
    assert gather_scores(one, spec_of()).names(whole) is None
    one += [event(ObservationKind.REFUSED, 0, alone[0])] * NEVER
    assert gather_scores(one, spec_of()).names(whole) == ("zen",)
    neither = [*refused, *([event(ObservationKind.REFUSED, 0, each) for each in alone] * NEVER)]
    assert gather_scores(neither, spec_of()).names(whole) == ()


def test_a_limit_that_is_spent_is_noticed() -> None:
    events = [event(ObservationKind.ACCEPTED, 0), *[event(ObservationKind.REFUSED, 1)] * (SPENT - 1)]
    assert not gather_scores(events, spec_of()).spent
    assert gather_scores([*events, event(ObservationKind.REFUSED, 2)], spec_of()).spent
    assert not gather_scores([*events, event(ObservationKind.ACCEPTED, 2)], spec_of()).spent
