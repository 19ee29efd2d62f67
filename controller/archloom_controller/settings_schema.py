"""Settings that came as a google.protobuf.Struct, against the JSON Schema their owner told."""

from __future__ import annotations

from typing import Any

from archloom.errors import Violation
from archloom.space.errors import suggest
from google.protobuf.json_format import MessageToDict
from google.protobuf.struct_pb2 import Struct
from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError, ValidationError


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


def _faults(error: ValidationError, where: str) -> list[Violation]:
    path = where
    for part in error.absolute_path:
        path += f"[{part}]" if isinstance(part, int) else f".{part}"
    known = error.schema.get("properties", {}) if isinstance(error.schema, dict) else {}
    if error.validator == "additionalProperties" and isinstance(error.instance, dict):
        unknown = [name for name in error.instance if name not in known]
        return [Violation(f"{path}.{name}", f"is no setting{suggest(name, known)}") for name in unknown]
    return [Violation(path, error.message)]
