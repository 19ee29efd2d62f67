"""Fronts, reference directions and the guide, each by itself."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any

import numpy as np
import pytest
from archloom.space import load_preset
from archloom_strategies.evolution.credit import Credit, normal_scores, targets_of
from archloom_strategies.evolution.kinds import GATHERED, Elitist
from archloom_strategies.evolution.population import Herd, Member, Population
from archloom_strategies.evolution.references import directions, niches
from archloom_strategies.evolution.survival import Standing, crowded, cull, referenced
from archloom_strategies.selection import dominates, fronts
from hypothesis import given
from hypothesis import strategies as st

points = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=15)


def member(trial: int, *scores: float, violation: float = 0.0) -> Member:
    return Member(trial=trial, scores=scores, violation=violation, shape=0, values=())


@given(points)
def test_a_front_is_beaten_only_from_the_one_before(scores: list[tuple[Any, ...]]) -> None:
    numbers = fronts(scores, [0.0] * len(scores))
    for mine, number in zip(scores, numbers, strict=True):
        beaten_by = [its for other, its in zip(scores, numbers, strict=True) if dominates(other, mine)]
        assert number == max(beaten_by, default=-1) + 1


def test_what_breaks_a_limit_comes_last_the_nearest_first() -> None:
    assert fronts([(9.0,), (1.0,), (8.0,), (2.0,)], [2.0, 0.0, 0.5, 0.0]) == [3, 1, 2, 0]
    assert fronts([(9.0,), (8.0,)], [2.0, 0.5]) == [1, 0]
    assert fronts([], []) == []


@pytest.mark.parametrize(("objectives", "most", "points"), [(1, 9, 1), (2, 10, 10), (3, 30, 28), (5, 3, 5)])
def test_directions_are_the_finest_lattice(objectives: int, most: int, points: int) -> None:
    found = directions(objectives, most)
    assert found.shape == (points, objectives)
    assert np.allclose(found.sum(1), 1.0)
    assert len(np.unique(found, axis=0)) == points
    assert found.min() >= 0


def test_a_niche_is_the_nearest_direction_in_units_of_the_front() -> None:
    front = [(0.0, 1000.0), (1.0, 0.0)]
    nearest, off = niches([*front, (0.5, 500.0)], front, np.array([(1.0, 0.0), (0.5, 0.5), (0.0, 1.0)]))
    assert nearest.tolist() == [0, 2, 1]
    assert np.allclose(off, 0.0)


def test_nsga2_takes_out_the_most_crowded_of_the_last_front() -> None:
    members = [member(1, 0.0, 10.0), member(2, 1.0, 9.0), member(3, 1.5, 8.5), member(4, 10.0, 0.0)]
    assert [each.trial for each in cull(members, 3, crowded)] == [2]
    members.append(member(5, 0.5, 0.5))
    assert [each.trial for each in cull(members, 3, crowded)] == [5]


def test_nsga3_takes_out_of_the_fullest_niche_what_is_furthest_from_it() -> None:
    alone = [member(1, 10.0, 0.0, 10.0), member(2, 10.0, 10.0, 0.0)]
    together = [member(3, 0.0, 10.0, 10.0), member(4, 0.5, 9.8, 10.0), member(5, 1.0, 10.0, 8.9)]
    gone = cull([*alone, *together], 3, referenced(3))
    assert [each.trial for each in gone] == [5, 4]


def test_trials_that_are_told_by_the_hundred_are_compared_in_parts() -> None:
    """As where a search is taken over: standings cost the square of how many there are."""
    compared = []

    def standings(members: Sequence[Member]) -> list[Standing]:
        compared.append(len(members))
        return crowded(members)

    told: Any = None
    herd = Herd(Population(), 10, 8, 0)
    kind = Elitist(told, herd, standings)
    for number in range(1, 401):
        kind.join(member(number, float(number)), told)
    kind.settle()
    assert max(compared) <= 10 + GATHERED
    assert [each.trial for each in herd.members] == list(range(391, 401))


def test_normal_scores_are_ranks_that_know_ties() -> None:
    low, *tied, high = normal_scores([(-5.0,), (0.1,), (0.1,), (700.0,)])
    assert low == -high < 0
    assert tied == [0.0, 0.0]


def test_a_failure_is_worse_than_a_broken_limit_and_that_worse_than_none() -> None:
    failed = Member(trial=1, scores=(), violation=0.0, shape=0, values=())
    found = targets_of([failed, member(2, 0.9, violation=1.0), member(3, 0.1)], 1)
    assert found[0, 0] < found[1, 0] < found[2, 0]


@pytest.mark.parametrize("objectives", [1, 2])
def test_the_guide_finds_what_every_trial_says(objectives: int) -> None:
    """Worth: how many edges are 3x3 convolutions. The child that has most of them is first, whoever asks."""
    space = load_preset("nasbench201")
    drawn = [space.sample(Random(seed)) for seed in range(80)]

    def worth(place: int) -> int:
        return list(drawn[place].decisions.values()).count("nor_conv_3x3")

    trials = [member(place, *[float(worth(place))] * objectives) for place in range(60)]
    credit = Credit(space, drawn[:60], targets_of(trials, objectives))
    best = max(worth(place) for place in range(60, 80))
    firsts = [60 + credit.ordered(drawn[60:], Random(seed))[0] for seed in range(5)]
    assert [worth(place) for place in firsts] == [best] * 5
