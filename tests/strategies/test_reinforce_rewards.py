"""What a trial is worth to reinforce: objectives, targets, limits, failures."""

from __future__ import annotations

import math
from random import Random
from typing import Any

import pytest
from archloom.strategy import Comparison, Constraint, Goal, Objective, SearchSpec
from archloom.testing.spaces import space_named
from archloom_strategies.reinforce.memory import Trial
from archloom_strategies.reinforce.rewards import Rewards, drawn_preference, ranked, usefulness
from archloom_strategies.reinforce.settings import ReinforceSettings
from archloom_strategies.reinforce.strategy import Reinforce

ACCURACY, LATENCY = Objective("accuracy"), Objective("latency", Goal.MINIMIZE)
FAST = Constraint("latency", Comparison.AT_MOST, 80.0)
RICH = Constraint("filters", Comparison.AT_LEAST, 10.0)


def spec_of(*objectives: Objective, constraints: tuple[Constraint, ...] = ()) -> SearchSpec:
    return SearchSpec(space=space_named("tiny"), objectives=objectives, constraints=constraints)


def trial(violation: float = 0.0, **metrics: float) -> Trial:
    return Trial(answers=(), logs=(), metrics=metrics, violation=violation, infeasible=violation > 0)


def rewards_of(spec: SearchSpec, trials: list[Trial], **settings: Any) -> list[float]:
    free = sum(goal.metric not in settings.get("targets", {}) for goal in spec.objectives)
    return Rewards(spec, ReinforceSettings(**settings), trials).under((1.0 / free,) * free)


class TestMnasNetsForm:
    """Rewards are logarithms of score * (value / bound) ** power."""

    @pytest.mark.parametrize(("limits", "within", "beyond"), [("hard", 0.0, -1.0), ("soft", -0.07, -0.07)])
    def test_limits_multiply_the_score(self, limits: str, within: float, beyond: float) -> None:
        trials = [trial(accuracy=0.5, latency=40.0), trial(0.5, accuracy=0.7, latency=120.0)]
        found = rewards_of(spec_of(ACCURACY, constraints=(FAST,)), trials, limits=limits)
        assert found[0] == pytest.approx(math.log(0.5 * 0.5**within))
        assert found[1] == pytest.approx(math.log(0.7 * 1.5**beyond))

    def test_a_limit_from_below_is_turned_around(self) -> None:
        trials = [trial(0.5, accuracy=0.5, filters=5.0), trial(accuracy=0.5, filters=20.0)]
        found = rewards_of(spec_of(ACCURACY, constraints=(RICH,)), trials, limits="hard")
        assert found == pytest.approx([math.log(0.5 / 2.0), math.log(0.5)])

    def test_a_target_is_soft_on_both_sides(self) -> None:
        trials = [trial(accuracy=0.5, latency=40.0), trial(accuracy=0.5, latency=160.0)]
        found = rewards_of(spec_of(ACCURACY, LATENCY), trials, targets={"latency": 80.0}, target_power=-0.1)
        assert found == pytest.approx([math.log(0.5 * 0.5**-0.1), math.log(0.5 * 2.0**-0.1)])

    def test_five_percent_more_accuracy_are_worth_twice_the_latency(self) -> None:
        trials = [trial(accuracy=0.7, latency=80.0), trial(accuracy=0.7 * 1.05, latency=160.0)]
        found = rewards_of(spec_of(ACCURACY, LATENCY), trials, targets={"latency": 80.0})
        assert found[0] == pytest.approx(found[1], abs=0.002)

    def test_scores_below_zero_are_taken_over_their_spread(self) -> None:
        trials = [trial(accuracy=-1.0, latency=40.0), trial(accuracy=3.0, latency=40.0)]
        found = rewards_of(spec_of(ACCURACY, constraints=(FAST,)), trials, limits="hard")
        assert found[1] - found[0] == pytest.approx(2.0)


