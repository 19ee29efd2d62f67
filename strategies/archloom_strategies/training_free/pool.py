"""Which architectures are scored: some by chance, then children of the best ranked."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from random import Random
from typing import Any

from archloom.space import Architecture, SpaceError
from archloom.strategy import ProposeRequest

from archloom_strategies.enumeration import members_of
from archloom_strategies.networks import networks_of

#: Parents of a generation.
PARENTS = 16
#: Draws for one new network until the pool counts as all that can be reached.
TRIES = 64


class Newcomers:
    """Architectures to be scored, each network once."""

    def __init__(
        self, request: ProposeRequest[Any, Any], known: Iterable[Architecture], size: int, rng: Random
    ) -> None:
        """None of ``known`` comes again; ``size`` is the pool's whole size."""
        self._space = request.space
        self._name = networks_of(request.space).name
        self._rng = rng
        members = members_of(request)
        self._members = members if members is not None and len(members) <= size else None
        self._seen: set[str] = set()
        self._networks: set[str] = set()
        for architecture in known:
            self._seen.add(architecture.key)
            self._networks.add(self._name(architecture))

    def take(self, count: int, parents: Sequence[Architecture]) -> list[Architecture]:
        """Up to ``count``: children of parents, or random ones without. Fewer: there is hardly one left."""
        if self._members is not None:
            return self._new(count, self._members)
        found: list[Architecture] = []
        if parents:
            found = self._new(count, self._children(parents, count * TRIES))
        return found + self._new(
            count - len(found), (self._space.sample(self._rng) for _ in range((count - len(found)) * TRIES))
        )

    def _new(self, count: int, architectures: Iterable[Architecture]) -> list[Architecture]:
        found: list[Architecture] = []
        if count <= 0:
            return found
        for architecture in architectures:
            if architecture.key in self._seen:
                continue
            self._seen.add(architecture.key)
            network = self._name(architecture)
            if network in self._networks:
                continue
            self._networks.add(network)
            found.append(architecture)
            if len(found) == count:
                break
        return found

    def _children(self, parents: Sequence[Architecture], count: int) -> Iterator[Architecture]:
        """One, two, ... mutations away from a parent."""
        for _ in range(count):
            child = self._rng.choice(parents)
            try:
                child = self._space.mutate(child, self._rng)
                while self._rng.random() < 0.3:
                    child = self._space.mutate(child, self._rng)
            except SpaceError:
                continue  # no decision of this one has a second value that holds
            yield child
