"""Networks built in torch are the graphs they were built from."""

from __future__ import annotations

from random import Random
from typing import Any

import networkx
import pytest
import torch
from archloom.space import (
    Graph,
    OpSpec,
    Parameter,
    Space,
    SpaceError,
    load_preset,
    nasbench201,
    register_spec,
)
from archloom_evaluators.build import BuildFailed, build_module, register_operation
from hypothesis import given, reject, settings
from hypothesis import strategies as st
from random_spaces import spaces
from torch import nn

torch.set_num_threads(1)


def batch(graph: Graph, size: int = 2) -> list[torch.Tensor]:
    """Random inputs; tokens are such as every embedding knows."""
    words = min((int(node.params["vocabulary"]) for node in graph.nodes if node.op == "embedding"), default=2)
    shapes = [graph[node].shape for node in graph.inputs.values()]
    return [
        torch.randint(words, (size, *shape.dims))
        if shape.kind == "tokens"
        else torch.randn(size, *shape.dims)
        for shape in shapes
    ]


def weights(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@given(spaces(), st.integers(0, 2**32))
@settings(max_examples=60, deadline=None)
def test_every_sample_builds_and_trains_with_the_weights_that_were_counted(space: Space, seed: int) -> None:
    torch.manual_seed(0)
    single = len(space.tree.outputs) < 2
    try:
        architecture = space.sample(Random(seed))
    except SpaceError:  # its constraints leave nothing
        reject()
    graph = space.graph(architecture, classes=3 if single else None)
    network = build_module(graph)
    found = network(*batch(graph))
    outputs = found if isinstance(found, dict) else {"logits": found}
    assert {name: tuple(output.shape[1:]) for name, output in outputs.items()} == {
        name: graph[node].shape.dims for name, node in graph.outputs.items()
    }
    assert not single or outputs["logits"].shape == (2, 3)
    if graph.parameters:
        torch.stack([output.sum() for output in outputs.values()]).sum().backward()
    assert weights(network) == graph.parameters
    assert all(parameter.grad is not None for parameter in network.parameters())


@given(spaces(), st.integers(0, 2**32))
@settings(max_examples=40, deadline=None)
def test_every_layer_yields_the_shape_that_was_worked_out(space: Space, seed: int) -> None:
    graph = space.graph(space.sample(Random(seed)))
    network = build_module(graph).eval()
    seen: dict[str, torch.Size] = {}
    for key, layer in network.layers.items():
        layer.register_forward_hook(
            lambda module, given, output, key=key: seen.update({key: output.shape[1:]})
        )
    network(*batch(graph))
    for node in graph.nodes:
        if node.op != "input" and not node.group:
            assert tuple(seen[node.path.replace(".", "/")]) == node.shape.dims, node


@pytest.mark.parametrize(("name", "classes"), [("nasbench201", 10), ("mlp", 4), ("resnet", 10)])
def test_presets_build_and_train(name: str, classes: int) -> None:
    space = load_preset(name)
    rng = Random(1)
    for _ in range(2):
        graph = space.graph(space.sample(rng), classes)
        network = build_module(graph)
        network(*batch(graph)).sum().backward()
        assert weights(network) == graph.parameters


def test_mobile_builds_at_its_own_resolution() -> None:
    graph = load_preset("mobile").graph(load_preset("mobile").sample(Random(0)), 1000)
    network = build_module(graph).eval()
    with torch.no_grad():
        assert network(*batch(graph, 1)).shape == (1, 1000)
    assert weights(network) == graph.parameters


@pytest.mark.parametrize("name", ["type", "keys", "pop", "training", "forward", "_modules"])
def test_a_layer_may_be_called_as_something_of_torch(name: str) -> None:
    torch.manual_seed(0)
    inner = {"name": name, "sequence": [{"name": name, "layer": "linear", "out": 3}]}
    space = Space.from_dict(
        {
            "input": {"x": {"kind": "vector", "shape": [2]}},
            "body": {"sequence": [{"name": name, "layer": "linear", "out": 4}, {"sequence": [inner]}]},
        }
    )
    graph = space.graph(space.sample(Random(0)))
    network = build_module(graph)
    assert network(*batch(graph)).shape == (2, 3)
    assert weights(network) == graph.parameters
    assert f"layers./{name}.weight" in network.state_dict()


def alignment(one: Graph, other: Graph) -> dict[int, int]:
    """Nodes of one that play the part of nodes of the other, by an isomorphism that networkx finds."""

    def drawn(graph: Graph) -> Any:
        result = networkx.MultiDiGraph()
        for node in graph.nodes:
            result.add_node(node.id, kind=(node.op, node.operation.parameters, node.shape))
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
    return dict(matcher.mapping)


def assert_same_function(one: Graph, other: Graph) -> None:
    assert one.parameters == other.parameters
    first, second = build_module(one).eval(), build_module(other).eval()
    for node, twin in alignment(one, other).items():
        if one[node].op != "input":
            source = first.layers[one[node].weights_key.replace(".", "/")]
            second.layers[other[twin].weights_key.replace(".", "/")].load_state_dict(source.state_dict())
    inputs = batch(one)
    with torch.no_grad():
        assert torch.allclose(first(*inputs), second(*inputs), rtol=1e-4, atol=1e-4)


def test_equal_hashes_mean_equal_weights_and_outputs() -> None:
    torch.manual_seed(0)
    data = load_preset("nasbench201").to_dict()
    data["body"]["sequence"][1]["repeat"]["body"]["sequence"][1]["repeat"]["count"] = 1
    data["input"]["x"]["shape"] = [3, 8, 8]
    space = Space.from_dict(data)  # one cell a stage is enough
    classes: dict[str, list[Graph]] = {}
    rng = Random(0)
    for _ in range(1_500):
        graph = space.graph(space.sample(rng))
        found = classes.setdefault(graph.hash, [])
        if all([n.inputs for n in graph.nodes] != [n.inputs for n in other.nodes] for other in found):
            found.append(graph)
    pairs = [found[:2] for found in classes.values() if len(found) > 1]
    assert len(pairs) > 20
    for one, other in pairs[:20]:
        assert_same_function(one, other)


@pytest.mark.parametrize(("inner", "outer", "kernels"), [
    ("separate", "separate", 6),
    ("shared", "separate", 2),
    ("separate", "shared", 3),
    ("shared", "shared", 1),
])  # fmt: skip
def test_shared_weights_exist_once(inner: str, outer: str, kernels: int) -> None:
    loop = {"name": "inner", "repeat": {"count": 3, "weights": inner, "body": {"layer": "conv", "k": 3}}}
    data: dict[str, Any] = {
        "input": {"x": {"kind": "image", "shape": [4, 8, 8]}},
        "body": {"name": "outer", "repeat": {"count": 2, "weights": outer, "body": loop}},
    }
    space = Space.from_dict(data)
    graph = space.graph(space.sample(Random(0)))
    network = build_module(graph)
    assert graph.parameters == weights(network) == kernels * (4 * 4 * 9 + 4)
    assert graph.flops == 6 * 4 * 4 * 9 * 64
    network(*batch(graph)).sum().backward()


def test_sharing_is_part_of_the_hash() -> None:
    def network(weights: str) -> Graph:
        loop = {"name": "r", "repeat": {"count": 2, "weights": weights, "body": {"layer": "conv", "k": 3}}}
        data = {"input": {"x": {"kind": "image", "shape": [4, 8, 8]}}, "body": loop}
        return Space.from_dict(data).graph(next(Space.from_dict(data).enumerate()))

    assert network("shared").hash != network("separate").hash


def test_a_layer_keeps_its_name_across_architectures() -> None:
    space = load_preset("mlp")
    one = space.sample(Random(3))
    other = space.mutate(one, Random(4))
    names = [set(build_module(space.graph(a, 3)).state_dict()) for a in (one, other)]
    assert "layers.hidden[0]/dense.weight" in names[0] & names[1]
    assert "layers.task/linear.weight" in names[0] & names[1]


def test_an_operation_of_ones_own() -> None:
    register_spec(
        OpSpec(
            "scale_by",
            1,
            {"vector": ("vector", ("c",))},
            (Parameter("start", "float", 1.0),),
            weights="c",
            summary="A factor for each channel.",
        )
    )

    class Scale(nn.Module):
        def __init__(self, channels: int, start: float) -> None:
            super().__init__()
            self.factors = nn.Parameter(torch.full((channels,), start))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x * self.factors

    data = {"input": {"x": {"kind": "vector", "shape": [4]}}, "body": {"layer": "scale_by", "start": 2.0}}
    space = Space.from_dict(data)
    graph = space.graph(space.sample(Random(0)))
    with pytest.raises(BuildFailed, match="no torch builder"):
        build_module(graph)
    register_operation(
        "scale_by", lambda given, inputs, output: Scale(output.channels, float(given["start"]))
    )
    x = torch.randn(2, 4)
    assert torch.equal(build_module(graph)(x), 2 * x)
    assert graph.parameters == 4


def test_nasbench201_is_the_published_network() -> None:
    arch = "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_1x1~1|+|nor_conv_1x1~0|nor_conv_3x3~1|skip_connect~2|"
    graph = load_preset("nasbench201").graph(nasbench201.from_arch_string(arch), 10)
    assert weights(build_module(graph)) == 858_426
