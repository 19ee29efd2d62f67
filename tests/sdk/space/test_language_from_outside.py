"""The search-space language as its reference tells it: which decisions there are, and how many architectures.

Nothing here follows the implementation: sizes, paths, shapes and counts are written out beside each space.
"""

from __future__ import annotations

from random import Random

import pytest
from archloom.space import Architecture, Space
from by_hand import IMAGE, SEQ, VECTOR, members, network, operations, paths, shape

# Domains


@pytest.mark.parametrize(
    ("domain", "values"),
    [
        ("{choice: [8, 2, 4]}", [8, 2, 4]),
        ("{int: [2, 5]}", [2, 3, 4, 5]),
        ("{int: [2, 9, 3]}", [2, 5, 8]),
        ("{int: [7, 7]}", [7]),
        ("{bool: [false, true]}", [False, True]),
        (
            "{subset: {of: [a, b, c]}}",
            [[], ["a"], ["b"], ["c"], ["a", "b"], ["a", "c"], ["b", "c"], ["a", "b", "c"]],
        ),
        (
            "{subset: {of: [a, b, c], min: 1, max: 2}}",
            [["a"], ["b"], ["c"], ["a", "b"], ["a", "c"], ["b", "c"]],
        ),
        ("{subset: {of: [a, b, c, d], min: 3, max: 3}}", [[*"abc"], [*"abd"], [*"acd"], [*"bcd"]]),
        ("{divisors: 12, among: [5, 6, 4, 8]}", [6, 4]),
        ("{divisors: =2*9, among: [2, 3, 4]}", [2, 3]),
    ],
)
def test_a_domain_has_these_values(domain: str, values: list[object]) -> None:
    found = members(VECTOR + f"body: {{layer: relu}}\nrecipe: {{a: {domain}}}")
    assert sorted(map(str, (one["recipe.a"] for one in found))) == sorted(map(str, values))


@pytest.mark.parametrize("kind", ["float", "log"])
def test_floats_are_apart_from_the_size_and_drawn_within_their_range(kind: str) -> None:
    space = Space.from_yaml(
        VECTOR + f"body: {{layer: linear, out: {{choice: [2, 3]}}}}\nrecipe: {{lr: {{{kind}: [0.001, 1.0]}}}}"
    )
    assert space.size() == 2
    assert set(space.continuous) == {"recipe.lr"}
    rng = Random(0)
    drawn = sorted(float(space.sample(rng)["recipe.lr"]) for _ in range(200))  # type: ignore[arg-type]
    assert 0.001 <= drawn[0] < drawn[-1] <= 1.0
    middle = 0.5 if kind == "float" else 0.0316  # the median of a uniform draw, and of one in the logarithm
    assert 70 < sum(value < middle for value in drawn) < 130


def test_divisors_follow_a_choice_in_a_let_inside_a_part() -> None:
    # 8 leaves 2; 12 leaves 2, 3; 20 leaves 2, 5: five settings of the part, used once tied and once free.
    text = """
input: {s: {kind: seq, shape: [8, 10]}}
parts:
  mixer:
    let: {w: {choice: [8, 12, 20]}}
    sequence:
      - {name: to, layer: linear, out: =w}
      - {name: mix, layer: attention, heads: {divisors: w, among: [2, 3, 5]}}
body:
  sequence:
    - {name: one, use: mixer}
    - {name: two, use: {part: mixer, decisions: free}}
"""
    found = members(text)
    assert len(found) == 25
    assert {tuple(one) for one in found} == {("mixer.w", "mixer.mix.heads", "two.w", "two.mix.heads")}
    assert {(one["two.w"], one["two.mix.heads"]) for one in found} == {
        (8, 2),
        (12, 2),
        (12, 3),
        (20, 2),
        (20, 5),
    }
    (heads,) = (one for one in Space.from_yaml(text).decisions() if one.path == "two.mix.heads")
    assert [heads.domain.at(number) for number in range(heads.domain.count or 0)] == [2, 3, 5]
    graph = network(text, {"mixer.w": 8, "mixer.mix.heads": 2, "two.w": 12, "two.mix.heads": 3})
    # linear 8 > 8, attention on 8, linear 8 > 12, attention on 12
    assert graph.parameters == (8 * 8 + 8) + 4 * (8 * 8 + 8) + (8 * 12 + 12) + 4 * (12 * 12 + 12)
    assert shape(graph) == "seq[12,10]"


def test_divisors_of_a_sum_of_two_choices() -> None:
    text = (
        VECTOR
        + """
let: {a: {choice: [2, 4]}, b: {choice: [4, 8]}}
body: {layer: linear, out: =a + b}
recipe: {n: {divisors: a + b, among: [2, 3, 4]}}
"""
    )
    # 6: 2, 3; 10: 2; 8: 2, 4; 12: 2, 3, 4
    assert len(members(text)) == 2 + 1 + 2 + 3


