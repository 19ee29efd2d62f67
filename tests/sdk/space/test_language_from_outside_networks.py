"""The search-space language as its reference tells it: the networks that decisions make.

Nothing here follows the implementation: sizes, paths, shapes and counts are written out beside each space.
"""

from __future__ import annotations

from random import Random

import pytest
from archloom.space import Architecture, Graph, Space, SpaceError
from by_hand import IMAGE, VECTOR, members, network, operations, shape

# The flow of tensors


def test_carry_goes_through_nested_repeats_that_may_be_empty() -> None:
    text = (
        VECTOR
        + """
body:
  carry: 2
  sequence:
    - {name: a, layer: linear, out: 4, bias: false}
    - name: r
      repeat:
        count: {int: [0, 2]}
        body: {name: inner, repeat: {count: {int: [0, 2]}, body: {layer: linear, out: 4, bias: false}}}
    - {name: c, cell: {inputs: 2, nodes: 1, edges: dense, ops: {id: {layer: identity}}}}
"""
    )
    assert len(members(text)) == 1 + 3 + 3
    for outer in range(3):
        for inner in range(3):
            decisions: dict[str, object] = {
                "r.count": outer,
                "c.node[2].edge[0]": "id",
                "c.node[2].edge[1]": "id",
            }
            if outer:
                decisions["r.inner.count"] = inner
            count = outer * inner + 1
            chain = ", ".join(f"{{as: t{i}, layer: linear, out: 4, bias: false}}" for i in range(count))
            last = [f"t{i}" for i in range(count)]
            plain = f"body: {{sequence: [{chain}, {{layer: sum, from: [{(['x', *last])[-2]}, {last[-1]}]}}]}}"
            assert network(text, decisions).hash == network(VECTOR + plain).hash


def test_a_nested_sequence_is_one_step_of_the_history() -> None:
    def with_middle(middle: str) -> Graph:
        return network(
            VECTOR
            + f"""
body:
  carry: 2
  sequence:
    - {{name: a, layer: linear, out: 4}}
    - {middle}
    - {{cell: {{inputs: 2, nodes: 1, edges: dense, ops: {{id: {{layer: identity}}}}}}}}
"""
        )

    two = "[{name: b, layer: tanh}, {name: d, layer: sigmoid}]"
    layers = "{as: a, layer: linear, out: 4}, {as: b, layer: tanh}, {as: d, layer: sigmoid}"
    plain = f"body: {{sequence: [{layers}, {{layer: sum, from: [%s, d]}}]}}"
    assert with_middle(f"{{sequence: {two}}}").hash == network(VECTOR + plain % "a").hash
    # A choice and a repeat are transparent, but what they hold is a step each.
    assert (
        with_middle(f"{{choice: {{only: {{sequence: {two}}}}}}}").hash == network(VECTOR + plain % "a").hash
    )
    repeated = "{repeat: {count: 2, body: {layer: tanh}}}"
    twice = plain.replace("sigmoid", "tanh") % "b"
    assert with_middle(repeated).hash == network(VECTOR + twice).hash


def test_the_first_child_of_a_nested_sequence_sees_the_history_that_came_in() -> None:
    text = (
        VECTOR
        + """
body:
  carry: 2
  sequence:
    - {name: a, layer: tanh}
    - name: inner
      sequence:
        - {cell: {inputs: 2, nodes: 1, edges: dense, ops: {id: {layer: identity}}}}
        - {layer: relu}
"""
    )
    plain = "body: {sequence: [{as: a, layer: tanh}, {layer: sum, from: [x, a]}, {layer: relu}]}"
    assert network(text).hash == network(VECTOR + plain).hash


