"""Between messages and values: constants, domains, variables. Imported only where a message is at hand."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from archloom.space.errors import SpaceError, Violation
from archloom.space.language.domains import (
    Choice,
    Divisors,
    Domain,
    Flag,
    Integer,
    Literal,
    Log,
    Subset,
    Uniform,
)
from archloom.space.language.expressions import Expression
from archloom.space.language.tree import Bindings, Value
from archloom.v1 import space_pb2 as pb

KINDS = {
    "image": pb.TENSOR_KIND_IMAGE,
    "seq": pb.TENSOR_KIND_SEQ,
    "tokens": pb.TENSOR_KIND_TOKENS,
    "vector": pb.TENSOR_KIND_VECTOR,
}
KIND_NAMES = {number: name for name, number in KINDS.items()}
"""Kinds of tensor."""


def write_bindings(bindings: Bindings) -> list[pb.SpaceBinding]:
    return [pb.SpaceBinding(name=name, value=write_value(value)) for name, value in bindings]


def write_value(value: Value) -> pb.SpaceValue:
    if isinstance(value, Expression):
        return pb.SpaceValue(expression=value.text)
    if isinstance(value, Domain):
        return pb.SpaceValue(domain=write_domain(value))
    return pb.SpaceValue(literal=write_literal(value))


def write_literal(value: Literal) -> pb.Literal:
    if isinstance(value, bool):
        return pb.Literal(flag=value)
    if isinstance(value, int):
        return pb.Literal(integer=value)
    if isinstance(value, float):
        return pb.Literal(number=value)
    if isinstance(value, str):
        return pb.Literal(text=value)
    return pb.Literal(list=pb.LiteralList(items=map(write_literal, value)))


def write_domain(domain: Domain) -> pb.Domain:
    match domain:
        case Choice():
            return pb.Domain(choice=pb.Domain.Choice(values=map(write_literal, domain.values)))
        case Integer():
            return pb.Domain(
                integer=pb.Domain.IntegerRange(low=domain.low, high=domain.high, step=domain.step)
            )
        case Log():
            return pb.Domain(log=pb.Domain.LogRange(low=domain.low, high=domain.high))
        case Uniform():
            return pb.Domain(uniform=pb.Domain.UniformRange(low=domain.low, high=domain.high))
        case Flag():
            return pb.Domain(flag=pb.Domain.Flag())
        case Subset():
            members = map(write_literal, domain.of)
            return pb.Domain(subset=pb.Domain.Subset(of=members, min=domain.least, max=domain.most))
        case Divisors():
            return pb.Domain(divisors=pb.Domain.Divisors(of=domain.of.text, among=domain.among))
    raise TypeError(f"no domain: {domain!r}")


def read_bindings(bindings: Iterable[pb.SpaceBinding]) -> dict[str, Any]:
    data: dict[str, Any] = {}
    for binding in bindings:
        if binding.name in data:
            raise SpaceError([Violation(binding.name, "stands twice")])
        data[binding.name] = read_value(binding.value)
    return data


def read_value(value: pb.SpaceValue) -> Any:
    kind = value.WhichOneof("value")
    if kind == "literal":
        return read_literal(value.literal)
    if kind == "expression":
        return f"={value.expression}"
    return read_domain(value.domain) if kind == "domain" else None


def read_literal(literal: pb.Literal) -> Any:
    kind = literal.WhichOneof("value")
    if kind is None:
        return None
    return [read_literal(item) for item in literal.list.items] if kind == "list" else getattr(literal, kind)


def read_domain(domain: pb.Domain) -> Any:
    match domain.WhichOneof("domain"):
        case "choice":
            return {"choice": [read_literal(value) for value in domain.choice.values]}
        case "integer":
            step = [domain.integer.step] if domain.integer.HasField("step") else []
            return {"int": [domain.integer.low, domain.integer.high, *step]}
        case "uniform":
            return {"float": [domain.uniform.low, domain.uniform.high]}
        case "log":
            return {"log": [domain.log.low, domain.log.high]}
        case "flag":
            return {"bool": [False, True]}
        case "subset":
            subset = domain.subset
            return {
                "subset": {"of": [read_literal(v) for v in subset.of], "min": subset.min, "max": subset.max}
            }
        case "divisors":
            return {"divisors": domain.divisors.of, "among": list(domain.divisors.among)}
    return {}
