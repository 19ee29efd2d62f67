"""The states of scans: their names and order are nobody's business outside; their widths are checked."""

from __future__ import annotations

import pytest
from archloom.space import Graph, Space, SpaceError

SEQ = "input: {s: {kind: seq, shape: [4, 6]}}\nbody: "


def network(body: str) -> Graph:
    space = Space.from_yaml(SEQ + body)
    assert space.size() == 1
    return space.graph(next(space.enumerate()))


def gated(h: str, c: str, states: str, how: str = "tanh") -> str:
    """Two states: c is what h was, h what x and c make."""
    return (
        f"{{scan: {{state: {{{states}}}, body: {{sequence: ["
        f"{{as: {c}, layer: linear, out: 4, from: {h}}}, {{layer: sum, from: [x, {c}]}}, "
        f"{{as: {h}, layer: {how}}}]}}}}}}"
    )


def twins(one: str, other: str, bias: str = "true") -> str:
    """Two states with the same rule, told apart by nothing but their names; or by the bias."""
    return (
        f"{{scan: {{state: {{{one}: 4, {other}: 4}}, body: {{sequence: ["
        f"{{as: {one}, layer: linear, out: 4, from: {one}, bias: {bias}}}, "
        f"{{as: {other}, layer: linear, out: 4, from: {other}}}, "
        f"{{layer: sum, from: [x, {one}, {other}]}}]}}}}}}"
    )


def test_renaming_a_state_changes_no_hash() -> None:
    text = "{scan: {state: {%s: 4}, body: {layer: sum, from: [x, %s]}}}"
    assert network(text % ("h", "h")).hash == network(text % ("g", "g")).hash
    assert network(text % ("h", "h")).hash != network((text % ("h", "h")).replace("sum", "mul")).hash


def test_renaming_and_reordering_states_changes_no_hash() -> None:
    given = [
        gated("h", "c", "h: 4, c: 4"),
        gated("c", "h", "c: 4, h: 4"),
        gated("b", "a", "a: 4, b: 4"),
        gated("a", "b", "a: 4, b: 4"),
    ]
    assert len({network(text).hash for text in given}) == 1
    assert network(gated("h", "c", "h: 4, c: 4", "relu")).hash != network(given[0]).hash
    assert network(twins("a", "b")).hash == network(twins("b", "a")).hash == network(twins("p", "o")).hash
    assert network(twins("a", "b", "false")).hash == network(twins("b", "a", "false")).hash
    assert network(twins("a", "b", "false")).hash != network(twins("a", "b")).hash


def test_a_state_nobody_reads_must_fit_too() -> None:
    text = (
        "{name: r, scan: {state: {h: 5}, body: {sequence: [{as: h, layer: linear, out: 4}, {layer: relu}]}}}"
    )
    with pytest.raises(SpaceError) as caught:
        Space.from_yaml(SEQ + text)
    assert "state 'h' is vector[5], its next value is vector[4]: they must be equal" in str(caught.value)
    assert network(text.replace("h: 5", "h: 4")).parameters == 4 * 4 + 4
