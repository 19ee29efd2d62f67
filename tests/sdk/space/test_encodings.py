"""Architectures as rows of numbers, one at a time and many at once."""

from __future__ import annotations

from random import Random
from typing import Any

import numpy
import pytest
from archloom.space import Space, SpaceError, load_preset
from archloom.space.decisions.describing import union
from archloom.space.language.domains import Choice
from hypothesis import given
from hypothesis import strategies as st
from random_spaces import examples, spaces


@given(spaces(), st.integers(0, 2**32), st.sampled_from(["vector", "path", "graph"]))
@examples(50)
def test_many_at_once_are_the_rows_one_by_one(space: Space, seed: int, kind: Any) -> None:
    rng = Random(seed)
    some = [space.sample(rng) for _ in range(4)]
    array = space.encode_many(some, kind)
    assert array.dtype == numpy.float64
    assert array.tolist() == [list(space.encode(each, kind)) for each in some]
    assert space.encode_many([], kind).shape == (0, array.shape[1])


def test_an_architecture_of_another_space_is_refused() -> None:
    architecture = load_preset("mlp").sample(Random(0))
    with pytest.raises(SpaceError, match="is no decision of this space"):
        load_preset("nasbench201").encode_many([architecture])


def test_the_values_of_one_path_in_several_branches_are_joined() -> None:
    assert union([Choice((1, 2, 4)), Choice((1, 2, 3, 6))]) == Choice((1, 2, 3, 4, 6))
    assert union([Choice((6, 3, 1)), Choice((8, 4, 1))]) == Choice((6, 3, 8, 4, 1))
    assert union([Choice(("a", "c")), Choice(("b", "c"))]) == Choice(("a", "b", "c"))
    space = Space.from_dict(
        {
            "input": {"x": {"kind": "seq", "shape": [2, 4]}},
            "let": {"d": {"choice": [4, 6]}},
            "body": {
                "sequence": [
                    {"layer": "linear", "out": "=d"},
                    {"name": "a", "layer": "attention", "heads": {"divisors": "d", "among": [1, 2, 3, 4]}},
                ]
            },
        }
    )
    info = {each.path: each for each in space.decisions()}["a.heads"]
    assert info.domain == Choice((1, 2, 3, 4))
    assert info.always
    assert space.vector_names == ("d", "a.heads")
    assert sorted({space.encode(each) for each in space.enumerate()}) == [
        (0.0, 0.0), (0.0, 1 / 3), (0.0, 1.0), (1.0, 0.0), (1.0, 1 / 3), (1.0, 2 / 3),
    ]  # fmt: skip


def two_inputs(second: str, output: list[str]) -> Space:
    return Space.from_dict(
        {
            "input": {name: {"kind": "vector", "shape": [4]} for name in ("x", "y")},
            "body": {
                "sequence": [
                    {"name": "a", "layer": "relu", "as": "first"},
                    {"name": "b", "layer": second, "from": "y", "as": "second"},
                    {"name": "c", "layer": "concat", "from": ["first", "second"]},
                ]
            },
            "output": output,
        }
    )


@pytest.mark.parametrize("kind", ["path", "graph"])
def test_several_inputs_and_outputs_are_seen(kind: Any) -> None:
    def row(space: Space) -> tuple[float, ...]:
        return space.encode(space.sample(Random(0)), kind)

    one = row(two_inputs("gelu", ["features"]))
    assert one != row(two_inputs("relu", ["features"]))
    both = row(two_inputs("gelu", ["features", "second"]))
    assert sum(one) >= 2
    assert sum(both) >= sum(one)


@pytest.mark.parametrize("kind", ["path", "graph"])
def test_the_body_of_a_scan_is_seen(kind: Any) -> None:
    def row(activation: str) -> tuple[float, ...]:
        inner = {"layer": "linear", "out": 3, "activation": activation}
        scan = {
            "scan": {
                "state": {"h": 3},
                "body": {"sequence": [{"layer": "concat", "from": ["x", "h"]}, inner]},
            }
        }
        space = Space.from_dict({"input": {"x": {"kind": "seq", "shape": [2, 4]}}, "body": scan})
        return space.encode(space.sample(Random(0)), kind)

    assert row("tanh") == row("tanh")
    assert row("tanh") != row("relu")


def test_equal_values_of_different_types_are_told_apart() -> None:
    space = Space.from_dict(
        {
            "let": {"n": {"choice": [1, True, 1.0, 2]}, "t": {"choice": [1, "1", "a"]}},
            "recipe": {"n": "=n", "t": "=t"},
            "input": {"x": {"kind": "vector", "shape": [2]}},
            "body": {"layer": "linear", "out": 2},
        }
    )
    assert space.vector_names == ("n", "t=1", "t='1'", "t='a'")
    assert len({space.encode(architecture) for architecture in space.enumerate()}) == space.size() == 12
