"""Messages that tell what was meant: names of nodes, of variables, of tensors further down; truths."""

from __future__ import annotations

from typing import Any

import pytest
from archloom.space import Space, SpaceError

INPUT = {"x": {"kind": "image", "shape": [3, 8, 8]}}
RELU = {"layer": "relu"}


def faults(body: object, **fields: Any) -> list[str]:
    with pytest.raises(SpaceError) as caught:
        Space.from_dict({"input": INPUT, "body": body, **fields})
    return [str(violation) for violation in caught.value.violations]


def test_a_node_s_name_is_no_tensor() -> None:
    body = {"sequence": [{"name": "stem", **RELU}, {"from": "stem", **RELU}]}
    assert faults(body) == [
        "body.sequence[1].from: no tensor is called 'stem' here; "
        "body.sequence[0] is a node of this name: write as: stem there"
    ]


def test_a_tensor_that_stands_further_down() -> None:
    inner = {"sequence": [{"from": "late", **RELU}, {"as": "late", **RELU}]}
    where = "body.repeat.body.sequence"
    assert faults({"repeat": {"count": 2, "body": inner}}) == [
        f"{where}[0].from: no tensor is called 'late' here; it stands further down, at {where}[1].as"
    ]


@pytest.mark.parametrize(
    "node",
    [
        {"layer": "conv", "k": 3, "out": "w"},
        {"layer": "conv", "k": 3, "out": {"choice": [8, "w"]}},
        {"repeat": {"count": "w", "body": RELU}},
        {"let": {"w": 4}, "layer": "conv", "k": 3, "out": "w"},
    ],
)
def test_a_variable_is_written_with_an_equals_sign(node: Any) -> None:
    [fault] = faults(node, **({} if "let" in node else {"let": {"w": 8}}))
    assert fault.endswith("found 'w'; the value of a variable is written \"=w\"")


def test_a_name_that_is_no_variable_gets_no_such_hint() -> None:
    assert faults({"layer": "conv", "k": 3, "out": "w"}) == ["body.out: expected a whole number, found 'w'"]


def test_the_excerpt_of_an_expression_is_long_enough() -> None:
    [fault] = faults({"layer": "conv", "k": 3, "out": "=cin * $(width_of_the_stem + 1)"})
    assert "'$(width_of_the_stem + 1)' at 5 is no part of an expression" in fault
    [fault] = faults({"layer": "conv", "k": 3, "out": "=cin $" + "x" * 500})
    assert len(fault) < 110


def test_a_condition_is_true_or_false() -> None:
    [fault] = faults({"when": "q", **RELU}, let={"q": 3})
    assert fault == "body.when: 'q' is 3, expected true or false: compare it with something"
    Space.from_dict({"input": INPUT, "let": {"q": {"bool": [False, True]}}, "body": {"when": "q", **RELU}})


@pytest.mark.parametrize(
    ("constraint", "found"),
    [
        ("params", "a number"),
        ("(flops)", "a number"),
        ("params / 2", "a number"),
        ("min(params, 3)", "a number"),
        ("3", "a number"),
        ("'yes'", "a text"),
        ("q", "3"),
        ("n", "1"),
    ],
)
def test_a_constraint_is_true_or_false(constraint: str, found: str) -> None:
    let = {"q": 3, "n": {"choice": [1, 2]}}
    [fault] = faults(RELU, let=let, constraints=[constraint])
    assert fault.startswith(f"constraints[0]: expected true or false, found {found}")
    assert fault.endswith(f": compare it, such as {constraint} < 1000") == (constraint not in ("3", "'yes'"))


@pytest.mark.parametrize(
    "constraint",
    ["f", "not f", "(f)", "params < 3000 if f else true", "true", "(params < 9000)", "f == true"],
)
def test_what_is_true_or_false_is_a_constraint(constraint: str) -> None:
    let = {"f": {"bool": [False, True]}}
    Space.from_dict({"input": INPUT, "let": let, "body": RELU, "constraints": [constraint]})


def test_a_decision_s_path_is_no_variable() -> None:
    body = {"name": "b", "layer": "conv", "k": {"choice": [3, 5]}, "out": 4}
    (found,) = faults(body, constraints=["b.k < 5"])
    assert found.startswith("constraints[0]: ")
    assert found.endswith(
        "expressions read variables, not paths: give the value a name in let, and read that"
    )
    (half,) = faults({"layer": "conv", "k": 3, "out": "=.5.5"})
    assert "paths" not in half
