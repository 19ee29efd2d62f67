"""The rules that stand in the protos, enforced on messages.

The SDK's stubs carry no rules; ``rules.binpb`` beside them holds the whole descriptors. Requests are parsed a
second time against those, which costs some tens of microseconds, and every broken rule is told with its path.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from typing import Any

import protovalidate
from archloom.errors import InvalidInput, Violation
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import DecodeError, Message

from archloom_controller.rpc.wire import locate_fault

_STRUCT = "google.protobuf.Struct"
#: Told once for each broken rule whose own words would puzzle a reader.
_WORDS = {"enum.not_in": "must be set", "enum.defined_only": "is not a known value"}


@cache
def rules_pool() -> descriptor_pool.DescriptorPool:
    """The public API's descriptors with their rules; reflection serves them too."""
    pool = descriptor_pool.DescriptorPool()
    whole = files("archloom.v1").joinpath("rules.binpb").read_bytes()
    for file in descriptor_pb2.FileDescriptorSet.FromString(whole).file:
        pool.AddSerializedFile(file.SerializeToString())
    return pool


class Rules:
    """Checks messages by their full name. One instance serves all calls."""

    def __init__(self) -> None:
        self._pool = rules_pool()
        self._validator = protovalidate.Validator()
        self._classes: dict[str, type[Message]] = {}

    def parse(self, name: str, data: bytes) -> list[Violation]:
        """Every fault of the serialized message ``name`` ("archloom.v1.ProposeRequest")."""
        kind = self._class(name)
        try:
            message = kind.FromString(data)
        except DecodeError:
            return [locate_fault(data, kind.DESCRIPTOR)]
        return self._check(message)

    def violations(self, message: Message) -> list[Violation]:
        """Every fault of a message of the SDK's classes."""
        return self.parse(message.DESCRIPTOR.full_name, message.SerializeToString())

    def require(self, message: Message) -> None:
        """Raise InvalidInput with every fault, if there is one."""
        faults = self.violations(message)
        if faults:
            raise InvalidInput(faults)

    def _class(self, name: str) -> type[Message]:
        if name not in self._classes:
            descriptor = self._pool.FindMessageTypeByName(name)
            self._classes[name] = message_factory.GetMessageClass(descriptor)
        return self._classes[name]

    def _check(self, message: Message) -> list[Violation]:
        found = [
            Violation(_path(broken.proto.field), _WORDS.get(broken.proto.rule_id, broken.proto.message))
            for broken in self._validator.collect_violations(message)
        ]
        found.extend(_unreal_numbers(message, ""))
        return found


def _path(field: Any) -> str:
    """A protovalidate path as people write it: ``spec.objectives[0].metric``, ``labels["team"]``."""
    if field is None:
        return ""
    parts: list[str] = []
    for element in field.elements:
        text = ("." if parts else "") + element.field_name
        subscript = element.subscript
        if subscript is not None:
            key = subscript.value
            text += f'["{key}"]' if isinstance(key, str) else f"[{str(key).lower()}]"
        parts.append(text)
    return "".join(parts)


def _holds_struct(descriptor: Any, seen: frozenset[str] = frozenset()) -> bool:
    """Whether a Struct can stand anywhere below."""
    name = descriptor.full_name
    if name == _STRUCT:
        return True
    if name in seen:
        return False
    within = seen | {name}
    return any(
        field.message_type is not None and _holds_struct(field.message_type, within)
        for field in descriptor.fields
    )


_reach: dict[str, bool] = {}


def _reaches_struct(descriptor: Any) -> bool:
    name = descriptor.full_name
    if name not in _reach:
        _reach[name] = _holds_struct(descriptor)
    return _reach[name]


def _unreal_numbers(message: Message, prefix: str) -> Iterator[Violation]:
    """NaN and infinities in the Structs below ``message``; the rules of fields do not reach into those."""
    if not _reaches_struct(message.DESCRIPTOR):
        return
    if message.DESCRIPTOR.full_name == _STRUCT:
        for key, value in message.fields.items():  # type: ignore[attr-defined]
            yield from _unreal_values(value, f"{prefix}.{key}" if prefix else key)
        return
    for field, value in message.ListFields():
        if field.message_type is None or not _reaches_struct(field.message_type):
            continue
        path = f"{prefix}.{field.name}" if prefix else field.name
        for place, item in _items(field, value):
            yield from _unreal_numbers(item, path + place)


def _items(field: FieldDescriptor, value: Any) -> Iterator[tuple[str, Message]]:
    if not field.is_repeated:
        yield "", value
    elif field.message_type is not None and field.message_type.GetOptions().map_entry:
        yield from ((f'["{key}"]', item) for key, item in value.items())
    else:
        yield from ((f"[{index}]", item) for index, item in enumerate(value))


def _unreal_values(value: Any, path: str) -> Iterator[Violation]:
    kind = value.WhichOneof("kind")
    if kind == "number_value":
        if not math.isfinite(value.number_value):
            yield Violation(path, f"must be a finite number, not {value.number_value}")
    elif kind == "struct_value":
        yield from _unreal_numbers(value.struct_value, path)
    elif kind == "list_value":
        for index, item in enumerate(value.list_value.values):
            yield from _unreal_values(item, f"{path}[{index}]")
