"""Where constraints leave very few of a space: all are found and drawn equally often."""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import Any

import pytest
from archloom.space import Space, SpaceError

DIGITS = ("a", "b", "c", "d", "e")


def digits(*constraints: str, **fields: Any) -> Space:
    return Space.from_dict(
        {
            "let": {name: {"int": [0, 9]} for name in DIGITS},
            "input": {"x": {"kind": "vector", "shape": [2]}},
            "body": {"layer": "linear", "out": 2},
            "constraints": list(constraints),
            **fields,
        }
    )


@pytest.mark.parametrize(
    ("constraint", "members"),
    [
        ("a + b + c + d + e <= 3", 56),
        ("a + b + c + d + e == 0 or a + b + c + d + e == 45", 2),
        ("a * b * c * d * e == 9**5 or a + b + c + d + e == 1", 6),
    ],
)
def test_few_of_many_are_drawn_equally_often(constraint: str, members: int) -> None:
    space = digits(constraint)
    rng = Random(0)
    for uniform in ("decisions", "architectures"):
        counts = Counter(space.sample(rng, uniform) for _ in range(40 * members))
        assert len(counts) == members, uniform
        chi_square = sum((count - 40) ** 2 / 40 for count in counts.values())
        assert chi_square < members + 4 * (2 * members) ** 0.5
    found = space.estimate_size(rng)
    assert (found.size, found.low, found.high, found.exact) == (members, members, members, True)


def test_decisions_weigh_members_by_their_odds() -> None:
    body = {"repeat": {"count": {"choice": [0, 2]}, "body": {"layer": {"choice": ["relu", "tanh"]}}}}
    four = {name: {"int": [0, 9]} for name in DIGITS[:4]}
    space = digits("a + b + c + d == 0", let=four, body={"name": "r", **body})
    counts = Counter(space.sample(Random(seed))["r.count"] for seed in range(400))
    assert 160 < counts[0] < 240  # one member of half the odds, and the others together of as much


def test_nothing_left_is_told() -> None:
    with pytest.raises(SpaceError, match="nothing of what was drawn from does"):
        digits("a + b + c + d + e == 46").sample(Random(0))


def test_an_estimate_is_no_less_than_the_members_found() -> None:
    ten = {f"v{number}": {"int": [0, 9]} for number in range(10)}
    total = " + ".join(ten)
    space = digits(f"{total} == 0 or {total} == 1", let=ten)
    found = space.estimate_size(Random(0))
    assert 5 < found.low <= found.size <= found.high  # of 11; the share alone would make it none
