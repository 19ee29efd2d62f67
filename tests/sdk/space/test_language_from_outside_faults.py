"""Mistakes as a newcomer makes them: each is refused with path, what was found and expected, a near match.

Read together with ``test_language_from_outside``; nothing here follows the implementation.
"""

from __future__ import annotations

import pytest
from archloom.space import Space, SpaceError
from by_hand import IMAGE, SEQ, VECTOR

CELL = "{nodes: 2, edges: dense, ops: {a: {layer: relu}}}"


def faults(text: str) -> dict[str, str]:
    with pytest.raises(SpaceError) as caught:
        Space.from_yaml(text)
    return {one.field: one.message for one in caught.value.violations}


# body of a space: the path of its fault, and what must be said of it
NODES = {
    # names
    "{layer: Linear, out: 4}": ("body.layer", ["'Linear'", "'linear'?"]),
    "{layer: dense, out: 4}": ("body.layer", ["'dense'", "'linear'?"]),
    "{layer: linear, out_features: 4}": ("body.out_features", ["'out_features'", "'out'?"]),
    "{layer: linear, out: 4, activation: rleu}": ("body.activation", ["'rleu'", "'relu'?"]),
    "{layer: linear, out: 4, norm: batchnorm}": ("body.norm", ["'batchnorm'", "'batch'?"]),
    "{layer: linear, out: =widht}": ("body.out", ["'widht'", "'width'?"]),
    "{seqence: [{layer: relu}]}": ("body", ["seqence", "'sequence'?"]),
    "{parallel: [{layer: relu}, {layer: tanh}], merge: add}": (
        "body.merge",
        ["'add'", "sum, concat, mul", "'sum'?"],
    ),
    "{parallel: [{layer: relu}], merge: {choice: [sum, cat]}}": ("body.merge", ["'cat'", "'concat'?"]),
    "{residual: {layer: linear, out: 8}, adapt: projekt}": ("body.adapt", ["'projekt'", "'project'?"]),
    "{repeat: {count: 2, decisions: tie, body: {layer: relu}}}": (
        "body.repeat.decisions",
        ["'tie'", "'tied'?"],
    ),
    "{repeat: {count: 2, weights: share, body: {layer: relu}}}": (
        "body.repeat.weights",
        ["'share'", "'shared'?"],
    ),
    "{repeat: {times: 2, body: {layer: relu}}}": ("body.repeat.times", ["'times'", "'count'?"]),
    "{cell: {nodes: 2, edges: dense, op: {a: {layer: relu}}}}": ("body.cell.op", ["'op'", "'ops'?"]),
    "{cell: {nodes: 2, edges: dense, ops: {a: {layer: relu}}, output: cat}}": (
        "body.cell.output",
        ["'cat'", "'concat'?"],
    ),
    "{cell: {nodes: 2, edges: dence, ops: {a: {layer: relu}}}}": ("body.cell.edges", ["'dence'", "'dense'?"]),
    "{parallel: [{layer: relu}], merge: =width}": ("body.merge", ["sum, concat, mul", "an expression"]),
    "{layer: =width}": ("body.layer", ["name", "an expression"]),
    "{use: pieces}": ("body.use", ["'pieces'", "'piece'?"]),
    "{use: {part: piece, decisions: fre, with: {n: 3}}}": ("body.use.decisions", ["'fre'", "'free'?"]),
    "{use: {part: piece, with: {nn: 3}}}": ("body.use.with.nn", ["'nn'", "'n'?"]),
    "{scan: {states: {h: 4}, body: {layer: relu}}}": ("body.scan.states", ["'states'", "'state'?"]),
    "{repeat: {count: 3, links: {subset: early}, body: {layer: relu}}}": (
        "body.repeat.links.subset",
        ["'early'", "'earlier'?"],
    ),
    # values
    "{layer: linear, out: [4, 8]}": ("body.out", ["whole number", "list of 2", "{choice: [...]}"]),
    "{layer: linear, out: {chioce: [4, 8]}}": ("body.out", ["chioce", "'choice'?"]),
    "{layer: linear, out: 'four'}": ("body.out", ["whole number", "'four'"]),
    "{layer: linear, out: 2*width}": ("body.out", ["'2*width'", "=2*width"]),
    "{layer: linear, out: 0}": ("body.out", ["0", "1"]),
    "{layer: linear, out: true}": ("body.out", ["whole number", "true"]),
    "{layer: linear, out: {int: [3, 1]}}": ("body.out.int", ["3", "1"]),
    "{layer: linear, out: {int: [1, 3, 0]}}": ("body.out.int[2]", ["above 0", "found 0"]),
    "{layer: linear, out: {choice: []}}": ("body.out.choice", ["empty"]),
    "{layer: linear, out: {choice: [4, 4]}}": ("body.out.choice[1]", ["4", "twice"]),
    "{layer: linear, out: {choice: [4, =width]}}": ("body.out.choice[1]", ["constants", "let"]),
    "{layer: linear, out: '=4 +'}": ("body.out", ["end", "value"]),
    "{layer: linear, out: =width.bit_length()}": ("body.out", [".bit"]),
    "{layer: linear, out: '=open(4)'}": ("body.out", ["'open'", "ceil"]),
    "{layer: dropout, p: 1.5}": ("body.p", ["1.5", "0.95"]),
    "{repeat: {count: -1, body: {layer: relu}}}": ("body.repeat.count", ["whole number", "-1"]),
    "{repeat: {count: '3', body: {layer: relu}}}": ("body.repeat.count", ["'3'", "quotes"]),
    "{repeat: {count: 1001, body: {layer: relu}}}": ("body.repeat.count", ["1000", "1001"]),
    "{carry: 17, sequence: [{layer: relu}]}": ("body.carry", ["16", "17"]),
    "{cell: {nodes: 0, edges: dense, ops: {a: {layer: relu}}}}": ("body.cell.nodes", ["1", "found 0"]),
    # shapes of the tree
    "{choice: [{layer: relu}, {layer: tanh}]}": ("body.choice", ["map", "list"]),
    "{sequence: {a: {layer: relu}}}": ("body.sequence", ["list", "map"]),
    "{sequence: [relu]}": ("body.sequence[0]", ["'relu'", "{layer: relu"]),
    "{layer: relu, sequence: [{layer: relu}]}": ("body", ["one kind", "layer and sequence"]),
    "{carry: 2, layer: relu}": ("body.carry", ["'carry'", "relu"]),
    "{layer: }": ("body.layer", ["nothing"]),
    f"{{cell: {CELL[:-1]}, ops2: 3}}}}": ("body.cell.ops2", ["'ops2'", "'ops'?"]),
    # tensors
    "{as: x, layer: relu}": ("body.as", ["'x'", "input.x"]),
    "{sequence: [{as: a, layer: relu}, {as: a, layer: tanh}]}": (
        "body.sequence[1].as",
        ["'a'", "body.sequence[0].as"],
    ),
    "{sequence: [{as: stem, layer: relu}, {layer: relu, from: stemm}]}": (
        "body.sequence[1].from",
        ["'stemm'", "'stem'?"],
    ),
    "{sequence: [{as: a, when: deep, layer: relu}, {layer: sum, from: [x, a]}]}": (
        "body.sequence[1].from[1]",
        ["'a'", "when", "body.sequence[0]"],
    ),
    "{sequence: [{choice: {p: {as: a, layer: relu}, q: {layer: tanh}}}, {layer: relu, from: a}]}": (
        "body.sequence[1].from",
        ["'a'", "some options", "body.sequence[0]"],
    ),
    "{sequence: [{repeat: {count: {int: [0, 2]}, body: {as: a, layer: relu}}}, {layer: relu, from: a}]}": (
        "body.sequence[1].from",
        ["'a'", "count may be 0", "body.sequence[0]"],
    ),
    "{sequence: [{as: a, layer: tanh}, {layer: relu, from: [x, a]}]}": (
        "body.sequence[1].from",
        ["one tensor", "sum, concat or mul"],
    ),
    "{layer: sum}": ("body", ["two tensors or more", "from: [a, b]"]),
    "{layer: resize_as, from: [x, x, x]}": ("body", ["2 tensors", "3"]),
    "{map: {over: [x, y], body: {layer: relu}}}": ("body.map.over[1]", ["'y'", "known: x"]),
    # parts
    "{use: piece}": ("body.use", ["'n'", "parts.piece.out", "with: {n: ...}"]),
    "{use: ring}": ("parts.gnir.use", ["ring > gnir > ring"]),
    # a scan
    "{scan: {state: [h], body: {layer: relu}}}": ("body.scan.state", ["map", "list"]),
    "{scan: {body: {layer: relu}}}": ("body.scan.state", ["missing"]),
}


