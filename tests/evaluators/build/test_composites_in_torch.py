"""Composite layers over drawn parameters: what the graph counts is what torch has."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
import torch
from archloom.space import Graph, Space, SpaceError
from archloom.space.operations import COMPOSITES, Composite
from archloom_evaluators.build import build_module
from drawn_operations import draw_value
from torch.utils.flop_counter import FlopCounterMode

torch.set_num_threads(1)

CASES = [(name, kind) for name, composite in COMPOSITES.items() for kind in composite.kinds]
SHAPES = {"image": [8, 12, 9], "seq": [8, 12], "vector": [8]}


def network(kind: str, /, **layer: Any) -> Graph:
    space = Space.from_dict({"input": {"x": {"kind": kind, "shape": SHAPES[kind]}}, "body": layer})
    return space.graph(space.sample(Random(0)))


def drawn(composite: Composite, kind: str, count: int) -> list[Graph]:
    torch.manual_seed(0)
    rng = Random(f"{composite.name} {kind}")
    found: list[Graph] = []
    for _ in range(1_000):
        given = {
            each.name: draw_value(each, rng)
            for each in composite.parameters
            if each.default is None or rng.random() < 0.5
        }
        try:
            found.append(network(kind, layer=composite.name, **given))
        except SpaceError:
            continue
        if len(found) == count:
            return found
    raise AssertionError(f"no parameters were found with which {composite.name} takes a {kind}")


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_shapes_weights_and_multiply_adds(name: str, kind: str) -> None:
    for graph in drawn(COMPOSITES[name], kind, 12):
        module = build_module(graph).eval()
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            output = module(torch.randn(2, *SHAPES[kind]))
        (last,) = graph.outputs.values()
        assert output.shape == (2, *graph[last].shape.dims)
        assert sum(each.numel() for each in module.parameters()) == graph.parameters
        assert counter.get_total_flops() == 2 * 2 * graph.flops


def test_kinds_that_a_composite_does_not_name_are_refused() -> None:
    for name, composite in COMPOSITES.items():
        given = {"out": 16} if "out" in composite.by_name else {}
        for kind in sorted(SHAPES.keys() - set(composite.kinds)):
            with pytest.raises(SpaceError, match="takes"):
                network(kind, layer=name, **given)


@pytest.mark.parametrize("kernel", [3, 5])
def test_the_weights_of_darts_separable_convolutions(kernel: int) -> None:
    once = kernel * kernel * 8 + 8 * 8 + 2 * 8
    assert network("image", layer="sep_conv", k=kernel).parameters == 2 * once
    assert network("image", layer="dil_conv", k=kernel).parameters == once


def test_factorized_reduction_sees_odd_positions_too() -> None:
    graph = network("image", layer="factorized_reduce")
    assert graph.parameters == 8 * 8 + 2 * 8
    module = build_module(graph).eval()
    images = torch.rand(1, 8, 12, 9)
    before = module(images)
    assert before.shape == (1, 8, 6, 5)
    images[:, :, 3, 5] += 1
    changed = (module(images) != before).nonzero()
    assert set(map(tuple, changed[:, 2:].tolist())) == {(1, 2)}
    assert changed[:, 1].min() >= 4  # the second half of the channels


def test_a_skip_is_nothing_where_nothing_changes() -> None:
    assert len(network("image", layer="skip_connect").nodes) == 1
    assert network("image", layer="skip_connect", stride=2).hash == (
        network("image", layer="factorized_reduce").hash
    )


def test_a_gated_feed_forward_is_the_formula() -> None:
    module: Any = build_module(network("seq", layer="feed_forward", ratio=2, activation="silu", gated=True))
    x = torch.randn(3, 8, 12)
    up, down = module.layers["feed_forward/up"], module.layers["feed_forward/down"]
    value, gate = up(x).chunk(2, 1)
    assert torch.allclose(module(x), down(value * torch.nn.functional.silu(gate)))


def test_an_inner_width_may_be_decided() -> None:
    space = Space.from_dict(
        {
            "input": {"x": {"kind": "image", "shape": [8, 9, 9]}},
            "body": {"layer": "inverted_bottleneck", "name": "block", "expand": {"choice": [1, 2.5, 6]}},
        }
    )
    widths = {
        architecture["block.expand"]: build_module(space.graph(architecture)).layers
        for architecture in space.enumerate()
    }
    assert "block/expand" not in widths[1]
    assert widths[2.5]["block/depthwise"].out_channels == 20
    assert widths[6]["block/depthwise"].out_channels == 48
