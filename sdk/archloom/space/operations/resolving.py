"""One operation on given inputs: parameters filled in and checked, shape, weights and cost worked out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from typing import TYPE_CHECKING

from archloom.space.errors import suggest
from archloom.space.language.domains import Literal
from archloom.space.language.expressions import ExpressionError, Scalar
from archloom.space.operations.registry import find
from archloom.space.operations.spec import AXES, OperationError, OpSpec, Parameter, Shape

if TYPE_CHECKING:
    from archloom.space.networks.graph import Graph


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Operation:
    """An operation with its parameters and input shapes resolved. Interned: equal ones are one object.

    ``flops`` are the multiply-adds of its convolutions and matrix products for one example, those of
    attention's scores among them; norms, activations, pools and sums count nothing. ``zero_to_zero``,
    ``causal`` and ``whole_inputs`` are explained at ``OpSpec``. ``label`` tells different operations apart.
    ``body`` is what a ``scan`` repeats.
    """

    name: str
    version: int
    parameters: tuple[tuple[str, Scalar], ...]
    inputs: tuple[Shape, ...]
    shape: Shape
    weights: int
    flops: int
    label: bytes
    ordered: bool = False
    identity: bool = False
    zero: bool = False
    zero_to_zero: bool = False
    causal: bool = True
    whole_inputs: tuple[int, ...] = ()
    opaque: bool = False
    body: Graph | None = None


_DECLARED_AXES = {"c": "out_channels", "h": "out_height", "w": "out_width", "t": "out_time"}


@lru_cache(maxsize=100_000)
def resolve(
    name: str, given: tuple[tuple[str, type, Literal], ...], inputs: tuple[Shape, ...], normed: bool = False
) -> Operation:
    """The operation with defaults filled in, checked against its inputs; raises OperationError.

    given: (name, type, value) of each parameter; the type stands there so that 1 and True are cached apart.
    """
    spec = find(name)
    values = {parameter: value for parameter, _, value in given}
    try:
        return _resolve(spec, values, inputs, normed)
    except ExpressionError as error:
        raise OperationError(f"{name} on {_listed(inputs)}: {error}") from None


def _resolve(
    spec: OpSpec, values: Mapping[str, Literal], inputs: tuple[Shape, ...], normed: bool
) -> Operation:
    environment = _facts(spec, inputs)
    environment["normed"] = normed
    parameters = _parameters(spec, values, environment)
    for condition, message in spec.requires:
        rule = spec.rule(condition)
        if not rule.evaluate(environment):
            at_fault = [name for name in spec.by_name if name in rule.names and name in values]
            raise OperationError(
                f"{spec.name} on {_listed(inputs)}: {message}", at_fault[0] if at_fault else ""
            )
    shape = _shape(spec, inputs, environment)
    for axis, size in zip(AXES[shape.kind], shape.dims, strict=True):
        environment["o" + axis] = size
    environment["opositions"] = shape.positions

    def number(text: str) -> int:
        return int(spec.rule(text).evaluate(environment))

    return Operation(
        name=spec.name,
        version=spec.version,
        parameters=parameters,
        inputs=inputs,
        shape=shape,
        weights=number(spec.weights),
        flops=number(spec.multiply_adds),
        label=sha256(repr((spec.name, spec.version, parameters, inputs, shape)).encode()).digest()[:16],
        ordered=spec.ordered,
        identity=bool(number(spec.identity_if)),
        zero=bool(number(spec.zero_if)),
        zero_to_zero=bool(number(spec.zero_to_zero)),
        causal=bool(number(spec.causal)),
        whole_inputs=spec.whole_inputs,
        opaque=spec.opaque,
    )


def _parameters(
    spec: OpSpec, values: Mapping[str, Literal], environment: dict[str, Scalar]
) -> tuple[tuple[str, Scalar], ...]:
    """All parameters with their values, which the environment gets too."""
    known = dict.fromkeys(spec.parameters)
    for given in values:
        if given in spec.by_name:
            known[spec.by_name[given]] = None
        elif spec.open:
            known[Parameter(given, "any")] = None
        else:
            hint = suggest(given, spec.by_name)
            raise OperationError(f"{spec.name} has no parameter {given!r}{hint}", given)
    resolved: list[tuple[str, Scalar]] = []
    for parameter in known:
        value = values.get(parameter.name, parameter.default)
        if value is None:
            raise OperationError(f"{spec.name} needs {parameter.name!r}", parameter.name)
        if isinstance(value, str) and value.startswith("="):
            value = spec.rule(value[1:]).evaluate(environment)
        if parameter.type == "int" and isinstance(value, float) and value.is_integer():
            value = int(value)
        if wrong := parameter.check(value):
            raise OperationError(f"{spec.name}.{parameter.name}: {wrong}", parameter.name)
        assert not isinstance(value, tuple)
        if parameter.type == "float":
            value = float(value)
        environment[parameter.name] = value
        resolved.append((parameter.name, value))
    return tuple(resolved)


def _shape(spec: OpSpec, inputs: tuple[Shape, ...], environment: Mapping[str, Scalar]) -> Shape:
    if spec.shape:
        kind, rules = spec.shape[inputs[0].kind]
        sizes = [spec.rule(rule).evaluate(environment) for rule in rules]
    else:
        kind = str(environment.get("out_kind", inputs[0].kind))
        same = kind == inputs[0].kind
        sizes = []
        for axis in AXES[kind]:
            declared = environment.get(_DECLARED_AXES[axis], environment[axis] if same else None)
            if declared is None:
                raise OperationError(f"{spec.name} needs {_DECLARED_AXES[axis]!r}: it yields another kind")
            sizes.append(declared)
    shape = Shape(kind, tuple(map(int, sizes)))
    if any(size < 1 for size in shape.dims):
        raise OperationError(f"{spec.name} on {_listed(inputs)} leaves nothing: {shape}")
    return shape


def _facts(spec: OpSpec, inputs: tuple[Shape, ...]) -> dict[str, Scalar]:
    """The variables that the inputs give, once they are such as the operation takes."""
    first = inputs[0]
    if spec.arity != "many" and len(inputs) != spec.arity:
        wanted = "one input" if spec.arity == 1 else f"{spec.arity} inputs"
        raise OperationError(f"{spec.name} takes {wanted}, here are {len(inputs)}")
    facts: dict[str, Scalar] = {}
    for number, shape in enumerate(inputs):
        kinds = tuple(spec.shape) or tuple(AXES)
        if number and spec.others:
            kinds = spec.others[number - 1]
        if shape.kind not in kinds:
            called = f"input {number + 1}" if len(inputs) > 1 else "the input"
            raise OperationError(f"{spec.name} takes {' or '.join(kinds)}, {called} is {shape}")
        if number and not spec.others:
            free = spec.equal_inputs == "channels"
            if shape.kind != first.kind or shape.dims[free:] != first.dims[free:]:
                raise OperationError(f"{spec.name} of {_listed(inputs)}: the shapes differ")
        for axis, size in zip(AXES[shape.kind], shape.dims, strict=True):
            facts[f"{axis}{number + 1}" if number else axis] = size
        facts[f"kind{number + 1}" if number else "kind"] = shape.kind
    facts["axes"] = len(first.dims) - (first.kind != "tokens")
    facts["positions"] = first.positions
    facts["inputs"] = len(inputs)
    facts["c_all"] = sum(shape.channels for shape in inputs)
    return facts


def _listed(inputs: tuple[Shape, ...]) -> str:
    return ", ".join(map(str, inputs))
