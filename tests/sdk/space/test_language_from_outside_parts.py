"""The search-space language as its reference tells it: cells, parts, and all of it together.

Nothing here follows the implementation: sizes, paths, shapes and counts are written out beside each space.
"""

from __future__ import annotations

import pytest
from archloom.space import Space
from by_hand import IMAGE, SEQ, VECTOR, members, network, paths, shape

# Cells


def cell(fields: str) -> str:
    ops = "{a: {layer: linear, out: 4, bias: false}, b: {layer: relu}, c: {layer: tanh}}"
    return VECTOR + f"body: {{name: c, cell: {{{fields}, ops: {ops}}}}}"


@pytest.mark.parametrize(
    ("fields", "size"),
    [
        ("nodes: 3, edges: dense", 3 ** (1 + 2 + 3)),
        ("nodes: 2, edges: dense, inputs: 2", 3 ** (2 + 3)),
        ("nodes: 2, edges: {k: 2, distinct: true}, inputs: 2", 3**2 * (3 * 3**2)),
        ("nodes: 2, edges: {k: 2, distinct: false}, inputs: 2", (2**2 * 3**2) * (3**2 * 3**2)),
        ("nodes: 3, edges: {k: 1}", 3 * (2 * 3) * (3 * 3)),
        (
            "nodes: 1, edges: dense, join: {choice: [sum, mul]}, output: {choice: [last, sum, concat]}",
            3 * 2 * 3,
        ),
    ],
)
def test_cells_have_so_many_members(fields: str, size: int) -> None:
    assert Space.from_yaml(cell(fields)).size() == size
    if size < 3000:
        members(cell(fields))


def test_where_a_cell_is_network() -> None:
    assert paths(cell("nodes: 2, edges: {k: 2, distinct: true}, inputs: 2")) >= {
        "c.node[3].inputs",
        "c.node[2].edge[0]",
        "c.node[3].edge[1]",
    }
    both = paths(cell("nodes: 1, edges: {k: 2, distinct: false}, inputs: 2"))
    assert both == {"c.node[2].input[0]", "c.node[2].input[1]", "c.node[2].edge[0]", "c.node[2].edge[1]"}
    assert paths(cell("nodes: 1, edges: dense, join: {choice: [sum, mul]}")) == {
        "c.node[1].edge[0]",
        "c.join",
    }


def test_the_two_inputs_of_a_first_cell_are_one_tensor() -> None:
    text = (
        VECTOR + "body: {carry: 2, sequence: [{cell: {inputs: 2, nodes: 1, edges: dense, ops: {id: {layer: "
        "identity}}}}]}"
    )
    assert network(text).hash == network(VECTOR + "body: {layer: sum, from: [x, x]}").hash


@pytest.mark.parametrize("stride", [1, 2])
def test_a_reduction_cell_strides_at_its_inputs_alone(stride: int) -> None:
    # Nodes 2 and 3; edges 0>2, 1>2, 0>3, 1>3 leave the inputs, 2>3 does not. The older is twice as large.
    text = (
        IMAGE
        + f"""
body:
  carry: 2
  sequence:
    - {{name: half, layer: max_pool, k: 3, stride: 2}}
    - name: c
      cell:
        inputs: 2
        pre: {{layer: conv, k: {{choice: [1, 3]}}, stride: =shrink, out: 5, bias: false}}
        nodes: 2
        edges: dense
        ops: {{conv: {{layer: conv, k: 1, stride: =stride, bias: false}}}}
        input_stride: {stride}
        output: concat
"""
    )
    found = members(text)
    assert [one["c.pre.k"] for one in found] == [1, 3]
    graph = network(text, found[1])
    assert graph.parameters == 2 * (9 * 3 * 5) + 5 * 25
    side = 4 // stride
    assert shape(graph) == f"image[10,{side},{side}]"
    strides = [
        str(node.params["stride"]) for node in graph.nodes if node.op == "conv" and node.params["k"] == 1
    ]
    assert sorted(strides) == ["1", *[str(stride)] * 4]


def test_the_stride_of_a_cell_may_be_network() -> None:
    text = (
        IMAGE
        + """
body:
  name: c
  cell: {nodes: 1, edges: dense, ops: {p: {layer: max_pool, k: 3, stride: =stride}},
      input_stride: {choice: [1, 2]}}
"""
    )
    space = Space.from_yaml(text)
    assert [(one["c.input_stride"], shape(space.graph(one))) for one in space.enumerate()] == [
        (1, "image[3,8,8]"),
        (2, "image[3,4,4]"),
    ]


def test_a_cell_of_darts_has_so_many_members() -> None:
    ops = ", ".join(
        f"o{i}: {{layer: {op}}}"
        for i, op in enumerate(["relu", "tanh", "gelu", "silu", "elu", "selu", "celu"])
    )
    text = (
        VECTOR
        + f"body: {{carry: 2, sequence: [{{cell: {{inputs: 2, nodes: 4, edges: {{k: 2, distinct: true}}, "
        f"ops: {{{ops}}}}}}}]}}"
    )
    assert Space.from_yaml(text).size() == 1_037_664_180 == 7**8 * 1 * 3 * 6 * 10


# Parts


PARTS = (
    VECTOR
    + """
parts: {p: {layer: linear, out: =n, activation: {choice: [relu, tanh]}}}
body:
  sequence:
    - {name: a, use: {part: p, weights: %s, with: {n: 4}}}
    - {name: b, use: {part: p, weights: %s, with: {n: 4}}}
    - {name: c, use: {part: p, weights: %s, with: {n: 4}}}
"""
)


