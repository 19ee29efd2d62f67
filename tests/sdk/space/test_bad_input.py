# ruff: noqa: E501 - one case a line
"""Bad spaces: each fault with its path, all of them at once, quickly, and never anything but a SpaceError."""

from __future__ import annotations

from typing import Any

import pytest
from archloom.space import Space, SpaceError, load_preset
from archloom.v1 import space_pb2
from hypothesis import given, settings
from hypothesis import strategies as st
from random_spaces import space_data

Data = dict[str, Any]

IMAGE = {"x": {"kind": "image", "shape": [3, 8, 8]}}
CONV = {"layer": "conv", "k": 3}


def refused(data: object) -> dict[str, str]:
    """path -> message of a space that is refused."""
    with pytest.raises(SpaceError) as caught:
        Space.from_dict(data)
    return {violation.field: violation.message for violation in caught.value.violations}


def body(node: object, **fields: Any) -> Data:
    return {"input": IMAGE, "body": node, **fields}


@pytest.mark.parametrize(
    ("data", "path", "message"),
    [
        ([], "", "expected a map"),
        ({}, "body", "is missing"),
        (body({"layer": "conf", "k": 3}), "body.layer", "did you mean 'conv'"),
        (body({"layr": "conv"}), "body", "did you mean 'layer'"),
        (body({"sequence": [CONV], "parallel": [CONV]}), "body", "sequence and parallel"),
        (body({"layer": "conv"}), "body", "conv needs 'k'"),
        (body({**CONV, "strid": 2}), "body.strid", "did you mean 'stride'"),
        (body({**CONV, "k": "3"}), "body.k", "expected a whole number, found '3'"),
        (body({**CONV, "k": 0}), "body.k", "0 is less than 1"),
        (body({**CONV, "k": {"choice": [3, 3.5]}}), "body.k", "found 3.5"),
        (body({**CONV, "activation": "rellu"}), "body.activation", "'rellu' is none of"),
        (body({**CONV, "norm": {"choice": ["batch", "bach"]}}), "body.norm", "'bach' is none of"),
        (body({**CONV, "k": {"choice": []}}), "body.k.choice", "a domain needs a value"),
        (body({**CONV, "k": {"choice": [3, 3]}}), "body.k.choice[1]", "occurs twice"),
        (body({**CONV, "k": {"int": [5, 3]}}), "body.k.int", "has no value"),
        (body({**CONV, "k": {"chioce": [3]}}), "body.k", "did you mean 'choice'"),
        (body({**CONV, "k": {}}), "body.k", "an empty map"),
        (body({"layer": "dropout", "p": float("nan")}), "body.p", "found NaN"),
        (body({"layer": "dropout", "p": {"float": [0.0, float("inf")]}}), "body.p.float[1]", "found infinity"),
        (body(CONV, recipe={"lr": {"log": [0.0, 1.0]}}), "recipe.lr.log[0]", "above 0"),
        (body(CONV, recipe={"lr": {"log": ["1e-4", 1.0]}}), "recipe.lr.log[0]", "write 1.0e-4"),
        (body({**CONV, "out": "=2*"}), "body.out", "found the end, expected a value"),
        (body({**CONV, "out": "=__import__('os')"}), "body.out", "there is no function"),
        (body({**CONV, "out": "=9**9**9**9"}), "body", "larger than 2**53"),
        (body({**CONV, "out": "=width"}), "body.out", "there is no variable 'width'"),
        (body({**CONV, "out": "=cin//0"}), "body", "division by zero"),
        (body({"sequence": []}), "body.sequence", "at least one node"),
        (body({"choice": {}}), "body.choice", "at least one option"),
        (body({"choice": {"a.b": CONV}}), "body.choice.a.b", "letters, digits and underscores"),
        (body({"sequence": [{**CONV, "name": "a"}, {**CONV, "name": "a"}]}), "body.sequence[1].name", "called 'a' too"),
        (body({"repeat": {"count": 2_000, "body": CONV}}), "body.repeat.count", "from 0 to 1000"),
        (body({"repeat": {"count": {"int": [-1, 2]}, "body": CONV}}), "body.repeat.count", "found -1"),
        (body({"repeat": {"count": 2}}), "body.repeat.body", "is missing"),
        (body({"repeat": {"count": 2, "body": CONV, "decisions": "fre"}}), "body.repeat.decisions", "mean 'free'"),
        (body({"repeat": {"count": "=cin", "body": {**CONV, "k": {"choice": [1, 3]}}}}), "body.repeat.count", "may not read cin"),
        (body({"parallel": [CONV], "merge": "add"}), "body.merge", "expected sum, concat, mul"),
        (body({**CONV, "adapt": "project"}), "body.adapt", "joins nothing"),
        (body({"use": "cell"}), "body.use", "the space has no parts"),
        (body({"sequence": [CONV], "carry": 17}), "body.carry", "from 1 to 16"),
        (body({"cell": {"nodes": 0, "edges": "dense", "ops": {"a": CONV}}}), "body.cell.nodes", "from 1 to 64"),
        (body({"cell": {"nodes": 2, "edges": "all", "ops": {"a": CONV}}}), "body.cell.edges", "expected dense or"),
        (body(CONV, constraints=["parms < 3"]), "constraints[0]", "did you mean 'params'"),
        (body(CONV, colour="red"), "colour", "is no field here"),
        (body({**CONV, "let": {"cin": 3}}), "body.let.cin", "a meaning of its own"),
        (body({**CONV, "name": "norm"}), "body.name", "a meaning of its own"),
        ({"input": {"x": {"kind": "image", "shape": [3]}}, "body": CONV}, "input.x.shape", "3 dimensions [channels, height, width], here are 1"),
        ({"input": {"x": {"kind": "imag", "shape": [3]}}, "body": CONV}, "input.x.kind", "did you mean 'image'"),
        ({"input": IMAGE["x"], "body": CONV}, "input", "expected inputs by name"),
        (body(CONV, let={"a": {"choice": [1, 2]}}, recipe={"b": "=c"}), "recipe.b", "no variable 'c'"),
    ],
)  # fmt: skip
def test_a_fault_is_named_with_its_path(data: object, path: str, message: str) -> None:
    found = refused(data)
    assert path in found, found
    assert message in found[path]


