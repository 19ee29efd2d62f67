"""Decisions that several places have in common: those of a part whose uses are tied.

``Shared`` stands at each place, and exists once however many of them are reached. Counting then is a matter
of sets: a tree's *profile* says, for each set of shared trees, how many of its own assignments reach exactly
these. The profile of an ``All`` combines its children's by union, so parts used at hundreds of places under
conditions of their own cost no more than the few sets that can come about.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from random import Random

from archloom.space.decisions.choices import (
    All,
    Branch,
    Condition,
    Decisions,
    Leaf,
    Tree,
    branch,
    flat,
    together,
)
from archloom.space.decisions.steps import Steps
from archloom.space.language.domains import Domain

Reached = tuple[int, ...]
"""Numbers of the shared trees that are reached, ascending."""
Profile = dict[Reached, int]

MAX_SETS = 4_096
MAX_PLACES = 200_000


@dataclass(frozen=True, eq=False)
class Shared(Tree):
    """The decisions of a part that are its own; ``tree`` holds at least one decision that always exists."""

    part: str
    tree: Tree

    @cached_property
    def count(self) -> int:  # type: ignore[override]
        return self.tree.count

    @cached_property
    def mark(self) -> str:
        """A path that exists wherever the part is reached."""
        first = self.tree.children[0] if isinstance(self.tree, All) else self.tree
        assert isinstance(first, (Leaf, Branch, Steps))
        return first.path

    @cached_property
    def paths(self) -> frozenset[str]:
        return self.tree.paths

    @cached_property
    def own_paths(self) -> frozenset[str]:
        return frozenset()

    @cached_property
    def shared(self) -> frozenset[Tree]:
        return self.tree.shared | {self}

    def draw(self, rng: Random, out: Decisions) -> None:
        if self.mark not in out:
            self.tree.draw(rng, out)

    def complete(self, given: Mapping[str, object], rng: Random | None, out: Decisions) -> None:
        if self.mark not in out:
            self.tree.complete(given, rng, out)

    def reachable(self, decisions: Mapping[str, object]) -> Iterator[tuple[str, Domain]]:
        return self.tree.reachable(decisions)

    def faults(self, decisions: Mapping[str, object], seen: set[str]) -> Iterator[tuple[str, str]]:
        if self.mark not in seen:
            yield from self.tree.faults(decisions, seen)

    def conditions(self, under: tuple[Condition, ...]) -> Iterator[tuple[str, Domain, tuple[Condition, ...]]]:
        return self.tree.conditions(under)


class TooManySets(ValueError):
    """More than MAX_SETS combinations of parts can come about, or decisions stand at more than MAX_PLACES."""


@dataclass(frozen=True, eq=False)
class Whole(Tree):
    """A tree in which some decisions stand at several places; each assignment counts once."""

    tree: Tree

    @cached_property
    def paths(self) -> frozenset[str]:
        return self.tree.paths

    def draw(self, rng: Random, out: Decisions) -> None:
        self.tree.draw(rng, out)

    def complete(self, given: Mapping[str, object], rng: Random | None, out: Decisions) -> None:
        self.tree.complete(given, rng, out)

    def reachable(self, decisions: Mapping[str, object]) -> Iterator[tuple[str, Domain]]:
        seen: set[str] = set()
        for path, domain in self.tree.reachable(decisions):
            if path not in seen:
                seen.add(path)
                yield path, domain

    def faults(self, decisions: Mapping[str, object], seen: set[str]) -> Iterator[tuple[str, str]]:
        return self.tree.faults(decisions, seen)

    def conditions(self, under: tuple[Condition, ...]) -> Iterator[tuple[str, Domain, tuple[Condition, ...]]]:
        return self.tree.conditions(under)

    @cached_property
    def count(self) -> int:  # type: ignore[override]
        """Raises TooManySets."""
        return sum(number * self.weight(reached) for reached, number in self.profile(self.tree).items())

    def at(self, index: int, rng: Random | None, out: Decisions) -> None:
        for reached, number in self.profile(self.tree).items():
            weight = self.weight(reached)
            if index < number * weight:
                own, rest = divmod(index, weight)
                self._pick(self.tree, reached, own, rng, out)
                self._pick_shared(reached, rest, rng, out)
                return
            index -= number * weight
        raise IndexError("no such assignment")

    # ------------------------------------------------------------- profiles

    @cached_property
    def parts(self) -> tuple[Shared, ...]:
        """All shared trees, those that reach others before these."""
        order: list[Shared] = []
        _visit(self.tree, set(), order)
        return tuple(reversed(order))

    @cached_property
    def _numbers(self) -> Mapping[int, int]:
        return {id(shared): number for number, shared in enumerate(self.parts)}

    @cached_property
    def _profiles(self) -> dict[int, Profile]:
        return {}

    @cached_property
    def _prefixes(self) -> dict[int, list[Profile]]:
        return {}

    @cached_property
    def _weights(self) -> dict[Reached, int]:
        return {(): 1}

    def profile(self, tree: Tree) -> Profile:
        """Of this tree or one below it."""
        found = self._profiles.get(id(tree))
        if found is None:
            found = self._profiles[id(tree)] = self._new_profile(tree)
        return found

    def _new_profile(self, tree: Tree) -> Profile:
        match tree:
            case Shared():
                return {(self._numbers[id(tree)],): 1}
            case All():
                prefixes: list[Profile] = [{(): 1}]
                for child in tree.children:
                    prefixes.append(product(prefixes[-1], self.profile(child)))
                    if len(prefixes[-1]) > MAX_SETS:
                        raise TooManySets
                self._prefixes[id(tree)] = prefixes
                return prefixes[-1]
            case Branch():
                total: Profile = {}
                for option in tree.options:
                    for reached, number in self.profile(option).items():
                        total[reached] = total.get(reached, 0) + number
                return total
        return {(): tree.count}

    def weight(self, reached: Reached) -> int:
        """Assignments of these shared trees and of those that they reach."""
        if reached not in self._weights:
            profile = self.profile(self.parts[reached[0]].tree)
            self._weights[reached] = sum(
                number * self.weight(union(reached[1:], more)) for more, number in profile.items()
            )
        return self._weights[reached]

    def _pick_shared(self, reached: Reached, index: int, rng: Random | None, out: Decisions) -> None:
        if not reached:
            return
        tree = self.parts[reached[0]].tree
        for more, number in self.profile(tree).items():
            rest = union(reached[1:], more)
            weight = self.weight(rest)
            if index < number * weight:
                own, index = divmod(index, weight)
                self._pick(tree, more, own, rng, out)
                self._pick_shared(rest, index, rng, out)
                return
            index -= number * weight

    def _pick(self, tree: Tree, reached: Reached, index: int, rng: Random | None, out: Decisions) -> None:
        """Number index of the tree's own assignments that reach exactly these."""
        match tree:
            case Shared():
                return
            case All():
                self._pick_all(tree, reached, index, rng, out)
            case Branch():
                for number, option in enumerate(tree.options):
                    count = self.profile(option).get(reached, 0)
                    if index < count:
                        out[tree.path] = tree.domain.at(number)
                        self._pick(option, reached, index, rng, out)
                        return
                    index -= count
            case _:
                tree.at(index, rng, out)

    def _pick_all(self, tree: All, reached: Reached, index: int, rng: Random | None, out: Decisions) -> None:
        self.profile(tree)
        prefixes = self._prefixes[id(tree)]
        chosen: list[tuple[Tree, Reached, int]] = []
        for place in range(len(tree.children) - 1, -1, -1):
            child = tree.children[place]
            for pair, count in _pairs(prefixes[place], self.profile(child), reached):
                if index < count:
                    reached, more = pair
                    index, number = divmod(index, self.profile(child)[more])
                    chosen.append((child, more, number))
                    break
                index -= count
        for child, more, number in reversed(chosen):
            self._pick(child, more, number, rng, out)


