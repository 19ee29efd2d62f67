"""Constraints: what they miss by, how they are sampled where they leave little, and how much that is."""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import Any

import pytest
from anew import faults_anew
from archloom.space import Architecture, Space, SpaceError
from archloom.space.language.expressions import ExpressionError, parse


def mlp(constraints: list[str], layers: int = 4) -> Space:
    """4**layers * 2 networks; a share of what follows w's value."""
    body: list[dict[str, Any]] = [
        {"name": f"l{n}", "layer": "linear", "out": {"choice": [1, 2, 3, 4]}, "bias": False}
        for n in range(layers)
    ]
    return Space.from_dict(
        {
            "let": {"w": {"choice": [1, 2]}},
            "input": {"x": {"kind": "vector", "shape": [2]}},
            "body": {"sequence": [*body, {"layer": "linear", "out": "=w"}]},
            "constraints": constraints,
        }
    )


@pytest.mark.parametrize(
    ("text", "nearer", "farther"),
    [
        ("a <= 10", {"a": 11}, {"a": 20}),
        ("a <= 10", {"a": 10}, {"a": 10.5}),
        ("not a > 10", {"a": 11}, {"a": 20}),
        ("a >= 10 and b >= 10", {"a": 9, "b": 10}, {"a": 9, "b": 9}),
        ("a >= 10 or b >= 10", {"a": 9, "b": 1}, {"a": 8, "b": 1}),
        ("not (a < 10 or b < 10)", {"a": 9, "b": 10}, {"a": 9, "b": 9}),
        ("not (a < 10 and b < 10)", {"a": 9, "b": 1}, {"a": 8, "b": 1}),
        ("b == 'x' and a <= 10", {"a": 11, "b": "x"}, {"a": 11, "b": "y"}),
        ("a <= 10 if b == 1 else a <= 100", {"a": 101, "b": 2}, {"a": 101, "b": 1}),
        ("a > 0 and 10 / a > 2", {"a": 6}, {"a": 0}),
        ("2 * (a + 1) < 10", {"a": 4}, {"a": 40}),
    ],
)
def test_a_constraint_that_is_missed_by_more_is_further_off(
    text: str, nearer: dict[str, Any], farther: dict[str, Any]
) -> None:
    constraint = parse(text)
    assert 0 <= constraint.miss(nearer) < constraint.miss(farther)
    for environment in (nearer, farther):
        assert (constraint.miss(environment) == 0) == bool(constraint.evaluate(environment))


