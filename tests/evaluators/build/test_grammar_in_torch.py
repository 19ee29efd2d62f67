"""Scans, shared weights, several inputs and outputs: the torch network computes what the graph says."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
import torch
from archloom.space import Architecture, Graph, Space
from archloom_evaluators.build import build_module
from archloom_evaluators.build.network import Network
from torch import nn

torch.set_num_threads(1)
Data = dict[str, Any]


def network(data: Data, **decisions: Any) -> tuple[Graph, Network]:
    graph = Space.from_dict(data).graph(Architecture(decisions))
    torch.manual_seed(0)
    built = build_module(graph).eval()
    assert sum(parameter.numel() for parameter in built.parameters()) == graph.parameters
    return graph, built


# --------------------------------------------------------------------- scans


def gate(name: str, activation: str, width: int) -> list[Data]:
    return [
        {"name": f"{name}_x", "from": "x", "layer": "linear", "out": width, "as": f"{name}_x"},
        {"name": f"{name}_h", "from": "h", "layer": "linear", "out": width, "as": f"{name}_h"},
        {"name": f"{name}_sum", "from": [f"{name}_x", f"{name}_h"], "layer": "sum"},
        {"name": name, "layer": activation, "as": name},
    ]


def lstm_cell(width: int) -> Data:
    gates = [*gate("i", "sigmoid", width), *gate("f", "sigmoid", width), *gate("g", "tanh", width)]
    return {
        "sequence": [
            *gates,
            *gate("o", "sigmoid", width),
            {"name": "keep", "from": ["f", "c"], "layer": "mul", "as": "keep"},
            {"name": "write", "from": ["i", "g"], "layer": "mul", "as": "write"},
            {"name": "cell", "from": ["keep", "write"], "layer": "sum", "as": "c"},
            {"name": "squashed", "layer": "tanh", "as": "squashed"},
            {"name": "out", "from": ["o", "squashed"], "layer": "mul"},
        ]
    }


def test_an_lstm_written_in_the_language_is_torchs() -> None:
    width, channels, time = 6, 4, 9
    graph, written = network(
        {
            "input": {"x": {"kind": "seq", "shape": [channels, time]}},
            "body": {"name": "rnn", "scan": {"state": {"h": width, "c": width}, "body": lstm_cell(width)}},
        }
    )
    theirs = nn.LSTM(channels, width, batch_first=True)
    assert graph.parameters == sum(parameter.numel() for parameter in theirs.parameters())
    state = {}
    for number, name in enumerate("ifgo"):  # torch's order
        rows = slice(number * width, (number + 1) * width)
        for side, their_side in (("x", "ih"), ("h", "hh")):
            key = f"layers.rnn.step.layers.{name}_{side}"
            state[f"{key}.weight"] = getattr(theirs, f"weight_{their_side}_l0")[rows]
            state[f"{key}.bias"] = getattr(theirs, f"bias_{their_side}_l0")[rows]
    written.load_state_dict(state)
    x = torch.randn(3, channels, time)
    expected, _ = theirs(x.transpose(1, 2))
    torch.testing.assert_close(written(x), expected.transpose(1, 2))


SEARCHED = {
    "input": {"x": {"kind": "seq", "shape": [4, 6]}},
    "body": {
        "sequence": [
            {
                "name": "rnn",
                "scan": {
                    "state": {"h": "=d"},
                    "body": {
                        "sequence": [
                            {"name": "joined", "from": ["x", "h"], "layer": "concat"},
                            {"name": "start", "layer": "linear", "out": "=d"},
                            {
                                "name": "cell",
                                "cell": {
                                    "nodes": 3,
                                    "edges": {"k": 1},
                                    "ops": {
                                        name: {
                                            "sequence": [{"layer": "linear", "out": "=d"}, {"layer": name}]
                                        }
                                        for name in ("tanh", "sigmoid", "identity")
                                    },
                                    "output": "sum",
                                },
                            },
                        ]
                    },
                },
            },
            {"name": "next", "layer": "conv", "k": 1, "out": 3},
        ]
    },
    "let": {"d": {"choice": [3, 5]}},
}


@pytest.mark.parametrize("seed", range(5))
def test_a_searched_recurrent_cell_trains_and_is_causal(seed: int) -> None:
    space = Space.from_dict(SEARCHED)
    graph = space.graph(space.sample(Random(seed)))
    torch.manual_seed(seed)
    built = build_module(graph)
    x = torch.randn(2, 4, 6)
    before = built(x)
    assert before.shape == (2, 3, 6)
    before.sum().backward()
    assert all(parameter.grad is not None for parameter in built.parameters())
    assert graph.causal
    changed = x.clone()
    changed[:, :, 4] += 1.0
    after = built(changed)
    torch.testing.assert_close(after[:, :, :4], before[:, :, :4])
    assert not torch.allclose(after[:, :, 4:], before[:, :, 4:])


def test_a_scan_remembers() -> None:
    """The sum of all inputs so far."""
    data = {
        "input": {"x": {"kind": "seq", "shape": [2, 5]}},
        "body": {"scan": {"state": {"h": 2}, "body": {"name": "add", "from": ["x", "h"], "layer": "sum"}}},
    }
    _, built = network(data)
    x = torch.randn(3, 2, 5)
    torch.testing.assert_close(built(x), x.cumsum(-1))


def test_what_a_state_is_named_before_and_after_its_next_value() -> None:
    """Two states a step apart: y is the input two steps ago."""
    body = {
        "sequence": [
            {"name": "old", "from": "b", "layer": "identity", "as": "old"},
            {"name": "second", "from": "a", "layer": "identity", "as": "b"},
            {"name": "first", "from": "x", "layer": "identity", "as": "a"},
            {"name": "y", "from": "old", "layer": "identity"},
        ]
    }
    data = {
        "input": {"x": {"kind": "seq", "shape": [2, 5]}},
        "body": {"scan": {"state": {"a": 2, "b": 2}, "body": body}},
    }
    _, built = network(data)
    x = torch.randn(3, 2, 5)
    expected = torch.cat([torch.zeros(3, 2, 2), x[:, :, :-2]], -1)
    torch.testing.assert_close(built(x), expected)


# ------------------------------------------------------------ shared weights


def test_a_head_shared_by_three_sizes() -> None:
    levels = [
        {"name": name, "layer": "conv", "k": 3, "stride": 2, "out": 8, "as": name}
        for name in ("p3", "p4", "p5")
    ]
    head = {
        "sequence": [
            {"name": "a", "layer": "conv", "k": 3, "norm": "batch"},
            {"name": "b", "layer": "conv", "k": 1, "out": 4},
        ]
    }
    data = {
        "input": {"x": {"kind": "image", "shape": [3, 32, 32]}},
        "body": {
            "sequence": [
                *levels,
                {
                    "name": "head",
                    "as": "h",
                    "map": {"over": ["p3", "p4", "p5"], "body": head, "weights": "shared"},
                },
            ]
        },
        "output": ["h_p3", "h_p4", "h_p5"],
    }
    _, built = network(data)
    outputs = built(torch.randn(2, 3, 32, 32))
    assert {name: tuple(y.shape) for name, y in outputs.items()} == {
        "h_p3": (2, 4, 16, 16),
        "h_p4": (2, 4, 8, 8),
        "h_p5": (2, 4, 4, 4),
    }
    assert {key for key in built.layers if key.startswith("head")} == {"head/a", "head/a/norm", "head/b"}


def test_shared_uses_compute_the_same() -> None:
    part = {"sequence": [{"name": "a", "layer": "linear", "out": 4}, {"layer": "tanh"}]}
    uses = [{"name": f"u{n}", "use": {"part": "p", "weights": "shared"}} for n in range(3)]
    data = {
        "input": {"x": {"kind": "vector", "shape": [4]}},
        "parts": {"p": part},
        "body": {"sequence": uses},
    }
    _, built = network(data)
    [linear] = [layer for layer in built.layers.values() if isinstance(layer, nn.Linear)]
    x = torch.randn(5, 4)
    torch.testing.assert_close(built(x), torch.tanh(linear(torch.tanh(linear(torch.tanh(linear(x)))))))


def test_weights_shared_over_repetitions_of_shrinking_images() -> None:
    body = {"sequence": [{"name": "a", "layer": "conv", "k": 3, "stride": 2}, {"layer": "relu"}]}
    data = {
        "input": {"x": {"kind": "image", "shape": [4, 16, 16]}},
        "body": {"name": "r", "repeat": {"count": 3, "body": body, "weights": "shared"}},
    }
    graph, built = network(data)
    assert graph.parameters == 9 * 16 + 4
    assert built(torch.randn(2, 4, 16, 16)).shape == (2, 4, 2, 2)


# ------------------------------------------------- links, inputs and outputs


def test_links_join_what_was_chosen() -> None:
    data = {
        "input": {"x": {"kind": "vector", "shape": [3]}},
        "body": {
            "name": "r",
            "repeat": {
                "count": 3,
                "body": {"layer": "linear", "out": 3},
                "links": {"subset": "earlier", "merge": "concat"},
            },
        },
    }
    _, built = network(data, **{"r[1].links": (0,), "r[2].links": (0, 1)})
    layers = [built.layers[f"r[{i}]"] for i in range(3)]
    x = torch.randn(5, 3)
    first = layers[0](x)
    second = layers[1](torch.cat([x, first], 1))
    torch.testing.assert_close(built(x), layers[2](torch.cat([x, first, second], 1)))


def test_two_inputs_meet() -> None:
    """A small encoder-decoder: the target reads the whole source."""
    data = {
        "input": {"target": {"kind": "seq", "shape": [4, 5]}, "source": {"kind": "seq", "shape": [6, 7]}},
        "body": {
            "sequence": [
                {"name": "encode", "from": "source", "layer": "conv", "k": 3, "out": 8, "as": "memory"},
                {"name": "embed", "from": "target", "layer": "conv", "k": 1, "out": 8, "as": "query"},
                {"name": "cross", "from": ["query", "memory"], "layer": "cross_attention", "heads": 2},
            ]
        },
    }
    graph, built = network(data)
    assert list(graph.inputs) == ["target", "source"]
    target, source = torch.randn(2, 4, 5), torch.randn(2, 6, 7)
    before = built(target, source)
    assert before.shape == (2, 8, 5)
    assert graph.causal_in("target")
    assert not graph.causal_in("source")
    assert not graph.causal
    later = target.clone()
    later[:, :, 3] += 1.0
    torch.testing.assert_close(built(later, source)[:, :, :3], before[:, :, :3])
    other = source.clone()
    other[:, :, -1] += 1.0
    assert not torch.allclose(built(target, other)[:, :, 0], before[:, :, 0])
    with pytest.raises(TypeError, match="takes 2 inputs"):
        built(target)


def test_a_cell_of_two_inputs() -> None:
    cell = {
        "cell": {
            "inputs": 2,
            "nodes": 1,
            "edges": "dense",
            "ops": {"lin": {"layer": "linear", "out": 3}},
        }
    }
    data = {
        "input": {"x": {"kind": "vector", "shape": [3]}},
        "body": {
            "carry": 2,
            "sequence": [{"name": "stem", "layer": "linear", "out": 3}, {"name": "c", **cell}],
        },
    }
    _, built = network(data, **{"c.node[2].edge[0]": "lin", "c.node[2].edge[1]": "lin"})
    x = torch.randn(5, 3)
    stem = built.layers["stem"](x)
    edges = [built.layers[f"c/node[2]/edge[{e}]/lin"] for e in (0, 1)]
    torch.testing.assert_close(built(x), edges[0](x) + edges[1](stem))
