"""Operations as data: what each layer needs, yields, weighs and costs, known without torch.

An ``OpSpec`` states its rules in the expression language. They may use the operation's parameters; the first
input's dimensions (c, h, w of an image; c, t of a seq; c of a vector), ``inputs`` (their number) and
``c_all`` (their channels together); ``normed`` (a norm follows); and, for weights and multiply-adds, the
output's dimensions (oc, oh, ow, ot). How an operation is built in torch is the evaluators' business
(``archloom_evaluators.build``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property, lru_cache
from hashlib import sha256
from typing import NamedTuple

from archloom.space.domains import Literal
from archloom.space.errors import suggest
from archloom.space.expressions import Expression, ExpressionError, Scalar, parse

_AXES = {"image": ("c", "h", "w"), "seq": ("c", "t"), "tokens": ("t",), "vector": ("c",)}


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


class OperationError(ValueError):
    """The operation cannot be used so. ``parameter`` names the parameter at fault, or is empty."""

    def __init__(self, message: str, parameter: str = "") -> None:
        super().__init__(message)
        self.parameter = parameter


@dataclass(frozen=True)
class Parameter:
    """One parameter: its type (int, float, bool, text), default ("=expression" too; None: required) and
    range.
    """

    name: str
    type: str
    default: Scalar | None = None
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()

    def check(self, value: object) -> str:
        """What is wrong with a value, or an empty text."""
        if not {"int": type(value) is int, "float": type(value) in (int, float), "bool": type(value) is bool,
                "text": type(value) is str}[self.type]:  # fmt: skip
            return f"expected {_TYPE_NAMES[self.type]}, found {value!r}"
        if self.choices and value not in self.choices:
            return f"{value!r} is none of {', '.join(self.choices)}"
        if isinstance(value, (int, float)):
            if self.low is not None and value < self.low:
                return f"{value!r} is less than {self.low}"
            if self.high is not None and value > self.high:
                return f"{value!r} is more than {self.high}"
        return ""


_TYPE_NAMES = {"int": "a whole number", "float": "a number", "bool": "true or false", "text": "a text"}


@dataclass(frozen=True)
class OpSpec:
    """One operation. ``shape`` maps each kind it accepts to the kind and dimensions it yields."""

    name: str
    version: int
    shape: Mapping[str, tuple[str, tuple[str, ...]]]
    parameters: tuple[Parameter, ...] = ()
    arity: str = "one"  # or many
    ordered: bool = False  # whether the order of its inputs matters
    equal_inputs: str = "all"  # for many inputs: all dimensions are equal, or all but the "channels"
    requires: tuple[tuple[str, str], ...] = ()  # (expression that holds, message)
    weights: str = "0"
    multiply_adds: str = "0"  # of products with weights; norms, activations and pools count nothing
    identity_if: str = "false"
    zero_if: str = "false"
    zero_to_zero: str = "false"  # whether a zero input gives a zero output (norms do, by convention)
    causal: bool = True
    follows: bool = False  # whether a norm and an activation may follow in the same layer
    internal: bool = False  # the builder's own, not to be named in a space
    summary: str = ""
    builder: str = ""  # "module:function" of the torch builder, for operations of a plugin
    _compiled: dict[str, Expression] = field(default_factory=dict, compare=False, repr=False)

    @cached_property
    def by_name(self) -> Mapping[str, Parameter]:
        return {parameter.name: parameter for parameter in self.parameters}

    def rule(self, text: str) -> Expression:
        """A rule's expression, parsed once."""
        if text not in self._compiled:
            self._compiled[text] = parse(text)
        return self._compiled[text]


class Operation:
    """An operation with its parameters and input shapes resolved. Interned: equal ones are one object."""

    __slots__ = (
        "flops",
        "identity",
        "inputs",
        "label",
        "name",
        "ordered",
        "parameters",
        "shape",
        "version",
        "weights",
        "zero",
        "zero_to_zero",
    )

    def __init__(
        self,
        spec: OpSpec,
        parameters: tuple[tuple[str, Scalar], ...],
        inputs: tuple[Shape, ...],
        shape: Shape,
        environment: Mapping[str, Scalar],
    ) -> None:
        def number(text: str) -> int:
            return int(spec.rule(text).evaluate(environment))

        self.name = spec.name
        self.version = spec.version
        self.parameters = parameters
        self.inputs = inputs
        self.shape = shape
        self.ordered = spec.ordered
        self.weights = number(spec.weights)
        self.flops = number(spec.multiply_adds)
        self.identity = bool(number(spec.identity_if))
        self.zero = bool(number(spec.zero_if))
        self.zero_to_zero = bool(number(spec.zero_to_zero))
        text = repr((spec.name, spec.version, parameters, inputs, shape))
        self.label = sha256(text.encode()).digest()[:16]


