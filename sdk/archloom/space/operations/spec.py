"""What an operation is, as data: ``OpSpec``.

An ``OpSpec`` states its rules in the expression language. They may use

- the operation's parameters, by name;
- the dimensions of the first input: c, h, w of an image; c, t of a seq; t of tokens; c of a vector; those of
  the second input are c2, h2, ..., of the third c3, h3, ...;
- ``kind`` of the first input ('image', 'seq', 'tokens', 'vector'; ``kind2`` of the second, ...), ``axes``
  (its axes besides the channels: 2, 1, 1, 0) and ``positions`` (the places along these: h * w, t, t, 1);
- ``inputs`` (how many there are) and ``c_all`` (their channels together);
- ``normed``: whether a norm follows in the same layer;
- in weights and multiply-adds: the output's dimensions oc, oh, ow, ot, and ``opositions``.

How an operation is built in torch is the evaluators' business (``archloom_evaluators.build``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from math import prod
from typing import NamedTuple, TypeGuard

from archloom.space.errors import show
from archloom.space.language.expressions import Expression, Scalar, parse

AXES = {"image": ("c", "h", "w"), "seq": ("c", "t"), "tokens": ("t",), "vector": ("c",)}
"""Kinds of tensor and the names of their axes; the batch axis is left out."""
SLICINGS = ("prefix", "centre", "heads", "segments", "none")
"""How a supernet takes the weights of a smaller operation out of a larger one's, along one axis."""


class Shape(NamedTuple):
    """image[c, h, w], seq[c, t], tokens[t] or vector[c]; the batch axis is left out."""

    kind: str
    dims: tuple[int, ...]

    def __str__(self) -> str:
        return f"{self.kind}[{','.join(map(str, self.dims))}]"

    @property
    def channels(self) -> int:
        """0 for tokens, which have none."""
        return 0 if self.kind == "tokens" else self.dims[0]

    @property
    def positions(self) -> int:
        """h * w of an image, t of a seq or tokens, 1 of a vector."""
        return prod(self.dims) if self.kind == "tokens" else prod(self.dims[1:])


class OperationError(ValueError):
    """The operation cannot be used so. ``parameter`` names the parameter at fault, or is empty."""

    def __init__(self, message: str, parameter: str = "") -> None:
        super().__init__(message)
        self.parameter = parameter


_TYPES: Mapping[str, tuple[tuple[type, ...], str]] = {
    "int": ((int,), "a whole number"),
    "float": ((int, float), "a number"),
    "bool": ((bool,), "true or false"),
    "text": ((str,), "a text"),
    "any": ((int, float, bool, str), "a number, a text, true or false"),
}


@dataclass(frozen=True)
class Parameter:
    """One parameter: its type (int, float, bool, text; any for opaque operations), its default (also an
    "=expression"; None: required) and its range.
    """

    name: str
    type: str
    default: Scalar | None = None
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()
    summary: str = ""

    def check(self, value: object) -> str:
        """What is wrong with a value, or an empty text."""
        types, called = _TYPES[self.type]
        if type(value) not in types:
            return f"expected {called}, found {show(value)}"
        if self.choices and value not in self.choices:
            return f"{show(value)} is none of {', '.join(self.choices)}"
        if isinstance(value, (int, float)):
            if self.low is not None and value < self.low:
                return f"{value!r} is less than {self.low}"
            if self.high is not None and value > self.high:
                return f"{value!r} is more than {self.high}"
        return ""


DECLARED = (
    Parameter("out_kind", "text", choices=tuple(AXES), summary="The kind of tensor that it yields."),
    *(
        Parameter(f"out_{axis}", "int", low=1, summary=f"The output's {axis}.")
        for axis in ("channels", "height", "width", "time")
    ),
)
"""Parameters by which a layer may say what an opaque operation yields, where its spec does not."""


@dataclass(frozen=True)
class OpSpec:
    """One operation.

    shape: each kind that it accepts as its first input -> the kind and the dimensions that it yields.
    arity: the number of inputs, or "many" (one or more).
    others: the kinds of the second input, the third, ...; without them all inputs are of the first one's
        kind, and ``equal_inputs`` says what must agree: "all" dimensions, or all but the "channels".
    multiply_adds: those of convolutions and matrix products, of attention's queries with its keys too; norms,
        activations and pools count nothing.
    identity_if, zero_if: when the output is the input, or zero, whatever the weights.
    zero_to_zero: whether inputs that are all zero give a zero output (norms do, by convention).
    causal: whether, in evaluation, output t depends on inputs up to t alone. Where a stride s shortens the
        time axis, output t may read inputs up to s * t; where it is stretched by s, inputs up to t // s.
        Inputs numbered in ``whole_inputs`` are read whole at every position all the same (the memory of a
        cross-attention).
    slicing: parameter or axis -> one of SLICINGS, for supernets: "prefix" (the first n), "centre" (the middle
        n), "heads" (n whole heads), "segments" (a prefix of each of the joined parts, such as gates), "none"
        (weights of their own for each value). What is not named needs no weights.
    opaque: weights and multiply-adds are unknown and counted as 0; a worker checks the shape by a trial.
        Without ``shape`` it takes any kind and yields its input's shape, or what a layer declares.
    """

    name: str
    version: int
    shape: Mapping[str, tuple[str, tuple[str, ...]]]
    parameters: tuple[Parameter, ...] = ()
    arity: int | str = 1
    others: tuple[tuple[str, ...], ...] = ()
    ordered: bool = False  # whether the order of its inputs matters
    equal_inputs: str = "all"
    requires: tuple[tuple[str, str], ...] = ()  # (expression that holds, message)
    weights: str = "0"
    multiply_adds: str = "0"
    identity_if: str = "false"
    zero_if: str = "false"
    zero_to_zero: str = "false"
    causal: str = "true"
    whole_inputs: tuple[int, ...] = ()
    slicing: Mapping[str, str] = field(default_factory=dict)
    opaque: bool = False
    open: bool = False  # whether any parameter may be given, unchecked (opaque operations without a spec)
    follows: bool = False  # whether a norm and an activation may follow in the same layer
    internal: bool = False  # the builder's own, not to be named in a space
    summary: str = ""
    builder: str = ""  # "module:function" of the torch builder, for operations of a plugin
    _compiled: dict[str, Expression] = field(default_factory=dict, compare=False, repr=False)

    @cached_property
    def by_name(self) -> Mapping[str, Parameter]:
        """What a layer may give: its parameters, and DECLARED where the spec says no shape."""
        declared = () if self.shape else DECLARED
        return {parameter.name: parameter for parameter in (*self.parameters, *declared)}

    @cached_property
    def shaping(self) -> frozenset[str]:
        """The parameters on which the shape, or whether the operation can be used, may depend."""
        rules = [rule for _, dims in self.shape.values() for rule in dims]
        rules += [condition for condition, _ in self.requires]
        rules += [each.default[1:] for each in self.parameters if _is_rule(each.default)]
        read = {name for text in rules for name in self.rule(text).names}
        return frozenset(self.by_name if self.opaque else read & self.by_name.keys())

    def rule(self, text: str) -> Expression:
        """A rule's expression, parsed once."""
        if text not in self._compiled:
            self._compiled[text] = parse(text)
        return self._compiled[text]


def _is_rule(default: Scalar | None) -> TypeGuard[str]:
    return isinstance(default, str) and default.startswith("=")