def test_a_name_is_bound_anew_by_each_repetition() -> None:
    text = (
        VECTOR
        + """
body:
  sequence:
    - name: r
      repeat:
        count: {int: [1, 3]}
        body:
          sequence: [{as: now, layer: linear, out: 4, bias: false}, {layer: tanh}, {layer: sum, from: [now,
              x]}]
    - {name: last, layer: concat, from: [now, x]}
"""
    )
    for count in (1, 2, 3):
        body = "".join(
            f"{{as: now{i}, layer: linear, out: 4, bias: false}}, {{layer: sum, from: [now{i}, x]}}, "
            for i in range(count)
        )
        last = f"{{layer: concat, from: [now{count - 1}, x]}}"
        plain = network(VECTOR + f"body: {{sequence: [{body}{last}]}}")
        assert network(text, {"r.count": count}).hash == plain.hash
        assert plain.parameters == 16 * count


@pytest.mark.parametrize(
    ("body", "path"),
    [
        # What an earlier repetition named does not exist in the first.
        (
            "{name: r, repeat: {count: 3, body: {sequence: [{layer: sum, from: [now, x]}, {as: now, layer: "
            "relu}]}}}",
            "body.sequence[0].repeat.body.sequence[0].from[0]",
        ),
        # Nor may a name from outside be given again inside.
        (
            "{as: now, layer: tanh}, {repeat: {count: 3, body: {sequence: [{as: now, layer: sum, from: "
            "[now, x]}, {layer: relu}]}}}",
            "body.sequence[1].repeat.body.sequence[0].as",
        ),
    ],
)
def test_a_tensor_of_the_previous_repetition_cannot_be_read_by_name(body: str, path: str) -> None:
    with pytest.raises(SpaceError) as caught:
        Space.from_yaml(VECTOR + f"body: {{sequence: [{body}]}}")
    assert [(one.field, "'now'" in one.message) for one in caught.value.violations] == [(path, True)]


def test_names_given_by_every_option_can_be_read() -> None:
    text = (
        VECTOR
        + """
body:
  sequence:
    - {name: c, choice: {a: {as: t, layer: relu}, b: {sequence: [{as: t, layer: tanh}, {layer: sigmoid}]}}}
    - {layer: mul, from: [t, x]}
"""
    )
    assert (
        network(text, {"c": "b"}).hash
        == network(VECTOR + "body: {sequence: [{as: t, layer: tanh}, {layer: mul, from: [t, x]}]}").hash
    )
    assert network(text, {"c": "a"}).hash != network(text, {"c": "b"}).hash


def test_the_first_input_is_what_the_body_reads() -> None:
    two = "input: {b: {kind: vector, shape: [4]}, a: {kind: vector, shape: [7]}}\n"
    assert network(two + "body: {layer: linear, out: 2, bias: false}").parameters == 8


def test_two_outputs_may_be_one_tensor() -> None:
    graph = network(
        VECTOR
        + """
body: {sequence: [{as: now, layer: linear, out: 4}, {layer: identity}, {as: same, layer: dropout, p: 0.0}]}
output: [features, now, same]
"""
    )
    assert list(graph.outputs) == ["features", "now", "same"]
    assert len(set(graph.outputs.values())) == 1
    assert graph.parameters == 20


def test_a_tensor_may_be_named_features() -> None:
    graph = network(
        VECTOR + "body: {sequence: [{as: features, layer: linear, out: 9}, {layer: linear, out: 2}]}"
    )
    assert shape(graph) == "vector[9]"
    assert graph.parameters == 45


def test_a_head_needs_one_output() -> None:
    text = VECTOR + "body: {sequence: [{as: a, layer: linear, out: 5}, {as: b, layer: relu}]}\noutput: [%s]"
    one = Space.from_yaml(text % "a")
    assert one.graph(one.sample(Random(0)), classes=3).parameters == 25 + 18
    two = Space.from_yaml(text % "a, b")
    with pytest.raises(SpaceError, match="output"):
        two.graph(two.sample(Random(0)), classes=3)


# Shapes that differ