_REGISTRY: dict[str, OpSpec] = {}


def register(spec: OpSpec) -> OpSpec:
    """Make an operation known to spaces. The name must be free, or hold an equal spec."""
    if _REGISTRY.get(spec.name, spec) != spec:
        raise ValueError(f"another operation is called {spec.name!r}")
    _REGISTRY[spec.name] = spec
    return spec


def operations() -> Mapping[str, OpSpec]:
    """All operations by name, the internal ones too."""
    return _REGISTRY


def layer_names() -> list[str]:
    """The operations that a layer may name."""
    return [name for name, spec in _REGISTRY.items() if spec.arity == "one" and not spec.internal]


@cache
def load_plugins() -> None:
    """Register the specs that installed packages offer by the entry-point group ``archloom.operations``,
    once.
    """
    from importlib.metadata import entry_points

    for point in entry_points(group="archloom.operations"):
        spec = point.load()
        if not isinstance(spec, OpSpec):
            raise TypeError(f"entry point {point.value!r} of archloom.operations is no OpSpec")
        register(spec)


def find(name: str) -> OpSpec:
    """The operation of that name; raises OperationError with a near match."""
    if name not in _REGISTRY:
        load_plugins()
    try:
        return _REGISTRY[name]
    except KeyError:
        raise OperationError(f"there is no operation {name!r}{suggest(name, _REGISTRY)}") from None


@lru_cache(maxsize=100_000)
def resolve(
    name: str, given: tuple[tuple[str, type, Literal], ...], inputs: tuple[Shape, ...], normed: bool = False
) -> Operation:
    """The operation with defaults filled in, checked against its inputs; raises OperationError.

    given: (name, type, value) of each parameter; the type stands there so that 1 and True are cached apart.
    """
    spec = find(name)
    try:
        return _resolve(spec, {parameter: value for parameter, _, value in given}, inputs, normed)
    except ExpressionError as error:
        raise OperationError(f"{name} on {', '.join(map(str, inputs))}: {error}") from None


def _resolve(
    spec: OpSpec, values: Mapping[str, Literal], inputs: tuple[Shape, ...], normed: bool
) -> Operation:
    name = spec.name
    environment = _facts(spec, inputs)
    environment["normed"] = normed
    for given in values:
        if given not in spec.by_name:
            raise OperationError(f"{name} has no parameter {given!r}{suggest(given, spec.by_name)}", given)
    resolved: list[tuple[str, Scalar]] = []
    for parameter in spec.parameters:
        value = values.get(parameter.name, parameter.default)
        if value is None:
            raise OperationError(f"{name} needs {parameter.name!r}", parameter.name)
        if isinstance(value, str) and value.startswith("="):
            value = spec.rule(value[1:]).evaluate(environment)
        if parameter.type == "int" and isinstance(value, float) and value.is_integer():
            value = int(value)
        if wrong := parameter.check(value):
            raise OperationError(f"{name}.{parameter.name}: {wrong}", parameter.name)
        assert not isinstance(value, tuple)
        if parameter.type == "float":
            value = float(value)
        environment[parameter.name] = value
        resolved.append((parameter.name, value))
    for condition, message in spec.requires:
        if not spec.rule(condition).evaluate(environment):
            raise OperationError(f"{name} on {', '.join(map(str, inputs))}: {message}")
    kind, rules = spec.shape[inputs[0].kind]
    dims = tuple(int(spec.rule(rule).evaluate(environment)) for rule in rules)
    if any(size < 1 for size in dims):
        raise OperationError(f"{name} on {', '.join(map(str, inputs))} leaves nothing: {Shape(kind, dims)}")
    shape = Shape(kind, dims)
    for axis, size in zip(_AXES[kind], dims, strict=True):
        environment["o" + axis] = size
    return Operation(spec, tuple(resolved), inputs, shape, environment)


def _facts(spec: OpSpec, inputs: tuple[Shape, ...]) -> dict[str, Scalar]:
    """The variables that the inputs give, once they are such as the operation takes."""
    first = inputs[0]
    for shape in inputs:
        if shape.kind not in spec.shape:
            raise OperationError(f"{spec.name} takes {' or '.join(spec.shape)}, the input is {shape}")
        free = spec.equal_inputs == "channels"
        if shape.kind != first.kind or shape.dims[free:] != first.dims[free:]:
            raise OperationError(f"{spec.name} of {', '.join(map(str, inputs))}: the shapes differ")
    if spec.arity == "one" and len(inputs) != 1:
        raise OperationError(f"{spec.name} takes one input, here are {len(inputs)}")
    facts: dict[str, Scalar] = dict(zip(_AXES[first.kind], first.dims, strict=True))
    facts["inputs"] = len(inputs)
    facts["c_all"] = sum(shape.channels for shape in inputs)
    return facts
