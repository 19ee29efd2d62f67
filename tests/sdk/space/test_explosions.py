"""Spaces that are short to write and long to compile: refused after little work, which is counted."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from anew import faults_anew
from archloom.space import Architecture, Space, SpaceError
from archloom.space.decisions import compiling
from archloom.space.decisions.scopes import MAX_WORK, Scopes

Data = dict[str, Any]

VECTOR = {"x": {"kind": "vector", "shape": [4]}}
RELU = {"layer": {"choice": ["relu", "tanh"]}}
CHOICE = {"choice": {"a": {"layer": "relu"}, "b": {"layer": "tanh"}}}


def repeats(count: object, depth: int = 4) -> Data:
    node: Data = CHOICE
    for _ in range(depth):
        node = {"repeat": {"count": count, "decisions": "free", "body": node}}
    return node


def cells() -> Data:
    node: Data = {"layer": "relu"}
    for _ in range(4):
        node = {"cell": {"nodes": 10, "edges": "dense", "ops": {"a": node, "b": {"layer": "tanh"}}}}
    return node


def variables() -> Data:
    repeat = {"repeat": {"count": "=min(1000, a + b)", "body": RELU}}
    return {
        "let": {"a": {"int": [1, 1_000]}},
        "sequence": [{"let": {"b": {"int": [1, 1_000]}}, "sequence": [repeat]}],
    }


def conditions() -> Data:
    let = {f"v{number}": {"choice": [1, 2]} for number in range(16)}
    return {"let": let, "sequence": [{"when": f"v{number} == 1", **RELU} for number in range(16)]}


def by_number() -> Data:
    inner = {"repeat": {"count": 1_000, "decisions": "free", "body": {"when": "i > 3", **RELU}}}
    return {"repeat": {"count": 1_000, "decisions": "free", "body": inner}}


@pytest.mark.parametrize(
    "body",
    [
        repeats(1_000),
        repeats({"int": [0, 20]}),
        repeats({"int": [0, 1_000]}, 3),
        cells(),
        variables(),
        conditions(),
        by_number(),
    ],
    ids=["repeats", "counts", "long counts", "cells", "variables", "conditions", "by number"],
)
def test_what_explodes_is_refused_after_little_work(body: Data, monkeypatch: pytest.MonkeyPatch) -> None:
    walked: list[str] = []
    merged: list[int] = []
    node, every = compiling._Compiler.node, Scopes.all

    def counted(self: Any, *given: Any) -> Any:
        walked.append(given[1])
        return node(self, *given)

    def added(self: Any, children: Any, where: str) -> Any:
        merged.append(sum(len(child.own_paths) for child in children))
        return every(self, children, where)

    monkeypatch.setattr(compiling._Compiler, "node", counted)
    monkeypatch.setattr(Scopes, "all", added)
    with pytest.raises(SpaceError, match="more than"):
        Space.from_dict({"input": VECTOR, "body": body})
    assert 0 < len(walked) <= MAX_WORK + 1
    assert sum(merged) < 10_000_000


def test_a_free_repeat_of_any_count_holds_each_repetition_once() -> None:
    """1,000 times 20 decisions: as one option for each count they would be ten millions."""
    body = {"sequence": [RELU] * 20}
    space = Space.from_dict(
        {
            "input": VECTOR,
            "body": {
                "name": "r",
                "repeat": {"count": {"int": [1, 1_000]}, "decisions": "free", "body": body},
            },
        }
    )
    assert space.size() == sum(2 ** (20 * count) for count in range(1, 1_001))
    known = {info.path: info for info in space.decisions()}
    assert len(known) == 1 + 20_000
    assert known["r[0].layer.layer"].always
    assert len(known["r[500].layer.layer"].alternatives[0][0][1]) == 500
    rng = Random(0)
    first = space.sample(rng)
    count = first.decisions["r.count"]
    assert isinstance(count, int)
    assert len(first.decisions) == 1 + 20 * count


def test_a_free_repeat_is_the_choice_among_its_counts() -> None:
    body = {"sequence": [RELU, {"when": "i > 0", "name": "late", "choice": CHOICE["choice"]}]}
    repeat = {"name": "r", "repeat": {"count": {"choice": [3, 0, 2]}, "decisions": "free", "body": body}}
    space = Space.from_dict({"input": VECTOR, "body": repeat})
    assert space.size() == 2 * 4 * 4 + 1 + 2 * 4
    members = [space.at(index) for index in range(space.size())]
    assert len({str(sorted(one.decisions.items())) for one in members if one is not None}) == 41
    assert all(one is not None and faults_anew(space, one) == [] for one in members)
    known = {info.path: info.alternatives for info in space.decisions()}
    assert known["r.count"] == ()
    assert known["r[0].layer.layer"] == known["r[1].late"] == ((("r.count", (3, 2)),),)
    assert known["r[2].late"] == ((("r.count", (3,)),),)
    fewer: Data = {"r.count": 2, "r[0].layer.layer": "relu", "r[1].layer.layer": "relu"}
    assert [str(fault) for fault in space.check(Architecture(fewer))] == ["r[1].late: is not decided"]
    more = {**fewer, "r[1].late": "a", "r[2].late": "b"}
    [fault] = space.check(Architecture(more))
    assert "does not exist under the other decisions" in str(fault)
    assert "is not decided" in str(space.check(Architecture({}))[0])


def test_large_spaces_stay_spaces() -> None:
    assert Space.from_dict({"input": VECTOR, "body": {"sequence": [CHOICE] * 6_000}}).size() == 2**6_000
    free = {"repeat": {"count": {"int": [1, 500]}, "decisions": "free", "body": CHOICE}}
    assert Space.from_dict({"input": VECTOR, "body": free}).size() == 2**501 - 2
