"""The whole grammar is read into the tree, and goes through YAML, plain data and messages unchanged."""

from __future__ import annotations

from typing import Any

import pytest
from archloom.space.language.domains import Choice, Divisors
from archloom.space.language.tree import (
    CellNode,
    LayerNode,
    Links,
    MapNode,
    RepeatNode,
    ScanNode,
    SequenceNode,
    SpaceTree,
    UseNode,
)
from archloom.space.messages import spaces as protos
from archloom.space.reading.spaces import read_space
from archloom.space.reading.writing import write_space
from archloom.space.reading.yaml_text import dump_yaml, load_yaml
from archloom.v1 import space_pb2

WHOLE = """
name: everything
input:
  x: {kind: seq, shape: [8, 16]}
  y: {kind: vector, shape: [8]}
let: {d: {choice: [4, 8]}}
parts:
  cell:
    adapt: project
    cell:
      inputs: 2
      pre: {layer: conv, k: 1, out: =c, stride: =shrink}
      nodes: 4
      edges: {k: 2, distinct: true}
      ops: {conv: {layer: conv, k: 3, stride: =stride}, none: {layer: zero}}
      input_stride: {choice: [1, 2]}
      join: {choice: [sum, mul]}
      output: concat
  pair:
    carry: 2
    sequence:
      - {use: {part: cell, with: {c: =2*d}}}
      - {use: {part: cell, with: {c: {choice: [4, 8]}}, decisions: free, weights: shared}}
body:
  sequence:
    - {layer: relu, as: p3}
    - {layer: relu, as: p4, from: x, when: d > 4}
    - {layer: sum, from: [p3, x]}
    - use: pair
    - adapt: project
      repeat:
        count: {int: [1, 3]}
        body: {layer: conv, k: 3, let: {g: {divisors: 2*d, among: [1, 2, 4]}}, groups: =g}
        links: {subset: earlier, most: 2, merge: {choice: [sum, concat]}}
    - {as: head, map: {over: [p3, x], body: {layer: conv, k: 1}, weights: shared}}
    - scan:
        state: {h: =d, c: 3}
        body:
          sequence:
            - {layer: concat, from: [x, h]}
            - {layer: linear, out: =d, as: h}
output: [head_p3, features]
recipe: {lr: {log: [1e-4, 0.1]}}
constraints: [params <= 60_000 and depth < 9 or d > 4]
"""


RELU = {"layer": "relu"}


def tree() -> SpaceTree:
    return read_space(load_yaml(WHOLE))


def test_every_node_is_read() -> None:
    space = tree()
    assert isinstance(space.body, SequenceNode)
    p3, p4, total, use, repeat, heads, scan = space.body.nodes
    assert (p3.tensor, p4.tensor, p4.sources, total.sources) == ("p3", "p4", ("x",), ("p3", "x"))
    parts = dict(space.parts)
    assert isinstance(use, UseNode)
    assert use.body is parts["pair"]
    pair = parts["pair"]
    assert isinstance(pair, SequenceNode)
    assert pair.carry == 2
    first, second = pair.nodes
    assert isinstance(first, UseNode)
    assert isinstance(second, UseNode)
    assert first.body is second.body is parts["cell"]
    assert second.arguments == (("c", Choice((4, 8))),)
    assert (second.decisions, second.weights) == ("free", "shared")
    cell = parts["cell"]
    assert isinstance(cell, CellNode)
    assert (cell.inputs, cell.input_stride, cell.join) == (2, Choice((1, 2)), Choice(("sum", "mul")))
    assert isinstance(repeat, RepeatNode)
    assert repeat.links == Links("earlier", 2, Choice(("sum", "concat")))
    ((_, divisors),) = repeat.body.let
    assert isinstance(divisors, Divisors)
    assert (divisors.of.text, divisors.among) == ("2*d", (1, 2, 4))
    assert isinstance(heads, MapNode)
    assert (heads.over, heads.weights, heads.tensor) == (("p3", "x"), "shared", "head")
    assert isinstance(scan, ScanNode)
    assert [name for name, _ in scan.states] == ["h", "c"]
    assert space.outputs == ("head_p3", "features")


