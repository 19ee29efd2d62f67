"""Which network an architecture makes: many architectures may make one, and one trial is enough for it."""

from __future__ import annotations

from functools import lru_cache
from hashlib import sha256
from typing import Any

from archloom.space import Architecture, Space
from archloom.strategy import ProposeRequest

#: Names that a process keeps for a space, some 200 bytes each.
KEPT = 50_000


def network_of(request: ProposeRequest[Any, Any], architecture: Architecture) -> str:
    """The name of the network and the recipe: equal for architectures that make the same of both, however
    they are written. Some .3 to 1 ms when it is new to this process. Raises SpaceError for an architecture of
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

    def name(self, architecture: Architecture, made: str | None = None) -> str:
        """``made`` is the hash of the architecture's network, where it is known."""
        key = architecture.key
        found = self._kept.get(key)
        if found is None:
            if len(self._kept) >= KEPT:
                self._kept = {}
            if made is None:
                body = self.body(architecture)
                made = self._kept.get(body)
                if made is None:
                    made = self._kept[body] = self._space.graph(architecture).hash
            found = self._kept[key] = made + self._recipe(architecture)
        return found

    def body(self, architecture: Architecture) -> str:
        """The key of the decisions that make the network: all but the recipe's."""
        if not self._space.tree.recipe:
            return architecture.key
        decided = architecture.decisions.items()
        return Architecture({path: value for path, value in decided if not path.startswith("recipe.")}).key

    def _recipe(self, architecture: Architecture) -> str:
        if not self._space.tree.recipe:
            return ""
        recipe = repr(sorted(self._space.recipe(architecture).items()))
        return f"/{sha256(recipe.encode()).hexdigest()[:16]}"
