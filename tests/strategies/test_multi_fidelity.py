"""Rungs, and who is promoted."""

from __future__ import annotations

import math
from typing import Any

import pytest
from archloom.space import Space
from archloom.strategy import (
    Comparison,
    Constraint,
    Fidelity,
    Goal,
    Objective,
    ObservationKind,
)
from archloom.testing.probe import TINY_SPACE
from archloom_strategies.multi_fidelity.ladder import faults, ladder_of
from archloom_strategies.multi_fidelity.ranking import ordered
from archloom_strategies.multi_fidelity.settings import MultiFidelitySettings
from archloom_strategies.multi_fidelity.strategy import MultiFidelity
from fidelity_search import ACCURACY, NINE, Search, at_one_epoch, drawn, spec_of, worth
from pydantic import ValidationError

SIZE = Objective("size", Goal.MINIMIZE)


@pytest.mark.parametrize(
    ("fidelity", "settings", "levels"),
    [
        (NINE, {}, (1, 3, 9)),
        (Fidelity(epochs=200), {}, (7, 22, 67, 200)),
        (Fidelity(epochs=200), {"min_epochs": 50}, (67, 200)),
        (Fidelity(epochs=16), {"eta": 2, "min_epochs": 1}, (1, 2, 4, 8, 16)),
        (Fidelity(epochs=200), {"rungs": [12]}, (12, 200)),
        (Fidelity(data_fraction=1.0), {"eta": 2}, (0.125, 0.25, 0.5, 1.0)),
        (Fidelity(data_fraction=0.5), {"eta": 5, "min_data_fraction": 0.1}, (0.1, 0.5)),
    ],
)
def test_rungs_end_at_the_full_fidelity(
    fidelity: Fidelity, settings: dict[str, Any], levels: tuple[float, ...]
) -> None:
    read = MultiFidelitySettings.model_validate(settings)
    assert ladder_of(spec_of(fidelity), read).levels == pytest.approx(levels)
    assert not list(faults(spec_of(fidelity), read))


@pytest.mark.parametrize(
    ("fidelity", "settings", "field"),
    [
        (Fidelity(), {}, "fidelity.epochs"),
        (Fidelity(epochs=1), {}, "fidelity.epochs"),
        (NINE, {"min_epochs": 9}, "settings.min_epochs"),
        (NINE, {"rungs": [3, 9]}, "settings.rungs"),
        (NINE, {"rungs": [1.5]}, "settings.rungs"),
        (Fidelity(data_fraction=0.1), {"min_data_fraction": 0.2}, "settings.min_data_fraction"),
        (NINE, {"inner": {"name": "nobody"}}, "settings.inner.name"),
        (NINE, {"inner": {"name": "random", "settings": {"x": 1}}}, "settings.inner.settings.x"),
    ],
)
def test_what_has_no_rungs_is_refused_with_its_path(
    fidelity: Fidelity, settings: dict[str, Any], field: str
) -> None:
    read = MultiFidelitySettings.model_validate(settings)
    assert [each.field for each in MultiFidelity().check(spec_of(fidelity), read)] == [field]


def test_rungs_ascend() -> None:
    with pytest.raises(ValidationError, match="ascend"):
        MultiFidelitySettings.model_validate({"rungs": [3, 3]})


def test_asha_promotes_the_best_third_from_its_checkpoint() -> None:
    search = at_one_epoch([0.1, 0.5, 0.3, 0.2, 0.6, 0.4])
    answer = search.ask(4)
    promoted = [each for each in answer.proposals if each.parents]
    assert [each.resume_from for each in promoted] == [5, 2]
    assert all(each.fidelity == Fidelity(epochs=3) for each in promoted)
    # The rest of the answer is new, and what the inner strategy gave stands first.
    assert [each.fidelity for each in answer.proposals[:2]] == [Fidelity(epochs=1)] * 2


def test_the_last_rung_is_the_full_fidelity() -> None:
    search = at_one_epoch([0.1] * 3)
    for number in (1, 2, 3):
        architecture = search.trials[number - 1][0]
        search.end(search.begin(architecture, Fidelity(epochs=3), number), accuracy=number / 10)
    (proposal,) = search.ask(1).proposals
    assert (proposal.fidelity, proposal.resume_from) == (None, 6)


def test_numbers_that_are_none_come_last_and_failures_not_at_all() -> None:
    search = at_one_epoch([math.nan, 0.2, 0.1])
    for architecture in drawn(9)[3:]:
        search.end(search.begin(architecture, Fidelity(epochs=1)), ObservationKind.FAILED)
    promoted = [each.resume_from for each in search.ask(5).proposals if each.parents]
    assert promoted == [2]