def test_adapters_of_a_residual() -> None:
    body = "body: {residual: {layer: conv, k: 3, stride: %d, out: %d, bias: false}, adapt: %s}"
    projected = network(IMAGE + body % (2, 5, "project"))
    assert projected.parameters == 9 * 3 * 5 + (3 * 5 + 2 * 5)  # a strided 1x1 convolution with norm
    assert shape(projected) == "image[5,4,4]"
    fitting = network(IMAGE + body % (1, 3, "project"))
    assert fitting.parameters == 9 * 3 * 3
    dropped = network(IMAGE + body % (2, 5, "skip"))
    assert dropped.hash == network(IMAGE + "body: {layer: conv, k: 3, stride: 2, out: 5, bias: false}").hash
    with pytest.raises(SpaceError, match="adapt"):
        Space.from_yaml(IMAGE + body % (2, 5, "error"))


def test_a_parallel_of_vectors_is_projected_by_linear_layers() -> None:
    nodes = "[{layer: linear, out: 6, bias: false}, {layer: identity}]"
    body = f"body: {{parallel: {nodes}, merge: %s, adapt: project}}"
    joined = network(VECTOR + body % "concat")
    assert (joined.parameters, shape(joined)) == (24, "vector[10]")
    summed = network(VECTOR + body % "sum")
    assert shape(summed) == "vector[6]"
    assert operations(summed)["linear"] == 2


DENSE = (
    IMAGE
    + """
body:
  name: dense
  adapt: project
  repeat:
    count: {int: [1, 3]}
    links: {subset: earlier, most: 2, merge: {choice: [concat, sum]}}
    body: {name: conv, layer: conv, k: 1, out: 4, stride: 2}
"""
)


def test_links_are_decided_for_each_repetition_but_the_first() -> None:
    found = members(DENSE)
    assert len(found) == 1 + 2 * 2 + 2 * (2 * 4)
    assert found[0] == {"dense.count": 1}
    assert {str(one["dense[2].links"]) for one in found if one["dense.count"] == 3} == {
        "[]",
        "[0]",
        "[1]",
        "[0, 1]",
    }


@pytest.mark.parametrize(
    ("merge", "parameters"),
    [
        # 3 > 4; [0, 1] is 3 + 4 channels after a 1x1 with norm; [0, 1, 2] is 3 + 4 + 4 after 3 > 3, 4 > 4
        ("concat", 16 + (9 + 6) + (7 * 4 + 4) + (9 + 6) + (16 + 8) + (11 * 4 + 4)),
        # all are brought to 4 channels
        ("sum", 16 + (12 + 8) + 20 + (12 + 8) + (16 + 8) + 20),
    ],
)
def test_links_with_all_earlier_tensors(merge: str, parameters: int) -> None:
    graph = network(
        DENSE, {"dense.count": 3, "dense.merge": merge, "dense[1].links": [0], "dense[2].links": [0, 1]}
    )
    assert graph.parameters == parameters
    assert shape(graph) == "image[4,1,1]"


def test_at_most_so_many_links() -> None:
    text = (
        VECTOR
        + "body: {name: r, repeat: {count: 4, links: {subset: earlier, most: 1, merge: sum}, body: {layer: "
        "relu}}}"
    )
    assert len(members(text)) == 2 * 3 * 4
    space = Space.from_yaml(text)
    wrong = Architecture.from_dict({"r[1].links": [], "r[2].links": [0, 1], "r[3].links": []})
    assert [one.field for one in space.check(wrong)] == ["r[2].links"]


def test_links_of_a_free_repeat_with_shared_weights() -> None:
    text = (
        VECTOR
        + """
body:
  name: r
  repeat:
    count: 2
    decisions: free
    weights: shared
    links: {subset: earlier, most: 1, merge: sum}
    body: {layer: linear, out: 4, activation: {choice: [relu, tanh]}}
"""
    )
    assert len(members(text)) == 2 * 2 * 2
    assert (
        network(text, {"r[0].activation": "relu", "r[1].activation": "tanh", "r[1].links": [0]}).parameters
        == 20
    )
