"""Cells: several inputs, strides of their edges, what is done to the inputs first; and DARTS' numbers."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from archloom.space import Architecture, Space, SpaceError, load_preset

Data = dict[str, Any]
IMAGE = {"x": {"kind": "image", "shape": [3, 16, 16]}}


def darts_cell(operations: int, nodes: int = 4) -> Data:
    kernels = {f"op{n}": {"layer": "depthwise", "k": 2 * n + 1} for n in range(operations)}
    return {"cell": {"inputs": 2, "nodes": nodes, "edges": {"k": 2, "distinct": True}, "ops": kernels}}


def space(body: object, **fields: Any) -> Space:
    return Space.from_dict({"input": IMAGE, "body": body, **fields})


def test_members_of_a_darts_cell() -> None:
    cell = space({"name": "cell", **darts_cell(7)})
    assert cell.size() == 1_037_664_180  # Liu, Simonyan and Yang 2019, appendix
    # Each of four nodes takes two of 2, 3, 4 and 5 tensors, and one of 7 operations for each.
    assert cell.size() == (1 * 3 * 6 * 10) * 7**8
    assert {info.path for info in cell.decisions()} == {
        f"cell.node[{node}].{what}" for node in range(2, 6) for what in ("inputs", "edge[0]", "edge[1]")
    }


def test_small_cells_are_counted_by_enumeration() -> None:
    for inputs, size in ((1, (1 * 2**1) * (1 * 2**2)), (2, (1 * 2**2) * (3 * 2**2)), (3, (3 * 4) * (6 * 4))):
        cell = darts_cell(2, nodes=2)
        cell["cell"]["inputs"] = inputs
        found = space(cell)
        assert found.size() == size == len(list(found.enumerate()))


def test_the_darts_preset_is_the_papers_space_and_network() -> None:
    darts = load_preset("darts")
    assert darts.size() == 1_037_664_180**2
    normal = [(0, "sep_conv_3x3", 1, "sep_conv_3x3"), (0, "sep_conv_3x3", 1, "sep_conv_3x3"),
              (0, "skip_connect", 1, "sep_conv_3x3"), (0, "skip_connect", 2, "dil_conv_3x3")]  # fmt: skip
    reduction = [(0, "max_pool_3x3", 1, "max_pool_3x3"), (1, "max_pool_3x3", 2, "skip_connect"),
                 (0, "max_pool_3x3", 2, "skip_connect"), (1, "max_pool_3x3", 2, "skip_connect")]  # fmt: skip
    decisions: dict[str, Any] = {}
    for part, nodes in (("normal", normal), ("reduction", reduction)):
        for number, (first, one, second, other) in enumerate(nodes, 2):
            decisions[f"{part}.node[{number}].inputs"] = (first, second)
            decisions[f"{part}.node[{number}].edge[0]"] = one
            decisions[f"{part}.node[{number}].edge[1]"] = other
    graph = darts.graph(Architecture(decisions), classes=10)
    assert 3.2e6 < graph.parameters < 3.4e6  # 3.3 M in the paper
    assert 500e6 < graph.flops < 550e6


STRIDED = {
    "cell": {
        "inputs": 2,
        "pre": {"layer": "conv", "k": 1, "out": 8, "stride": "=shrink"},
        "nodes": 2,
        "edges": "dense",
        "ops": {"conv": {"layer": "conv", "k": 3, "stride": "=stride"}},
        "input_stride": 2,
        "output": "concat",
    }
}


def test_edges_that_leave_an_input_have_its_stride() -> None:
    body = {
        "carry": 2,
        "sequence": [
            {"name": "stem", "layer": "conv", "k": 3, "out": 8, "stride": 2},
            {"name": "cell", **STRIDED},
        ],
    }
    graph = space(body).graph(
        Architecture({f"cell.node[{n}].edge[{e}]": "conv" for n in (2, 3) for e in range(n)})
    )
    strides = {node.path: node.params["stride"] for node in graph.nodes if node.op == "conv"}
    assert strides == {
        "stem": 2,
        "cell.pre[0]": 2,  # the image is twice as large as the stem's output
        "cell.pre[1]": 1,
        "cell.node[2].edge[0].conv": 2,
        "cell.node[2].edge[1].conv": 2,
        "cell.node[3].edge[0].conv": 2,
        "cell.node[3].edge[1].conv": 2,
        "cell.node[3].edge[2].conv": 1,
    }
    assert graph.nodes[-1].shape.dims == (16, 4, 4)


def test_the_stride_may_be_decided() -> None:
    cell = {"cell": {**STRIDED["cell"], "input_stride": {"choice": [1, 2, 4]}}}
    strided = space({"name": "cell", **cell})
    assert strided.size() == 3
    sizes = {strided.graph(a).nodes[-1].shape.dims[1] for a in strided.enumerate()}
    assert sizes == {16, 8, 4}


def test_pre_is_decided_once_for_all_inputs() -> None:
    cell = {
        "inputs": 2,
        "pre": {"layer": "conv", "k": {"choice": [1, 3]}, "out": 4},
        "nodes": 1,
        "edges": "dense",
        "ops": {"id": {"layer": "identity"}},
    }
    tied = space({"name": "cell", "cell": cell})
    assert next(info.path for info in tied.decisions()) == "cell.pre.k"
    graph = tied.graph(next(tied.enumerate()))
    assert [node.path for node in graph.nodes if node.op == "conv"] == ["cell.pre[0]", "cell.pre[1]"]
    alone = space({"name": "cell", "cell": {**cell, "inputs": 1}})
    assert [node.path for node in alone.graph(next(alone.enumerate())).nodes] == ["input.x", "cell.pre"]


def test_operations_that_exist_at_one_stride_alone() -> None:
    """On dense edges it is known which leave an input; on sparse ones any may."""
    pooled = {
        "sequence": [
            {
                "name": "p",
                "when": "stride == 2",
                "layer": "max_pool",
                "k": {"choice": [2, 4]},
                "stride": 2,
                "padding": "valid",
            }
        ]
    }
    cell = {"nodes": 2, "edges": "dense", "ops": {"a": pooled}, "input_stride": 2}
    dense = space({"name": "cell", "cell": cell})
    assert {info.path for info in dense.decisions() if info.path.endswith(".k")} == {
        "cell.node[1].edge[0].a.p.k",
        "cell.node[2].edge[0].a.p.k",
    }
    with pytest.raises(SpaceError, match="another stride"):
        space({"name": "cell", "cell": {**cell, "edges": {"k": 1}}})


def test_a_stride_that_is_none() -> None:
    with pytest.raises(SpaceError, match="no whole number above 0"):
        space({"cell": {**STRIDED["cell"], "input_stride": "=1/2"}})


def test_edges_are_brought_to_the_first_ones_shape() -> None:
    cell = {
        "inputs": 2,
        "nodes": 1,
        "edges": "dense",
        "ops": {"id": {"layer": "identity"}},
    }
    stem = {"name": "stem", "layer": "conv", "k": 3, "out": 8}
    with pytest.raises(SpaceError, match="shapes differ"):
        space({"carry": 2, "sequence": [stem, {"cell": cell}]})
    fitted = space({"carry": 2, "sequence": [stem, {"name": "cell", "adapt": "project", "cell": cell}]})
    graph = fitted.graph(fitted.sample(Random(0)))
    assert graph.nodes[-1].shape.channels == 3
    assert "cell.node[2].adapt[1]" in [node.path for node in graph.nodes]


def test_a_stride_that_decides_what_exists_may_be_an_argument_or_a_decision() -> None:
    pool = {"name": "p", "when": "stride == 2", "layer": "max_pool", "k": {"choice": [3, 5]}, "stride": 2}
    cell = {"nodes": 1, "edges": "dense", "ops": {"a": {"sequence": [pool]}}, "input_stride": "=s"}
    strided = space(
        {"name": "u", "use": {"part": "c", "with": {"s": {"choice": [1, 2]}}}}, parts={"c": {"cell": cell}}
    )
    assert strided.size() == 1 + 2 == len(list(strided.enumerate()))
    parts = {"c": {"cell": cell}}
    uses = [{"use": {"part": "c", "decisions": "free", "with": {"s": s}}} for s in (1, 2, 2)]
    assert space({"sequence": uses}, parts=parts).size() == 1 * 2 * 2