def test_a_refused_promotion_is_asked_for_without_its_checkpoint_and_then_let_be() -> None:
    search = at_one_epoch([0.1, 0.2, 0.3])
    seen = []
    for _ in range(3):
        promoted = [each for each in search.ask(1).proposals if each.parents]
        seen.append([each.resume_from for each in promoted])
        for each in promoted:
            search.tell(
                ObservationKind.REFUSED, each.architecture, step=search.step, fidelity=Fidelity(epochs=3)
            )
    assert seen == [[3], [0], []]


@pytest.mark.parametrize("scheduler", ["asha", "hyperband", "successive-halving"])
@pytest.mark.parametrize(("trials", "parallel"), [(6, 1), (10, 4), (40, 16)])
def test_enough_reach_the_full_fidelity(scheduler: str, trials: int, parallel: int) -> None:
    search = Search(spec_of(trials=trials), scheduler=scheduler)
    search.run(trials, parallel, worth)
    assert len(search.trials) == trials
    assert len(search.at(9)) >= math.sqrt(trials)
    assert len(search.at(1)) > len(search.at(9)) / 2


def test_halving_waits_for_its_rung() -> None:
    search = Search(spec_of(), scheduler="successive-halving", cohort=3)
    made = [search.accept(each) for each in search.ask(8).proposals]
    assert len(made) == 3
    search.end(made[0], accuracy=0.1)
    search.end(made[1], accuracy=0.9)
    assert search.ask(2).waiting
    search.end(made[2], accuracy=0.2)
    (promoted, *_) = search.ask(1).proposals
    assert promoted.resume_from == made[1]


def test_brackets_of_hyperband_begin_at_each_rung_and_cost_alike() -> None:
    search = Search(spec_of(), scheduler="hyperband")
    search.run(60, 4, worth)
    begun = dict.fromkeys((1, 3, 9), 0)
    for _, fidelity, source in search.trials:
        begun[fidelity.epochs] += not source
    assert begun[1] > begun[3] > begun[9] > 0


def test_a_small_space_is_trained_to_the_end() -> None:
    search = Search(spec_of(space=Space.from_yaml(TINY_SPACE)))
    assert search.run(40, 4, worth)
    assert {each.key for each in search.at(9)} == {each.key for each in search.at(1)}
    assert len({each.key for each in search.at(9)}) == len(search.at(9))


def test_more_data_is_another_training() -> None:
    search = Search(spec_of(Fidelity(data_fraction=1.0)), eta=4)
    for architecture, value in zip(drawn(4), (0.1, 0.2, 0.3, 0.4), strict=True):
        search.end(search.begin(architecture, Fidelity(data_fraction=0.015625)), accuracy=value)
    (promoted,) = search.ask(1).proposals
    assert (promoted.fidelity, promoted.resume_from) == (Fidelity(data_fraction=0.0625), 0)
    assert promoted.parents == (4,)


def test_what_no_training_makes_feasible_is_not_promoted() -> None:
    limit = Constraint("size", Comparison.AT_MOST, 10.0)
    search = Search(spec_of(constraints=(limit,)))
    first, *rest = drawn(6)
    low = search.begin(first, Fidelity(epochs=1))
    search.end(low, accuracy=0.5, size=5.0)
    search.end(search.begin(first, Fidelity(epochs=3), low), accuracy=0.6, size=5.0)
    for architecture in rest:
        trial = search.begin(architecture, Fidelity(epochs=1))
        search.end(trial, ObservationKind.INFEASIBLE, accuracy=0.9, size=50.0)
    assert not [each for each in search.ask(4).proposals if each.parents]


def test_results_are_ordered_by_limits_then_fronts() -> None:
    limit = Constraint("size", Comparison.AT_MOST, 10.0)
    spec = spec_of(objectives=(ACCURACY, SIZE), constraints=(limit,))
    results = [
        {"accuracy": 0.5, "size": 5.0},  # dominated by the next
        {"accuracy": 0.6, "size": 5.0},
        {"accuracy": 0.2, "size": 1.0},
        {"accuracy": 0.9, "size": 30.0},  # further beyond the limit than the next
        {"accuracy": 0.1, "size": 20.0},
        {"accuracy": math.nan, "size": 5.0},
    ]
    assert ordered(spec, results) == [1, 2, 0, 5, 4, 3]
