"""Operations with parameters and inputs drawn at random."""

from __future__ import annotations

from random import Random
from typing import Any

import torch
from archloom.space.operations import (
    AXES,
    Operation,
    OperationError,
    OpSpec,
    Parameter,
    Shape,
    operation_specs,
    resolve,
)

_TRIES = 3_000


def draw_operation(name: str, kind: str, rng: Random, **fixed: Any) -> Operation:
    """An operation on a first input of a kind; ``fixed`` are the parameters not left to chance."""
    spec = operation_specs()[name]
    for _ in range(_TRIES):
        given = {
            each.name: draw_value(each, rng)
            for each in spec.parameters
            if each.default is None or rng.random() < 0.5
        }
        given.update(fixed)
        values = tuple((key, type(value), value) for key, value in given.items())
        try:
            return resolve(name, values, _inputs(spec, kind, rng))
        except OperationError:
            continue
    raise AssertionError(f"no parameters were found with which {name} takes a {kind}")


def draw_value(parameter: Parameter, rng: Random) -> Any:
    if parameter.choices:
        return rng.choice(parameter.choices)
    if parameter.type == "bool":
        return rng.random() < 0.5
    low, high = parameter.low or 0, parameter.high or 1
    if parameter.type == "float":
        return rng.choice([low, rng.uniform(low, min(high, 1))])
    return rng.randint(int(max(low, -3)), int(min(high, 8)))


def _inputs(spec: OpSpec, kind: str, rng: Random) -> tuple[Shape, ...]:
    first = _shape(kind, rng)
    if spec.others:
        return (first, *(_shape(rng.choice(kinds), rng) for kinds in spec.others))
    inputs = [first]
    for _ in range(rng.randint(1, 3) if spec.arity == "many" else 0):
        free = spec.equal_inputs == "channels"
        inputs.append(Shape(kind, (rng.randint(1, 5), *first.dims[1:]) if free else first.dims))
    return tuple(inputs)


def _shape(kind: str, rng: Random) -> Shape:
    places = {"c": rng.choice([1, 2, 3, 4, 6, 8, 12, 16])}
    return Shape(kind, tuple(places.get(axis) or rng.randint(4, 12) for axis in AXES[kind]))


def tensors(operation: Operation, batch: int = 2) -> list[torch.Tensor]:
    return [
        torch.randint(0, 5, (batch, *shape.dims)) % _vocabulary(operation)
        if shape.kind == "tokens"
        else torch.randn(batch, *shape.dims)
        for shape in operation.inputs
    ]


def _vocabulary(operation: Operation) -> int:
    found = dict(operation.parameters).get("vocabulary", 5)
    assert isinstance(found, int)
    return found
