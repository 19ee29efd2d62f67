"""Settings that came as a google.protobuf.Struct, against the JSON Schema their owner told."""

from __future__ import annotations

from typing import Any

from archloom.errors import Violation
from archloom.space.errors import suggest
from google.protobuf.json_format import MessageToDict
from google.protobuf.struct_pb2 import Struct
from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError, ValidationError

_CHOICES = ("anyOf", "allOf", "oneOf")


def schema_faults(schema: dict[str, Any], settings: Struct, where: str) -> list[Violation]:
    """Every fault, with its path below ``where``. An owner without a valid schema checks for itself."""
    if not schema:
        return []
    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError:
        return []
    found = Draft202012Validator(schema).iter_errors(MessageToDict(settings))
    return [fault for error in found for fault in _faults(error, where)]


def names_file(schema: object, setting: object) -> bool:
    """Whether a setting is the path of a file: its schema says ``"format": "path"``. What such a file holds
    is known to workers alone, and changes.
    """
    if not isinstance(schema, dict) or setting is None:
        return False
    if schema.get("format") == "path":
        return True
    if any(names_file(option, setting) for word in _CHOICES for option in schema.get(word, ())):
        return True
    if isinstance(setting, dict):
        known = schema.get("properties", {})
        return any(names_file(known.get(name), value) for name, value in setting.items())
    return isinstance(setting, list) and any(names_file(schema.get("items"), each) for each in setting)


def _faults(error: ValidationError, where: str) -> list[Violation]:
    path = where
    for part in error.absolute_path:
        path += f"[{part}]" if isinstance(part, int) else f".{part}"
    known = error.schema.get("properties", {}) if isinstance(error.schema, dict) else {}
    if error.validator == "additionalProperties" and isinstance(error.instance, dict):
        unknown = [name for name in error.instance if name not in known]
        return [Violation(f"{path}.{name}", f"is no setting{suggest(name, known)}") for name in unknown]
    return [Violation(path, error.message)]
