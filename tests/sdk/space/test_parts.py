"""Parts: where their decisions exist, how many architectures that makes, and what they see."""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import Any

import pytest
from anew import faults_anew
from archloom.space import Architecture, Space, SpaceError

Data = dict[str, Any]

WIDTH = {"layer": "linear", "out": {"choice": [4, 5, 6]}}
KIND = {"layer": {"choice": ["relu", "tanh"]}}


def space(body: Data | list[Data], parts: Data, **fields: Any) -> Space:
    whole = {"sequence": body} if isinstance(body, list) else body
    return Space.from_dict(
        {"input": {"x": {"kind": "vector", "shape": [4]}}, "parts": parts, "body": whole, **fields}
    )


def use(part: str, **fields: Any) -> Data:
    return {"use": {"part": part, **fields}}


def paths(space: Space) -> set[str]:
    return {info.path for info in space.decisions()}


def assert_numbered(space: Space) -> None:
    """Every number up to the size is an architecture of its own, with the decisions that exist, no others."""
    found = [space.at(number) for number in range(space.size())]
    assert len({architecture.key for architecture in found if architecture is not None}) == space.size()
    assert all(architecture is not None and not faults_anew(space, architecture) for architecture in found)
    rng = Random(0)
    drawn = {space.sample(rng) for _ in range(40 * space.size())}
    assert drawn == set(found)


def test_tied_uses_decide_once_under_the_name_of_the_part() -> None:
    tied = space([use("p"), {"layer": "relu"}, use("p")], {"p": WIDTH})
    assert paths(tied) == {"p.out"}
    assert tied.size() == 3
    graph = tied.graph(Architecture({"p.out": 5}))
    assert [node.path for node in graph.nodes] == ["input.x", "use", "relu", "use_2"]
    assert graph.parameters == 4 * 5 + 5 + 5 * 5 + 5
    assert_numbered(tied)


def test_free_uses_decide_where_they_stand() -> None:
    free = space([use("p", decisions="free"), {"name": "b", **use("p", decisions="free")}], {"p": WIDTH})
    assert paths(free) == {"use.out", "b.out"}
    assert free.size() == 9
    assert_numbered(free)


def test_a_part_under_two_conditions_exists_where_either_holds() -> None:
    either = space(
        [
            {"name": "a", "choice": {"part": use("p"), "none": {"layer": "relu"}}},
            {"name": "b", "choice": {"part": use("p"), "none": {"layer": "tanh"}}},
        ],
        {"p": KIND},
    )
    assert either.size() == 3 * 2 + 1
    assert_numbered(either)
    [info] = [info for info in either.decisions() if info.path == "p.layer"]
    assert set(info.alternatives) == {(("a", ("part",)),), (("b", ("part",)),)}
    both = Architecture({"a": "part", "b": "part", "p.layer": "relu"})
    assert not either.check(both)
    assert [v.field for v in either.check(Architecture({"a": "part", "b": "none"}))] == ["p.layer"]
    changed = [
        a for a in either.neighbors(both) if (a["a"], a["b"]) != ("part", "part") or a["p.layer"] == "tanh"
    ]
    assert len(changed) == 3
    assert all("p.layer" in a for a in changed)


def test_a_part_that_surely_exists_is_no_condition() -> None:
    sure = space(
        [{"name": "a", "choice": {"part": use("p"), "none": {"layer": "relu"}}}, use("p")], {"p": KIND}
    )
    assert sure.size() == 4
    assert all(info.always for info in sure.decisions())
    assert_numbered(sure)


def test_every_option_reaches_the_part() -> None:
    sure = space({"name": "a", "choice": {"x": use("p"), "y": use("p")}}, {"p": KIND})
    assert sure.size() == 4
    assert_numbered(sure)


def test_parts_within_parts_exist_once() -> None:
    nested = space(
        [
            {
                "name": "a",
                "choice": {"outer": use("outer"), "inner": use("inner"), "none": {"layer": "gelu"}},
            },
            {
                "name": "b",
                "choice": {"outer": use("outer"), "inner": use("inner"), "none": {"layer": "silu"}},
            },
        ],
        {
            "inner": KIND,
            "outer": {"sequence": [{"name": "own", **WIDTH}, use("inner"), {"layer": "linear", "out": 4}]},
        },
    )
    # Of nine pairs one reaches nothing, three the inner part alone, five both.
    assert nested.size() == 1 + 3 * 2 + 5 * 6
    assert_numbered(nested)


def test_a_part_conditional_within_another() -> None:
    nested = space(
        [
            {"name": "a", "choice": {"outer": use("outer"), "none": {"layer": "gelu"}}},
            {"name": "b", "choice": {"inner": use("inner"), "none": {"layer": "silu"}}},
        ],
        {
            "inner": KIND,
            "outer": {"choice": {"deep": use("inner"), "flat": {"layer": "mish"}}},
        },
    )
    # outer, deep: 2 * 2; outer, flat: 2 with the inner part, else 1; without the outer part the same
    assert nested.size() == 4 + 3 + 3
    assert_numbered(nested)