def _pairs(left: Profile, right: Profile, reached: Reached) -> Iterator[tuple[tuple[Reached, Reached], int]]:
    for one, number in left.items():
        for other, more in right.items():
            if union(one, other) == reached:
                yield (one, other), number * more


def product(left: Profile, right: Profile) -> Profile:
    """The profile of two trees together."""
    total: Profile = {}
    for one, number in left.items():
        for other, more in right.items():
            both = union(one, other)
            total[both] = total.get(both, 0) + number * more
    return total


def union(one: Reached, other: Reached) -> Reached:
    return tuple(sorted({*one, *other})) if one and other else one or other


def _visit(tree: Tree, seen: set[int], order: list[Shared]) -> None:
    """Append shared trees after all that they reach."""
    if id(tree) in seen:
        return
    seen.add(id(tree))
    for child in _below(tree):
        _visit(child, seen, order)
    if isinstance(tree, Shared):
        order.append(tree)


def _below(tree: Tree) -> Sequence[Tree]:
    match tree:
        case Shared():
            return (tree.tree,)
        case All():
            return tree.children
        case Branch():
            return tree.options
    return ()


def finished(tree: Tree) -> Tree:
    """The tree with shared parts that surely exist written out, once; a Whole where others are left. Raises
    TooManySets.
    """
    if not tree.shared:
        return tree
    sure = _sure(tree, {})
    made: dict[int, Tree] = {}
    children = flat(tree)
    # Where a part stands outright it is written out there; what all options of a branch reach, at the end.
    hidden = sorted((shared for shared in sure if shared not in children), key=lambda one: one.part)
    parts = [child.tree if isinstance(child, Shared) else child for child in (*children, *hidden)]
    plain = together([_without(part, sure, made) for part in parts])
    if not plain.shared:
        return plain
    if _unrolled(plain, {}) > MAX_PLACES:
        raise TooManySets
    return Whole(plain)


def _unrolled(tree: Tree, known: dict[int, int]) -> int:
    """At how many places decisions stand."""
    if id(tree) not in known:
        known[id(tree)] = 1 + sum(_unrolled(child, known) for child in _below(tree))
    return known[id(tree)]


def _sure(tree: Tree, known: dict[int, frozenset[Shared]]) -> frozenset[Shared]:
    """The shared trees that exist whatever is decided."""
    if id(tree) not in known:
        found: frozenset[Shared] = frozenset()
        match tree:
            case Shared():
                found = _sure(tree.tree, known) | {tree}
            case All():
                found = frozenset().union(*(_sure(child, known) for child in tree.children))
            case Branch():
                found = frozenset.intersection(*(_sure(option, known) for option in tree.options))
        known[id(tree)] = found
    return known[id(tree)]


def _without(tree: Tree, gone: frozenset[Shared], made: dict[int, Tree]) -> Tree:
    """The tree without these shared trees."""
    if id(tree) not in made:
        made[id(tree)] = _stripped(tree, gone, made)
    return made[id(tree)]


def _stripped(tree: Tree, gone: frozenset[Shared], made: dict[int, Tree]) -> Tree:
    match tree:
        case Shared():
            if tree in gone:
                return together(())
            inner = _without(tree.tree, gone, made)
            return tree if inner is tree.tree else Shared(tree.part, inner)
        case All():
            return together([_without(child, gone, made) for child in tree.children])
        case Branch():
            return branch(tree.path, tree.domain, [_without(option, gone, made) for option in tree.options])
    return tree