def test_every_fault_is_reported_at_once() -> None:
    found = refused(
        {
            "input": {"x": {"kind": "image", "shape": [3, 8, float("nan")]}},
            "body": {
                "sequence": [{"layer": "conf"}, {**CONV, "k": {"choice": []}}, {"layer": "relu", "size": 3}]
            },
            "recipe": {"lr": {"log": [1, -1]}},
            "constraint": [],
        }
    )
    assert set(found) == {
        "input.x.shape[2]",
        "body.sequence[0].layer",
        "body.sequence[1].k.choice",
        "body.sequence[2].size",
        "recipe.lr.log",
        "constraint",
    }


def test_shapes_that_do_not_fit_name_the_decision() -> None:
    half = {"layer": "conv", "k": 3, "stride": 2}
    found = refused(body({"name": "join", "parallel": [CONV, half]}))
    assert "image[3,8,8], image[3,4,4]: the shapes differ" in found["body"]
    space = Space.from_dict(
        body({"name": "join", "parallel": [CONV, {**CONV, "name": "side", "stride": {"choice": [1, 2]}}]})
    )
    wrong = next(iter(space.enumerate()))
    assert wrong["join.side.stride"] == 1
    broken = type(wrong)({"join.side.stride": 2})
    (violation,) = space.check(broken)
    assert violation.field == "join.side.stride"
    assert "at join: " in violation.message
    assert "2 does not fit, 1 would" in violation.message
    assert len(list(space.enumerate())) == 1


def test_a_layer_that_cannot_take_its_input() -> None:
    assert (
        "takes vector or seq, the input is image[3,8,8]"
        in refused(body({"layer": "linear", "out": 3}))["body"]
    )
    found = refused(body({**CONV, "groups": 2}))
    assert "groups do not divide the input's channels" in found["body"]
    pools = {"sequence": [{"layer": "max_pool", "k": 2, "stride": 2}] * 4}
    assert "leaves nothing" in refused(body(pools))["body.sequence[3]"]


