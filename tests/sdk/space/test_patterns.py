"""What is remembered of earlier networks changes nothing in later ones."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from archloom.space import Architecture, Graph, Space, SpaceError, load_preset, preset_names
from archloom.space.building import Patterns, build_graph
from archloom.space.building.patterns import Key, Pattern, Place
from archloom.space.errors import BuildError
from hypothesis import given, settings
from hypothesis import strategies as st
from random_spaces import spaces


class Forgetful(Patterns):
    """Finds nothing, so that every node is walked."""

    def find(self, key: Key, place: Place | None) -> Pattern | None:
        return None


def walked(space: Space, architecture: Architecture) -> Graph:
    return build_graph(space.tree, architecture.decisions, patterns=Forgetful())


def listing(graph: Graph) -> list[tuple[Any, ...]]:
    nodes = [(node.operation.label, node.inputs, node.path, node.group) for node in graph.nodes]
    return [*nodes, *graph.inputs.items(), *graph.outputs.items()]


def assert_as_fresh(space: Space, seed: int, samples: int) -> None:
    """Of draws and their neighbours; what does not fit together does not either way."""
    rng = Random(seed)
    drawn: dict[str, Any] = {}
    for number in range(samples):
        given = drawn if number % 2 else {}
        movable = [path for path, domain in space.choices.reachable(given) if domain.movable] if given else []
        changed = rng.choice(movable) if movable else ""
        kept = {path: value for path, value in given.items() if path != changed}
        drawn = {}
        space.choices.complete(kept, rng, drawn)
        architecture = Architecture(drawn)
        try:
            fresh = walked(space, architecture)
        except BuildError:
            with pytest.raises(SpaceError):
                space.graph(architecture)
        else:
            assert listing(space.graph(architecture)) == listing(fresh)


@pytest.mark.parametrize("name", preset_names())
def test_presets(name: str) -> None:
    assert_as_fresh(load_preset(name), 0, 30)


@given(spaces(), st.integers(0, 2**32))
@settings(max_examples=40, deadline=None)
def test_random_spaces(space: Space, seed: int) -> None:
    assert_as_fresh(space, seed, 8)


def test_a_tensor_that_is_given_twice() -> None:
    """The first cell of a stage reads one tensor twice, the others two of the same shapes."""
    cell = {
        "cell": {
            "inputs": 2,
            "nodes": 1,
            "edges": "dense",
            "ops": {"a": {"layer": "relu"}, "b": {"layer": "tanh"}, "none": {"layer": "zero"}},
        }
    }
    body = {"name": "r", "repeat": {"count": 4, "body": cell}}
    space = Space.from_dict(
        {"input": {"x": {"kind": "vector", "shape": [4]}}, "body": {"carry": 2, "sequence": [body]}}
    )
    for architecture in [*space.enumerate(), *space.enumerate()]:
        assert listing(space.graph(architecture)) == listing(walked(space, architecture))


def test_zeroes_that_a_concatenation_needs() -> None:
    branch = {"choice": {"zero": {"layer": "zero"}, "conv": {"layer": "linear", "out": 4}}}
    merged = {"parallel": [{"name": "a", **branch}, {"name": "b", "layer": "tanh"}], "merge": "concat"}
    layers = [
        {"name": f"l{n}", "sequence": [{"name": "m", **merged}, {"layer": "linear", "out": 4}]}
        for n in range(3)
    ]
    space = Space.from_dict({"input": {"x": {"kind": "vector", "shape": [4]}}, "body": {"sequence": layers}})
    for architecture in [*space.enumerate(), *space.enumerate()]:
        assert listing(space.graph(architecture)) == listing(walked(space, architecture))


def test_another_thread_may_learn_what_a_node_reads_while_a_key_is_made() -> None:
    patterns, place = Patterns(), (1, "n")
    patterns.learn(place, ["a", "b"])

    class Interrupted(dict[str, object]):
        def get(self, path: str, default: object = None) -> object:
            patterns.learn(place, [f"{path} of another"])
            return super().get(path, default)

    assert patterns.decided(place, Interrupted(a=1, b=2)) == ("n", 1, 2)
    assert patterns.decided(place, {"a": 1, "b": 2}) == ("n", 1, 2, None, None)
