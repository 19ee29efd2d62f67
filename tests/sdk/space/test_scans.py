"""Recurrent cells as graphs: one node with the network of a step inside."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from archloom.space import Architecture, Graph, Space, SpaceError

Data = dict[str, Any]


def space(body: Data, state: Data, shape: tuple[int, int] = (3, 7), **fields: Any) -> Space:
    return Space.from_dict(
        {
            "input": {"x": {"kind": "seq", "shape": list(shape)}},
            "body": {"name": "rnn", "scan": {"state": state, "body": body}},
            **fields,
        }
    )


ELMAN: Data = {
    "sequence": [
        {"name": "joined", "from": ["x", "h"], "layer": "concat"},
        {"name": "new", "layer": "linear", "out": 5, "activation": {"choice": ["tanh", "relu"]}},
    ]
}


def test_a_simple_cell() -> None:
    simple = space(ELMAN, {"h": 5})
    assert [info.path for info in simple.decisions()] == ["rnn.new.activation"]
    graph = simple.graph(Architecture({"rnn.new.activation": "tanh"}))
    assert [node.op for node in graph.nodes] == ["input", "scan"]
    scan = graph.nodes[1]
    assert scan.shape.dims == (5, 7)
    assert graph.parameters == (3 + 5) * 5 + 5
    assert graph.flops == 7 * (3 + 5) * 5
    assert graph.causal
    assert graph.depth == 1
    step = scan.operation.body
    assert step is not None
    assert dict(step.inputs) == {"x": 0, "h": 1}
    assert dict(step.outputs) == {"y": 4, "h": 4}
    assert [node.path for node in step.nodes] == ["input.x", "input.h", "joined", "new", "new.activation"]


def test_a_searched_cell() -> None:
    """Two tensors to choose from at first, x joined with h, as in the recurrent cell of DARTS."""
    cell = {
        "name": "cell",
        "cell": {
            "nodes": 3,
            "edges": {"k": 1},
            "ops": {
                name: {"sequence": [{"layer": "linear", "out": 5}, {"layer": name}]}
                for name in ("tanh", "relu")
            },
            "output": "sum",
        },
    }
    searched = space({"sequence": [ELMAN["sequence"][0], cell]}, {"h": 5})
    assert searched.size() == (1 * 2) * (2 * 2) * (3 * 2)
    rng = Random(0)
    assert {searched.graph(searched.sample(rng)).nodes[1].shape.dims for _ in range(20)} == {(5, 7)}
    # Forests of three nodes of two colours: 4 without an edge, 8 with one, 8 chains, 6 with a fork.
    assert len({searched.graph(architecture).hash for architecture in searched.enumerate()}) == 4 + 8 + 8 + 6


def test_the_width_of_a_state_may_be_decided() -> None:
    body = {
        "sequence": [
            {"name": "joined", "from": ["x", "h"], "layer": "concat"},
            {"name": "new", "layer": "linear", "out": "=d"},
        ]
    }
    wide = space(body, {"h": "=d"}, let={"d": {"choice": [4, 6]}})
    assert [wide.graph(Architecture({"d": d})).parameters for d in (4, 6)] == [
        (3 + 4) * 4 + 4,
        (3 + 6) * 6 + 6,
    ]


def test_states_that_are_named_inside() -> None:
    body = {
        "sequence": [
            {"name": "mix", "from": ["x", "a"], "layer": "sum"},
            {"name": "slow", "layer": "linear", "out": 3, "as": "a"},
            {"name": "out", "from": ["x", "b"], "layer": "concat"},
            {"name": "fast", "layer": "linear", "out": 4, "as": "b"},
            {"name": "y", "from": ["a", "b"], "layer": "concat"},
        ]
    }
    graph = space(body, {"a": 3, "b": 4}).graph(Architecture({}))
    step = graph.nodes[1].operation.body
    assert step is not None
    assert {name: step[node].path for name, node in step.outputs.items()} == {
        "y": "y",
        "a": "slow",
        "b": "fast",
    }
    assert graph.nodes[1].shape.dims == (7, 7)
    # What is read after a state got its next value is that value.
    assert [step[source].path for source in step.nodes[-1].inputs] == ["slow", "fast"]


def test_a_state_that_never_reaches_the_output_is_left_away() -> None:
    body = {
        "sequence": [
            {"name": "idle", "from": "b", "layer": "linear", "out": 4, "as": "b"},
            {"name": "mix", "from": ["x", "a"], "layer": "sum"},
        ]
    }
    graph = space(body, {"a": 3, "b": 4}).graph(Architecture({}))
    step = graph.nodes[1].operation.body
    assert step is not None
    assert list(step.inputs) == ["x", "a"]
    assert graph.parameters == 0


def test_shapes_that_do_not_recur() -> None:
    with pytest.raises(SpaceError, match=r"state 'h' is vector\[6\], its next value is vector\[5\]"):
        space(ELMAN, {"h": 6})
    with pytest.raises(SpaceError, match="a scan runs over the time of a seq"):
        Space.from_dict(
            {
                "input": {"x": {"kind": "vector", "shape": [4]}},
                "body": {"scan": {"state": {"h": 4}, "body": {"layer": "relu"}}},
            }
        )
    undecided = space(ELMAN, {"h": {"choice": [4, 5]}})
    [violation] = undecided.check(Architecture({"rnn.h": 4, "rnn.new.activation": "tanh"}))
    assert violation.field == "rnn.h"
    assert "5 would" in violation.message


def test_equal_steps_have_equal_hashes_wherever_they_stand() -> None:
    def stacked(names: tuple[str, str], activations: tuple[str, str]) -> str:
        layers = []
        for name, activation in zip(names, activations, strict=True):
            new = {**ELMAN["sequence"][1], "activation": activation}
            layers.append(
                {"name": name, "scan": {"state": {"h": 5}, "body": {"sequence": [ELMAN["sequence"][0], new]}}}
            )
        data = {"input": {"x": {"kind": "seq", "shape": [5, 7]}}, "body": {"sequence": layers}}
        return Space.from_dict(data).graph(Architecture({})).hash

    assert stacked(("a", "b"), ("tanh", "relu")) == stacked(("c", "d"), ("tanh", "relu"))
    assert stacked(("a", "b"), ("tanh", "relu")) != stacked(("a", "b"), ("relu", "tanh"))


def test_scans_survive_the_wire() -> None:
    graph = space(ELMAN, {"h": 5}).graph(Architecture({"rnn.new.activation": "tanh"}))
    message = graph.to_proto()
    back = Graph.from_proto(message)
    assert back.hash == graph.hash
    assert back.parameters == graph.parameters
    assert back.nodes[1].operation.body is not None
    message.nodes[1].ClearField("body")
    with pytest.raises(SpaceError, match="needs a body"):
        Graph.from_proto(message)


def test_scans_in_a_repetition_with_shared_weights() -> None:
    body = {
        "scan": {
            "state": {"h": 5},
            "body": {"sequence": [ELMAN["sequence"][0], {"name": "new", "layer": "linear", "out": 5}]},
        }
    }
    data = {
        "input": {"x": {"kind": "seq", "shape": [5, 7]}},
        "body": {"name": "r", "repeat": {"count": 3, "body": body, "weights": "shared"}},
    }
    assert Space.from_dict(data).graph(Architecture({})).parameters == 10 * 5 + 5


def test_a_scan_shared_by_sequences_of_different_lengths() -> None:
    """Its weights do not depend on the time."""
    body = {"sequence": [ELMAN["sequence"][0], {"name": "new", "layer": "linear", "out": 5}]}
    halves = {"name": "half", "layer": "max_pool", "k": 2, "stride": 2, "as": "half"}
    node = {"over": ["x", "half"], "weights": "shared", "body": {"scan": {"state": {"h": 5}, "body": body}}}
    data = {
        "input": {"x": {"kind": "seq", "shape": [5, 8]}},
        "body": {"sequence": [halves, {"name": "m", "as": "y", "map": node}]},
        "output": ["y_x", "y_half"],
    }
    graph = Space.from_dict(data).graph(Architecture({}))
    assert [graph[node].shape.dims for node in graph.outputs.values()] == [(5, 8), (5, 4)]
    assert graph.parameters == 10 * 5 + 5