def test_recipe_reads_variables() -> None:
    text = (
        VECTOR
        + """
let: {w: {choice: [8, 16]}, quarter: =w // 4}
body: {layer: linear, out: =w}
recipe: {lr: =0.8 / w, epochs: {choice: [1, 2]}, warm: {divisors: w, among: [4, 16]}, m: =quarter}
"""
    )
    space = Space.from_yaml(text)
    assert paths(text) == {"w", "recipe.epochs", "recipe.warm"}
    assert space.size() == 2 * (1 + 2)
    wide = Architecture({"w": 16, "recipe.epochs": 2, "recipe.warm": 16})
    assert space.recipe(wide) == {"lr": 0.05, "epochs": 2, "warm": 16, "m": 4}
    narrow = Architecture({"w": 8, "recipe.epochs": 2, "recipe.warm": 16})
    assert [one.field for one in space.check(narrow)] == ["recipe.warm"]


# Which decisions exist


def test_a_tied_part_in_a_free_repeat_in_a_choice() -> None:
    text = (
        VECTOR
        + """
parts:
  block:
    sequence:
      - {name: lin, layer: linear, out: {choice: [4, 8]}}
      - {name: act, choice: {r: {layer: relu}, t: {layer: tanh}}}
body:
  name: top
  choice:
    stack:
      repeat:
        count: {int: [1, 3]}
        decisions: free
        body: {sequence: [{name: a, use: block}, {name: b, layer: linear, out: {choice: [4, 6]}}]}
    single: {use: block}
    none: {layer: identity}
"""
    )
    found = members(text)
    assert len(found) == 4 * (2 + 4 + 8) + 4 + 1
    for one in found:
        stack = one["top"] == "stack"
        expected = {"top"} | ({"block.lin.out", "block.act"} if one["top"] != "none" else set())
        expected |= {"top.stack.count"} if stack else set()
        expected |= {f"top.stack[{i}].b.out" for i in range(int(str(one["top.stack.count"])) if stack else 0)}
        assert set(one) == expected
    three = {"top": "stack", "top.stack.count": 3, "block.lin.out": 8, "block.act": "t"}
    graph = network(text, three | {f"top.stack[{i}].b.out": out for i, out in enumerate([4, 6, 4])})
    assert graph.parameters == (4 * 8 + 8) + (8 * 4 + 4) + (4 * 8 + 8) + (8 * 6 + 6) + (6 * 8 + 8) + (
        8 * 4 + 4
    )
    assert graph.depth == 6
    assert operations(graph) == {"linear": 6, "tanh": 3}


@pytest.mark.parametrize("places", [1, 2, 3, 4])
def test_tied_uses_under_conditions_of_their_own_are_decided_once_or_not_at_all(places: int) -> None:
    # Each place holds the part or not; the part has 3 settings wherever one holds it.
    nodes = "".join(
        f"    - {{name: p{i}, choice: {{it: {{use: part}}, not: {{layer: identity}}}}}}\n"
        for i in range(places)
    )
    found = members(
        VECTOR + "parts: {part: {layer: linear, out: {choice: [3, 4, 5]}}}\nbody:\n  sequence:\n" + nodes
    )
    assert len(found) == (2**places - 1) * 3 + 1
    assert all(("part.out" in one) == ("it" in one.values()) for one in found)


def test_tied_parts_within_parts_under_two_flags() -> None:
    # inner stands in outer and beside it. p: outer (2 activations and inner's 3); q: inner alone.
    text = (
        VECTOR
        + """
let: {p: {bool: [false, true]}, q: {bool: [false, true]}}
parts:
  inner: {layer: linear, out: {choice: [3, 4, 5]}}
  outer: {sequence: [{use: inner}, {name: act, choice: {r: {layer: relu}, t: {layer: tanh}}}, {name: again,
      use: inner}]}
body:
  sequence:
    - {name: one, when: p, use: outer}
    - {name: two, when: q, use: inner}
"""
    )
    found = members(text)
    assert len(found) == 1 + 3 + 6 + 6
    assert paths(text) == {"p", "q", "inner.out", "outer.act"}
    assert network(text, {"p": True, "q": True, "outer.act": "r", "inner.out": 5}).parameters == 25 + 30 + 30


