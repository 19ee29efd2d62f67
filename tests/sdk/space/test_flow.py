"""What each node reads: histories, named tensors, several inputs and outputs, what is left out."""

from __future__ import annotations

from typing import Any

import pytest
from archloom.space import Architecture, Graph, Space, SpaceError

Data = dict[str, Any]

VECTOR = {"x": {"kind": "vector", "shape": [4]}}
TWO = {"cell": {"inputs": 2, "nodes": 1, "edges": "dense", "ops": {"t": {"layer": "tanh"}}}}
"""Sums the tanh of its two inputs."""


def linear(out: int, **fields: Any) -> Data:
    return {"layer": "linear", "out": out, **fields}


def graph(body: Data | list[Data], inputs: Data | None = None, **fields: Any) -> Graph:
    whole = {"sequence": body} if isinstance(body, list) else body
    space = Space.from_dict({"input": inputs or VECTOR, "body": whole, **fields})
    return space.graph(Architecture({info.path: info.domain.at(0) for info in space.decisions()}))


def reads(found: Graph, path: str) -> list[str]:
    """The paths of what the layer at a path reads."""
    [node] = [node for node in found.nodes if node.path == path]
    return [found[source].path for source in node.inputs]


def sees(found: Graph, cell: str) -> list[str]:
    """The paths of what a cell of two inputs reads."""
    return [path for edge in (0, 1) for path in reads(found, f"{cell}.node[2].edge[{edge}].t")]


# ------------------------------------------------------------------ histories


def test_a_child_of_a_sequence_that_carries_two_reads_the_last_two() -> None:
    found = graph(
        [
            linear(4, name="stem"),
            {"name": "cells", "carry": 2, "sequence": [dict(TWO, name=f"c{n}") for n in range(4)]},
        ]
    )
    # The first cell has no second tensor to read, and gets the stem twice.
    assert sees(found, "cells.c0") == ["stem", "stem"]
    assert sees(found, "cells.c1") == ["stem", "cells.c0.node[2].sum"]
    assert sees(found, "cells.c2") == ["cells.c0.node[2].sum", "cells.c1.node[2].sum"]
    assert sees(found, "cells.c3") == ["cells.c1.node[2].sum", "cells.c2.node[2].sum"]


def test_repetitions_choices_and_uses_append_to_the_history() -> None:
    cells = [
        linear(4, name="stem"),
        {"name": "r", "repeat": {"count": 2, "body": {"name": "pick", "choice": {"only": {"use": "two"}}}}},
        dict(TWO, name="last"),
    ]
    found = graph({"carry": 2, "sequence": cells}, parts={"two": TWO})
    assert sees(found, "r[0].pick.only") == ["input.x", "stem"]
    assert sees(found, "r[1].pick.only") == ["stem", "r[0].pick.only.node[2].sum"]
    assert sees(found, "last") == ["r[0].pick.only.node[2].sum", "r[1].pick.only.node[2].sum"]


def test_a_nested_sequence_is_one_step_and_its_first_child_sees_what_came_in() -> None:
    inner = {"name": "inner", "sequence": [dict(TWO, name="first"), dict(TWO, name="second")]}
    found = graph({"carry": 2, "sequence": [linear(4, name="stem"), inner, dict(TWO, name="last")]})
    first, second = "inner.first.node[2].sum", "inner.second.node[2].sum"
    assert sees(found, "inner.first") == ["input.x", "stem"]
    assert sees(found, "inner.second") == [first, first]
    assert sees(found, "last") == ["stem", second]


def test_a_node_that_is_left_out_is_no_step() -> None:
    children = [linear(4, name="stem"), linear(4, name="gone", when="1 == 2"), dict(TWO, name="last")]
    assert sees(graph({"carry": 2, "sequence": children}), "last") == ["input.x", "stem"]


def test_fixed_repetitions_append_each_output() -> None:
    children = [{"name": "r", "repeat": {"count": 3, "body": {"layer": "tanh"}}}, dict(TWO, name="last")]
    found = graph({"carry": 2, "sequence": children})
    assert sees(found, "last") == ["r[1]", "r[2]"]
    single = graph(children)
    assert sees(single, "last") == ["r[2]", "r[2]"]


def test_no_repetition_leaves_the_history_as_it_is() -> None:
    children = [linear(4, name="stem"), {"name": "r", "repeat": {"count": 0, "body": {"layer": "tanh"}}}, TWO]
    assert sees(graph({"carry": 2, "sequence": children}), "cell") == ["input.x", "stem"]


# -------------------------------------------------------------- named tensors


def test_named_tensors_are_read_from_anywhere_later() -> None:
    found = graph(
        [
            {"name": "a", "sequence": [linear(4, name="deep", **{"as": "early"}), linear(4, name="next")]},
            {"name": "late", "from": ["early", "x"], "layer": "concat"},
        ]
    )
    assert reads(found, "late") == ["a.deep", "input.x"]
    assert found.nodes[-1].shape.dims == (8,)


def test_the_node_after_one_that_reads_by_name_reads_that_one() -> None:
    found = graph(
        [
            linear(5, name="a", **{"as": "five"}),
            linear(6, name="b"),
            linear(7, name="c", **{"from": "five"}),
            linear(8),
        ]
    )
    assert reads(found, "c") == ["a"]
    assert reads(found, "linear") == ["c"]
    assert "b" not in [node.path for node in found.nodes]


