"""Links between repetitions: connections over a distance, decided for each repetition."""

from __future__ import annotations

from collections.abc import Mapping
from math import comb
from random import Random
from typing import Any

import pytest
from archloom.space import Architecture, Graph, Space, SpaceError

Data = dict[str, Any]
CONV = {"layer": "conv", "k": 3, "out": 4, "activation": "relu"}


def space(repeat: Data, **fields: Any) -> Space:
    return Space.from_dict(
        {
            "input": {"x": {"kind": "image", "shape": [4, 8, 8]}},
            "body": {"name": "r", "repeat": {"body": CONV, **repeat}, **fields},
        }
    )


def read(graph: Graph, path: str) -> list[str]:
    [node] = [node for node in graph.nodes if node.path == path]
    return [graph[source].path for source in node.inputs]


def test_every_subset_of_what_came_before() -> None:
    linked = space({"count": 4, "links": {"subset": "earlier"}})
    assert [info.path for info in linked.decisions()] == ["r[1].links", "r[2].links", "r[3].links"]
    assert linked.size() == 2**1 * 2**2 * 2**3 == len(list(linked.enumerate()))


def test_at_most_so_many() -> None:
    linked = space({"count": 4, "links": {"subset": "earlier", "most": 1}})
    assert linked.size() == 2 * 3 * 4
    two = space({"count": 5, "links": {"subset": "earlier", "most": 2}})
    assert two.size() == 2 * 4 * (1 + 3 + comb(3, 2)) * (1 + 4 + comb(4, 2))


def test_links_of_a_repetition_exist_where_it_does() -> None:
    linked = space({"count": {"int": [1, 3]}, "links": {"subset": "earlier"}})
    assert linked.size() == 1 + 2 + 2 * 4 == len(list(linked.enumerate()))
    conditions = {info.path: info.alternatives for info in linked.decisions()}
    assert conditions["r[1].links"] == ((("r.count", (2, 3)),),)
    assert conditions["r[2].links"] == ((("r.count", (3,)),),)


def test_free_bodies_and_a_decided_merge() -> None:
    body = {**CONV, "k": {"choice": [1, 3]}}
    linked = space(
        {
            "count": {"int": [1, 3]},
            "body": body,
            "decisions": "free",
            "links": {"subset": "earlier", "merge": {"choice": ["sum", "concat", "mul"]}},
        }
    )
    assert linked.size() == 2 + 4 * 2 * 3 + 8 * 8 * 3
    assert {info.path for info in linked.decisions()} == {
        "r.count", "r.merge", "r[0].k", "r[1].k", "r[2].k", "r[1].links", "r[2].links"
    }  # fmt: skip


def test_a_repetition_reads_its_own_input_and_the_chosen_tensors() -> None:
    linked = space({"count": 3, "links": {"subset": "earlier", "merge": "concat"}})
    graph = linked.graph(Architecture({"r[1].links": (0,), "r[2].links": (0, 1)}))
    assert read(graph, "r[1].links.concat") == ["input.x", "r[0].activation"]
    assert read(graph, "r[2].links.concat") == ["input.x", "r[0].activation", "r[1].activation"]
    weights = {node.path: node.operation.weights for node in graph.nodes if node.op == "conv"}
    assert weights == {"r[0]": 9 * 4 * 4 + 4, "r[1]": 9 * 8 * 4 + 4, "r[2]": 9 * 12 * 4 + 4}


def test_no_links_is_the_plain_chain() -> None:
    linked = space({"count": 3, "links": {"subset": "earlier"}})
    chain = space({"count": 3})
    bare = linked.graph(Architecture({"r[1].links": (), "r[2].links": ()}))
    assert bare.hash == chain.graph(Architecture({})).hash
    one = linked.graph(Architecture({"r[1].links": (), "r[2].links": (0,)}))
    other = linked.graph(Architecture({"r[1].links": (), "r[2].links": (1,)}))
    assert len({bare.hash, one.hash, other.hash}) == 3


def test_chosen_tensors_are_brought_to_the_shape_of_the_one_always_read() -> None:
    body = {**CONV, "out": "=4*(i+1)", "stride": 2}
    unfit = {"count": 3, "body": body, "links": {"subset": "earlier"}}
    strict = space(unfit)
    [violation] = strict.check(Architecture({"r[1].links": (0,), "r[2].links": ()}))
    assert violation.field == "r[1].links"  # the decision at fault
    fitted = space(unfit, adapt="project")
    graph = fitted.graph(Architecture({"r[1].links": (0,), "r[2].links": (0, 1)}))
    # 4x8x8 -> 4x4x4 -> 8x2x2: each is brought to where it is read by one strided 1x1 convolution with norm.
    adapters = {node.path: node.operation.weights for node in graph.nodes if ".adapt" in node.path}
    assert adapters == {
        "r[1].links.adapt[0]": 4 * 4,
        "r[1].links.adapt[0].norm": 8,
        "r[2].links.adapt[0]": 4 * 8,
        "r[2].links.adapt[0].norm": 16,
        "r[2].links.adapt[1]": 4 * 8,
        "r[2].links.adapt[1].norm": 16,
    }


def test_every_sample_of_a_densely_linked_stage_builds() -> None:
    dense = space(
        {"count": {"int": [2, 6]}, "links": {"subset": "earlier", "merge": "concat"}, "decisions": "free"}
    )
    rng = Random(0)
    for _ in range(30):
        architecture = dense.sample(rng)
        graph = dense.graph(architecture)
        assert dense.graph(dense.mutate(architecture, rng)) is not None
        decided: Mapping[str, Any] = architecture.decisions
        chosen = sum(len(value) for path, value in decided.items() if path.endswith("links"))
        assert graph.parameters == decided["r.count"] * (9 * 16 + 4) + chosen * 9 * 16


def test_links_with_a_count_that_shapes_decide() -> None:
    with pytest.raises(SpaceError, match="cin"):
        space({"count": "=cin", "links": {"subset": "earlier"}})