@pytest.mark.parametrize(
    ("weights", "sets"),
    [
        (("separate", "separate", "separate"), 3),
        (("shared", "separate", "shared"), 2),
        (("shared", "shared", "shared"), 1),
        (("separate", "separate", "shared"), 3),
    ],
)
def test_weights_shared_by_uses_that_say_so(weights: tuple[str, str, str], sets: int) -> None:
    assert network(PARTS % weights, {"p.activation": "tanh"}).parameters == 20 * sets


def test_an_argument_may_be_a_decision() -> None:
    text = (
        VECTOR
        + """
parts: {p: {layer: linear, out: =n}}
body: {sequence: [{name: a, use: {part: p, with: {n: {choice: [4, 5]}}}}, {name: b, use: {part: p,
    with: {n: {int: [1, 3]}}}}]}
"""
    )
    assert paths(text) == {"a.n", "b.n"}
    assert len(members(text)) == 6
    assert network(text, {"a.n": 5, "b.n": 2}).parameters == 25 + 12


def test_arguments_are_evaluated_where_the_part_is_put() -> None:
    text = (
        VECTOR
        + """
let: {w: 3}
parts: {p: {layer: linear, out: =n + w}}
body:
  repeat: {count: 3, body: {let: {w2: =2 * i}, use: {part: p, with: {n: =w2 + cin}}}}
"""
    )
    # 4 > 4 + 0 + 3 > 7 + 2 + 3 > 12 + 4 + 3
    assert shape(network(text)) == "vector[19]"


def test_a_free_use_in_a_tied_and_in_a_free_repeat() -> None:
    text = (
        VECTOR
        + """
parts: {p: {layer: linear, out: {choice: [4, 5]}}}
body: {name: r, repeat: {count: 2, decisions: %s, body: {use: {part: p, decisions: %s}}}}
"""
    )
    assert paths(text % ("tied", "free")) == {"r.out"}
    assert paths(text % ("free", "free")) == {"r[0].out", "r[1].out"}
    assert paths(text % ("free", "tied")) == paths(text % ("tied", "tied")) == {"p.out"}


def test_an_unused_part_changes_nothing() -> None:
    with_part = "parts: {unused: {layer: linear, out: {choice: [1, 2]}}}\nbody: {layer: relu}"
    assert members(VECTOR + with_part) == [{}]


# Several of these together


@pytest.mark.parametrize(
    ("body", "size"),
    [
        # 12 // 2 = 6: 1, 2, 3, 6; 12 // 3: 1, 2, 4; 12 // 4: 1, 3; 8 // 2: 1, 2, 4; 8 // 4: 1, 2
        (
            "let: {w: {choice: [12, 8]}, d: {divisors: w, among: [2, 3, 4]}, "
            "e: {divisors: w // d, among: [1, 2, 3, 4, 6]}}\nbody: {layer: linear, out: =e}",
            4 + 3 + 2 + 3 + 2,
        ),
        # n = 2: 1 or 2 repetitions; n = 3: 1 or 3
        (
            "parts: {p: {let: {d: {divisors: n, among: [1, 2, 3]}}, repeat: {count: =d, decisions: free, "
            "body: {layer: {choice: [relu, tanh]}}}}}\n"
            "body: {use: {part: p, decisions: free, with: {n: {choice: [2, 3]}}}}",
            (2 + 4) + (2 + 8),
        ),
        (
            "body: {repeat: {count: {choice: [3, 1]}, decisions: free, "
            "body: {layer: {choice: [relu, tanh]}}}}",
            8 + 2,
        ),
        # a link of the outer repeat, and one of each inner repeat that is decided apart
        (
            "body: {name: r, repeat: {count: 2, decisions: free, links: {subset: earlier, merge: sum}, body: "
            "{name: q, repeat: {count: 2, links: {subset: earlier, merge: sum}, body: {layer: relu}}}}}",
            2 * 2 * 2,
        ),
        (
            "body: {name: r, repeat: {count: 2, links: {subset: earlier, merge: sum}, body: "
            "{name: q, repeat: {count: 2, links: {subset: earlier, merge: sum}, body: {layer: relu}}}}}",
            2 * 2,
        ),
        # at most one link: 1, 2, 2 * 3 of them; the tied part once
        (
            "parts: {p: {layer: linear, out: {choice: [4, 5]}}}\n"
            "body: {name: r, repeat: {count: {int: [1, 3]}, decisions: free, "
            "links: {subset: earlier, most: 1, merge: sum}, body: {use: p}}, adapt: project}",
            (1 + 2 + 2 * 3) * 2,
        ),
        (
            "let: {w: {choice: [4, 6]}, d: {divisors: w, among: [2, 3, 4]}}\n"
            "body: {sequence: [{when: d > 2, name: a, layer: {choice: [relu, tanh]}}, {layer: elu}]}",
            (1 + 2) + (1 + 2),
        ),
    ],
)
def test_the_sizes_of_combinations(body: str, size: int) -> None:
    assert len(members(VECTOR + body)) == size


def test_a_tied_part_inside_of_a_scan_and_outside() -> None:
    text = (
        SEQ
        + """
parts: {p: {layer: linear, out: {choice: [4, 5]}}}
body:
  sequence:
    - name: s
      scan:
        state: {h: 4}
        body: {sequence: [{layer: sum, from: [x, h]}, {name: u, use: p}, {layer: linear, out: 4}]}
    - {name: o, use: p}
"""
    )
    assert members(text) == [{"p.out": 4}, {"p.out": 5}]
    assert network(text, {"p.out": 5}).parameters == 25 + 24 + 25
