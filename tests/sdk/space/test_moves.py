"""What mutations and neighbours do with very large and very small domains."""

from __future__ import annotations

import math
from random import Random
from typing import Any

import pytest
from archloom.space import Architecture, Space, SpaceError
from archloom.space.language.domains import Integer, Log, Uniform


def variable(domain: dict[str, Any], *constraints: str) -> Space:
    """x, which only constraints and the recipe read."""
    return Space.from_dict(
        {
            "let": {"x": domain},
            "input": {"in": {"kind": "vector", "shape": [2]}},
            "recipe": {"x": "=x"},
            "body": {"layer": "linear", "out": 2},
            "constraints": list(constraints),
        }
    )


def test_a_mutation_that_nothing_allows_ends() -> None:
    space = variable({"int": [0, 10**15]}, "x == 5")
    only = Architecture({"x": 5})
    assert list(space.neighbors(only)) == []
    with pytest.raises(SpaceError, match="no mutation of 1,000 keeps"):
        space.mutate(only, Random(0))


def test_a_mutation_finds_what_is_near() -> None:
    space = variable({"int": [0, 10**15]}, "x == 10**14 or x == 10**14 + 7")
    assert space.mutate(Architecture({"x": 10**14}), Random(0)) == Architecture({"x": 10**14 + 7})


def test_the_nearest_values_come_first() -> None:
    assert list(Integer(0, 6).near(4)) == [3, 5, 2, 6, 1, 0]
    near = [found["x"] for found in variable({"int": [0, 10**15]}).neighbors(Architecture({"x": 10**9}))]
    assert sorted(near) == [10**9 + step for step in range(-500, 501) if step]


def test_a_range_of_two_floats_can_be_redrawn() -> None:
    low, high = 1.0, math.nextafter(1.0, 2.0)
    for domain in (Uniform(low, high), Log(low, high)):
        assert {domain.redraw(low, Random(0)), domain.redraw(high, Random(0))} == {low, high}


def test_a_range_over_all_magnitudes() -> None:
    domain = Log(1e-320, 1.0)
    drawn = [domain.draw(Random(seed)) for seed in range(50)]
    assert len(set(drawn)) == 50
    for value in drawn:
        assert domain.low <= value <= domain.high
        assert domain.value(domain.unit(value)) == pytest.approx(value, rel=1e-6, abs=1e-322)
    assert [domain.unit(domain.low), domain.unit(domain.high)] == [0, 1]
    space = variable({"log": [1e-320, 1.0]})
    first = space.sample(Random(0))
    assert space.mutate(first, Random(1)) != first
    assert all(math.isfinite(number) for number in space.encode(first))


def test_what_one_space_knows_another_looks_at() -> None:
    narrow, wide = variable({"int": [0, 3]}), variable({"int": [0, 9]})
    nine = next(found for found in wide.enumerate() if found["x"] == 9)
    assert not wide.check(nine)
    assert narrow.check(nine)
    with pytest.raises(SpaceError):
        narrow.mutate(nine, Random(0))
    assert not wide.check(nine)
