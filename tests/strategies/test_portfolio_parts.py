"""What outcomes are worth, which arm a bandit draws, and what the ledger knows."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest
from archloom_strategies.portfolio.bandit import Bandit
from archloom_strategies.portfolio.credit import FAR, Outcome, utilities
from archloom_strategies.portfolio.ledger import Known, Ledger, Place


def outcome(*scores: float, arm: int = 0, violation: float = 0.0) -> Outcome:
    return Outcome(arm=arm, scores=scores, violation=violation)


def test_worth_is_the_logarithm_of_the_rank() -> None:
    worth = utilities([outcome(float(score)) for score in range(100)])
    assert worth[99] == 1.0
    assert worth[90] == pytest.approx(0.5)
    assert worth[0] == pytest.approx(0.0)
    assert worth == sorted(worth)


def test_only_the_order_of_scores_counts() -> None:
    scores = [0.9, 0.1, 0.5, 0.7]
    one = utilities([outcome(score) for score in scores])
    assert one == utilities([outcome(1e6 * score**3 - 5) for score in scores])


def test_equals_are_worth_the_same_and_failures_least() -> None:
    failure = Outcome(arm=0, violation=FAR)
    worth = utilities([outcome(1.0), outcome(1.0), failure, outcome(0.0), failure])
    assert worth[0] == worth[1] > worth[3] > worth[2] == worth[4] > 0.0
    (one,) = set(utilities([outcome(1.0)] * 5))
    assert 0.0 < one < 1.0
    assert utilities([failure, outcome(1.0)]) == [0.0, 1.0]
    assert utilities([]) == []
    assert utilities([outcome(1.0)]) == [0.0]


def test_a_part_of_a_training_is_worth_nothing_and_no_rival() -> None:
    part = Outcome(arm=1, weight=0.1)
    assert utilities([outcome(1.0), part, outcome(0.0), part]) == [1.0, 0.0, 0.0, 0.0]


def test_the_feasible_come_before_the_infeasible_and_these_by_how_far_they_miss() -> None:
    worth = utilities([outcome(9.0, violation=2.0), outcome(9.0, violation=1.0), outcome(0.0), outcome(1.0)])
    assert worth == sorted(worth)


def test_of_several_objectives_the_front_is_worth_most_and_in_it_the_ends() -> None:
    front = [outcome(0.0, 4.0), outcome(1.9, 2.1), outcome(2.0, 2.0), outcome(4.0, 0.0)]
    worth = utilities([*front, outcome(0.0, 1.0)])
    assert min(worth[0], worth[3]) > max(worth[1], worth[2]) > worth[4]


def drawn(bandit: Bandit, arms: int) -> Counter[int]:
    rng = Random(1)
    return Counter(max(range(arms), key=lambda arm: bandit.draw(arm, rng)) for _ in range(500))


def test_draws_go_to_what_is_worth_most() -> None:
    bandit = Bandit(3, [outcome(float(place % 3), arm=place % 3) for place in range(60)], memory=25)
    assert bandit.credit(2) > bandit.credit(1) > bandit.credit(0)
    assert drawn(bandit, 3)[2] > 450


def test_an_arm_without_trials_is_believed_to_be_like_all_and_is_drawn_now_and_then() -> None:
    bandit = Bandit(3, [outcome(float(place % 2), arm=place % 2) for place in range(40)], memory=25)
    assert bandit.credit(1) > bandit.credit(2) > bandit.credit(0)
    assert 25 < drawn(bandit, 3)[2] < 250


def test_equals_are_drawn_equally_often_whether_all_succeed_or_all_fail() -> None:
    for each in (outcome(1.0), Outcome(arm=0, violation=FAR)):
        bandit = Bandit(2, [each.model_copy(update={"arm": place % 2}) for place in range(20)], memory=25)
        assert 200 < drawn(bandit, 2)[0] < 300


def test_what_worked_long_ago_counts_less() -> None:
    """The first arm was the better one, then the second; both had as many trials."""
    early = [outcome(10.0 - arm, arm=arm) for arm in (0, 1)] * 10
    late = [outcome(10.0 + arm, arm=arm) for arm in (0, 1)] * 10
    assert drawn(Bandit(2, [*early, *late], memory=5), 2)[1] > 450
    bandit = Bandit(1, [outcome(1.0), outcome(0.0)], memory=1)
    assert bandit.pulls == [1.5]


def test_the_ledger_knows_whose_a_proposal_is_and_its_place_there() -> None:
    ledger = Ledger([], 100)
    ledger.add(7, "AAbBaA")
    assert [ledger.place(7, ordinal) for ordinal in range(5)] == [
        Place(0, 0),
        Place(0, 1),
        Place(1, 1),
        Place(0, 3),
        None,
    ]
    assert ledger.place(8, 0) is None
    assert ledger.made(3) == [3, 1, 0]


def test_the_ledger_forgets_whole_steps_beyond_its_size() -> None:
    ledger = Ledger([], 10)
    for step in range(1, 100):
        ledger.add(step, "AAB")
    assert [step for step, _ in ledger.steps] == [96, 97, 98, 99]
    assert ledger.place(95, 0) is None


def test_what_is_known_is_new_once() -> None:
    known = Known("", 3)
    assert [known.add([name]) for name in "abacd"] == [True, True, False, True, True]
    again = Known(known.text(), 3)
    assert [again.add([name]) for name in "dcba"] == [False, False, False, True]