@pytest.mark.parametrize(("body", "expected"), NODES.items(), ids=NODES)
def test_a_mistake_in_a_node(body: str, expected: tuple[str, list[str]]) -> None:
    parts = "parts: {piece: {layer: linear, out: =n}}\n"
    if "ring" in body:
        parts = "parts: {piece: {layer: linear, out: =n}, ring: {use: gnir}, gnir: {use: ring}}\n"
    let = "let: {width: 4, deep: {bool: [false, true]}}\n"
    found = faults(VECTOR + let + parts + "body: " + body)
    path, said = expected
    assert path in found
    for words in said:
        assert words in found[path]


SPACES = {
    "input: {x: {kind: images, shape: [3, 8, 8]}}\nbody: {layer: relu}": (
        "input.x.kind",
        ["'images'", "'image'?"],
    ),
    "input: {x: {kind: image, shape: [8, 8]}}\nbody: {layer: relu}": (
        "input.x.shape",
        ["channels, height, width", "2"],
    ),
    "input: {x: {kind: vector, shape: [-4]}}\nbody: {layer: relu}": ("input.x.shape[0]", ["-4", "from 1"]),
    "input: {kind: vector, shape: [4]}\nbody: {layer: relu}": ("input", ["by name", "x: {kind: image"]),
    "inputs: {x: {kind: vector, shape: [4]}}\nbody: {layer: relu}": ("inputs", ["'input'?"]),
    VECTOR: ("body", ["missing"]),
    VECTOR + "body: {layer: relu}\noutput: [feature]": ("output[0]", ["'feature'", "'features'?"]),
    VECTOR + "body: {as: a, layer: relu}\noutput: [a, a]": ("output[1]", ["'a'", "twice"]),
    VECTOR + "let: {a: =b, b: 3}\nbody: {layer: linear, out: =a}": ("let.a", ["'b'", "further down"]),
    VECTOR + "let: {cin: 3}\nbody: {layer: relu}": ("let.cin", ["'cin'"]),
    VECTOR + "body: {layer: relu}\nrecipe: {lr: {log: [0, 1]}}": ("recipe.lr.log[0]", ["above 0", "found 0"]),
    VECTOR + "body: {layer: relu}\nrecipe: {lr: {float: [1, 0.5]}}": ("recipe.lr.float", ["1", "0.5"]),
    VECTOR + "body: {layer: relu}\nrecipe: {a: {subset: {of: [p, q], max: 3}}}": (
        "recipe.a.subset.max",
        ["0 to 2", "found 3"],
    ),
    VECTOR + "body: {layer: relu}\nrecipe: {a: {subset: {of: [p, q], min: 2, max: 1}}}": (
        "recipe.a.subset",
        ["2", "1"],
    ),
    VECTOR + "let: {w: 8}\nbody: {layer: relu}\nrecipe: {a: {divisors: v, among: [2]}}": (
        "recipe.a",
        ["'v'", "known: w"],
    ),
    VECTOR + "body: {layer: relu}\nrecipe: {a: {divisors: 7, among: [2, 3]}}": ("recipe.a", ["2, 3", "7"]),
    VECTOR + "body: {layer: relu}\nconstraints: params <= 3": ("constraints", ["list", "params <= 3"]),
    VECTOR + "body: {layer: relu}\nconstraints: [parmas <= 3]": ("constraints[0]", ["'parmas'", "'params'?"]),
    VECTOR + "body: {layer: relu}\nconstraints: [params = 3]": ("constraints[0]", ["=="]),
    VECTOR + "body: {layer: relu}\nconstraints: [params > 3 && depth > 2]": ("constraints[0]", ["&&", "and"]),
    IMAGE + "body: {layer: conv, kernel_size: 3}": ("body.kernel_size", ["'kernel_size'", "'k'?"]),
    IMAGE + "body: {layer: linear, out: 4}": ("body", ["vector or seq", "image[3,8,8]"]),
    IMAGE + "body: {layer: conv, k: 4, padding: same}": ("body", ["even", "image[3,8,8]"]),
    IMAGE + "body: {scan: {state: {h: 3}, body: {layer: relu}}}": ("body", ["seq", "image[3,8,8]"]),
    IMAGE + "body: {residual: {layer: conv, k: 3, out: 5}}": (
        "body",
        ["image[3,8,8]", "image[5,8,8]", "adapt"],
    ),
    IMAGE + "body: {sequence: [{as: a, layer: conv, k: 1, out: 4}, {as: b, layer: conv, k: 1, out: 5}, "
    "{map: {over: [a, b], weights: shared, body: {layer: conv, k: 1}}}]}": (
        "body.sequence[2]",
        ["a is", "b is", "channels"],
    ),
    SEQ
    + "body: {scan: {state: {h: 5}, body: {sequence: [{layer: concat, from: [x, h]}, {layer: linear, out: "
    "4}]}}}": (
        "body",
        ["'h'", "vector[5]", "vector[4]"],
    ),
    SEQ + "body: {layer: attention, heads: {divisors: cin, among: [2]}}": ("attention.heads", ["cin"]),
    "input: {s: {kind: seq, shape: [4, 6]}, o: {kind: vector, shape: [4]}}\n"
    "body: {scan: {state: {h: 4}, body: {layer: sum, from: [x, o]}}}": (
        "body.scan.body.from[1]",
        ["'o'", "only x and the states"],
    ),
    VECTOR + "parts: {p: {layer: linear, out: {choice: [4, 5]}}}\n"
    "body: {sequence: [{name: p, layer: linear, out: {choice: [4, 5]}}, {use: p}]}": ("parts", ["'p.out'"]),
    VECTOR + "parts: {p: {let: {n: {divisors: w, among: [2, 3]}}, layer: linear, out: =n}}\n"
    "body: {sequence: [{name: a, use: {part: p, with: {w: 6}}}, {name: b, use: {part: p, with: {w: 4}}}]}": (
        "body",
        ["'p'", "tied", "free"],
    ),
    VECTOR + "body: {repeat: {count: {int: [1, 3]}, "
    "body: {sequence: [{name: m, when: i > 0, layer: linear, out: {choice: [4, 5]}}, {layer: relu}]}}}": (
        "body.repeat",
        ["tied", "free"],
    ),
}


