from __future__ import annotations

import math

import numpy as np
from archloom_strategies.selection import crowding, dominates, fronts, layers, winner
from hypothesis import given
from hypothesis import strategies as st

numbers = st.floats(-100, 100).map(lambda number: round(number, 1))
contestants = st.integers(1, 3).flatmap(
    lambda size: st.lists(
        st.tuples(st.tuples(*[numbers] * size), st.sampled_from([0.0, 0.0, 0.5, 2.0])),
        min_size=1,
        max_size=12,
    )
)


@given(contestants)
def test_nobody_beats_the_winner(field: list[tuple[tuple[float, ...], float]]) -> None:
    scores, violations = zip(*field, strict=True)
    won = winner(scores, violations)
    assert violations[won] == min(violations)
    assert not any(dominates(other, scores[won]) for other, misses in field if misses == violations[won])


@given(contestants)
def test_one_objective_is_won_by_the_first_of_the_best(field: list[tuple[tuple[float, ...], float]]) -> None:
    scores = [each[:1] for each, _ in field]
    assert winner(scores, [0.0] * len(scores)) == scores.index(max(scores))


@given(contestants)
def test_each_of_a_front_is_dominated_by_one_of_the_front_before_alone(
    field: list[tuple[tuple[float, ...], float]],
) -> None:
    points = [scores for scores, _ in field]
    numbers = layers(np.array(points))
    for point, number in zip(points, numbers, strict=True):
        over = {
            theirs for other, theirs in zip(points, numbers.tolist(), strict=True) if dominates(other, point)
        }
        assert max(over, default=-1) == number - 1
    # Trials that break constraints come behind, by how far they do.
    found = fronts(points, [violation for _, violation in field])
    assert [each for each, (_, violation) in zip(found, field, strict=True) if violation == 0.0] == layers(
        np.array([scores for scores, violation in field if violation == 0.0]).reshape(-1, len(points[0]))
    ).tolist()


def test_no_points_are_in_no_front() -> None:
    assert layers(np.zeros((0, 2))).tolist() == []


def test_room_is_the_perimeter_to_the_neighbours() -> None:
    front = [(0.0, 10.0), (1.0, 9.0), (2.0, 8.0), (10.0, 0.0)]
    assert crowding(front) == [math.inf, 0.4, 1.8, math.inf]


def test_equal_points_have_no_room_between_them() -> None:
    assert crowding([(1.0, 1.0)] * 3) == [math.inf, 0.0, math.inf]
