"""Operations without rules: a space takes them, a worker tries them."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
import torch
from archloom.space import Graph, OpSpec, Parameter, Shape, Space, SpaceError, register_spec
from archloom.space.operations import opaque
from archloom_evaluators.build import BuildFailed, build_module

for _name in ("halve", "double", "broken", "pair"):
    register_spec(opaque(f"opaque_{_name}", builder=f"opaque_layers:{_name}"))
register_spec(
    OpSpec(
        "opaque_declared",
        1,
        {},
        (Parameter("scale", "float", 1.0, 0.0, 10.0),),
        opaque=True,
        builder="opaque_layers:halve",
    )
)
register_spec(
    OpSpec(
        "opaque_with_a_shape",
        1,
        {"image": ("image", ("c // 2", "h", "w"))},
        (Parameter("scale", "float", 1.0, 0.0, 10.0),),
        opaque=True,
        builder="opaque_layers:halve",
    )
)


def network(*layers: dict[str, Any]) -> Graph:
    space = Space.from_dict(
        {"input": {"x": {"kind": "image", "shape": [6, 5, 4]}}, "body": {"sequence": list(layers)}}
    )
    return space.graph(space.sample(Random(0)))


def test_an_opaque_layer_yields_its_inputs_shape_and_counts_nothing() -> None:
    graph = network({"layer": "conv", "k": 3, "out": 8}, {"layer": "opaque_double", "name": "twice"})
    assert graph.nodes[-1].shape == Shape("image", (8, 5, 4))
    assert graph.parameters == 6 * 8 * 9 + 8
    assert graph.flops == 6 * 8 * 9 * 20
    assert [node.path for node in graph.opaque] == ["twice"]
    assert [node.opaque for node in graph.to_proto().nodes] == [False, False, True]
    assert Graph.from_proto(graph.to_proto()).hash == graph.hash
    x = torch.randn(2, 6, 5, 4)
    module = build_module(graph)
    assert torch.equal(module(x), 2 * module.layers["conv"](x))


@pytest.mark.parametrize("name", ["opaque_halve", "opaque_declared"])
def test_a_layer_declares_what_it_yields(name: str) -> None:
    graph = network({"layer": name, "out_channels": 3, "scale": 3.0}, {"layer": "conv", "k": 1})
    assert graph.nodes[1].shape == Shape("image", (3, 5, 4))
    module: Any = build_module(graph)
    assert module.training
    half = next(iter(module.layers.values()))
    assert half.scale == 3.0
    assert half.norm.num_batches_tracked == 0  # the trial left no trace
    assert module(torch.randn(2, 6, 5, 4)).shape == (2, 3, 5, 4)


def test_a_spec_may_have_a_shape_and_be_opaque_otherwise() -> None:
    graph = network({"layer": "opaque_with_a_shape"})
    assert graph.nodes[-1].shape == Shape("image", (3, 5, 4))
    assert build_module(graph)(torch.randn(2, 6, 5, 4)).shape == (2, 3, 5, 4)
    with pytest.raises(SpaceError, match="out_channels"):
        network({"layer": "opaque_with_a_shape", "out_channels": 3})


def test_a_shape_that_is_not_as_declared_fails_in_the_build() -> None:
    message = r"yields \[2, 3, 5, 4\] for a batch of 2; the space expects \[2, 6, 5, 4\].*out_channels"
    with pytest.raises(BuildFailed, match=message):
        build_module(network({"layer": "opaque_halve"}))
    with pytest.raises(BuildFailed, match="fails on zeroes of image"):
        build_module(network({"layer": "opaque_broken"}))
    with pytest.raises(BuildFailed, match="yields tuple"):
        build_module(network({"layer": "opaque_pair"}))


def test_another_kind_needs_all_its_dimensions() -> None:
    found = network({"layer": "opaque_double", "out_kind": "vector", "out_channels": 9}).nodes[-1].shape
    assert found == Shape("vector", (9,))
    with pytest.raises(SpaceError, match="needs 'out_time': it yields another kind"):
        network({"layer": "opaque_double", "out_kind": "seq", "out_channels": 9})
    with pytest.raises(SpaceError, match="'sequence' is none of image, seq, tokens, vector"):
        network({"layer": "opaque_double", "out_kind": "sequence"})


def test_declared_parameters_are_checked_where_there_are_any() -> None:
    with pytest.raises(SpaceError, match=r"11\.0 is more than 10\.0"):
        network({"layer": "opaque_declared", "scale": 11.0})
    with pytest.raises(SpaceError, match=r"'scales' is no parameter .*did you mean 'scale'"):
        network({"layer": "opaque_declared", "scales": 1.0})


def test_a_builder_that_is_not_installed_fails_in_the_build() -> None:
    register_spec(opaque("opaque_nowhere", builder="no_such_package:build"))
    with pytest.raises(BuildFailed, match=r"'no_such_package:build'.*cannot be imported"):
        build_module(network({"layer": "opaque_nowhere"}))


def test_nothing_is_said_of_an_opaque_operations_causality() -> None:
    data = {"input": {"x": {"kind": "seq", "shape": [6, 5]}}, "body": {"layer": "opaque_double"}}
    space = Space.from_dict(data)
    assert not space.graph(space.sample(Random(0))).causal


def test_an_opaque_operation_may_be_a_choice() -> None:
    space = Space.from_dict(
        {
            "input": {"x": {"kind": "image", "shape": [6, 5, 4]}},
            "body": {"name": "maybe", "layer": {"choice": ["opaque_double", "relu"]}},
        }
    )
    graphs = [space.graph(architecture) for architecture in space.enumerate()]
    assert sorted(len(graph.opaque) for graph in graphs) == [0, 1]
    assert graphs[0].hash != graphs[1].hash


def test_beside_another_operation_each_takes_its_own_parameters() -> None:
    space = Space.from_dict(
        {
            "input": {"x": {"kind": "image", "shape": [6, 5, 4]}},
            "body": {
                "name": "maybe",
                "layer": {"choice": ["opaque_declared", "conv"]},
                "scale": 2.0,
                "out_channels": 3,
                "k": 3,
                "out": 3,
            },
        }
    )
    own, conv = (space.graph(architecture).nodes[-1] for architecture in space.enumerate())
    assert own.params == {"scale": 2.0, "out_channels": 3}
    assert own.shape == conv.shape == Shape("image", (3, 5, 4))
    assert "scale" not in conv.params
