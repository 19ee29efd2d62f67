"""Which network an architecture makes: many architectures may make one, and one trial is enough for it."""

from __future__ import annotations

from functools import lru_cache
from hashlib import sha256
from typing import Any

from archloom.space import Architecture, Graph, Space
from archloom.strategy import ProposeRequest

#: Names that a process keeps for a space, some 200 bytes each.
KEPT = 50_000


def network_of(request: ProposeRequest[Any, Any], architecture: Architecture) -> str:
    """The name of the network and the recipe: equal for architectures that make the same of both, however
    they are written. Some 1 to 2 ms when it is new to this process. Raises SpaceError for an architecture of
    another space.
    """
    return networks_of(request.space).name(architecture)


@lru_cache(maxsize=4)
def networks_of(space: Space) -> Networks:
    """Shared by all strategies and replicas of a process."""
    return Networks(space)


class Networks:
    """Names of the networks of one space, each worked out once. What it keeps is only speed: a name is a
    function of the space and the architecture. It is safe for threads.
    """

    def __init__(self, space: Space) -> None:
        self._space = space
        self._kept: dict[str, str] = {}

    def name(self, architecture: Architecture, graph: Graph | None = None) -> str:
        """``graph`` is the architecture's, where it was built already."""
        key = architecture.key
        found = self._kept.get(key)
        if found is None:
            if len(self._kept) >= KEPT:
                self._kept = {}
            graph = graph or self._space.graph(architecture)
            recipe = repr(sorted(self._space.recipe(architecture).items()))
            about = f"/{sha256(recipe.encode()).hexdigest()[:16]}" if recipe != "[]" else ""
            found = self._kept[key] = graph.hash + about
        return found
