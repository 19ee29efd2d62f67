"""A strategy's settings, read out of its JSON Schema."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

#: Texts are named one by one up to so many.
_NAMED = 8


@dataclass(frozen=True)
class Setting:
    """``kind`` is what it may be, in words; ``default`` as JSON has it, "required" without one, empty where
    the schema does not say.
    """

    path: str
    kind: str
    default: str
    meaning: str


def settings_of(schema: Mapping[str, Any]) -> Iterator[Setting]:
    """The settings in the schema's order, by name where it says none; those of a nested object below it as
    ``outer.inner``.
    """
    yield from _settings(schema, schema.get("$defs", {}), "", frozenset())


def _settings(
    schema: Mapping[str, Any], definitions: Mapping[str, Any], prefix: str, inside: frozenset[str]
) -> Iterator[Setting]:
    required = set(schema.get("required", ()))
    for name, field in sorted(schema.get("properties", {}).items(), key=_place):
        path = f"{prefix}{name}"
        reference = str(field.get("$ref", "")).rpartition("/")[2]
        whole = {**_resolved(field, definitions), **field}
        # A default that is made anew each time is in no schema.
        default = json.dumps(_whole(whole["default"]), sort_keys=True) if "default" in whole else ""
        default = "required" if name in required else default
        yield Setting(path, _kind(whole, definitions), default, whole.get("description", ""))
        if "properties" in whole and reference not in inside:
            yield from _settings(whole, definitions, f"{path}.", inside | {reference})


def _place(item: tuple[str, Mapping[str, Any]]) -> tuple[float, str]:
    name, field = item
    place = field.get("propertyOrder")
    return (place if isinstance(place, int | float) else math.inf), name


def _resolved(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> Mapping[str, Any]:
    found: Mapping[str, Any] = definitions.get(str(schema.get("$ref", "")).rpartition("/")[2], {})
    return found


def _kind(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> str:
    schema = {**_resolved(schema, definitions), **schema}
    if "enum" in schema:
        values = [each if isinstance(each, str) else json.dumps(_whole(each)) for each in schema["enum"]]
        return " | ".join(values) if len(values) <= _NAMED else f"one of {len(values)} values"
    if "const" in schema:
        return json.dumps(_whole(schema["const"]))
    for several in ("anyOf", "oneOf"):
        if several in schema:
            return " | ".join(_kind(each, definitions) for each in schema[several])
    kind = str(schema.get("type", "any"))
    if kind == "array":
        return f"list of {_kind(schema.get('items', {}), definitions)}"
    bounds = [
        f"{word} {_whole(schema[key])}"
        for key, word in (
            ("minimum", "from"),
            ("exclusiveMinimum", "above"),
            ("maximum", "to"),
            ("exclusiveMaximum", "below"),
        )
        if key in schema
    ]
    return " ".join((kind, *bounds))


def _whole(value: Any) -> Any:
    """Numbers travel as doubles."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, list):
        return [_whole(each) for each in value]
    if isinstance(value, dict):
        return {name: _whole(each) for name, each in value.items()}
    return value
