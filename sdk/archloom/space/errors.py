"""What goes wrong with a space, and near matches for names that do not exist."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence

from archloom.errors import InvalidInput, Violation

__all__ = ["BuildError", "SpaceError", "Violation", "suggest"]


class SpaceError(InvalidInput):
    """A space, or an architecture of it, has faults. ``violations`` lists every one with its path."""

    reason = "INVALID_SPACE"

    def __init__(self, violations: Sequence[Violation], message: str = "") -> None:
        super().__init__(violations, message)


class BuildError(Exception):
    """One architecture does not fit together. Stays inside the package: ``Space.check`` makes it a violation.

    ``violation`` has the path of the layer or decision, ``where`` the field of the space; so many ``layers``
    were built before.
    """

    def __init__(self, path: str, message: str) -> None:
        super().__init__(message)
        self.violation = Violation(path, message)
        self.where = ""
        self.layers = 0


def suggest(found: str, known: Iterable[str]) -> str:
    """`` (did you mean 'conv'?)`` when a known name is near, else what is known, else nothing."""
    names = sorted(set(known))
    near = difflib.get_close_matches(found, names, n=1, cutoff=0.6)
    if near:
        return f" (did you mean {near[0]!r}?)"
    if 0 < len(names) <= 12:
        return f" (known: {', '.join(names)})"
    return ""
