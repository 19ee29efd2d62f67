"""What a layer may name, as a server or this installation tells it."""

from __future__ import annotations

from dataclasses import dataclass

from archloom.space.messages.values import KIND_NAMES
from archloom.v1 import operation_pb2 as pb
from archloom.v1 import space_pb2

_TYPES = {
    pb.PARAMETER_TYPE_INTEGER: "int",
    pb.PARAMETER_TYPE_NUMBER: "float",
    pb.PARAMETER_TYPE_FLAG: "bool",
    pb.PARAMETER_TYPE_TEXT: "text",
}


@dataclass(frozen=True)
class ParameterInfo:
    """`default` is as YAML has it, "=..." where it is an expression; None: there is none."""

    name: str
    type: str
    default: int | float | str | bool | None
    low: float | None
    high: float | None
    choices: tuple[str, ...]
    required: bool
    summary: str


@dataclass(frozen=True)
class RequirementInfo:
    """An expression that has to hold, and what is wrong where it does not."""

    expression: str
    otherwise: str


@dataclass(frozen=True)
class OperationInfo:
    """An operation or, without rules of its own, a composite layer.

    `takes` are kinds of tensor; `yields` is the output for each of them, empty for a composite. `inputs` is
    their number, None for one or more. `weights`, `multiply_adds` and `causal` are expressions. Where it is
    `followed`, a layer may have a `norm` and an `activation` too.
    """

    name: str
    version: int
    summary: str
    takes: tuple[str, ...]
    yields: tuple[str, ...]
    inputs: int | None
    parameters: tuple[ParameterInfo, ...]
    requirements: tuple[RequirementInfo, ...]
    weights: str
    multiply_adds: str
    causal: str
    followed: bool
    composite: bool
    opaque: bool

    @staticmethod
    def from_proto(message: pb.OperationSpec) -> OperationInfo:
        return OperationInfo(
            name=message.name,
            version=message.version,
            summary=message.summary,
            takes=tuple(KIND_NAMES[each.input] for each in message.shapes),
            yields=tuple(
                f"{KIND_NAMES[each.output]}[{', '.join(each.dims)}]" for each in message.shapes if each.dims
            ),
            inputs=message.arity if message.HasField("arity") else None,
            parameters=tuple(map(_parameter, message.parameters)),
            requirements=tuple(
                RequirementInfo(each.expression, each.message) for each in message.requirements
            ),
            weights=message.weights,
            multiply_adds=message.multiply_adds,
            causal=message.causal,
            followed=message.followed,
            composite=message.HasField("body"),
            opaque=message.opaque,
        )


def _parameter(message: pb.OperationParameter) -> ParameterInfo:
    return ParameterInfo(
        name=message.name,
        type=_TYPES.get(message.type, "any"),
        default=_default(message.default) if message.HasField("default") else None,
        low=message.low if message.HasField("low") else None,
        high=message.high if message.HasField("high") else None,
        choices=tuple(message.choices),
        required=message.required,
        summary=message.summary,
    )


def _default(value: space_pb2.SpaceValue) -> int | float | str | bool:
    if value.WhichOneof("value") == "expression":
        return f"={value.expression}"
    found: int | float | str | bool = getattr(value.literal, value.literal.WhichOneof("value") or "text")
    return found