def test_both_uniformities_of_a_part_under_conditions() -> None:
    either = space(
        [
            {"name": "a", "choice": {"part": use("p"), "none": {"layer": "relu"}}},
            {"name": "b", "choice": {"part": use("p"), "none": {"layer": "tanh"}}},
        ],
        {"p": KIND},
    )
    rng = Random(7)
    counts = Counter(either.sample(rng, "architectures") for _ in range(14_000))
    assert sum((count - 2_000) ** 2 / 2_000 for count in counts.values()) < 22.5  # 6 degrees, p = 0.001
    by_turn = Counter(either.sample(rng) for _ in range(16_000))
    expected = {a: 1 / 4 / (2 if "p.layer" in a else 1) for a in either.enumerate()}
    assert sum((by_turn[a] - 16_000 * e) ** 2 / (16_000 * e) for a, e in expected.items()) < 22.5


def test_repetitions_may_use_parts_by_number() -> None:
    data = {
        "repeat": {
            "count": {"int": [1, 4]},
            "body": {
                "sequence": [
                    {"name": "even", "when": "i % 2 == 0", **use("p")},
                    {"name": "odd", "when": "i % 2 == 1", **use("q")},
                ]
            },
        }
    }
    stages = space(data, {"p": KIND, "q": {"layer": {"choice": ["gelu", "silu", "mish"]}}})
    assert stages.size() == 2 + 3 * 2 * 3
    assert_numbered(stages)


def test_arguments_are_read_where_the_part_is_used() -> None:
    given = space(
        [
            {
                "name": "stage",
                "repeat": {
                    "count": 2,
                    "body": {"let": {"w": "=8*(i+1)"}, **use("p", **{"with": {"out": "=w + i"}})},
                },
            },
        ],
        {"p": {"layer": "linear", "out": "=out"}},
    )
    assert [node.shape.channels for node in given.graph(Architecture({})).nodes] == [4, 8, 17]


def test_an_argument_may_be_a_decision() -> None:
    given = space(
        [use("p", **{"with": {"out": {"choice": [4, 8]}}}), use("p", **{"with": {"out": "=cin // 2"}})],
        {"p": {"sequence": [{"layer": "linear", "out": "=out"}, {"name": "act", **KIND}]}},
    )
    assert paths(given) == {"use.out", "p.act.layer"}
    assert given.graph(Architecture({"use.out": 8, "p.act.layer": "relu"})).nodes[-1].shape.channels == 4
    assert_numbered(given)


def test_an_argument_that_decides_what_exists_makes_branches() -> None:
    def stage(deep: object) -> Data:
        return use("p", **{"with": {"deep": deep}})

    other = {"name": "other", "when": "not deep", "layer": "dropout", "p": {"choice": [0.1, 0.2, 0.3]}}
    part = {"sequence": [{"layer": "relu"}, {"name": "act", "when": "deep", **KIND}]}
    lively = space([stage({"bool": [False, True]})], {"p": {"sequence": [*part["sequence"], other]}})
    assert lively.size() == 3 + 2
    assert_numbered(lively)
    one = space([stage({"bool": [False, True]})], {"p": part})
    assert one.size() == 1 + 2
    assert_numbered(one)
    two = space([stage(True), {"name": "b", **stage(False)}], {"p": part})
    assert two.size() == 2  # the decision exists since one use has it
    free = space(
        [use("p", decisions="free", **{"with": {"deep": deep}}) for deep in (True, False)], {"p": part}
    )
    assert free.size() == 2


def test_uses_that_decide_different_things_cannot_be_tied() -> None:
    part = {"layer": "linear", "out": {"divisors": "w", "among": [2, 3, 4]}}
    with pytest.raises(SpaceError, match="make them free"):
        space([use("p", **{"with": {"w": w}}) for w in (8, 9)], {"p": part})
    free = space([use("p", decisions="free", **{"with": {"w": w}}) for w in (8, 9)], {"p": part})
    assert free.size() == 2 * 1


def test_a_part_sees_the_variables_of_the_space_and_not_those_of_the_place() -> None:
    seen = space(
        {"let": {"w": 100}, **use("p")},
        {"p": {"layer": "linear", "out": "=w"}},
        let={"w": {"choice": [5, 7]}},
    )
    widths = [seen.graph(Architecture({"w": w})).nodes[-1].shape.channels for w in (5, 7, 5)]
    assert widths == [5, 7, 5]


def test_shared_weights_are_counted_once() -> None:
    part = {"sequence": [{"layer": "linear", "out": 4}, {"layer": "relu"}]}
    shared = space([use("p", weights="shared") for _ in range(3)], {"p": part})
    separate = space([use("p") for _ in range(3)], {"p": part})
    assert separate.graph(Architecture({})).parameters == 3 * 20
    graph = shared.graph(Architecture({}))
    assert graph.parameters == 20
    assert len({node.weights_key for node in graph.nodes if node.op == "linear"}) == 1
    assert len({node.path for node in graph.nodes}) == len(graph.nodes)
    assert graph.hash != separate.graph(Architecture({})).hash