def test_free_and_tied_repeats_in_each_other() -> None:
    def nested(outer: str, inner: str) -> str:
        return (
            VECTOR
            + f"""
body:
  name: a
  repeat:
    count: {{int: [1, 2]}}
    decisions: {outer}
    body: {{name: b, repeat: {{count: {{int: [1, 2]}}, decisions: {inner}, body: {{layer: linear,
        out: {{choice: [4, 5, 6]}}}}}}}}
"""
        )

    assert len(members(nested("free", "free"))) == 12 + 12**2
    assert len(members(nested("tied", "free"))) == 2 * 12
    assert len(members(nested("free", "tied"))) == 6 + 6**2
    assert len(members(nested("tied", "tied"))) == 2 * 2 * 3
    assert paths(nested("free", "free")) >= {"a.count", "a[0].b.count", "a[1].b.count", "a[1].b[1].out"}
    assert paths(nested("tied", "free")) == {"a.count", "a.b.count", "a.b[0].out", "a.b[1].out"}
    assert paths(nested("free", "tied")) == {
        "a.count",
        "a[0].b.count",
        "a[1].b.count",
        "a[0].b.out",
        "a[1].b.out",
    }
    assert paths(nested("tied", "tied")) == {"a.count", "a.b.count", "a.b.out"}


def test_a_node_that_the_first_repetition_leaves_out() -> None:
    text = (
        VECTOR
        + """
body:
  name: r
  repeat:
    count: {int: [1, 3]}
    decisions: free
    body: {sequence: [{name: more, when: i > 0, layer: linear, out: {choice: [4, 5, 6]}}, {layer: relu}]}
"""
    )
    found = members(text)
    assert len(found) == 1 + 3 + 9
    assert found[0] == {"r.count": 1}
    assert not any("r[0].more.out" in one for one in found)


def test_when_in_a_parallel_in_an_option_of_a_cell() -> None:
    text = (
        VECTOR
        + """
let: {q: {bool: [false, true]}}
body:
  name: c
  cell:
    nodes: 1
    edges: dense
    ops:
      par:
        parallel:
          - {name: p, layer: linear, out: 4, bias: false}
          - {name: q, when: q, layer: linear, out: 4, activation: {choice: [relu, tanh]}}
      id: {layer: identity}
"""
    )
    edge, inside = "c.node[1].edge[0]", "c.node[1].edge[0].par.q.activation"
    assert members(text) == [
        {"q": False, edge: "par"},
        {"q": False, edge: "id"},
        {"q": True, edge: "par", inside: "relu"},
        {"q": True, edge: "par", inside: "tanh"},
        {"q": True, edge: "id"},
    ]
    # Left out, it is no part of the sum: no x is added in its place.
    assert (
        network(text, {"q": False, edge: "par"}).hash
        == network(VECTOR + "body: {layer: linear, out: 4, bias: false}").hash
    )
    assert network(text, {"q": True, edge: "par", inside: "relu"}).parameters == 16 + 20


def test_everything_left_out_of_a_parallel_is_a_fault_of_that_architecture() -> None:
    text = (
        VECTOR
        + """
let: {n: {int: [0, 2]}}
body:
  name: par
  parallel:
    - {name: a, when: n > 0, layer: linear, out: 4}
    - {name: b, when: n > 1, layer: linear, out: 4}
"""
    )
    space = Space.from_yaml(text)
    assert space.size() == 3
    assert [one["n"] for one in space.enumerate()] == [1, 2]
    assert space.check(Architecture({"n": 0}))
    assert space.at(0) is None


def test_an_operation_chosen_takes_the_parameters_that_it_knows() -> None:
    text = (
        IMAGE
        + "body: {name: l, layer: {choice: [conv, relu, max_pool]}, k: {choice: [3, 5]}, out: {choice: [3, "
        "6]}}"
    )
    found = members(text)
    assert len(found) == 4 + 1 + 2
    assert {tuple(sorted(one)) for one in found if one["l.layer"] == "relu"} == {("l.layer",)}
    assert {tuple(sorted(one)) for one in found if one["l.layer"] == "max_pool"} == {("l.k", "l.layer")}


def test_variables_exist_where_their_scope_does() -> None:
    text = (
        VECTOR
        + """
body:
  name: top
  choice:
    a: {let: {w: {choice: [4, 8]}}, sequence: [{layer: linear, out: =w}, {layer: linear, out: =w // 2}]}
    b: {layer: relu}
"""
    )
    assert members(text) == [{"top": "a", "top.a.w": 4}, {"top": "a", "top.a.w": 8}, {"top": "b"}]


def test_cin_of_a_variable_is_that_of_its_scope() -> None:
    text = (
        VECTOR
        + "body: {let: {w: =2 * cin}, sequence: [{layer: linear, out: 5}, {layer: linear, out: =w + cin}]}"
    )
    assert shape(network(text)) == "vector[13]"


def test_a_size_of_an_input_may_be_network() -> None:
    text = """
let: {phi: {choice: [0, 1, 2]}, r: =round8(16 * 1.5 ** phi)}
input: {x: {kind: image, shape: [3, =r, =r]}}
body: {layer: conv, k: 3, stride: 2, out: 4}
"""
    space = Space.from_yaml(text)
    assert [shape(space.graph(one)) for one in space.enumerate()] == [
        "image[4,8,8]",
        "image[4,12,12]",
        "image[4,20,20]",
    ]


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
