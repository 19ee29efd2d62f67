"""What nodes emitted before, so that they need not be walked again.

A node emits the same for the same shapes, variables and decisions. Which decisions it reads is learnt by
walking it: a node's patterns are kept by the values of all decisions that any walk of it read so far. A walk
that would read another one differs from the known ones in a decision read before that, so the values tell.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property

from archloom.space.networks.graph import GraphNode
from archloom.space.operations import Operation, Shape

MAX_KEPT = 200_000  # instances in all patterns together, some 200 bytes each
MAX_STEPS = 2_000
_TRIES = 60  # after so many a node's patterns must be of use
_SHARE = 8  # to one try in so many

Place = tuple[int, str]
"""A node (by id) and the path of its decisions."""
Key = tuple[object, ...]


Step = tuple[Operation, tuple[int, ...], str]


class Pattern:
    """What a node emitted, from the tensors that it was given.

    instances: what was emitted from number ``start`` on; given: the instances that make what it was given;
    output: the instance that makes what it yields, None for zeroes; cut: the length of its place; read: the
    decisions that matter.
    """

    def __init__(
        self,
        instances: list[GraphNode],
        start: int,
        given: tuple[int | None, ...],
        output: int | None,
        shape: Shape,
        cut: int,
        read: Sequence[str],
    ) -> None:
        self.instances = instances
        self.start = start
        self.given = given
        self.shape = shape
        self.cut = cut
        self.read = tuple(dict.fromkeys(read))
        self.output = None if output is None else self._moved(output)

    def _moved(self, number: int) -> int:
        return number - self.start if number >= self.start else -1 - self.given.index(number)

    @cached_property
    def steps(self) -> tuple[Step, ...]:
        """(operation, inputs, end of the path): inputs count from the first instance, -1, -2, ... are the
        tensors given. Worked out only for what is met again.
        """
        moved, cut = self._moved, self.cut
        return tuple(
            [(node[1], tuple([moved(s) for s in node[2]]), node[3][cut:]) for node in self.instances]
        )


class Patterns:
    """Those of one space."""

    def __init__(self) -> None:
        self._known: dict[Key, Pattern] = {}
        self._kept = 0
        self._read: dict[Place, list[str]] = {}
        self._use: dict[Place, list[int]] = {}  # tries, hits

    def worthwhile(self, place: Place) -> bool:
        """Whether patterns of this node are met again often enough."""
        use = self._use.get(place)
        return use is None or use[0] < _TRIES or use[1] * _SHARE >= use[0]

    def decided(self, place: Place, typed: Mapping[str, object]) -> Key:
        """The part of a key that decisions make, which are given by ``literal_key``."""
        paths = self._read.get(place, ())
        return (place[1], *[typed.get(path) for path in paths])

    def find(self, key: Key, place: Place | None) -> Pattern | None:
        found = self._known.get(key)
        if place is not None:
            use = self._use.setdefault(place, [0, 0])
            use[0] += 1
            use[1] += found is not None
        return found

    def learn(self, place: Place, read: Sequence[str]) -> bool:
        """Note what a walk read; whether some of it is new, so that keys change."""
        known = self._read.setdefault(place, [])
        new = [path for path in dict.fromkeys(read) if path not in known]
        known.extend(new)
        return bool(new)

    def keep(self, key: Key, pattern: Pattern) -> None:
        if self._kept > MAX_KEPT:
            self._known.clear()
            self._kept = 0
        self._known[key] = pattern
        self._kept += 1 + len(pattern.instances)
