"""The comparison with random search: its direction, its level, and its silence."""

from __future__ import annotations

import random

import pytest
from archloom.v1.experiment_pb2 import Verdict
from archloom_controller.comparison import Outcome, compare, ranks
from archloom_controller.engine.front import dominates
from archloom_controller.report import wilson


def outcomes(values: list[float]) -> list[Outcome]:
    return [Outcome((value,), 1.0) for value in values]


def test_a_clear_lead_is_called_better_and_signed_in_favour_of_the_strategy() -> None:
    # Accuracies, so less is better after the sign: -0.99 beats -0.9.
    found = compare(outcomes([-0.99, -0.98, -0.97, -0.96, -0.95]), outcomes([-0.9] * 5), "val_accuracy", -1.0)
    assert found.verdict == Verdict.VERDICT_BETTER
    assert found.margin == pytest.approx(0.09)
    assert found.probability_better == 1.0
    assert found.strategy_first.best == 0.99
    assert found.controls.median == 0.9
    assert "better than random search" in found.statement
    assert "not identified" in found.statement


def test_the_first_m_trials_meet_the_m_controls() -> None:
    found = compare(outcomes([5, 4, 3, 2, 1, 0, -1, -2]), outcomes([3, 3, 3, 3]), "loss", 1.0)
    assert found.matched_trials == 4
    assert found.strategy_first.best == 2
    assert found.strategy_all.best == -2
    assert found.margin == 1


@pytest.mark.parametrize(("sign", "told"), [(1.0, ("1", "3")), (-1.0, ("-1", "-3"))])
def test_as_many_controls_as_trials_are_told_when_there_are_more(sign: float, told: tuple[str, str]) -> None:
    found = compare(outcomes([1.0] * 6), outcomes([3.0] * 6 + [0.5] * 6), "loss", sign)
    assert found.margin == 2.0
    assert f"first 6 trials is {told[0]}, that of 6 random controls {told[1]} (+2 for" in found.statement


def test_a_worse_strategy_is_not_shown_to_be_better() -> None:
    found = compare(outcomes([9, 9, 8, 7]), outcomes([1, 2, 3, 4]), "loss", 1.0)
    assert found.verdict == Verdict.VERDICT_NOT_SHOWN
    assert found.probability_better == 0.0
    assert found.margin < 0


def test_failed_trials_are_worse_than_any_value() -> None:
    assert ranks([Outcome((3.0,)), Outcome(None)]) == [3.0, float("inf")]
    bad = compare([Outcome(None)] * 6, outcomes([1, 2, 3, 4]), "loss", 1.0)
    assert bad.verdict == Verdict.VERDICT_NOT_SHOWN
    assert bad.strategy_all.failed == 6
    assert not bad.HasField("margin")


def test_several_objectives_are_ranked_by_their_dominators() -> None:
    pool = [Outcome((1.0, 1.0)), Outcome((2.0, 2.0)), Outcome((0.0, 3.0)), Outcome((3.0, 3.0)), Outcome(None)]
    assert ranks(pool) == [0.0, 1.0, 0.0, 3.0, 5.0]


@pytest.mark.parametrize("objectives", [2, 3])
@pytest.mark.parametrize("seed", range(10))
def test_dominators_are_those_that_a_count_of_all_pairs_finds(objectives: int, seed: int) -> None:
    rng = random.Random(seed)
    pool = [Outcome(tuple(float(rng.randrange(-3, 4)) for _ in range(objectives))) for _ in range(80)]
    pool += [Outcome(None)] * 3
    values = [each.values for each in pool if each.values is not None]
    expected = [float(sum(dominates(other, value) for other in values)) for value in values]
    assert ranks(pool) == [*expected, 83.0, 83.0, 83.0]


class Counted(float):
    """Counts how often numbers of it are compared."""

    compared = 0

    def __lt__(self, other: float) -> bool:
        Counted.compared += 1
        return float(self) < float(other)

    def __le__(self, other: float) -> bool:
        Counted.compared += 1
        return float(self) <= float(other)


def test_two_objectives_are_ranked_without_comparing_all_pairs() -> None:
    rng = random.Random(1)
    pool = [Outcome((Counted(rng.random()), Counted(rng.random()))) for _ in range(2000)]
    ranks(pool)
    # 2,000 x 2,000 pairs would be four million.
    assert 0 < Counted.compared < 200_000


@pytest.mark.parametrize(("trials", "controls"), [(10, 3), (3, 10), (10, 0), (0, 0)])
def test_too_few_say_nothing(trials: int, controls: int) -> None:
    found = compare(outcomes([0.0] * trials), outcomes([1.0] * controls), "loss", 1.0)
    assert found.verdict == Verdict.VERDICT_NOT_IDENTIFIED
    assert "too few" in found.statement


def test_random_against_random_is_called_better_at_most_as_often_as_the_level_says() -> None:
    rng = random.Random(1)
    better = 0
    for _ in range(1000):
        values = [rng.choice((1.0, 2.0, 3.0, 4.0)) + rng.random() * 0.01 for _ in range(50)]
        found = compare(outcomes(values[:40]), outcomes(values[40:]), "loss", 1.0)
        better += found.verdict == Verdict.VERDICT_BETTER
    # The level is 5%; with 1,000 draws its spread is 0.7%.
    assert 20 <= better <= 70


def test_wilson_is_the_published_interval() -> None:
    low, high = wilson(977, 1000)
    assert (round(low, 4), round(high, 4)) == (0.9657, 0.9846)
    assert wilson(0, 10)[0] == 0.0
    assert wilson(10, 10)[1] == pytest.approx(1.0)