def test_what_cannot_be_computed_is_an_error() -> None:
    with pytest.raises(ExpressionError, match="no variable 'b'"):
        parse("a < 1 if b else a < 2").miss({"a": 1})


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("'a' < x", "expected a number, found 'a'"),
        ("true > 0", "expected a number, found True"),
        ("2**53 + 1 > x", "larger than 2**53"),
        ("x == 1 // 0", "division by zero"),
        ("x > \u0663", "is no part of an expression"),  # a digit of another script
        ("\u0445 > 3", "is no part of an expression"),
    ],
)
def test_what_never_has_a_value_is_told_at_once(text: str, told: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        parse(text)
    assert told in str(caught.value)


def test_true_is_not_one() -> None:
    assert [bool(parse("x == true").evaluate({"x": x})) for x in (True, 1, 1.0, False)] == [True] + [
        False
    ] * 3
    assert [bool(parse("x != 1").evaluate({"x": x})) for x in (True, 1, 1.0, 2)] == [True, False, False, True]
    assert parse("x == true").miss({"x": 1}) > 0


def test_constraints_read_variables_and_measures_in_any_combination() -> None:
    space = mlp(["(w == 2 and params <= 12) or not (flops > 9 or depth < 5)"])
    every = mlp([])
    for architecture in every.enumerate():
        graph = every.graph(architecture)
        w = architecture["w"]
        kept = (w == 2 and graph.parameters <= 12) or not (graph.flops > 9 or graph.depth < 5)
        assert (space.check(architecture) == []) == kept
    found = next(a for a in every.enumerate() if space.check(a))
    (violation,) = space.check(found)
    assert violation.field == "constraints[0]"
    assert "does not hold: depth = 5, flops = " in violation.message
    assert f"w = {found['w']}" in violation.message


def test_another_thread_may_forget_what_was_just_measured() -> None:
    class Forgotten(dict[bytes, Any]):
        def __setitem__(self, key: bytes, value: Any) -> None:
            pass

    space = Space.from_yaml(
        "input: {x: {kind: image, shape: [3, 8, 8]}}\n"
        "body: {layer: conv, k: {choice: [1, 3]}, out: 4}\n"
        "constraints: [params < 100]\n"
    )
    space._fitting._measures = Forgotten()
    assert [each["conv.k"] for each in space.enumerate()] == [1]


def test_a_constraint_over_variables_alone_needs_no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    space = mlp(["w == 1"])
    good = space.sample(Random(0))
    bad = Architecture({**good.decisions, "w": 2})

    def refuse(*_: object) -> None:
        raise AssertionError("a network was built")

    monkeypatch.setattr(space._fitting, "build", refuse)
    assert space._fitting.holds(bad.decisions) is False
    monkeypatch.undo()
    assert space.check(bad)[0].message == "'w == 1' does not hold: w = 2"


RARE = ["params <= 11", "w == 1"]  # 6 of 2,048


@pytest.mark.parametrize("uniform", ["decisions", "architectures"])
def test_what_is_rare_is_found_and_nearly_uniform(uniform: Any) -> None:
    space = mlp(RARE, layers=5)
    members = list(space.enumerate())
    assert len(members) == 6
    counts = Counter(space.sample(Random(seed), uniform) for seed in range(400))
    assert set(counts) == set(members)
    expected = 400 / len(members)
    chi_square = sum((count - expected) ** 2 / expected for count in counts.values())
    assert chi_square < 20.5  # p = 0.001 with 5 degrees of freedom
    assert space.sample(Random(3), uniform) == mlp(RARE, layers=5).sample(Random(3), uniform)


@pytest.mark.parametrize("constraints", [["params <= 30"], RARE])
def test_the_share_of_what_is_left_is_estimated_with_an_interval(constraints: list[str]) -> None:
    space = mlp(constraints, layers=5)
    members = sum(1 for _ in space.enumerate())
    estimates = [space.estimate_size(Random(seed), draws=200) for seed in range(20)]
    assert not any(estimate.exact for estimate in estimates)
    covered = sum(estimate.low <= members <= estimate.high for estimate in estimates)
    assert covered >= 17  # of 20, at 95%: fewer are covered one time in 400
    assert 0.7 * members < sum(estimate.size for estimate in estimates) / 20 < 1.4 * members
    assert estimates[3] == mlp(constraints, layers=5).estimate_size(Random(3), draws=200)


def test_a_small_space_is_counted() -> None:
    space = mlp(["params <= 20"])
    counted = space.estimate_size(Random(0))
    assert counted.exact
    assert counted.low == counted.size == counted.high == len(list(space.enumerate()))


def test_a_space_without_decisions_that_breaks_its_constraint_is_told() -> None:
    data = {
        "input": {"x": {"kind": "vector", "shape": [4]}},
        "body": {"layer": "linear", "out": 30},
        "constraints": ["params <= 100"],
    }
    with pytest.raises(SpaceError, match="keeps 'params <= 100'"):
        Space.from_dict(data).sample(Random(0))


def test_a_space_beyond_floats_has_a_size_too() -> None:
    space = mlp(["w == 1"], layers=600)
    estimate = space.estimate_size(Random(0), draws=20)
    assert 0 < estimate.low < estimate.size < estimate.high < space.size()


def test_mutations_and_children_keep_what_is_rare() -> None:
    space = mlp(RARE, layers=5)
    rng = Random(0)
    parent, other = space.sample(rng), space.sample(rng)
    for rate in (None, 0.5):
        child = space.mutate(parent, rng, rate)
        assert child != parent
        assert faults_anew(space, child) == []
    assert faults_anew(space, space.cross(parent, other, rng)) == []


def test_an_impossible_constraint_is_refused_with_the_share_that_may_be_left() -> None:
    space = mlp(["params <= 100", "params > 10000"])
    with pytest.raises(
        SpaceError, match=r"no sample of 1,000 keeps 'params <= 100' and 'params > 10000': at most"
    ):
        space.sample(Random(0))
    assert space.estimate_size(Random(0), draws=100).low == 0