def test_shared_uses_of_different_widths_hold_weights_of_their_own() -> None:
    part = {"layer": "linear", "out": "=out"}
    uses = [use("p", weights="shared", **{"with": {"out": out}}) for out in (4, 4, 6, 4)]
    graph = space(uses, {"p": part}).graph(Architecture({}))
    assert graph.parameters == 20 + 30 + 28
    assert [node.group in graph.shared for node in graph.nodes[1:]] == [True, True, False, False]


def test_shared_weights_have_one_name_however_often_they_are_used() -> None:
    body = {
        "repeat": {"count": {"choice": [1, 2]}, "weights": "shared", "body": {"layer": "linear", "out": 4}}
    }
    seen = space({"name": "r", **body}, {})
    once, twice = (seen.graph(Architecture({"r.count": count})) for count in (1, 2))
    assert {node.weights_key for node in once.nodes[1:]} == {node.weights_key for node in twice.nodes[1:]}
    assert (once.shared, len(twice.shared)) == (frozenset(), 1)
    assert once.parameters == twice.parameters == 20
    alone = space({"name": "r", "sequence": [{"layer": "linear", "out": 4}]}, {})
    assert once.hash == alone.graph(Architecture({})).hash


def test_weights_shared_within_what_is_shared() -> None:
    parts = {
        "inner": {"layer": "linear", "out": 4},
        "outer": {
            "sequence": [use("inner", weights="shared"), {"layer": "relu"}, {"layer": "linear", "out": 4}]
        },
    }
    body = [use("outer", weights="shared"), use("outer", weights="shared"), use("inner", weights="shared")]
    assert space(body, parts).graph(Architecture({})).parameters == 20 + 20


def test_writing_a_part_out_gives_the_same_network() -> None:
    part = {"residual": {"sequence": [{"layer": "linear", "out": 4}, {"layer": "relu"}]}}
    used = space([use("p"), use("p")], {"p": part}).graph(Architecture({}))
    plain = space([{"name": "a", **part}, {"name": "b", **part}], {}).graph(Architecture({}))
    assert used.hash == plain.hash


def test_a_name_of_a_part_that_something_else_decides() -> None:
    with pytest.raises(SpaceError, match="p"):
        space([use("p"), {"name": "p", **WIDTH}], {"p": WIDTH})


def nested(levels: int, times: int, leaf: Data, **fields: Any) -> Data:
    """Parts, each of which uses the one below so many times."""
    parts: Data = {"p0": leaf}
    for level in range(1, levels + 1):
        parts[f"p{level}"] = {"sequence": [use(f"p{level - 1}", **fields) for _ in range(times)]}
    return parts


@pytest.mark.parametrize("leaf", [WIDTH, {"layer": "identity"}, {"layer": "relu"}])
@pytest.mark.parametrize("fields", [{}, {"decisions": "free"}, {"weights": "shared"}])
@pytest.mark.parametrize(("levels", "times"), [(6, 40), (40, 2)])
def test_parts_that_explode_are_refused(levels: int, times: int, leaf: Data, fields: Data) -> None:
    """Written out, they would take days."""
    with pytest.raises(SpaceError):
        space(use(f"p{levels}", **fields), nested(levels, times, leaf, **fields))


def test_parts_that_double_a_few_times_are_fine() -> None:
    assert space(use("p6"), nested(6, 2, KIND)).size() == 2
    assert space(use("p3", decisions="free"), nested(3, 2, KIND, decisions="free")).size() == 2**8


def test_many_conditional_uses_stay_cheap() -> None:
    layers = [
        {"name": f"l{n}", "choice": {"a": use("a"), "b": use("b"), "none": {"layer": "relu"}}}
        for n in range(60)
    ]
    many = space(layers, {"a": KIND, "b": {"layer": {"choice": ["gelu", "silu", "mish"]}}})
    # by which of the two parts some layer uses
    assert many.size() == 1 + 2 * (2**60 - 1) + 3 * (2**60 - 1) + 6 * (3**60 - 2 * 2**60 + 1)
    assert many.at(many.size() - 1) is not None
    assert not faults_anew(many, many.sample(Random(0), "architectures"))


def test_a_part_that_is_a_free_repeat_is_shared_by_conditional_uses() -> None:
    part = {"repeat": {"count": {"int": [1, 2]}, "decisions": "free", "body": KIND}}
    option = {"choice": {"with": use("p"), "without": {"layer": "identity"}}}
    found = space({"sequence": [{"name": "a", **option}, {"name": "b", **option}]}, {"p": part})
    assert found.size() == 1 + 3 * (2 + 4)  # neither, or at least one of them
    assert len({each.key for each in found.enumerate()}) == found.size()
