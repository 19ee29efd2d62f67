"""The members of a space in turns: an order without repeats that is even decision by decision.

The decisions are a tree: below each value of one stand the decisions that come next. Whoever comes to a
decision is sent on to its values in turn, each once before any twice, and a value whose members are used up
passes its turns on. How often it was taken before follows from the number of the turn and the numbers of
members, so that member t is computed and nothing is kept; as t runs over the number of all, each comes once.

The order in which a node of the tree deals its values is free, and chosen so that decisions are even however
deep they stand, and none is locked to another. Nodes are numbered as they are first come to; a decision has
an order of its n values, drawn by a hash, for each n nodes in a row, and each of these nodes begins with
another value. So the first k members have the values of a decision about equally often, as in a Latin
hypercube (McKay, Beckman and Conover 1979). Inside an option nodes are numbered anew, so that the members
that took it are even in what came with it.

An order of n values is made by halving their range again and again, and sending to both halves in turn: its
first values lie apart, as van der Corput's sequence does, and none of the n is listed.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from operator import mul, or_

from archloom.space.decisions.choices import All, Branch, Decisions, Leaf, Tree
from archloom.space.decisions.sharing import Profile, Reached, Shared, Whole, product, union
from archloom.space.decisions.steps import Steps


class Turns:
    """All members of a tree of discrete decisions."""

    def __init__(self, tree: Tree) -> None:
        self._whole = tree if isinstance(tree, Whole) else Whole(tree)
        self._parts = {id(part): number for number, part in enumerate(self._whole.parts)}

    def member(self, turn: int, key: int) -> Decisions:
        """The member whose turn it is; 0 <= ``turn`` < the tree's count. ``key`` chooses the orders."""
        walk = _Walk(self._whole, self._parts, turn, [_Scope(str(key))])
        walk.tree(self._whole.tree, {(): 1})
        while walk.reached:  # what parts decide comes last, once
            first, walk.reached = walk.reached[0], walk.reached[1:]
            walk.tree(self._whole.parts[first].tree, {(): 1})
        return walk.decisions


@dataclass
class _Scope:
    """The turns that are counted: all, or those that take an option. The node where the walk stands is come
    to in turns ``first``, ``first`` + ``stride``, ``first`` + 2 ``stride``, ... of them, until values are
    used up.
    """

    name: str
    first: int = 0
    stride: int = 1


@dataclass
class _Walk:
    """The way to one member. ``turn`` is counted at the node where it stands."""

    whole: Whole
    parts: Mapping[int, int]
    turn: int
    scopes: list[_Scope]
    reached: Reached = ()
    decisions: Decisions = field(default_factory=dict)

    def tree(self, tree: Tree, after: Profile) -> None:
        """Decides what stands in a tree. ``after`` is the profile of what comes after it, in which parts may
        be left out that are reached in this tree or before it anyhow.
        """
        match tree:
            case All():
                self.all(tree.children, after)
            case Leaf():
                self.turn, place = divmod(self.turn, tree.domain.count or 1)
                self.take(tree, place)
            case Branch():
                number = self.share(tree, [self.size(option, after) for option in tree.options])
                self.inside(tree, number, (tree.options[number],), after)
            case Steps():
                counts = list(accumulate((row.count for row in tree.rows), mul, initial=self.weight(after)))
                number = self.share(tree, [counts[rows] for rows in tree.numbers])
                self.inside(tree, number, tree.rows[: tree.numbers[number]], after)
            case Shared():
                self.reached = union(self.reached, (self.parts[id(tree)],))

    def all(self, trees: Sequence[Tree], after: Profile) -> None:
        profiles = [self.whole.profile(tree) for tree in trees]
        sure = list(accumulate(map(_sure, profiles), or_))
        behind = [after]
        for place in range(len(trees) - 1, 0, -1):
            behind.append(_without(product(profiles[place], behind[-1]), sure[place - 1]))
        for tree in trees:
            self.tree(tree, behind.pop())

    def inside(self, tree: Branch | Steps, number: int, trees: Sequence[Tree], after: Profile) -> None:
        """Decides what comes with an option that was taken."""
        outer, count = self.scopes[-1], tree.domain.count or 1
        name = f"{outer.name}/{tree.path}={number}"
        self.scopes.append(_Scope(name, outer.first // count, outer.stride // count))
        self.all(trees, after)
        self.scopes.pop()

    # ------------------------------------------------------------- counting

    def size(self, tree: Tree, after: Profile) -> int:
        """The number of members of a tree and what comes after it."""
        return sum(number * self.weight(after, more) for more, number in self.whole.profile(tree).items())

    def weight(self, after: Profile, more: Reached = ()) -> int:
        """The number of members of what comes after, where these parts are reached too."""
        known = union(self.reached, more)
        return sum(number * self.whole.weight(union(known, reached)) for reached, number in after.items())

    # ------------------------------------------------------------ taking turns

    def share(self, tree: Branch | Steps, sizes: Sequence[int]) -> int:
        """Takes the option whose turn it is, where they have so many members; returns its number."""
        count, past = len(sizes), 0
        for used, size in enumerate(sorted(sizes)):  # options that are used up, and what the next one has
            block = (size - past) * (count - used)
            if self.turn < block:
                break
            self.turn, past = self.turn - block, size
        more, place = divmod(self.turn, count - used)
        self.turn = past + more
        if used:
            left = [place for place in range(count) if sizes[self.dealt(tree, place)] > past]
            place = left[place]
        return self.take(tree, place)

    def take(self, tree: Leaf | Branch | Steps, place: int) -> int:
        """Takes the value that this node deals in this place; returns its number."""
        number = self.dealt(tree, place)
        self.decisions[tree.path] = tree.domain.at(number)
        for scope in self.scopes:
            scope.first += place * scope.stride
            scope.stride *= tree.domain.count or 1
        return number

    def dealt(self, tree: Leaf | Branch | Steps, place: int) -> int:
        scope, count = self.scopes[-1], tree.domain.count or 1
        # The turns of the scope have the values in a row; a node whose own turns come round to a value that
        # it dealt already goes one further.
        index = scope.first + place * scope.stride + place * math.gcd(scope.stride, count) // count
        return nested(index % count, count, f"{scope.name} {tree.path} {scope.first // count}")


def _sure(profile: Profile) -> frozenset[int]:
    """The parts that are reached whatever is decided."""
    return frozenset() if () in profile else frozenset.intersection(*map(frozenset, profile))


def _without(profile: Profile, sure: frozenset[int]) -> Profile:
    """With sets that differ only in parts that something before reaches anyhow as one: a space has few sets,
    and what comes after a place in it may by itself have a power of that.
    """
    if not sure:
        return profile
    left: Profile = {}
    for reached, number in profile.items():
        rest = tuple([part for part in reached if part not in sure])
        left[rest] = left.get(rest, 0) + number
    return left


def nested(index: int, count: int, key: str) -> int:
    """Number ``index`` of a permutation of 0, ..., ``count`` - 1 whose first values are apart."""
    low = 0
    while count > 1:
        half = count // 2
        digest = hashlib.shake_128(f"{key} {low} {count}".encode()).digest(count.bit_length() // 8 + 8)
        shift = int.from_bytes(digest, "big") % count
        before, then = ((half * number + shift) // count for number in (index, index + 1))
        if before < then:
            index, count = before, half
        else:
            low, index, count = low + half, index - before, count - half
    return low
