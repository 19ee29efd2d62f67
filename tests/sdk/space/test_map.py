"""The same body over several named tensors, as a detector's heads over the levels of a pyramid."""

from __future__ import annotations

from typing import Any

import pytest
from archloom.space import Architecture, Space, SpaceError

Data = dict[str, Any]
IMAGE = {"x": {"kind": "image", "shape": [3, 32, 32]}}


def level(name: str, out: int = 8) -> Data:
    return {"name": name, "layer": "conv", "k": 3, "stride": 2, "out": out, "as": name}


HEAD = {
    "sequence": [
        {"name": "tower", "layer": "conv", "k": {"choice": [1, 3]}, "norm": "batch", "activation": "relu"},
        {"name": "boxes", "layer": "conv", "k": 1, "out": 4},
    ]
}


def space(weights: str, levels: list[Data] | None = None, **fields: Any) -> Space:
    over = levels or [level("p3"), level("p4"), level("p5")]
    names = [node["name"] for node in over]
    node = {"name": "head", "map": {"over": names, "body": HEAD, "weights": weights}, "as": "box"}
    return Space.from_dict(
        {
            "input": IMAGE,
            "body": {"sequence": [*over, node]},
            "output": [f"box_{name}" for name in names],
            **fields,
        }
    )


def test_decisions_are_tied_and_results_are_named() -> None:
    found = space("separate")
    assert [info.path for info in found.decisions()] == ["head.tower.k"]
    graph = found.graph(Architecture({"head.tower.k": 3}))
    assert {name: graph[node].shape.dims for name, node in graph.outputs.items()} == {
        "box_p3": (4, 16, 16),
        "box_p4": (4, 8, 8),
        "box_p5": (4, 4, 4),
    }
    assert [node.path for node in graph.nodes if node.op == "batch_norm"] == [
        f"head.{name}.tower.norm" for name in ("p3", "p4", "p5")
    ]


def test_shared_weights_are_the_same_at_every_size() -> None:
    head = (9 * 8 * 8 + 16) + (8 * 4 + 4)
    stem = (9 * 3 * 8 + 8) + 2 * (9 * 8 * 8 + 8)
    decisions = Architecture({"head.tower.k": 3})
    shared = space("shared").graph(decisions)
    assert shared.parameters == stem + head
    separate = space("separate").graph(decisions)
    assert separate.parameters == stem + 3 * head
    assert shared.hash != separate.hash
    assert shared.flops == separate.flops


def test_shared_weights_need_equal_channels() -> None:
    with pytest.raises(SpaceError, match="p4 is image\\[16,8,8\\]"):
        space("shared", [level("p3"), level("p4", 16)])
    assert space("separate", [level("p3"), level("p4", 16)]).size() == 2


def test_without_a_name_the_results_take_the_names_over() -> None:
    node = {"map": {"over": ["p3", "p4"], "body": {"layer": "conv", "k": 1, "out": 5}}}
    last = {"name": "last", "from": "p3", "layer": "relu"}
    graph = Space.from_dict(
        {"input": IMAGE, "body": {"sequence": [level("p3"), level("p4"), node, last]}}
    ).graph(Architecture({}))
    assert [node.path for node in graph.nodes] == ["input.x", "p3", "map.p3", "last"]


def test_a_feature_pyramid() -> None:
    """Top-down sums over levels of different sizes, and one shared head (Lin et al. 2017)."""
    lateral = [
        {"name": f"l{n}", "from": f"c{n}", "layer": "conv", "k": 1, "out": 6, "as": f"m{n}"}
        for n in (3, 4, 5)
    ]
    down = [
        {"name": "up4", "from": "m5", "layer": "upsample", "factor": 2, "as": "u4"},
        {"name": "sum4", "from": ["m4", "u4"], "layer": "sum", "as": "f4"},
        {"name": "up3", "layer": "upsample", "factor": 2, "as": "u3"},
        {"name": "sum3", "from": ["m3", "u3"], "layer": "sum", "as": "f3"},
    ]
    head = {"name": "head", "as": "h", "map": {"over": ["f3", "f4", "m5"], "body": HEAD, "weights": "shared"}}
    pyramid = Space.from_dict(
        {
            "input": IMAGE,
            "body": {"sequence": [level("c3", 8), level("c4", 16), level("c5", 32), *lateral, *down, head]},
            "output": ["h_f3", "h_f4", "h_m5"],
        }
    )
    graph = pyramid.graph(Architecture({"head.tower.k": 1}))
    assert [graph[node].shape.dims for node in graph.outputs.values()] == [(4, 16, 16), (4, 8, 8), (4, 4, 4)]
    backbone = (27 * 8 + 8) + (9 * 8 * 16 + 16) + (9 * 16 * 32 + 32)
    laterals = (8 * 6 + 6) + (16 * 6 + 6) + (32 * 6 + 6)
    assert graph.parameters == backbone + laterals + (6 * 6 + 12) + (6 * 4 + 4)
