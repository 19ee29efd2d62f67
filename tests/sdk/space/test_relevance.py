"""Decisions that are taken to change no shape change none, and do not decide whether shapes fit."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from archloom.space import Architecture, Space, SpaceError, load_preset, preset_names
from archloom.space.decisions.compiling import compile_space
from archloom.space.fitting.largest import largest, surely_small
from archloom.space.fitting.relevance import shape_relevant
from archloom.space.language.structure import root_path
from hypothesis import given, settings
from hypothesis import strategies as st
from random_spaces import spaces

Data = dict[str, Any]


def relevant(space: Space) -> frozenset[str]:
    return shape_relevant(space.tree, compile_space(space.tree), root_path(space.tree.body))


def outcome(space: Space, architecture: Architecture) -> object:
    """The outputs' shapes, or that it does not fit."""
    try:
        graph = space.graph(architecture)
    except SpaceError:
        return None
    return {name: graph[node].shape for name, node in graph.outputs.items()}


def assert_others_change_nothing(space: Space, seed: int, samples: int) -> None:
    rng = Random(seed)
    matters = relevant(space)
    for _ in range(samples):
        drawn: dict[str, Any] = {}
        space.choices.draw(rng, drawn)
        before = outcome(space, Architecture(drawn))
        for path, domain in list(space.choices.reachable(drawn)):
            if path not in matters and domain.movable:
                changed: dict[str, Any] = {}
                space.choices.complete({**drawn, path: domain.redraw(drawn[path], rng)}, rng, changed)
                kept = {**changed, **{p: v for p, v in drawn.items() if p in matters and p in changed}}
                assert outcome(space, Architecture(kept)) == before, path


@pytest.mark.parametrize("name", preset_names())
def test_presets(name: str) -> None:
    assert_others_change_nothing(load_preset(name), 0, 2)


@given(spaces(), st.integers(0, 2**32))
@settings(max_examples=40, deadline=None)
def test_random_spaces(space: Space, seed: int) -> None:
    assert_others_change_nothing(space, seed, 3)


def test_what_decides_on_a_node_is_not_spared_with_what_stands_in_it() -> None:
    """The body of a residual has its path, and so has what decides whether there is a residual at all."""
    residual = {
        "residual": {"layer": "relu"},
        "name": "b",
        "let": {"v": {"choice": [0, 1]}},
        "when": "v == 1",
    }
    space = Space.from_dict(
        {
            "input": {"x": {"kind": "vector", "shape": [4]}},
            "body": {"sequence": [{"parallel": [residual], "name": "a", "merge": "sum"}]},
        }
    )
    assert [path for path in space.choices.paths if path.endswith(".v")]
    assert {path for path in space.choices.paths if path.endswith(".v")} <= relevant(space)


def test_what_is_spared_in_parts_maps_scans_and_cells() -> None:
    activation = {"choice": ["relu", "tanh"]}
    parts = {"p": {"sequence": [{"name": "a", "layer": "linear", "out": 4, "activation": activation}]}}
    cell = {
        "nodes": 2,
        "edges": "dense",
        "ops": {"a": {"layer": "linear", "out": 4, "activation": activation}, "b": {"layer": "relu"}},
    }
    scan = {
        "state": {"h": 4},
        "body": {"name": "s", "layer": "linear", "out": {"choice": [4, 5]}, "activation": activation},
    }
    vector = Space.from_dict(
        {
            "input": {"x": {"kind": "vector", "shape": [4]}},
            "parts": parts,
            "body": {
                "sequence": [
                    {"use": "p"},
                    {"name": "u", "use": {"part": "p", "decisions": "free"}},
                    {"name": "c", "cell": cell},
                ]
            },
        }
    )
    assert set(relevant(vector)) == {f"c.node[{n}].edge[{e}]" for n in (1, 2) for e in range(n)}
    seq = Space.from_dict(
        {"input": {"x": {"kind": "seq", "shape": [4, 6]}}, "body": {"name": "r", "scan": scan}}
    )
    assert relevant(seq) == {"r.s.out"}


def test_what_makes_a_network_too_large_is_found_whatever_was_looked_at_before() -> None:
    """No decision changes a shape here; each changes how many layers there are."""
    long = {"repeat": {"count": 1000, "body": {"layer": "relu"}}}
    choice = {"name": "c", "choice": {"a": {"layer": "relu"}, "b": long}}
    space = Space.from_dict(
        {
            "input": {"x": {"kind": "vector", "shape": [4]}},
            "body": {"name": "r", "repeat": {"count": 60, "decisions": "free", "body": choice}},
        }
    )
    small, large = (Architecture({f"r[{number}].c": each for number in range(60)}) for each in "ab")
    for _ in range(10):
        assert space.check(small) == []
    (fault,) = space.check(large)
    assert "has more than 50000 layers" in fault.message
    assert not space.holds(large)


@given(spaces(), st.integers(0, 2**32))
@settings(max_examples=60, deadline=None)
def test_no_network_is_larger_than_the_bound(space: Space, seed: int) -> None:
    rng = Random(seed)
    assert max(space.graph(space.sample(rng)).layers for _ in range(5)) <= largest(space.tree)


@pytest.mark.parametrize("name", ["nasbench201", "resnet", "text_encoder", "speech", "detector"])
def test_the_bound_is_far_from_the_limit(name: str) -> None:
    """Else nothing would be spared."""
    assert surely_small(load_preset(name).tree)
