"""A decision on how many: of a row of trees it brings the first few with it."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from random import Random

from archloom.space.decisions.choices import Condition, Decisions, Tree, completed, fault_of
from archloom.space.language.domains import Domain


@dataclass(frozen=True)
class Steps(Tree):
    """With the value numbered n come the first ``numbers[n]`` of the ``rows``. A ``Branch`` would hold a row
    again for each count that reaches it: a square of what there is.
    """

    path: str
    domain: Domain
    numbers: tuple[int, ...]
    rows: tuple[Tree, ...]

    @cached_property
    def _products(self) -> list[int]:
        """How many assignments the first 0, 1, ... rows have."""
        return list(accumulate((row.count for row in self.rows), lambda a, b: a * b, initial=1))

    @cached_property
    def _ends(self) -> list[int]:
        """How many assignments the values up to each have."""
        return list(accumulate(self._products[number] for number in self.numbers))

    @cached_property
    def count(self) -> int:  # type: ignore[override]
        return self._ends[-1]

    @cached_property
    def paths(self) -> frozenset[str]:
        return frozenset((self.path,)).union(*(row.paths for row in self.rows))

    def draw(self, rng: Random, out: Decisions) -> None:
        number = int(rng.random() * len(self.numbers))
        out[self.path] = self.domain.at(number)
        for row in self.rows[: self.numbers[number]]:
            row.draw(rng, out)

    def at(self, index: int, rng: Random | None, out: Decisions) -> None:
        number = bisect_right(self._ends, index)
        index -= self._ends[number - 1] if number else 0
        out[self.path] = self.domain.at(number)
        rest = self._products[self.numbers[number]]
        for row in self.rows[: self.numbers[number]]:  # the first row varies slowest
            rest //= row.count
            here, index = divmod(index, rest)
            row.at(here, rng, out)

    def complete(self, given: Mapping[str, object], rng: Random | None, out: Decisions) -> None:
        value = out[self.path] = completed(self.path, self.domain, given, rng)
        for row in self._with(value):
            row.complete(given, rng, out)

    def reachable(self, decisions: Mapping[str, object]) -> Iterator[tuple[str, Domain]]:
        yield self.path, self.domain
        for row in self._with(decisions[self.path]):
            yield from row.reachable(decisions)

    def faults(self, decisions: Mapping[str, object], seen: set[str]) -> Iterator[tuple[str, str]]:
        seen.add(self.path)
        if fault := fault_of(self.path, self.domain, decisions):
            yield self.path, fault
            return
        for row in self._with(decisions[self.path]):
            yield from row.faults(decisions, seen)

    def conditions(self, under: tuple[Condition, ...]) -> Iterator[tuple[str, Domain, tuple[Condition, ...]]]:
        yield self.path, self.domain, under
        for place, row in enumerate(self.rows):
            reached = [number for number, most in enumerate(self.numbers) if most > place]
            values = tuple(self.domain.at(number) for number in reached)
            yield from row.conditions((*under, (self.path, values)))

    def _with(self, value: object) -> tuple[Tree, ...]:
        """The rows that come with a value of the domain."""
        number = self.domain.index(value)
        assert number is not None
        return self.rows[: self.numbers[number]]
