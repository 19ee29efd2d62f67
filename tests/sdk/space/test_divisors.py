"""Divisors: a domain that hangs on other decisions."""

from __future__ import annotations

from typing import Any

import pytest
from archloom.space import Architecture, Space, SpaceError

Data = dict[str, Any]
HEADS = {"divisors": "d", "among": [2, 3, 4, 5]}


def space(node: Data, **fields: Any) -> Space:
    return Space.from_dict({"input": {"x": {"kind": "vector", "shape": [8]}}, "body": node, **fields})


def test_of_a_constant() -> None:
    fixed = space({"name": "a", "layer": "linear", "out": HEADS}, let={"d": 12})
    assert [info.domain.at(n) for info in fixed.decisions() for n in range(3)] == [2, 3, 4]
    assert fixed.size() == 3


def test_of_a_decision() -> None:
    with pytest.raises(SpaceError, match="none of 2, 3, 4, 5 divides 7"):
        space({"name": "a", "layer": "linear", "out": HEADS}, let={"d": {"choice": [12, 10, 7, 60]}})
    decided = space({"name": "a", "layer": "linear", "out": HEADS}, let={"d": {"choice": [12, 10, 60]}})
    assert decided.size() == 3 + 2 + 4 == len(list(decided.enumerate()))
    [violation] = decided.check(Architecture({"d": 10, "a.out": 3}))
    assert violation.field == "a.out"
    assert not decided.check(Architecture({"d": 10, "a.out": 5}))


def test_of_what_is_computed_from_a_decision() -> None:
    outer = {
        "let": {"w": "=2*d"},
        "name": "a",
        "sequence": [{"name": "b", "layer": "linear", "out": {"divisors": "w+1", "among": [3, 5, 7]}}],
    }
    computed = space(outer, let={"d": {"choice": [1, 2, 7, 52]}})
    # 3, 5, 15 and 105 have 1, 1, 2 and 3 of these divisors
    assert computed.size() == 1 + 1 + 2 + 3


def test_as_a_count() -> None:
    counted = space(
        {
            "name": "r",
            "repeat": {
                "count": {"divisors": "d", "among": [1, 2, 3]},
                "decisions": "free",
                "body": {"layer": {"choice": ["relu", "tanh"]}},
            },
        },
        let={"d": {"choice": [2, 3]}},
    )
    assert counted.size() == (2 + 4) + (2 + 8) == len(list(counted.enumerate()))


def test_of_what_shapes_decide() -> None:
    with pytest.raises(SpaceError, match="cin"):
        space({"layer": "linear", "out": {"divisors": "cin", "among": [2]}})


def test_in_the_recipe() -> None:
    trained = space(
        {"layer": "relu"},
        let={"d": {"choice": [12, 10]}},
        recipe={"batch": {"divisors": "d", "among": [2, 5, 6]}},
    )
    assert trained.size() == 2 + 2
    assert trained.recipe(Architecture({"d": 10, "recipe.batch": 5})) == {"batch": 5}


def test_heads_that_divide_the_width() -> None:
    layers = [
        {"name": "embed", "layer": "linear", "out": "=d"},
        {
            "name": "blocks",
            "repeat": {
                "count": 2,
                "decisions": "free",
                "body": {"layer": "attention", "heads": {"divisors": "d", "among": [3, 4, 8]}},
            },
        },
    ]
    vit = Space.from_dict(
        {
            "input": {"x": {"kind": "seq", "shape": [8, 5]}},
            "let": {"d": {"choice": [24, 16, 9]}},
            "body": {"sequence": layers},
        }
    )
    assert vit.size() == 3**2 + 2**2 + 1
    assert len(list(vit.enumerate())) == vit.size()  # every one of them builds


def test_a_union_of_divisors_is_in_the_order_of_among() -> None:
    space = Space.from_yaml(
        "input: {x: {kind: vector, shape: [4]}}\nlet: {w: {choice: [8, 12, 20]}}\nbody: {layer: relu}\n"
        "recipe: {h: {divisors: w, among: [5, 3, 2]}}"
    )
    [found] = [info.domain for info in space.decisions() if info.path == "recipe.h"]
    assert [found.at(number) for number in range(found.count or 0)] == [5, 3, 2]
    assert space.size() == 1 + 2 + 2
