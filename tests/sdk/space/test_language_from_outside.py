"""The search-space language as its reference tells it: which decisions there are, and how many architectures.

Nothing here follows the implementation: sizes, paths, shapes and counts are written out beside each space.
"""

from __future__ import annotations

from random import Random

import pytest
from archloom.space import Architecture, Space
from by_hand import IMAGE, VECTOR, members, network, operations, paths, shape

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