def test_a_name_in_a_repetition_is_bound_again() -> None:
    body = {
        "sequence": [
            linear(4, name="a", **{"as": "mine"}),
            linear(4, name="b"),
            {"name": "c", "from": ["mine", "x"], "layer": "sum"},
        ]
    }
    found = graph([{"name": "r", "repeat": {"count": 2, "body": body}}])
    assert reads(found, "r[0].c") == ["r[0].a", "input.x"]
    assert reads(found, "r[1].c") == ["r[1].a", "input.x"]


def test_a_layer_of_several_inputs_sees_the_channels_of_the_first() -> None:
    found = graph(
        [
            linear(6, name="a", **{"as": "a"}),
            linear(4, name="b"),
            {"name": "c", "let": {"seen": "=cin"}, "from": ["a", "x"], "layer": "concat"},
            {"name": "d", "layer": "linear", "out": "=cin"},
        ]
    )
    assert [node.shape.channels for node in found.nodes] == [4, 6, 10, 10]


def test_one_input_where_several_are_named() -> None:
    with pytest.raises(SpaceError, match="one"):
        graph([linear(4, name="a", **{"as": "a"}), linear(4, name="b", **{"from": ["a", "x"]})])


# --------------------------------------------------------- inputs and outputs


def test_several_inputs_and_outputs() -> None:
    inputs = {"x": {"kind": "vector", "shape": [4]}, "y": {"kind": "vector", "shape": [6]}}
    found = graph(
        [
            linear(3, name="a", **{"as": "left"}),
            linear(3, name="b", **{"from": "y", "as": "right"}),
            {"name": "c", "from": ["left", "right"], "layer": "sum"},
        ],
        inputs,
        output=["features", "left"],
    )
    assert list(found.inputs) == ["x", "y"]
    assert {name: found[node].path for name, node in found.outputs.items()} == {"features": "c", "left": "a"}
    assert reads(found, "b") == ["input.y"]
    assert found.parameters == 4 * 3 + 3 + 6 * 3 + 3


def test_an_input_that_nothing_reads_stays_an_input() -> None:
    inputs = {"x": {"kind": "vector", "shape": [4]}, "y": {"kind": "vector", "shape": [6]}}
    assert list(graph(linear(3), inputs).inputs) == ["x", "y"]


def test_a_head_needs_one_output() -> None:
    space = Space.from_dict(
        {
            "input": VECTOR,
            "body": {"sequence": [linear(3, **{"as": "a"}), linear(3)]},
            "output": ["a", "features"],
        }
    )
    with pytest.raises(SpaceError, match="one output"):
        space.graph(Architecture({}), classes=10)
    one = Space.from_dict(
        {"input": VECTOR, "body": {"sequence": [linear(3, **{"as": "a"}), linear(3)]}, "output": ["a"]}
    )
    assert list(one.graph(Architecture({}), classes=10).outputs) == ["logits"]


def test_the_hash_tells_which_output_and_which_input_is_which() -> None:
    inputs = {"x": {"kind": "vector", "shape": [4]}, "y": {"kind": "vector", "shape": [4]}}

    def wired(first: str, second: str, outputs: list[str]) -> str:
        nodes = [
            linear(4, name="a", **{"from": first, "as": "a"}),
            {"name": "b", "from": second, "as": "b", "layer": "tanh"},
        ]
        return graph(nodes, inputs, output=outputs).hash

    plain = wired("x", "y", ["a", "b"])
    assert wired("x", "y", ["b", "a"]) == plain  # outputs go by name
    assert wired("y", "x", ["a", "b"]) != plain
    renamed = graph(
        [
            linear(4, name="q", **{"from": "x", "as": "b"}),
            {"name": "r", "from": "y", "as": "a", "layer": "tanh"},
        ],
        inputs,
        output=["a", "b"],
    ).hash
    assert renamed != plain


# ------------------------------------------------------------------- left out


def test_a_parallel_child_that_is_left_out_is_no_part_of_the_merge() -> None:
    children = [linear(4, name="a"), linear(4, name="b", when="1 == 2"), {"name": "c", "layer": "tanh"}]
    found = graph({"name": "p", "parallel": children, "merge": "concat"})
    assert reads(found, "p.concat") == ["p.a", "p.c"]


def test_a_parallel_of_which_nothing_is_left() -> None:
    space = Space.from_dict(
        {
            "input": VECTOR,
            "let": {"n": {"choice": [0, 1, 2]}},
            "body": {
                "name": "p",
                "parallel": [linear(4, name="a", when="n > 0"), linear(4, name="b", when="n > 1")],
            },
        }
    )
    [violation] = space.check(Architecture({"n": 0}))
    assert violation.field == "n"
    assert "left out" in violation.message
    assert len(space.graph(Architecture({"n": 1})).nodes) == 2


def test_depth_counts_layers_with_weights_on_the_longest_path() -> None:
    long = {"name": "long", "sequence": [linear(4, name="a"), {"layer": "relu"}, linear(4, name="b")]}
    found = graph([linear(4, name="stem"), {"parallel": [long, linear(4, name="short")]}])
    assert found.depth == 3
    assert graph({"layer": "relu"}).depth == 0
