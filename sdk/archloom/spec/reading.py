"""From a file or plain data to a spec, with every fault and its path."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from archloom.errors import InvalidInput, Violation
from archloom.space import Space, SpaceError
from archloom.space.reading.yaml_text import load_yaml
from archloom.spec.faults import brief, impossible_values, violations_of
from archloom.spec.models import ExperimentSpec

MAX_BYTES = 4_000_000
_PRESET = re.compile(r"[a-z][a-z0-9_-]{0,62}")


def load_spec(path: Path) -> ExperimentSpec:
    """Reads a spec's file; raises InvalidInput with every fault."""
    data = parse_text(_text_of(path, ""), path.suffix.lower() == ".json")
    return read_spec(data, path.parent)


def parse_text(text: str, is_json: bool = False) -> object:
    """Plain data from YAML or JSON. Depth, size and aliases are bounded; a key given twice is a fault."""
    if not is_json:
        try:
            return load_yaml(text)
        except SpaceError as error:
            raise InvalidInput(error.violations) from None
    try:
        return json.loads(text, object_pairs_hook=_once)
    except RecursionError:
        raise InvalidInput([Violation("", "the file is nested too deeply")]) from None
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise InvalidInput([Violation("", f"{place}: {error.msg}")]) from None
    except ValueError as error:  # a number with thousands of digits
        raise InvalidInput([Violation("", str(error))]) from None


def read_spec(data: object, folder: Path | None = None) -> ExperimentSpec:
    """A spec from plain data in the form of the YAML."""
    if not isinstance(data, dict):
        raise InvalidInput(
            [Violation("", f"a spec is a map of fields (task, space, objectives, ...), not {brief(data)}")]
        )
    violations = impossible_values(data)
    if violations:
        raise InvalidInput(violations)
    fields: dict[str, Any] = dict(data)
    space: Space | str | None = None
    if "space" in fields:
        try:
            space = _read_space(fields["space"], folder)
        except InvalidInput as error:
            violations += [_under_space(each) for each in error.violations]
    # The other fields are checked even where the space is at fault: every fault is told at once.
    fields["space"] = space if space is not None else ""
    if "space" not in data:
        del fields["space"]
    try:
        spec = ExperimentSpec.model_validate(fields)
    except ValidationError as error:
        raise InvalidInput(violations_of(error, ExperimentSpec) + violations) from None
    if violations:
        raise InvalidInput(violations)
    return spec


def _read_space(value: object, folder: Path | None) -> Space | str:
    """A preset by name, ``{preset: NAME}``, ``{file: PATH}``, or the tree itself."""
    if isinstance(value, str):
        if value.startswith("file:"):
            return _space_file(value.removeprefix("file:").strip(), folder)
        return _preset(value, "")
    if isinstance(value, dict) and len(value) == 1 and isinstance(value.get("file"), str):
        return _space_file(value["file"], folder)
    if isinstance(value, dict) and len(value) == 1 and isinstance(value.get("preset"), str):
        return _preset(value["preset"], "preset")
    if isinstance(value, dict):
        return Space.from_dict(value)
    raise InvalidInput(
        [Violation("", f"must be a preset's name, {{file: PATH}} or a tree of nodes, not {brief(value)}")]
    )


def _preset(name: str, field: str) -> str:
    if _PRESET.fullmatch(name) is None:
        raise InvalidInput([Violation(field, f"{brief(name)} is not a preset's name, such as nasbench201")])
    return name


def load_space(path: Path, field: str = "") -> Space:
    """Reads a space's file; raises InvalidInput with every fault. `field` is where the file was named."""
    data = parse_text(_text_of(path, field), path.suffix.lower() == ".json")
    violations = impossible_values(data)
    if violations:
        raise InvalidInput(violations)
    return Space.from_dict(data)


def _space_file(name: str, folder: Path | None) -> Space:
    try:
        return load_space((folder or Path()) / name, "file")
    except InvalidInput as error:
        if error.violations and error.violations[0].field == "file":
            raise
        raise InvalidInput(
            [Violation(each.field, f"{each.message} (in {name})") for each in error.violations]
        ) from None


def _text_of(path: Path, field: str) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise InvalidInput([Violation(field, f"{path} has more than {MAX_BYTES} bytes")])
        return data.decode("utf-8")
    except OSError as error:
        raise InvalidInput([Violation(field, f"{path} cannot be read: {error.strerror}")]) from None
    except UnicodeDecodeError:
        raise InvalidInput([Violation(field, f"{path} is not a text in UTF-8")]) from None


def _under_space(violation: Violation) -> Violation:
    path = f"space.{violation.field}" if violation.field else "space"
    return Violation(path, violation.message)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise InvalidInput([Violation("", f"{twice!r} occurs twice in one map")])
    return found
