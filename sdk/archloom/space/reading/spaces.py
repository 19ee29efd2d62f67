"""From plain data (YAML, JSON) to the tree, with every fault and its path.

A fault never stops the reading: the reader notes it, puts a placeholder where the value should be, and goes
on; at the end it raises one SpaceError with all of them. (A tree past the limits ends it at once.)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from archloom.space.errors import SpaceError, show
from archloom.space.language.expressions import Expression
from archloom.space.language.tree import KINDS, InputPort, Node, SpaceTree, Value
from archloom.space.reading.fields import RESERVED
from archloom.space.reading.nodes import NodeReader
from archloom.space.reading.scoping import check_names
from archloom.space.reading.shared_weights import check_shared_weights
from archloom.space.reading.tensor_names import check_tensors
from archloom.space.reading.values import ValueReader

_TOP = ("name", "description", "let", "input", "parts", "body", "output", "recipe", "constraints")
MAX_INPUTS = 32
MAX_PARTS = 1_000
MAX_CONSTRAINTS = 100
_EXAMPLE = "such as x: {kind: image, shape: [3, 32, 32]}"


def read_space(data: object) -> SpaceTree:
    """The tree of a space written as plain data; raises SpaceError."""
    values = ValueReader()
    fields = values.mapping(data, "", _TOP, required=("input", "body"))
    if fields is None:
        raise SpaceError(values.violations)
    parts = values.mapping(fields.get("parts", {}), "parts", None) or {}
    if len(parts) > MAX_PARTS:
        values.fault("parts", f"expected at most {MAX_PARTS} parts, found {len(parts)}")
        parts = {}
    for name in parts:
        values.name(name, f"parts.{name}", RESERVED)
    reader = NodeReader(parts)
    reader.violations += values.violations
    if isinstance(fields.get("let"), Mapping):
        reader.variables.update(str(name) for name in fields["let"])
    tree = _space(reader, fields)
    check_names(tree, reader.fault)
    check_tensors(tree, reader.fault)
    check_shared_weights(tree, reader.fault)
    if reader.violations:
        raise SpaceError(reader.violations)
    return tree


def _space(reader: NodeReader, fields: Mapping[str, Any]) -> SpaceTree:
    inputs = _inputs(reader, fields["input"]) if "input" in fields else ()
    body = reader.child(fields, "body", "body", 0)
    return SpaceTree(
        name=reader.text(fields.get("name", ""), "name"),
        description=reader.text(fields.get("description", ""), "description"),
        let=reader.bindings(fields.get("let", {}), "let"),
        inputs=inputs,
        parts=_parts(reader),
        body=body,
        outputs=_outputs(reader, fields.get("output", [])),
        recipe=reader.bindings(fields.get("recipe", {}), "recipe"),
        constraints=_constraints(reader, fields.get("constraints", [])),
    )


def _parts(reader: NodeReader) -> tuple[tuple[str, Node], ...]:
    """All parts in their order; those that the body does not use are read now."""
    for name in reader.written:
        if name not in reader.parts:
            reader.read_part(name, 0)
    return tuple((name, reader.parts[name].node) for name in reader.written)


def _outputs(reader: ValueReader, data: object) -> tuple[str, ...]:
    names = () if data == [] else reader.tensors(data, "output")
    for number, name in enumerate(names):
        if name in names[:number]:
            reader.fault(f"output[{number}]", f"{name!r} occurs twice")
    return names


def _constraints(reader: ValueReader, data: object) -> tuple[Expression, ...]:
    items = reader.items(data, "constraints")
    if len(items) > MAX_CONSTRAINTS:
        reader.fault("constraints", f"expected at most {MAX_CONSTRAINTS}, found {len(items)}")
        items = []
    found = [reader.expression(text, f"constraints[{number}]") for number, text in enumerate(items)]
    return tuple(constraint for constraint in found if constraint is not None)


def _inputs(reader: ValueReader, data: object) -> tuple[InputPort, ...]:
    if not isinstance(data, Mapping):
        reader.fault("input", f"expected a map of inputs, {_EXAMPLE}, found {show(data)}")
        return ()
    fields = reader.mapping(data, "input", None) or {}
    if not 1 <= len(fields) <= MAX_INPUTS:
        reader.fault(
            "input", f"expected 1 to {MAX_INPUTS} inputs, name: {{kind, shape}}, found {len(fields)}"
        )
        return ()
    if {"kind", "shape"} & fields.keys() and not any(isinstance(port, Mapping) for port in fields.values()):
        reader.fault("input", f"expected inputs by name, {_EXAMPLE}")
        return ()
    ports = [_input(reader, name, port, f"input.{name}") for name, port in fields.items()]
    return tuple(port for port in ports if port is not None)


def _input(reader: ValueReader, name: str, data: object, path: str) -> InputPort | None:
    reader.name(name, path)
    values = reader.mapping(data, path, ("kind", "shape"), required=("kind", "shape"))
    if values is None:
        return None
    kind = reader.one_of(values["kind"], f"{path}.kind", tuple(KINDS)) if "kind" in values else ""
    items = reader.items(values["shape"], f"{path}.shape") if "shape" in values else []
    shape = tuple(_size(reader, size, f"{path}.shape[{number}]") for number, size in enumerate(items))
    if (
        kind
        and "shape" in values
        and isinstance(values["shape"], (list, tuple))
        and len(shape) != KINDS[kind]
    ):
        axes = {"image": "channels, height, width", "seq": "channels, time", "tokens": "time"}
        found = f"{kind} has {KINDS[kind]} dimensions [{axes.get(kind, 'channels')}], here are {len(shape)}"
        reader.fault(f"{path}.shape", found)
    return InputPort(name, kind, shape)


def _size(reader: ValueReader, data: object, path: str) -> Value:
    if isinstance(data, Mapping):
        reader.fault(path, 'expected a size or an expression; a searched size has its domain in let: "=name"')
        return 1
    size = reader.value(data, path)
    if not isinstance(size, Expression) and (type(size) is not int or not 1 <= size <= 1_000_000):
        hint = f'; the value of a variable is written "={size}"' if str(size).isidentifier() else ""
        wanted = "expected a size from 1 to 1000000 or an expression"
        reader.fault_once(path, f"{wanted}, found {show(size)}{hint}")
    return size
