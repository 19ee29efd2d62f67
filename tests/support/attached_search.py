"""A strategy under a name of its own, to be attached rather than dialled."""

from __future__ import annotations

from archloom_strategies.random_search import RandomSearch


class AttachedSearch(RandomSearch):
    name = "attached-search"
