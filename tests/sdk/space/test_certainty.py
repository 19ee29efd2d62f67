"""Where all architectures surely fit, none fails; and where one may fail, it is not sure."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from anew import faults_anew
from archloom.space import Space, load_preset, preset_names
from archloom.space.building import build_graph
from archloom.space.fitting.certainty import surely_fits
from hypothesis import given, settings
from random_spaces import spaces

IMAGE = {"x": {"kind": "image", "shape": [4, 8, 8]}}
VECTOR = {"x": {"kind": "vector", "shape": [6]}}


@given(spaces())
@settings(max_examples=80, deadline=None)
def test_what_is_sure_always_builds(space: Space) -> None:
    if not surely_fits(space.tree):
        return
    rng = Random(0)
    for _ in range(10):
        out: dict[str, Any] = {}
        space.choices.draw(rng, out)
        build_graph(space.tree, out)


@pytest.mark.parametrize("name", preset_names())
def test_a_preset_is_sure(name: str) -> None:
    assert surely_fits(load_preset(name).tree)


def conv(**parameters: Any) -> dict[str, Any]:
    return {"layer": "conv", "k": 3, **parameters}


SURE: dict[str, dict[str, Any]] = {
    "a width that all blocks share": {
        "let": {"w": {"choice": [4, 8]}},
        "input": IMAGE,
        "body": {
            "sequence": [conv(out="=w"), {"residual": {"sequence": [conv(out="=2*w"), conv(out="=w")]}}],
        },
    },
    "heads among the divisors of a width": {
        "let": {"d": {"choice": [6, 8]}},
        "input": {"x": {"kind": "tokens", "shape": [5]}},
        "body": {"sequence": [
            {"layer": "embedding", "vocabulary": 9, "out": "=d"},
            {"repeat": {"count": {"int": [0, 3]}, "body": {"residual": {
                "layer": "attention", "heads": {"divisors": "d", "among": [1, 2, 3, 4]}}}}},
        ]},
    },
    "named tensors of one shape": {
        "input": IMAGE,
        "body": {"sequence": [
            {"as": "a", **conv(k=1)},
            {"as": "b", **conv(out=4)},
            {"layer": {"choice": ["sum", "mul", "concat"]}, "from": ["a", "b"]},
            conv(out=2),
        ]},
    },
    "links between equal shapes": {
        "input": IMAGE,
        "body": {"repeat": {"count": {"int": [1, 4]}, "body": conv(), "links": {"most": 2}}},
    },
    "a recurrent cell": {
        "input": {"x": {"kind": "seq", "shape": [3, 5]}},
        "body": {"scan": {"state": {"h": 4}, "body": {"sequence": [
            {"layer": "concat", "from": ["x", "h"]},
            {"layer": "linear", "out": 4, "activation": {"choice": ["tanh", "relu"]}},
        ]}}},
    },
    "the same head over two levels": {
        "input": IMAGE,
        "body": {"sequence": [
            {"as": "p", **conv()},
            {"as": "q", **conv(stride=2)},
            {"as": "head", "map": {
                "over": ["p", "q"], "weights": "shared", "body": conv(k={"choice": [1, 3]})}},
        ]},
        "output": ["head_p", "head_q"],
    },
}  # fmt: skip


@pytest.mark.parametrize("what", SURE)
def test_it_is_sure_of(what: str) -> None:
    space = Space.from_dict(SURE[what])
    assert surely_fits(space.tree)
    rng = Random(0)
    for _ in range(20):
        assert faults_anew(space, space.sample(rng)) == []


MAY_FAIL: dict[str, dict[str, Any]] = {
    "widths of a residual": {"input": IMAGE, "body": {"residual": conv(out={"choice": [4, 8]})}},
    "groups": {"input": IMAGE, "body": conv(groups={"choice": [2, 3]})},
    "windows": {"input": IMAGE, "body": {"repeat": {
        "count": {"int": [1, 9]}, "body": conv(padding="valid")}}},
    "merges": {"input": VECTOR, "body": {"parallel": [
        {"layer": "linear", "out": {"choice": [2, 3]}}, {"layer": "linear", "out": 3}]}},
    "kinds": {"input": IMAGE, "body": {"layer": {"choice": ["flatten", "identity"]}}, "then": conv()},
    "states": {"input": {"x": {"kind": "seq", "shape": [3, 5]}}, "body": {"scan": {
        "state": {"h": {"choice": [3, 4]}}, "body": {"layer": "linear", "out": 4}}}},
    "sources of a cell": {"input": IMAGE, "body": {"cell": {
        "nodes": 2, "edges": {"k": 1}, "ops": {"conv": conv(out={"choice": [4, 8]})}}}},
    "divisors": {"input": VECTOR, "let": {"d": {"choice": [4, 5]}}, "body": {"sequence": [
        {"layer": "linear", "out": "=d"}, {"layer": "group_norm", "groups": {"choice": [2, 4]}}]}},
}  # fmt: skip


@pytest.mark.parametrize("what", MAY_FAIL)
def test_it_is_not_sure_of(what: str) -> None:
    data = dict(MAY_FAIL[what])
    if "then" in data:
        data["body"] = {"sequence": [data["body"], data.pop("then")]}
    assert not surely_fits(Space.from_dict(data).tree)


def test_too_much_to_follow_is_not_sure() -> None:
    wide = {f"w{number}": {"int": [1, 40]} for number in range(4)}
    layers = [{"layer": "linear", "out": f"={name}"} for name in wide]
    assert not surely_fits(Space.from_dict({"let": wide, "input": VECTOR, "body": {"sequence": layers}}).tree)


MANY: dict[str, Any] = {f"v{number}": {"int": [1, 10]} for number in range(14)}
PAIR: list[dict[str, Any]] = [conv(out=2), {"layer": {"choice": ["relu", "silu"]}}]


def test_variables_that_no_layer_reads_are_not_followed() -> None:
    recipe = {f"r{number}": f"=v{number}" for number in range(14)}
    whole = Space.from_dict({"let": MANY, "recipe": recipe, "input": IMAGE, "body": {"sequence": PAIR}})
    inner = Space.from_dict({"input": IMAGE, "body": {"let": MANY, "sequence": PAIR}})
    for space in (whole, inner):
        assert surely_fits(space.tree)
        assert len({space.sample(Random(seed)) for seed in range(20)}) == 20


@pytest.mark.parametrize("where", ["space", "node", "part"])
def test_many_variables_that_a_layer_reads_are_too_much(where: str) -> None:
    layers = [conv(out=f"=v{number}") for number in range(14)]
    data: dict[str, Any] = {"input": IMAGE, "body": {"sequence": layers}}
    if where == "space":
        data["let"] = MANY
    elif where == "node":
        data["body"]["let"] = MANY
    else:
        data["parts"], data["body"] = {"p": data["body"]}, {"use": {"part": "p", "with": MANY}}
    assert not surely_fits(Space.from_dict(data).tree)


def test_what_is_computed_may_fail_though_nothing_reads_it() -> None:
    let = {"a": {"int": [0, 3]}, "b": "=1 // a"}
    assert not surely_fits(Space.from_dict({"let": let, "input": IMAGE, "body": conv(out=2)}).tree)


def test_a_network_that_may_be_too_large_is_not_sure() -> None:
    deep = {
        "repeat": {"count": 300, "body": {"repeat": {"count": {"int": [1, 900]}, "body": {"layer": "relu"}}}}
    }
    assert not surely_fits(Space.from_dict({"input": VECTOR, "body": deep}).tree)
