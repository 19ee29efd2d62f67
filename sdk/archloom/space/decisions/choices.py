"""The decisions of a space as an and-or tree, on which sampling, counting, mutation and enumeration are each
a few lines.

``Leaf``: one decision. ``All``: all of its children. ``Branch``: one decision whose value says which child
comes with it. Shapes and networks play no part here. A path may stand in several options of a branch (only
one of them is taken), never twice in one ``All``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from random import Random

from archloom.space.language.domains import Domain, Literal

Decisions = dict[str, Literal]
Condition = tuple[str, tuple[Literal, ...]]  # a path, and the values it may have


class Tree:
    """Base of the three. Walks write into ``out``, in the order in which decisions become reachable."""

    count: int  # assignments of the discrete decisions; a continuous one counts 1

    @cached_property
    def paths(self) -> frozenset[str]:
        """Every path decided on here."""
        raise NotImplementedError

    @cached_property
    def own_paths(self) -> frozenset[str]:
        """``paths`` without those of shared trees (``sharing.Shared``)."""
        return self.paths

    @cached_property
    def shared(self) -> frozenset[Tree]:
        """The shared trees that stand here or below, and those that these reach."""
        return frozenset()

    def draw(self, rng: Random, out: Decisions) -> None:
        """Each decision uniformly, as it becomes reachable."""
        raise NotImplementedError

    def at(self, index: int, rng: Random | None, out: Decisions) -> None:
        """The assignment numbered index, 0 <= index < count; continuous decisions by rng, or their low ends
        without it.
        """
        raise NotImplementedError

    def complete(self, given: Mapping[str, object], rng: Random | None, out: Decisions) -> None:
        """Every reachable decision: as given where that is in its domain, else drawn (without rng: the first
        value).
        """
        raise NotImplementedError

    def reachable(self, decisions: Mapping[str, object]) -> Iterator[tuple[str, Domain]]:
        """The decisions that exist under these, which are complete and in their domains."""
        raise NotImplementedError

    def faults(self, decisions: Mapping[str, object], seen: set[str]) -> Iterator[tuple[str, str]]:
        """(path, what is wrong) for each decision that is missing or out of its domain; ``seen`` collects the
        reachable.
        """
        raise NotImplementedError

    def conditions(self, under: tuple[Condition, ...]) -> Iterator[tuple[str, Domain, tuple[Condition, ...]]]:
        """Every decision wherever it stands, with what makes it reachable there."""
        raise NotImplementedError


@dataclass(frozen=True)
class Leaf(Tree):
    path: str
    domain: Domain

    @cached_property
    def count(self) -> int:  # type: ignore[override]
        return self.domain.count or 1

    @cached_property
    def paths(self) -> frozenset[str]:
        return frozenset((self.path,))

    def draw(self, rng: Random, out: Decisions) -> None:
        out[self.path] = self.domain.draw(rng)

    def at(self, index: int, rng: Random | None, out: Decisions) -> None:
        if self.domain.count is None and rng is not None:
            out[self.path] = self.domain.draw(rng)
        else:
            out[self.path] = self.domain.at(index)

    def complete(self, given: Mapping[str, object], rng: Random | None, out: Decisions) -> None:
        out[self.path] = completed(self.path, self.domain, given, rng)

    def reachable(self, decisions: Mapping[str, object]) -> Iterator[tuple[str, Domain]]:
        yield self.path, self.domain

    def faults(self, decisions: Mapping[str, object], seen: set[str]) -> Iterator[tuple[str, str]]:
        seen.add(self.path)
        if fault := fault_of(self.path, self.domain, decisions):
            yield self.path, fault

    def conditions(self, under: tuple[Condition, ...]) -> Iterator[tuple[str, Domain, tuple[Condition, ...]]]:
        yield self.path, self.domain, under


@dataclass(frozen=True)
class All(Tree):
    children: tuple[Tree, ...]

    @cached_property
    def count(self) -> int:  # type: ignore[override]
        product = 1
        for child in self.children:
            product *= child.count
        return product

    @cached_property
    def paths(self) -> frozenset[str]:
        return frozenset().union(*(child.paths for child in self.children))

    @cached_property
    def own_paths(self) -> frozenset[str]:
        return frozenset().union(*(child.own_paths for child in self.children)) if self.shared else self.paths

    @cached_property
    def shared(self) -> frozenset[Tree]:
        return frozenset().union(*(child.shared for child in self.children))

    def draw(self, rng: Random, out: Decisions) -> None:
        for child in self.children:
            child.draw(rng, out)

    def at(self, index: int, rng: Random | None, out: Decisions) -> None:
        rest = self.count
        for child in self.children:  # the first child varies slowest
            rest //= child.count
            number, index = divmod(index, rest)
            child.at(number, rng, out)

    def complete(self, given: Mapping[str, object], rng: Random | None, out: Decisions) -> None:
        for child in self.children:
            child.complete(given, rng, out)

    def reachable(self, decisions: Mapping[str, object]) -> Iterator[tuple[str, Domain]]:
        for child in self.children:
            yield from child.reachable(decisions)

    def faults(self, decisions: Mapping[str, object], seen: set[str]) -> Iterator[tuple[str, str]]:
        for child in self.children:
            yield from child.faults(decisions, seen)

    def conditions(self, under: tuple[Condition, ...]) -> Iterator[tuple[str, Domain, tuple[Condition, ...]]]:
        for child in self.children:
            yield from child.conditions(under)


@dataclass(frozen=True)
class Branch(Tree):
    """``options[n]`` comes with the value numbered n."""

    path: str
    domain: Domain
    options: tuple[Tree, ...]

    @cached_property
    def count(self) -> int:  # type: ignore[override]
        return sum(option.count for option in self.options)

    @cached_property
    def paths(self) -> frozenset[str]:
        return frozenset((self.path,)).union(*(option.paths for option in self.options))

    @cached_property
    def own_paths(self) -> frozenset[str]:
        if not self.shared:
            return self.paths
        return frozenset((self.path,)).union(*(option.own_paths for option in self.options))

    @cached_property
    def shared(self) -> frozenset[Tree]:
        return frozenset().union(*(option.shared for option in self.options))

    def draw(self, rng: Random, out: Decisions) -> None:
        number = int(rng.random() * len(self.options))
        out[self.path] = self.domain.at(number)
        self.options[number].draw(rng, out)

    def at(self, index: int, rng: Random | None, out: Decisions) -> None:
        number = 0
        while index >= self.options[number].count:
            index -= self.options[number].count
            number += 1
        out[self.path] = self.domain.at(number)
        self.options[number].at(index, rng, out)

    def complete(self, given: Mapping[str, object], rng: Random | None, out: Decisions) -> None:
        value = out[self.path] = completed(self.path, self.domain, given, rng)
        self.option(value).complete(given, rng, out)

    def option(self, value: object) -> Tree:
        """The child that comes with a value of the domain."""
        number = self.domain.index(value)
        assert number is not None
        return self.options[number]

    def reachable(self, decisions: Mapping[str, object]) -> Iterator[tuple[str, Domain]]:
        yield self.path, self.domain
        yield from self.option(decisions[self.path]).reachable(decisions)

    def faults(self, decisions: Mapping[str, object], seen: set[str]) -> Iterator[tuple[str, str]]:
        seen.add(self.path)
        if fault := fault_of(self.path, self.domain, decisions):
            yield self.path, fault
        else:
            yield from self.option(decisions[self.path]).faults(decisions, seen)

    def conditions(self, under: tuple[Condition, ...]) -> Iterator[tuple[str, Domain, tuple[Condition, ...]]]:
        yield self.path, self.domain, under
        for number, option in enumerate(self.options):
            yield from option.conditions((*under, (self.path, (self.domain.at(number),))))


EMPTY = All(())


def together(children: Iterable[Tree]) -> Tree:
    """All of these, flat, without the empty ones."""
    parts = tuple(part for child in children for part in flat(child))
    return parts[0] if len(parts) == 1 else All(parts) if parts else EMPTY


def flat(tree: Tree) -> tuple[Tree, ...]:
    """The trees that together are this one."""
    return tree.children if isinstance(tree, All) else (tree,)


def branch(path: str, domain: Domain, options: Iterable[Tree]) -> Tree:
    """A branch, or a leaf where the decision brings nothing with it."""
    given = tuple(options)
    return Branch(path, domain, given) if any(option is not EMPTY for option in given) else Leaf(path, domain)


def completed(path: str, domain: Domain, given: Mapping[str, object], rng: Random | None) -> Literal:
    """The value given where it is in the domain; else one drawn, or the first without rng."""
    value = given.get(path)
    if value is not None and domain.index(value) is not None:
        return value  # type: ignore[return-value]
    return domain.at(0) if rng is None else domain.draw(rng)


def fault_of(path: str, domain: Domain, decisions: Mapping[str, object]) -> str:
    """What is wrong with a decision that exists, or an empty text."""
    if path not in decisions:
        return "is not decided"
    return "" if domain.index(decisions[path]) is not None else f"{decisions[path]!r} is outside its domain"
