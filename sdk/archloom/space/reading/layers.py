"""Reading of layers: whether the operation exists, and takes such parameters."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from typing import Any

from archloom.space.errors import mean, near, show, suggest
from archloom.space.language.domains import Choice, Domain
from archloom.space.language.expressions import Expression
from archloom.space.language.tree import LayerNode, Value
from archloom.space.operations import (
    ACTIVATION_NAMES,
    COMPOSITES,
    NORMS,
    Parameter,
    layer_names,
    load_plugins,
    operation_specs,
)
from archloom.space.reading.values import FAULTY, ValueReader, meant_by, samples

LAYER_EXTRAS = {
    "norm": Parameter("norm", "text", "none", choices=("none", *NORMS)),
    "activation": Parameter("activation", "text", "none", choices=("none", *ACTIVATION_NAMES)),
}
"""Parameters of every layer whose operation a norm and an activation may follow."""


def read_layer(
    reader: ValueReader, fields: Mapping[str, Any], path: str, common: Mapping[str, Any]
) -> LayerNode:
    """A layer; ``common`` are the fields that all nodes have, in the terms of the tree."""
    operation = reader.value(fields["layer"], f"{path}.layer")
    names, whole = _names(reader, operation, f"{path}.layer")
    known: set[str] = set()
    for name in names:
        known.update(parameters_of(name))
        if name not in COMPOSITES and operation_specs()[name].open:
            whole = False  # takes what it is given
    given = {key: value for key, value in fields.items() if key not in ("layer", *_COMMON)}
    read, meant = [], set()
    for key in sorted(given):
        place = f"{path}.{key}"
        if key not in known and whole:
            reader.fault(place, f"{key!r} is no parameter of {show(operation)}{_instead(key, known)}")
            meant.add(near(key, known))
            continue
        value = reader.value(given[key], place)
        for name in names:
            _check(reader, name, key, value, place)
        read.append((key, value))
    for name in names:
        for needed in _required(name):
            if needed not in given and needed not in meant:
                reader.fault(path, f"{name} needs {needed!r}")
    return LayerNode(operation=operation, parameters=tuple(read), **common)


_COMMON = ("name", "as", "from", "let", "when", "adapt")


def parameters_of(name: str) -> tuple[str, ...]:
    """What a layer of this operation may be given."""
    if name in COMPOSITES:
        return tuple(COMPOSITES[name].by_name)
    spec = operation_specs()[name]
    return (*spec.by_name, *(LAYER_EXTRAS if spec.follows else ()))


def _names(reader: ValueReader, operation: Value, path: str) -> tuple[list[str], bool]:
    """The operations that a layer may be, and whether these are all that were meant."""
    if operation is FAULTY:
        return [], False
    given = operation.values if isinstance(operation, Choice) else (operation,)
    if not all(_usable(name) for name in given):
        load_plugins()
    found: list[str] = []
    for name in given:
        if not isinstance(name, str):
            what = "another domain" if isinstance(name, Domain) else show(name)
            reader.fault(path, f"expected an operation's name or {{choice: [names]}}, found {what}")
        elif not _usable(name):
            known = (*layer_names(), *COMPOSITES)
            reader.fault(path, f"there is no operation {name!r}{suggest(name, known)}")
        else:
            found.append(name)
    return found, len(found) == len(given)


def _usable(name: object) -> bool:
    spec = operation_specs().get(str(name))
    return name in COMPOSITES or (spec is not None and not spec.internal)


def _check(reader: ValueReader, operation: str, key: str, value: Value, path: str) -> None:
    """Whether a constant, or each value of a domain, may be this parameter of this operation."""
    if isinstance(value, Expression) or key not in parameters_of(operation):
        return
    known = COMPOSITES.get(operation) or operation_specs()[operation]
    parameter = known.by_name.get(key) or LAYER_EXTRAS[key]
    for sample in samples(value):
        if wrong := parameter.check(sample):
            reader.fault_once(path, f"{wrong}{_hint(parameter, sample, reader.variables)}")
            break


def _instead(key: str, known: Iterable[str]) -> str:
    """What to write in place of a parameter that there is not."""
    if ":" in key:
        return "; write a space after the colon"
    if set(key) & set("()=*+/<>, "):
        return "; an expression with a comma inside { } or [ ] needs quotes"
    return suggest(key, known) or "; it takes none"


def _hint(parameter: Parameter, value: object, variables: Container[str]) -> str:
    """What was probably meant by a value of the wrong kind."""
    if parameter.type == "text" and not isinstance(value, tuple):
        return " (did you mean 'none'?)" if value is False else mean(value, parameter.choices)
    if parameter.type == "bool" and isinstance(value, str):
        return "; write true or false, without quotes" if value.lower() in _FLAGS else ""
    return meant_by(value, variables)


_FLAGS = ("true", "false", "yes", "no", "on", "off")


def _required(name: str) -> list[str]:
    known = COMPOSITES.get(name) or operation_specs()[name]
    return [parameter.name for parameter in known.parameters if parameter.default is None]
