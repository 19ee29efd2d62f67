"""Reading of maps, lists, names and numbers, each fault noted with its path."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from archloom.space.errors import SpaceError, Violation, mean, show, suggest

MAX_VIOLATIONS = 100
RESERVED = (
    "adapt",
    "merge",
    "norm",
    "activation",
    "count",
    "layer",
    "links",
    "sum",
    "mul",
    "concat",
    "task",
    "recipe",
    "input",
)
"""Segments of paths that no node may be called by."""
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}")


class FieldReader:
    """Notes faults in ``violations`` and goes on; what it returns for a faulty field is a placeholder.

    Raises SpaceError once there are ``MAX_VIOLATIONS`` of them.
    """

    def __init__(self) -> None:
        self.violations: list[Violation] = []
        self.variables: set[str] = set()  # that were met so far

    def fault(self, path: str, message: str) -> None:
        self.violations.append(Violation(path, message))
        if len(self.violations) == MAX_VIOLATIONS:
            raise SpaceError(self.violations)

    def fault_once(self, path: str, message: str) -> None:
        if all((v.field, v.message) != (path, message) for v in self.violations):
            self.fault(path, message)

    # ------------------------------------------------------- containers

    def mapping(
        self, data: object, path: str, known: Sequence[str] | None, required: Sequence[str] = ()
    ) -> Mapping[str, Any] | None:
        """The map itself, its keys checked (any key when known is None); None where it is no map."""
        if not isinstance(data, Mapping):
            keys = f" with {', '.join(known)}" if known else ""
            self.fault(path, f"expected a map{keys}, found {show(data)}")
            return None
        for key in data:
            if not isinstance(key, str):
                self.fault(path, f"the key {show(key)} is not text; put it in quotes")
                return None
        if known is not None:
            self.unknown_keys(data, known, path)
        for key in required:
            if key not in data:
                self.fault(f"{path}.{key}" if path else key, "is missing")
        return data

    def unknown_keys(self, data: Mapping[str, Any], known: Sequence[str], path: str) -> None:
        for key in data:
            if key not in known:
                place = f"{path}.{key}" if path else key
                hint = "; write a space after the colon" if ":" in key else suggest(key, known)
                self.fault(place, f"{key!r} is no field here{hint}")

    def items(self, data: object, path: str, wanted: str = "a list") -> list[Any]:
        if isinstance(data, (list, tuple)):
            return list(data)
        self.fault(path, f"expected {wanted}, found {show(data)}")
        return []

    # --------------------------------------------------------- scalars

    def text(self, data: object, path: str) -> str:
        if isinstance(data, str) and len(data) <= 10_000:
            return data
        self.fault(path, f"expected a text, found {show(data)}")
        return ""

    def name(self, data: object, path: str, reserved: Sequence[str] = ()) -> str:
        if not isinstance(data, str) or not _NAME.fullmatch(data):
            self.fault(path, f"expected a name (letters, digits, underscores), found {show(data)}")
            return ""
        if data in reserved:
            self.fault(path, f"{data!r} has a meaning of its own; choose another name")
        return data

    def one_of(self, data: object, path: str, known: Sequence[str]) -> str:
        if isinstance(data, str) and data in known:
            return data
        self.fault(path, f"expected {', '.join(known)}, found {show(data)}{mean(data, known)}")
        return ""

    def whole(self, data: object, path: str, low: int, high: int) -> int:
        if type(data) is int and low <= data <= high:
            return data
        hint = "; it cannot be a decision" if isinstance(data, Mapping) else ""
        self.fault(path, f"expected a whole number from {low} to {high}, found {show(data)}{hint}")
        return low

    def tensors(self, data: object, path: str) -> tuple[str, ...]:
        """Names of tensors: a list, or one alone."""
        if not isinstance(data, (str, list, tuple)):
            self.fault(path, f"expected a tensor's name or a list of names, found {show(data)}")
            return ()
        items = [data] if isinstance(data, str) else data
        if not items:
            self.fault(path, "expected at least one tensor's name")
        if len(items) > 100:
            self.fault(path, f"expected at most 100 names, found {len(items)}")
            return ()
        single = isinstance(data, str)
        names = [self.name(item, path if single else f"{path}[{n}]") for n, item in enumerate(items)]
        return tuple(name for name in names if name)
