"""An architecture: the decisions taken in a space."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import cached_property
from hashlib import sha256
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from archloom.space.errors import SpaceError, Violation
from archloom.space.language.domains import Literal
from archloom.space.language.expressions import MAX_MAGNITUDE

if TYPE_CHECKING:
    from archloom.v1 import architecture_pb2


class Architecture:
    """Immutable. Two are equal when they decide the same; whether a space has it is ``Space.check``'s
    question.
    """

    def __init__(self, decisions: Mapping[str, Literal]) -> None:
        self._decisions = dict(decisions)
        self._vouched: object = None

    @property
    def decisions(self) -> Mapping[str, Literal]:
        """path -> value, in the order in which they became reachable."""
        return MappingProxyType(self._decisions)

    @cached_property
    def key(self) -> str:
        """16 hex digits of the SHA-256 of the decisions; the order in which they were given plays no part."""
        text = json.dumps(sorted(self._decisions.items()), separators=(",", ":"))
        return sha256(text.encode()).hexdigest()[:16]

    def vouch(self, mark: object) -> None:
        """For a space, which finds by its mark that it has looked through these decisions before."""
        self._vouched = mark

    def vouched(self, mark: object) -> bool:
        return self._vouched is mark

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Architecture):
            return NotImplemented
        return (
            self._decisions == other._decisions and self.key == other.key
        )  # the key tells 1, 1.0 and True apart

    def __hash__(self) -> int:
        return hash(self.key)

    def __repr__(self) -> str:
        inside = ", ".join(f"{path}={value!r}" for path, value in self._decisions.items())
        return f"Architecture({inside})"

    def __getitem__(self, path: str) -> Literal:
        return self._decisions[path]

    def __iter__(self) -> Iterator[str]:
        return iter(self._decisions)

    def __len__(self) -> int:
        return len(self._decisions)

    def to_dict(self) -> dict[str, Any]:
        """path -> value; a subset is a list."""
        return {path: list(v) if isinstance(v, tuple) else v for path, v in self._decisions.items()}

    @staticmethod
    def from_dict(data: object) -> Architecture:
        """Raises SpaceError where a value is none."""
        if not isinstance(data, Mapping):
            raise SpaceError([Violation("", f"expected a map of decisions, found {type(data).__name__}")])
        decisions: dict[str, Literal] = {}
        faults: list[Violation] = []
        for path, value in data.items():
            value = tuple(value) if isinstance(value, (list, tuple)) else value
            if not isinstance(path, str):
                faults.append(Violation("", f"the path {path!r} is no text"))
            elif all(map(_constant, value if isinstance(value, tuple) else (value,))):
                decisions[path] = value
            else:
                faults.append(
                    Violation(path, f"expected a finite number, a text, true or false, found {value!r}")
                )
        if faults:
            raise SpaceError(faults)
        return Architecture(decisions)

    def to_proto(self) -> architecture_pb2.Architecture:
        from archloom.space.messages.graphs import write_architecture

        return write_architecture(self)

    @staticmethod
    def from_proto(message: architecture_pb2.Architecture) -> Architecture:
        """Raises SpaceError where a decision has no value, or stands twice."""
        from archloom.space.messages.graphs import read_architecture

        return read_architecture(message)


def _constant(value: object) -> bool:
    if isinstance(value, (int, float)):
        return abs(value) <= MAX_MAGNITUDE  # False for NaN
    return isinstance(value, str)
