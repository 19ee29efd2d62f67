"""Trees, texts and expressions that are too large or would explode: refused before anything is done."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from random import Random
from typing import Any

import pytest
from archloom.space import Space, SpaceError, load_yaml
from archloom.space.reading.spaces import read_space
from archloom.v1 import space_pb2

Data = dict[str, Any]

INPUT = {"x": {"kind": "image", "shape": [3, 8, 8]}}
RELU = {"layer": "relu"}
CONV = {"layer": "conv", "k": {"choice": [1, 3]}}


@pytest.fixture(autouse=True)
def within_a_minute() -> Iterator[None]:
    """What explodes does not end: the test is stopped then. What is refused takes a second at most."""

    def stop(*_: object) -> None:
        raise TimeoutError("this took a minute")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(60)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def refused(data: object) -> str:
    with pytest.raises(SpaceError) as caught:
        Space.from_dict(data)
    return "; ".join(violation.message for violation in caught.value.violations)


def nested(depth: int) -> Data:
    node: Data = RELU
    for _ in range(depth):
        node = {"residual": node}
    return node


def message() -> space_pb2.Space:
    space = space_pb2.Space(inputs=[space_pb2.SpaceInput(name="x", kind=space_pb2.TENSOR_KIND_IMAGE)])
    for size in (3, 8, 8):
        space.inputs[0].shape.add().literal.integer = size
    return space


@pytest.mark.parametrize("depth", [24, 1_000, 20_000])
def test_a_deep_tree_is_refused_in_every_form(depth: int) -> None:
    assert "deeper than 24 nodes" in refused({"input": INPUT, "body": nested(depth)})
    text = "{residual: " * depth + "{layer: relu}" + "}" * depth
    with pytest.raises(SpaceError, match=r"deeper than|nesting depth"):
        Space.from_yaml(f"input: {{x: {{kind: image, shape: [3, 8, 8]}}}}\nbody: {text}")
    space = message()
    node = space.body
    for _ in range(depth):
        node = node.residual.body
    node.layer.operation.literal.text = "relu"
    with pytest.raises(SpaceError, match="deeper than 24 nodes"):
        Space.from_proto(space)


def test_the_deepest_tree_goes_through_a_message() -> None:
    space = Space.from_dict({"input": INPUT, "body": nested(23)})
    wire = space.to_proto().SerializeToString()
    assert Space.from_proto(space_pb2.Space.FromString(wire)) == space


def test_a_million_nodes_are_refused_in_every_form() -> None:
    million = [RELU] * 1_000_000
    assert "more than 20000 nodes" in refused({"input": INPUT, "body": {"sequence": million}})
    assert "more than 20000 nodes" in refused({"input": INPUT, "body": {"parallel": million}})
    options = {f"o{number}": RELU for number in range(1_000_000)}
    assert "more than 20000 nodes" in refused({"input": INPUT, "body": {"choice": options}})
    with pytest.raises(SpaceError, match="at most 4000000 are read"):
        load_yaml("body:\n  sequence:\n" + "    - {layer: relu}\n" * 1_000_000)
    with pytest.raises(SpaceError, match="more than 200000 values"):
        load_yaml("body: [" + "{a: b}," * 500_000 + "]")
    space = message()
    one = space_pb2.SpaceNode.Sequence(nodes=[space_pb2.SpaceNode()])
    one.nodes[0].layer.operation.literal.text = "relu"
    space.body.sequence.MergeFromString(one.SerializeToString() * 1_000_000)
    assert len(space.body.sequence.nodes) == 1_000_000
    with pytest.raises(SpaceError, match="more than 20000 nodes"):
        Space.from_proto(space)


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"let": {f"v{n}": n for n in range(1_001)}}, "let"),
        ({"recipe": {f"v{n}": n for n in range(1_001)}}, "recipe"),
        ({"constraints": ["params < 3"] * 101}, "constraints"),
        ({"parts": {f"p{n}": RELU for n in range(1_001)}}, "parts"),
        ({"output": ["features"] * 101}, "output"),
        ({"input": {f"x{n}": INPUT["x"] for n in range(33)}}, "input"),
        ({"body": {"layer": "relu", "from": ["x"] * 101}}, "body.from"),
        ({"body": {**CONV, "k": {"choice": list(range(10_001))}}}, "body.k.choice"),
        ({"body": {**CONV, "k": {"subset": {"of": list(range(1_001))}}}}, "body.k.subset.of"),
    ],
)
def test_long_lists_are_refused(fields: Data, path: str) -> None:
    with pytest.raises(SpaceError) as caught:
        Space.from_dict({"input": INPUT, "body": RELU, **fields})
    assert path in {violation.field for violation in caught.value.violations}


def test_a_tree_that_holds_itself_is_refused() -> None:
    body: Data = {"sequence": []}
    body["sequence"].append(body)
    assert "deeper than 24 nodes" in refused({"input": INPUT, "body": body})


def bomb(levels: int, width: int, **use: str) -> Data:
    """Each part uses the one before it so many times."""
    parts: dict[str, Data] = {"p0": CONV}
    for level in range(1, levels):
        part = {"part": f"p{level - 1}", **use}
        parts[f"p{level}"] = {"sequence": [{"name": f"u{n}", "use": part} for n in range(width)]}
    return {"input": INPUT, "parts": parts, "body": {"use": f"p{levels - 1}"}}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (bomb(30, 2), "deeper than 24 nodes (parts counted where they are used)"),
        (bomb(30, 2, decisions="free"), "deeper than 24 nodes"),
        (bomb(11, 3), "more than 20000 nodes (parts counted at each use)"),
        (bomb(8, 100), "more than 20000 nodes"),
        (bomb(1_000, 1), "deeper than 24 nodes"),
    ],
)
def test_parts_that_explode_are_refused(data: Data, message: str) -> None:
    assert message in refused(data)
    data["parts"] = dict(reversed(data["parts"].items()))  # in whatever order they stand
    assert message.split(" (")[0] in refused(data)


def test_parts_in_parts_are_handled() -> None:
    space = Space.from_dict(bomb(11, 2))
    assert space.size() == 2  # all uses are tied
    assert len(space.graph(space.sample(Random(0))).nodes) == 1 + 2**10
    assert Space.from_dict(bomb(11, 2, decisions="free")).size() == 2**1024


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("9**9**9", "larger than 2**53"),
        ("9**9**9**9**9", "larger than 2**53"),
        ("2**53 * 2**53", "larger than 2**53"),
        ("1e308 * 10", "larger than 2**53"),
        ("(-8)**0.5", "no such power"),
        ("1 / 0", "division by zero"),
        ("1 % 0", "division by zero"),
        ("0**-1", "division by zero"),
        ("(" * 400 + "1" + ")" * 400, "24 brackets deep"),
        ("9**" * 300 + "1", "24 powers deep"),
        ("1 if 1 else " * 60 + "1", "24 brackets deep"),
        ("max(1, " * 60 + "1" + ")" * 60, "24 brackets deep"),
        ("1+" * 500 + "1", "at most 1000 characters"),
        ("9" * 900, "larger than 2**53"),
    ],
)
def test_expressions_that_explode_are_refused(text: str, message: str) -> None:
    found = refused({"input": INPUT, "let": {"w": f"={text}"}, "body": {**CONV, "out": "=w"}})
    assert message in found


@pytest.mark.parametrize(
    "text", ["1+" * 450 + "1", "-" * 900 + "1", "not " * 200 + "true", "(1)*" * 240 + "1"]
)
def test_long_expressions_that_do_not_explode_are_read(text: str) -> None:
    Space.from_dict({"input": INPUT, "let": {"w": f"={text}"}, "body": RELU})


def test_a_number_of_many_digits_is_refused() -> None:
    with pytest.raises(SpaceError, match="a number of 5000 digits"):
        load_yaml("a: " + "9" * 5_000)
    assert "within 2**53" in refused({"input": INPUT, "let": {"w": 10**5_000}, "body": RELU})
    assert "within 2**53" in refused({"input": INPUT, "let": {"w": 2**53 + 1}, "body": RELU})


def test_ten_thousand_nodes_are_read_compiled_and_sampled() -> None:
    nodes: list[Data] = [
        {"sequence": [{**CONV, "out": 4}, {"choice": {"a": RELU, "b": {"layer": "identity"}}}]}
        for _ in range(2_000)
    ]
    space = Space.from_dict({"input": INPUT, "body": {"sequence": nodes}})
    assert space.size() == 2**4_000
    first, second = space.sample(Random(0)), space.sample(Random(0), "architectures")
    assert len(first.decisions) == len(second.decisions) == 4_000
    assert 2_001 <= len(space.graph(first).nodes) <= 4_001
    assert space.mutate(first, Random(1)) != first


def test_links_are_bounded() -> None:
    linked = {"repeat": {"count": 101, "links": {}, "body": RELU}}
    assert "from 0 to 100, found 101" in refused({"input": INPUT, "body": linked})
    counted = {"let": {"n": 101}, "repeat": {"count": "=n", "links": {}, "body": RELU}}
    assert "from 0 to 100, found 101" in refused({"input": INPUT, "body": counted})


def test_faults_are_not_listed_without_end() -> None:
    with pytest.raises(SpaceError) as caught:
        read_space({"input": INPUT, "body": {"sequence": [{"layer": "rellu"}] * 10_000}})
    assert len(caught.value.violations) == 100


def counted(names: int, values: int) -> Data:
    """Variables which decide together whether a decision exists."""
    let = {f"v{n}": {"int": [1, values]} for n in range(names)}
    return {"input": INPUT, "let": let, "body": {**CONV, "when": f"{' + '.join(let)} > 3"}}


@pytest.mark.parametrize("data", [counted(2, 1_000), counted(18, 2), counted(150, 9)])
def test_variables_that_decide_too_much_together_are_refused(data: Data) -> None:
    assert "which decisions exist, in more than 200000 ways" in refused(data)


def test_variables_that_decide_much_together_are_handled() -> None:
    space = Space.from_dict(counted(5, 3))
    assert space.size() == 2 * 3**5  # the sum is never 3 or less


def test_a_thousand_variables_are_handled() -> None:
    let: Data = {"v0": 1} | {f"v{n}": f"=v{n - 1}" for n in range(1, 999)} | {"last": {"choice": [1, 2]}}
    space = Space.from_dict({"input": INPUT, "let": let, "body": {**CONV, "out": "=v998 + last"}})
    assert space.size() == 4
