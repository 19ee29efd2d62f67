"""Small spaces as a list, so that a strategy can tell when there is nothing left."""

from __future__ import annotations

from typing import Any

from archloom.space import Architecture, Space
from archloom.strategy import ProposeRequest

#: The largest space that is listed: a second's work for a cold replica.
SMALL = 4096
#: Steps in a row without anything new, and nothing under way, after which there is nothing left; of one more
#: the controller says that the strategy fails.
DRY = 20


def members_of(request: ProposeRequest[Any, Any]) -> tuple[Architecture, ...] | None:
    """Every architecture of a small space, in the order of the enumeration; None for a larger one."""
    return request.derived("members", lambda: (_enumerated(request.space),))[0]


def _enumerated(space: Space) -> tuple[Architecture, ...] | None:
    if space.continuous or space.size() > SMALL:
        return None
    return tuple(space.enumerate())