def test_the_whole_grammar_goes_through_every_form() -> None:
    space = tree()
    data = write_space(space)
    assert read_space(data) == space
    assert write_space(read_space(data)) == data
    assert read_space(load_yaml(dump_yaml(data))) == space
    wire = protos.write_space(space).SerializeToString()
    message = space_pb2.Space.FromString(wire)
    assert read_space(protos.space_data(message)) == space
    assert protos.write_space(read_space(protos.space_data(message))) == message


@pytest.mark.parametrize(
    ("short", "long"),
    [
        ({"layer": "relu", "from": "x"}, {"layer": "relu", "from": ["x"]}),
        ({"use": "p"}, {"use": {"part": "p"}}),
        ({"map": {"over": "x", "body": RELU}}, {"map": {"over": ["x"], "body": RELU}}),
        (
            {"layer": "relu", "let": {"g": {"divisors": "=d", "among": [1]}}},
            {"layer": "relu", "let": {"g": {"divisors": "d", "among": [1]}}},
        ),
        (
            {"layer": "relu", "let": {"g": {"divisors": 12, "among": [1, 5]}}},
            {"layer": "relu", "let": {"g": {"divisors": "12", "among": [1, 5]}}},
        ),
        (
            {"repeat": {"count": 2, "body": RELU, "links": {}}},
            {"repeat": {"count": 2, "body": RELU, "links": {"subset": "earlier"}}},
        ),
    ],
)
def test_short_forms_are_the_long_ones(short: dict[str, Any], long: dict[str, Any]) -> None:
    def read(body: dict[str, Any]) -> SpaceTree:
        return read_space(
            {
                "input": {"x": {"kind": "vector", "shape": [4]}},
                "let": {"d": 4},
                "parts": {"p": {"layer": "relu"}},
                "body": body,
            }
        )

    assert read(short) == read(long)


def test_what_is_unsaid_stays_unsaid() -> None:
    data = {
        "input": {"x": {"kind": "vector", "shape": [4]}},
        "parts": {"p": {"layer": "relu"}},
        "body": {"sequence": [{"use": "p"}, {"map": {"over": ["x"], "body": {"use": "p"}}}]},
        "output": ["features"],
    }
    assert write_space(read_space(data)) == data
    said = {**data, "body": {"sequence": [{"use": {"part": "p", "decisions": "tied"}}], "carry": 1}}
    assert write_space(read_space(said)) == said
    assert read_space(said) != read_space({**data, "body": {"sequence": [{"use": "p"}]}})


def test_a_part_is_read_once_however_often_it_is_used() -> None:
    space = read_space(
        {
            "input": {"x": {"kind": "vector", "shape": [4]}},
            "parts": {"outer": {"sequence": [{"use": "inner"}] * 2}, "inner": {"layer": "relu"}},
            "body": {"sequence": [{"use": "outer"}] * 3},
        }
    )
    outer, inner = dict(space.parts)["outer"], dict(space.parts)["inner"]
    assert isinstance(inner, LayerNode)
    assert isinstance(space.body, SequenceNode)
    assert isinstance(outer, SequenceNode)
    assert all(isinstance(node, UseNode) and node.body is outer for node in space.body.nodes)
    assert all(isinstance(node, UseNode) and node.body is inner for node in outer.nodes)


def test_values_keep_their_type_through_every_form() -> None:
    data = {
        "input": {"x": {"kind": "vector", "shape": [4]}},
        "let": {
            "one": {"choice": [1, 1.0, True, "1", "true", "1e-4", "08", "yes", ""]},
            "words": {"choice": ["on", "off", "null", "~", "0x1f", "1_000", "2026-01-01", ".nan"]},
            "small": {"log": [1e-12, 1.0]},
            "big": {"int": [-(2**53), 2**53, 2**52]},
            "pairs": {"choice": [[1, 2], [1, 2.0]]},
            "some": {"subset": {"of": ["a", 1, 1.0], "min": 0, "max": 2}},
        },
        "body": {"layer": "relu"},
    }
    space = read_space(data)
    for again in (
        read_space(load_yaml(dump_yaml(write_space(space)))),
        read_space(protos.space_data(protos.write_space(space))),
    ):
        assert again == space
        assert repr(again.let) == repr(space.let)  # tells 1, 1.0 and True apart