class TestStrictLimits:
    SPEC = spec_of(ACCURACY, constraints=(FAST,))

    def test_what_breaks_one_is_below_all_else_and_the_lower_the_more(self) -> None:
        trials = [
            trial(accuracy=0.1, latency=79.0),
            trial(1.0, accuracy=0.9, latency=160.0),
            trial(0.1, accuracy=0.8, latency=88.0),
            trial(accuracy=0.3, latency=20.0),
        ]
        found = rewards_of(self.SPEC, trials)
        assert sorted(range(4), key=lambda place: found[place]) == [1, 2, 0, 3]

    def test_a_failure_is_below_those(self) -> None:
        failed = Trial(answers=(), logs=(), metrics={}, failed=True)
        found = rewards_of(self.SPEC, [failed, trial(5.0, accuracy=0.9, latency=480.0)])
        assert found[0] < found[1]

    def test_where_all_break_it_the_nearest_is_best(self) -> None:
        found = rewards_of(
            self.SPEC, [trial(2.0, accuracy=0.9, latency=240.0), trial(0.5, accuracy=0.1, latency=120.0)]
        )
        assert found[1] > found[0]

    @pytest.mark.parametrize("limits", ["strict", "hard", "soft"])
    def test_infeasible_for_no_reason_that_was_reported_is_never_better(self, limits: str) -> None:
        unexplained = Trial(answers=(), logs=(), metrics={"accuracy": 0.99}, infeasible=True)
        for spec in (self.SPEC, spec_of(ACCURACY)):
            found = rewards_of(spec, [unexplained, trial(accuracy=0.2, latency=10.0)], limits=limits)
            assert found[0] < found[1]


class TestSeveralObjectives:
    SPEC = spec_of(ACCURACY, LATENCY)
    TRIALS = (
        trial(accuracy=0.9, latency=100.0),
        trial(accuracy=0.5, latency=10.0),
        trial(accuracy=0.8, latency=30.0),
        trial(accuracy=0.5, latency=100.0),
    )

    def best(self, *preference: float) -> int:
        found = Rewards(self.SPEC, ReinforceSettings(), self.TRIALS).under(preference)
        return found.index(max(found))

    def test_each_part_of_the_front_is_best_under_some_preference(self) -> None:
        assert [self.best(1.0, 0.0), self.best(0.0, 1.0), self.best(0.5, 0.5)] == [0, 1, 2]

    def test_what_is_dominated_is_useful_under_none(self) -> None:
        preferences = [(share / 10, 1 - share / 10) for share in range(11)]
        useful = usefulness(self.SPEC, ReinforceSettings(), self.TRIALS, preferences)
        assert useful[3] == min(useful)
        assert useful[3] < min(useful[:3])

    def test_preferences_are_drawn_from_the_simplex_or_as_they_are_set(self) -> None:
        rng = Random(0)
        drawn = [drawn_preference(self.SPEC, ReinforceSettings(), rng) for _ in range(200)]
        assert all(math.isclose(math.fsum(each), 1.0) for each in drawn)
        assert {round(first * 4) for first, _ in drawn} == {0, 1, 2, 3, 4}
        settings = ReinforceSettings(weights={"accuracy": 3.0, "latency": 1.0})
        assert drawn_preference(self.SPEC, settings, rng) == (0.75, 0.25)


@pytest.mark.parametrize("objectives", [(ACCURACY,), (ACCURACY, LATENCY)])
def test_a_trial_without_its_metrics_is_worth_least(objectives: tuple[Objective, ...]) -> None:
    found = rewards_of(
        spec_of(*objectives), [trial(accuracy=0.1, latency=9.0), trial(latency=1.0), trial(accuracy=0.2)]
    )
    assert found[1] == -math.inf
    assert ranked(found)[1] < ranked(found)[0]


def test_equal_rewards_have_equal_ranks_that_are_centred() -> None:
    assert ranked([3.0, 1.0, 3.0, -math.inf]) == [0.5, -0.25, 0.5, -0.75]


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({"targets": {"speed": 1.0}}, "settings.targets.speed"),
        ({"targets": {"latency": -1.0}}, "settings.targets.latency"),
        ({"targets": {"latency": 1.0, "accuracy": 1.0}}, "settings.targets"),
        ({"weights": {"speed": 1.0}}, "settings.weights.speed"),
        ({"weights": {"latency": 1.0}, "targets": {"latency": 1.0}}, "settings.weights.latency"),
        ({"weights": {"latency": -1.0, "accuracy": 1.0}}, "settings.weights.latency"),
        ({"weights": {"latency": 0.0}}, "settings.weights"),
    ],
)
def test_settings_that_do_not_fit_the_objectives_are_refused(settings: dict[str, Any], field: str) -> None:
    found = Reinforce().check(spec_of(ACCURACY, LATENCY), ReinforceSettings(**settings))
    assert field in {violation.field for violation in found}
