"""Settings: from the JSON of a spec to a strategy's pydantic model, with every fault and its path."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from archloom.errors import InvalidInput, Violation

Model = TypeVar("Model", bound=BaseModel)


def near(name: str, known: Iterable[str]) -> str:
    """A question after near matches of ``name``, or the list of what there is, to end a sentence about an
    unknown name.
    """
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=2, cutoff=0.5)
    if close:
        return f"did you mean {' or '.join(repr(each) for each in close)}?"
    return f"there are {', '.join(names)}" if names else "there are none"


def settings_schema(model: type[BaseModel]) -> dict[str, Any]:
    """The JSON Schema of the settings; ``propertyOrder`` says where each stood, which a Struct forgets."""
    schema = model.model_json_schema()
    for each in (schema, *schema.get("$defs", {}).values()):
        for place, field in enumerate(each.get("properties", {}).values(), 1):
            field["propertyOrder"] = place
    return schema


def read_settings(model: type[Model], fields: Mapping[str, Any], path: str = "settings") -> Model:
    """``fields`` as a ``model``. Unknown names are faults whatever the model says of extra fields.

    Raises InvalidInput with one violation for each fault.
    """
    known = {field.alias or name for name, field in model.model_fields.items()} | set(model.model_fields)
    violations = [
        Violation(f"{path}.{name}", f"there is no such setting; {near(name, known)}")
        for name in fields
        if name not in known
    ]
    try:
        settings = model.model_validate({name: value for name, value in fields.items() if name in known})
    except ValidationError as faults:
        violations += [
            Violation(path + "".join(_step(step) for step in fault["loc"]), _sentence(fault))
            for fault in _told(faults.errors(include_url=False))
        ]
        raise InvalidInput(violations) from None
    if violations:
        raise InvalidInput(violations)
    return settings


def _step(step: int | str) -> str:
    return f"[{step}]" if isinstance(step, int) else f".{step}"


def _told(faults: list[ErrorDetails]) -> Iterator[ErrorDetails]:
    """All but those that only follow from others: pydantic counts no item that is at fault, and finds a list
    of nothing else too short.
    """
    for fault in faults:
        place = fault["loc"]
        within = any(len(each["loc"]) > len(place) and each["loc"][: len(place)] == place for each in faults)
        if not (fault["type"] == "too_short" and within):
            yield fault


def _sentence(fault: ErrorDetails) -> str:
    if fault["type"] in ("model_type", "dict_type"):
        return f"has to be an object of names and values, not {fault['input']!r}"
    if fault["type"] == "too_short":
        return f"has to have at least {fault['ctx']['min_length']}, and has {fault['ctx']['actual_length']}"
    text = fault["msg"].removeprefix("Value error, ")
    return text[:1].lower() + text[1:]
