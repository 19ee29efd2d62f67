"""Finds where bytes stop being a message, so that a caller is told which field it was."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from archloom.errors import Violation
from google.protobuf.descriptor import FieldDescriptor

#: How deep messages may nest; the parser's own limit.
MAX_DEPTH = 100
#: Segments of a path that are told; deeper ones say nothing new.
_TOLD = 8

_VARINT, _FIXED64, _BYTES, _START, _END, _FIXED32 = range(6)


@dataclass
class _FaultError(Exception):
    path: tuple[str, ...]
    message: str


def locate_fault(data: bytes, descriptor: Any) -> Violation:
    """The first fault of bytes that the parser refused as a message of that type."""
    try:
        _walk(memoryview(data), descriptor, ())
    except _FaultError as fault:
        return Violation(".".join(fault.path[:_TOLD]), fault.message)
    return Violation("", "is not a readable message")


def _walk(data: memoryview, descriptor: Any, path: tuple[str, ...]) -> None:
    if len(path) >= MAX_DEPTH:
        raise _FaultError(path, f"nests deeper than {MAX_DEPTH} levels")
    seen: dict[int, int] = {}
    position = 0
    while position < len(data):
        tag, position = _varint(data, position, path)
        number, wire = tag >> 3, tag & 7
        field = descriptor.fields_by_number.get(number)
        here = path
        if field is not None:
            index = seen.get(number, 0)
            seen[number] = index + 1
            here = (*path, f"{field.name}[{index}]" if field.is_repeated else field.name)
        position = _skip(data, position, wire, field, here)


def _skip(
    data: memoryview, position: int, wire: int, field: FieldDescriptor | None, path: tuple[str, ...]
) -> int:
    """Step over one value, into it if it is a message."""
    if wire == _VARINT:
        return _varint(data, position, path)[1]
    if wire in (_FIXED64, _FIXED32):
        end = position + (8 if wire == _FIXED64 else 4)
    elif wire == _BYTES:
        length, position = _varint(data, position, path)
        end = position + length
    else:
        raise _FaultError(path, "is malformed")
    if end > len(data):
        raise _FaultError(path, "is cut off")
    if wire == _BYTES and field is not None:
        if field.message_type is not None:
            _walk(data[position:end], field.message_type, path)
        elif field.type == FieldDescriptor.TYPE_STRING:
            _text(data[position:end], path)
    return end


def _varint(data: memoryview, position: int, path: tuple[str, ...]) -> tuple[int, int]:
    value = shift = 0
    while position < len(data) and shift < 70:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7
    raise _FaultError(path, "is malformed")


def _text(data: memoryview, path: tuple[str, ...]) -> None:
    try:
        str(data, "utf-8")
    except UnicodeDecodeError:
        raise _FaultError(path, "is not UTF-8 text") from None