def test_too_many_decisions_and_layers_are_refused() -> None:
    free: Data = {**CONV, "k": {"choice": [1, 3]}}
    for level in range(3):
        free = {"name": f"level{level}", "repeat": {"count": 500, "decisions": "free", "body": free}}
    found = refused(body(free))
    assert any("decisions" in message for message in found.values())
    layers: Data = {"layer": "relu"}
    for level in range(3):
        layers = {"name": f"level{level}", "repeat": {"count": 1_000, "body": layers}}
    assert any("more than 50000 layers" in message for message in refused(body(layers)).values())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[" * 100_000, "deeper than 150 levels|nesting depth"),
        ("a: " + "[" * 500 + "]" * 500, "deeper than 150 levels"),
        ("a: &a [1, *a]", "stands for itself"),
        ("a: &a [x, x]\nb: &b [*a, *a]\n" + "".join(f"{chr(99 + n)}: &{chr(99 + n)} [{', '.join(['*' + chr(98 + n)] * 9)}]\n" for n in range(10)), "more than 200000 values"),
        ("a: 1\na: 2", "'a' occurs twice"),
        ("a: !!python/object/apply:os.system ['true']", "the tag !!python/object/apply:os.system is not obeyed"),
        ("a: [1, 2", "line [12]"),
        ("\x00", "not a YAML text"),
        ("input: {x: {kind: image, shape: [3, 8, .nan]}}\nbody: {layer: relu}", "found NaN"),
        ("body: {choice: {1: {layer: relu}}}\ninput: {}", "the key 1 is not text; put it in quotes"),
        ("body: {choice: {true: {layer: relu}}}\ninput: {}", "the key true is not text; put it in quotes"),
        ("", "expected a map with name, .*, found nothing"),
    ],
)  # fmt: skip
def test_yaml_is_read_safely(text: str, message: str) -> None:
    with pytest.raises(SpaceError, match=message):
        Space.from_yaml(text)


def test_yaml_reads_small_numbers_as_yaml_1_2_does() -> None:
    space = Space.from_yaml(
        "{input: {x: {kind: vector, shape: [4]}}, body: {layer: relu}, recipe: {lr: {log: [1e-4, 1]}}}"
    )
    assert space.to_dict()["recipe"]["lr"] == {"log": [1e-4, 1.0]}


@pytest.mark.parametrize(
    ("message", "path"),
    [
        (space_pb2.Space(), "body"),
        (space_pb2.Space(inputs=[space_pb2.SpaceInput(name="x")]), "input.x.kind"),
        (space_pb2.Space(body=space_pb2.SpaceNode(use=space_pb2.SpaceNode.Use(part="p"))), "body.use.part"),
        (space_pb2.Space(body=space_pb2.SpaceNode(adapt=77, residual={"body": {}})), "body.adapt"),  # type: ignore[arg-type]
        (space_pb2.Space(parts=[space_pb2.SpacePart(name="p")]), "parts.p"),
        (space_pb2.Space(body=space_pb2.SpaceNode(sources=["a"])), "body"),
    ],
)
def test_a_message_meets_the_same_checks(message: space_pb2.Space, path: str) -> None:
    with pytest.raises(SpaceError) as caught:
        Space.from_proto(message)
    assert path in {violation.field for violation in caught.value.violations}


def test_presets_are_named_with_a_near_match() -> None:
    with pytest.raises(SpaceError, match="did you mean 'nasbench201'"):
        load_preset("nasbench20l")


_JUNK = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5), st.just("=cin")),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(
                [
                    "layer",
                    "sequence",
                    "choice",
                    "repeat",
                    "cell",
                    "count",
                    "body",
                    "k",
                    "int",
                    "let",
                    "ops",
                    "as",
                    "from",
                    "use",
                    "scan",
                    "map",
                    "over",
                ]
            ),
            inner,
            max_size=3,
        ),
    ),
    max_leaves=8,
)


@given(space_data(), st.data())
@settings(max_examples=150, deadline=None)
def test_junk_anywhere_is_a_space_error_or_a_space(data: Data, drawn: st.DataObject) -> None:
    """Some value of a good space is replaced by junk."""
    place: Any = data
    for _ in range(drawn.draw(st.integers(0, 6))):
        inside = list(place) if isinstance(place, dict) else list(range(len(place)))
        deeper = [key for key in inside if isinstance(place[key], (dict, list)) and place[key]]
        if not deeper:
            break
        place = place[drawn.draw(st.sampled_from(deeper))]
    keys = list(place) if isinstance(place, dict) else list(range(len(place)))
    place[drawn.draw(st.sampled_from(keys))] = drawn.draw(_JUNK)
    try:
        space = Space.from_dict(data)
    except SpaceError:
        return
    assert Space.from_proto(space.to_proto()) == space