@pytest.mark.parametrize(
    ("text", "expected"), SPACES.items(), ids=[text.split("\n", 1)[-1] for text in SPACES]
)
def test_a_mistake_in_a_space(text: str, expected: tuple[str, list[str]]) -> None:
    found = faults(text)
    path, said = expected
    assert path in found
    for words in said:
        assert words in found[path]


def test_all_mistakes_are_told_together() -> None:
    found = faults(
        IMAGE
        + """
body:
  sequence:
    - {layer: cnov, k: 3}
    - {layer: conv, k: three}
    - {name: b, repeat: {count: 2, boby: {layer: relu}}}
output: [fetures]
constraints: [flosp < 3]
"""
    )
    assert {
        "body.sequence[0].layer",
        "body.sequence[1].k",
        "body.sequence[2].repeat.boby",
        "output[0]",
        "constraints[0]",
    } <= set(found)


def nested(depth: int) -> dict[str, object]:
    node: dict[str, object] = {"layer": "relu"}
    for _ in range(depth):
        node = {"residual": node}
    return node


def branching(depth: int, decisions: str) -> dict[str, object]:
    """Parts of which each puts the one before it four times."""
    parts: dict[str, object] = {"p0": {"layer": {"choice": ["relu", "tanh"]}}}
    for i in range(1, depth):
        use = {"use": {"part": f"p{i - 1}", "decisions": decisions}}
        parts[f"p{i}"] = {"sequence": [{"name": name} | use for name in "abcd"]}
    return {"parts": parts, "body": {"use": f"p{depth - 1}"}}


