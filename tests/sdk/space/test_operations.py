"""Operations as data: rules, refusals, and what a space makes of them. No torch."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from anew import faults_anew
from archloom.space import Architecture, OpSpec, Parameter, Shape, Space, SpaceError, register_spec
from archloom.space.operations import (
    AXES,
    BUILT_IN,
    COMPOSITES,
    Operation,
    OperationError,
    find,
    operation_specs,
    resolve,
)
from archloom.space.operations.spec import SLICINGS


def operation(name: str, *inputs: Shape, **given: Any) -> Operation:
    return resolve(name, tuple((key, type(value), value) for key, value in given.items()), inputs)


def image(*dims: int) -> Shape:
    return Shape("image", dims)


def seq(*dims: int) -> Shape:
    return Shape("seq", dims)


def space(layer: dict[str, Any], kind: str = "seq", shape: tuple[int, ...] = (12, 10)) -> Space:
    return Space.from_dict({"input": {"x": {"kind": kind, "shape": list(shape)}}, "body": layer})


def test_equal_operations_are_one_object() -> None:
    assert operation("conv", image(3, 8, 8), k=3) is operation("conv", image(3, 8, 8), k=3)
    assert operation("conv", image(3, 8, 8), k=3) is not operation("conv", image(3, 8, 8), k=5)
    labels = {operation(name, image(4, 8, 8)).label for name in ("relu", "gelu", "identity", "sigmoid")}
    assert len(labels) == 4


def test_a_flag_is_no_number() -> None:
    assert operation("linear", Shape("vector", (3,)), out=2, bias=True).weights == 8
    with pytest.raises(OperationError, match=r"linear\.out: expected a whole number, found (?i:true)"):
        operation("linear", Shape("vector", (3,)), out=True)
    with pytest.raises(OperationError, match=r"linear\.bias: expected true or false, found 1"):
        operation("linear", Shape("vector", (3,)), out=2, bias=1)


@pytest.mark.parametrize(("name", "inputs", "given", "shape", "weights", "flops"), [
    ("conv", [image(4, 9, 7)], {"k": 3, "out": 8}, image(8, 9, 7), 4 * 8 * 9 + 8, 4 * 8 * 9 * 63),
    ("conv", [seq(4, 9)], {"k": 3, "out": 8}, seq(8, 9), 4 * 8 * 3 + 8, 4 * 8 * 3 * 9),
    ("conv", [seq(4, 9)], {"k": 2, "padding": "causal"}, seq(4, 9), 4 * 4 * 2 + 4, 4 * 4 * 2 * 9),
    ("conv", [image(4, 9, 7)], {"k": 3, "groups": 4, "stride": 2}, image(4, 5, 4), 40, 4 * 9 * 20),
    ("attention", [seq(8, 10)], {"heads": 2}, seq(8, 10), 4 * 72, 10 * 4 * 64 + 2 * 8 * 100),
    ("attention", [seq(8, 100)], {"heads": 2, "window": 5, "causal": True, "bias": False}, seq(8, 100),
     4 * 64, 100 * 4 * 64 + 2 * 8 * 100 * 10),
    ("cross_attention", [seq(8, 10), seq(6, 4)], {"heads": 2, "bias": False}, seq(8, 10),
     2 * 64 + 2 * 48, 10 * 2 * 64 + 4 * 2 * 48 + 2 * 8 * 40),
    ("gru", [seq(3, 5)], {"out": 4}, seq(4, 5), 3 * 4 * (3 + 4 + 2), 5 * 3 * 4 * (3 + 4)),
    ("resize_as", [image(3, 7, 7), image(9, 13, 14)], {}, image(3, 13, 14), 0, 0),
    ("to_seq", [image(3, 4, 5)], {"along": "width"}, seq(12, 5), 0, 0),
    ("to_image", [seq(3, 16)], {}, image(3, 4, 4), 0, 0),
    ("embedding", [Shape("tokens", (7,))], {"vocabulary": 50, "out": 6}, seq(6, 7), 300, 0),
    ("ngram_bag", [Shape("tokens", (7,))], {"out": 6, "buckets": 30}, Shape("vector", (6,)), 180, 0),
])  # fmt: skip
def test_rules_by_hand(
    name: str, inputs: list[Shape], given: dict[str, Any], shape: Shape, weights: int, flops: int
) -> None:
    found = operation(name, *inputs, **given)
    assert (found.shape, found.weights, found.flops) == (shape, weights, flops)


@pytest.mark.parametrize(("name", "inputs", "given", "message", "parameter"), [
    ("conv", [image(4, 8, 8)], {"k": 3, "groups": 3}, "groups do not divide the input's channels", "groups"),
    ("conv", [image(4, 8, 8)], {"k": 3, "padding": "causal"}, "an image has no time", "padding"),
    ("conv", [image(4, 2, 2)], {"k": 3, "padding": "valid"}, r"leaves nothing: image\[4,0,0\]", ""),
    ("conv", [image(4, 2, 2)], {}, "conv needs 'k'", "k"),
    ("conv", [image(4, 2, 2)], {"k": 3, "strides": 2}, r"no parameter 'strides' \(did you mean 'stride'\?\)",
     "strides"),
    ("attention", [seq(8, 9)], {"heads": 3}, "heads do not divide the channels", "heads"),
    ("attention", [seq(8, 9)], {"heads": 4, "kv_heads": 3}, "kv_heads do not divide heads", "heads"),
    ("attention", [image(8, 9, 9)], {"heads": 3}, r"takes seq, the input is image\[8,9,9\]", ""),
    ("cross_attention", [seq(8, 9)], {"heads": 2}, "takes 2 inputs, here are 1", ""),
    ("cross_attention", [seq(8, 9), image(8, 9, 9)], {"heads": 2}, "takes seq, input 2 is image", ""),
    ("relu", [seq(8, 9), seq(8, 9)], {}, "takes one input, here are 2", ""),
    ("sum", [seq(8, 9), seq(8, 8)], {}, "the shapes differ", ""),
    ("concat", [seq(8, 9), seq(7, 8)], {}, "the shapes differ", ""),
    ("scale_channels", [seq(8, 9), Shape("vector", (7,))], {}, "another number of channels", ""),
    ("resize_as", [seq(8, 9), image(7, 8, 8)], {}, "the kinds differ", ""),
    ("instance_norm", [image(3, 1, 1)], {}, "one position would always be normalised to zero", ""),
    ("to_image", [seq(3, 15)], {}, r"to_image\.height: expected a whole number", "height"),
    ("upsample", [seq(3, 5)], {"mode": "cubic"}, "'cubic' is none of nearest, bilinear", "mode"),
])  # fmt: skip
def test_what_does_not_fit_is_refused(
    name: str, inputs: list[Shape], given: dict[str, Any], message: str, parameter: str
) -> None:
    with pytest.raises(OperationError, match=message) as raised:
        operation(name, *inputs, **given)
    assert raised.value.parameter == parameter


def test_a_fault_names_the_decision_that_made_it() -> None:
    searched = space({"name": "mix", "layer": "attention", "heads": {"choice": [4, 5]}})
    (good,) = searched.enumerate()
    assert good["mix.heads"] == 4
    (fault,) = searched.check(Architecture({"mix.heads": 5}))
    assert fault.field == "mix.heads"
    assert "heads do not divide the channels" in fault.message


def test_an_unknown_operation_has_a_near_match() -> None:
    with pytest.raises(OperationError, match=r"no operation 'atention' \(did you mean 'attention'\?\)"):
        find("atention")


@pytest.mark.parametrize("name", BUILT_IN)
def test_every_spec_is_well_formed(name: str) -> None:
    spec = operation_specs()[name]
    assert spec.summary.endswith(".")
    assert set(spec.shape) <= set(AXES)
    assert all(len(dims) == len(AXES[kind]) for kind, dims in spec.shape.values())
    assert set(spec.slicing.values()) <= set(SLICINGS)
    axes = {f"{axis}{number}" for axis in "chwt" for number in ("", 2)}
    assert set(spec.slicing) <= spec.by_name.keys() | axes
    assert spec.weights == "0" or spec.slicing or name == "weighted_sum"
    facts = {"kind", "kind2", "axes", "positions", "inputs", "c_all", "normed", *spec.by_name, *axes}
    rules = [rule for _, dims in spec.shape.values() for rule in dims]
    rules += [condition for condition, _ in spec.requires]
    rules += [spec.identity_if, spec.zero_if, spec.zero_to_zero, spec.causal]
    rules += [each.default[1:] for each in spec.parameters if str(each.default).startswith("=")]  # type: ignore[index]
    for rule in rules:
        assert spec.rule(rule).names <= facts
    for rule in (spec.weights, spec.multiply_adds):
        assert spec.rule(rule).names <= {*facts, "oc", "oh", "ow", "ot", "opositions"}


def test_parameters_and_composites_are_described() -> None:
    described: list[Any] = [*COMPOSITES.values(), *(operation_specs()[name] for name in BUILT_IN)]
    for known in described:
        assert known.summary
        assert all(each.summary for each in known.parameters), known.name


def test_names_of_operations_and_composites_differ() -> None:
    assert not COMPOSITES.keys() & operation_specs().keys()


def test_another_operation_of_a_name_is_refused() -> None:
    with pytest.raises(ValueError, match="another operation is called 'conv'"):
        register_spec(OpSpec("conv", 2, {}))
    assert register_spec(find("conv")) is find("conv")


def test_the_parameters_that_shape() -> None:
    assert find("conv").shaping == {"k", "out", "stride", "groups", "dilation", "padding"}
    assert find("attention").shaping == {"out", "heads", "kv_heads", "head_dim", "rotary"}
    assert find("lstm").shaping == {"out", "bidirectional"}
    assert find("position").shaping == set()


@pytest.mark.parametrize(("layer", "kind", "shape", "kept"), [
    ({"layer": "conv", "k": 1, "norm": {"choice": ["batch", "instance"]}}, "image", (4, 1, 1), 1),
    ({"layer": "conv", "k": 1, "norm": {"choice": ["rms", "group"]}}, "image", (1, 1, 1), 1),
    ({"layer": {"choice": ["to_image", "transpose"]}}, "seq", (3, 15), 1),
    ({"layer": "attention", "heads": {"choice": [2, 5]}, "window": {"choice": [0, 3]}}, "seq", (12, 9), 2),
    ({"layer": "upsample", "factor": {"choice": [1, 2]}, "mode": {"choice": ["nearest", "bilinear"]}}, "seq",
     (3, 5), 4),
])  # fmt: skip
def test_samples_fit_where_some_choices_do_not(
    layer: dict[str, Any], kind: str, shape: tuple[int, ...], kept: int
) -> None:
    searched = space({"name": "x", **layer}, kind, shape)
    assert len(list(searched.enumerate())) == kept
    rng = Random(0)
    assert all(faults_anew(searched, searched.sample(rng)) == [] for _ in range(20))


def test_causality_of_a_network() -> None:
    def causal(*layers: dict[str, Any]) -> bool:
        whole = space({"sequence": list(layers)})
        return whole.graph(whole.sample(Random(0))).causal

    attending = {"layer": "attention", "heads": 2}
    assert causal({"layer": "linear", "out": 4}, {**attending, "causal": True}, {"layer": "feed_forward"})
    assert not causal({**attending, "causal": True}, attending)
    assert causal({"layer": "depthwise", "padding": "causal", "k": 5, "norm": "batch"})
    assert not causal({"layer": "depthwise", "k": 5})
    assert not causal({"layer": "conv", "k": 1, "norm": "group"})


def test_an_operation_of_ones_own_takes_two_inputs_of_different_kinds() -> None:
    register_spec(
        OpSpec(
            "own_film",
            1,
            {"seq": ("seq", ("c", "t"))},
            (Parameter("scale", "float", 1.0),),
            arity=2,
            others=(("vector",),),
            ordered=True,
            weights="2 * c * c2 + 2 * c",
            multiply_adds="2 * c * c2",
            summary="Each channel scaled and moved as a vector says.",
        )
    )
    searched = Space.from_dict(
        {
            "input": {"x": {"kind": "seq", "shape": [4, 9]}, "by": {"kind": "vector", "shape": [5]}},
            "body": {"layer": "own_film", "from": ["x", "by"], "name": "film"},
        }
    )
    graph = searched.graph(searched.sample(Random(0)))
    assert graph.parameters == 2 * 4 * 5 + 2 * 4
    assert graph.nodes[-1].inputs == (0, 1)
    with pytest.raises(SpaceError, match="own_film"):
        space({"layer": "own_film"}, shape=(4, 9))
