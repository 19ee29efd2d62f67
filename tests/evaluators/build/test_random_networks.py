"""Networks of random spaces in torch: multiply-adds as torch counts them; equal hashes, equal outputs."""

from __future__ import annotations

from random import Random
from typing import Any

import networkx
import pytest
import torch
from archloom.space import Graph, Space
from archloom_evaluators.build import build_module
from hypothesis import given
from hypothesis import strategies as st
from random_spaces import examples, spaces
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

torch.set_num_threads(1)


def batch(graph: Graph) -> list[torch.Tensor]:
    """Two examples for each input."""
    shapes = [graph[node].shape for node in graph.inputs.values()]
    return [
        torch.randint(0, 7, (2, *shape.dims)) if shape.kind == "tokens" else torch.randn(2, *shape.dims)
        for shape in shapes
    ]


def counted_flops(module: nn.Module, inputs: list[torch.Tensor]) -> float:
    """Multiply-adds for one example."""
    with (
        torch.no_grad(),
        sdpa_kernel(SDPBackend.MATH),
        torch.backends.mkldnn.flags(enabled=False),
        FlopCounterMode(display=False) as counter,
    ):
        module(*inputs)
    return counter.get_total_flops() / 4


@given(spaces(), st.integers(0, 2**32))
@examples(40)
def test_multiply_adds_and_weights_are_those_that_torch_counts(space: Space, seed: int) -> None:
    graph = space.graph(space.sample(Random(seed)))
    network = build_module(graph).eval()
    assert sum(each.numel() for each in network.parameters()) == graph.parameters
    assert counted_flops(network, batch(graph)) == graph.flops


def twins(one: Graph, other: Graph) -> dict[int, int]:
    """Which node of one plays the part of which node of the other."""

    def drawn(graph: Graph) -> Any:
        result = networkx.MultiDiGraph()
        ports = {node: name for name, node in graph.inputs.items()}
        ends: dict[int, list[str]] = {}
        for name, number in graph.outputs.items():
            ends.setdefault(number, []).append(name)
        for node in graph.nodes:
            result.add_node(node.id, kind=(node.operation.label, ports.get(node.id), ends.get(node.id)))
            if node.group in graph.shared:
                result.add_node(node.group, kind="group")
                result.add_edge(node.id, node.group, place=-1)
            for place, source in enumerate(node.inputs):
                result.add_edge(source, node.id, place=place if node.operation.ordered else -1)
        return result

    matcher = networkx.algorithms.isomorphism.MultiDiGraphMatcher(
        drawn(one),
        drawn(other),
        node_match=lambda a, b: a["kind"] == b["kind"],
        edge_match=lambda a, b: (
            sorted(e["place"] for e in a.values()) == sorted(e["place"] for e in b.values())
        ),
    )
    assert matcher.is_isomorphic()
    return {node: twin for node, twin in matcher.mapping.items() if isinstance(node, int)}


def cell_space(kind: str, edges: Any, output: str, weights: str) -> Space:
    """Two cells in a row, each of which reads the two tensors before it."""
    dense = {"layer": "linear", "out": "=cin"} if kind == "vector" else {"layer": "conv", "k": 1}
    ops = {
        "none": {"layer": "zero"},
        "skip": {"layer": "identity"},
        "dense": dense,
        "relu": {"layer": "relu"},
    }
    cell = {"inputs": 2, "nodes": 3, "edges": edges, "ops": ops, "output": output}
    repeat = {"count": 2, "body": {"name": "cell", "cell": cell, "adapt": "project"}, "weights": weights}
    body = {"carry": 2, "sequence": [{"layer": "tanh"}, {"name": "cells", "repeat": repeat}]}
    shape = {"image": [2, 3, 3], "seq": [2, 4], "vector": [3]}[kind]
    return Space.from_dict({"input": {"x": {"kind": kind, "shape": shape}}, "body": body})


@pytest.mark.parametrize("kind", ["image", "seq", "vector"])
@pytest.mark.parametrize("weights", ["separate", "shared"])
@pytest.mark.parametrize("edges", ["dense", {"k": 2}])
def test_equal_hashes_mean_equal_outputs_under_copied_weights(kind: str, weights: str, edges: Any) -> None:
    torch.manual_seed(0)
    rng = Random(0)
    compared = 0
    for output in ("last", "sum", "concat"):
        space = cell_space(kind, edges, output, weights)
        kept: dict[str, Graph] = {}
        for _ in range(400):
            graph = space.graph(space.sample(rng))
            other = kept.setdefault(graph.hash, graph)
            if [node.path for node in other.nodes] != [node.path for node in graph.nodes] and compared < 12:
                assert_same_function(other, graph)
                compared += 1
    assert compared >= 3


def assert_same_function(one: Graph, other: Graph) -> None:
    first, second = build_module(one).eval(), build_module(other).eval()
    for node, twin in twins(one, other).items():
        if one[node].op != "input":
            source = first.layers[one[node].weights_key.replace(".", "/")]
            second.layers[other[twin].weights_key.replace(".", "/")].load_state_dict(source.state_dict())
    inputs = batch(one)
    order = [list(one.inputs).index(name) for name in other.inputs]
    with torch.no_grad():
        expected, found = first.outputs(*inputs), second.outputs(*[inputs[place] for place in order])
    for name, tensor in expected.items():
        assert torch.allclose(tensor, found[name], rtol=1e-4, atol=1e-4)
