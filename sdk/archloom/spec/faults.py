"""Faults of a spec in words, each with its path."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from archloom.errors import Violation
from archloom.space.errors import suggest

_WORDS = {
    "missing": "is missing",
    "int_type": "must be a whole number, not {input}",
    "int_from_float": "must be a whole number, not {input}",
    "float_type": "must be a number, not {input}",
    "finite_number": "must be a finite number, not {input}",
    "string_type": "must be text, not {input}",
    "bool_type": "must be true or false, not {input}",
    "dict_type": "must be a map of names to values, not {input}",
    "mapping_type": "must be a map of names to values, not {input}",
    "model_type": "must be a map of fields, not {input}",
    "model_attributes_type": "must be a map of fields, not {input}",
    "tuple_type": "must be a list, not {input}",
    "list_type": "must be a list, not {input}",
    "greater_than": "must be more than {gt}, not {input}",
    "greater_than_equal": "must be at least {ge}, not {input}",
    "less_than": "must be less than {lt}, not {input}",
    "less_than_equal": "must be at most {le}, not {input}",
    "too_short": "needs at least {min_length}",
    "too_long": "may have at most {max_length}",
    "string_too_short": "must not be empty",
    "string_too_long": "may have at most {max_length} characters",
    "literal_error": "must be {expected}, not {input}",
}


def violations_of(error: ValidationError, model: type[BaseModel]) -> list[Violation]:
    """Every fault that pydantic found, in the order of the fields."""
    found = error.errors(include_url=False)
    # Items that are at fault do not count for pydantic, which then calls their list too short.
    faulty = {each["loc"][:1] for each in found if len(each["loc"]) > 1}
    told = [each for each in found if each["type"] != "too_short" or each["loc"] not in faulty]
    return [_violation(each, model) for each in told]


def _violation(detail: ErrorDetails, model: type[BaseModel]) -> Violation:
    location = detail["loc"]
    path = path_of(location)
    kind = detail["type"]
    if kind == "extra_forbidden":
        owner = _model_at(model, location[:-1])
        near = suggest(str(location[-1]), owner.model_fields) if owner is not None else ""
        return Violation(path, f"is not a field{near}")
    context = {name: f"{each:g}" if isinstance(each, float) else each for name, each in _context(detail)}
    if kind == "value_error":
        return Violation(path, str(context.get("error", detail["msg"])))
    if kind == "string_pattern_mismatch":
        return Violation(
            path, f"{brief(detail['input'])} is not a name: {pattern_in_words(context['pattern'])}"
        )
    words = _WORDS.get(kind)
    if words is None:
        return Violation(path, detail["msg"])
    return Violation(path, words.format(input=brief(detail["input"]), **context))


def _context(detail: ErrorDetails) -> Iterable[tuple[str, Any]]:
    return (detail.get("ctx") or {}).items()


def pattern_in_words(pattern: str) -> str:
    """What a name may hold."""
    signs = [word for sign, word in (("_", "'_'"), ("-", "'-'"), (".", "'.'")) if sign in _classes(pattern)]
    extra = f" and {', '.join(signs)}" if signs else ""
    return f"use a lower-case letter, then lower-case letters, digits{extra}, at most 63"


def _classes(pattern: str) -> str:
    inside = pattern.rpartition("[")[2].partition("]")[0]
    return inside.replace("a-z", "").replace("0-9", "")


def _model_at(model: type[BaseModel], location: Sequence[int | str]) -> type[BaseModel] | None:
    current: type[BaseModel] | None = model
    for part in location:
        if isinstance(part, int):
            continue
        if current is None or part not in current.model_fields:
            return None
        current = _model_in(current.model_fields[part].annotation)
    return current


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for each in get_args(annotation):
        found = _model_in(each)
        if found is not None:
            return found
    return None


def path_of(location: Iterable[int | str]) -> str:
    """``objectives[0].metric`` for ("objectives", 0, "metric")."""
    path = ""
    for part in location:
        path += f"[{part}]" if isinstance(part, int) else f".{part}" if path else str(part)
    return path


def brief(value: object) -> str:
    """A value in at most 60 characters."""
    if isinstance(value, dict):
        return "a map"
    if isinstance(value, list | tuple):
        return "a list"
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def impossible_values(data: object) -> list[Violation]:
    """NaN, infinities, keys that are not text, and values that JSON does not know, wherever they stand."""
    found: list[Violation] = []
    stack: list[tuple[tuple[int | str, ...], object]] = [((), data)]
    while stack:
        location, value = stack.pop()
        if isinstance(value, dict):
            for key, each in reversed(value.items()):
                if isinstance(key, str):
                    stack.append(((*location, key), each))
                else:
                    found.append(
                        Violation(path_of((*location, str(key))), f"the key {brief(key)} is not text")
                    )
        elif isinstance(value, list):
            stack.extend(((*location, number), each) for number, each in reversed(list(enumerate(value))))
        elif isinstance(value, float) and not math.isfinite(value):
            found.append(Violation(path_of(location), f"must be a finite number, not {value}"))
        elif not isinstance(value, str | int | float | bool | None):
            found.append(Violation(path_of(location), f"{brief(str(value))} must be written in quotes"))
    return found