def stacked() -> dict[str, object]:
    node: dict[str, object] = {"layer": "relu"}
    for _ in range(4):
        node = {"repeat": {"count": 1000, "body": node}}
    return node


@pytest.mark.parametrize(
    ("space", "said"),
    [
        ({"body": nested(24)}, "deeper than 24"),
        ({"body": nested(1000)}, "deeper than 24"),
        ({"body": {"sequence": [{"layer": "relu"}] * 1_000_000}}, "20000 nodes"),
        (branching(30, "tied"), "nodes"),
        (branching(9, "free"), "20000 nodes"),
        ({"body": {"layer": "linear", "out": "=10**10**10"}}, "2**53"),
        ({"body": {"layer": "linear", "out": "=" + "+".join(["1"] * 600)}}, "1000 characters"),
        ({"body": {"layer": "linear", "out": "=" + "(" * 400 + "1" + ")" * 400}}, "brackets"),
        ({"body": stacked()}, "50000 layers"),
    ],
)
def test_what_is_too_large_is_refused(space: dict[str, object], said: str) -> None:
    with pytest.raises(SpaceError) as caught:
        Space.from_dict({"input": {"x": {"kind": "vector", "shape": [4]}}} | space)
    assert said in str(caught.value)


def test_the_largest_depth_is_taken() -> None:
    assert Space.from_dict({"input": {"x": {"kind": "vector", "shape": [4]}}, "body": nested(23)}).size() == 1
