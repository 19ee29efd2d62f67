"""What nodes emitted before, so that they need not be walked again.

A node emits the same for the same shapes, variables and decisions. Which decisions it reads is learnt by
walking it: a node's patterns are kept by the values of all decisions that any walk of it read so far. A walk
that would read another one differs from the known ones in a decision read before that, so the values tell.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cached_property
from itertools import chain
from typing import NamedTuple

from archloom.space.networks.listing import Listing
from archloom.space.networks.pieces import Piece, joined
from archloom.space.operations import Shape

MAX_KEPT = 200_000  # pieces in all patterns together, some 200 bytes each
MAX_STEPS = 2_000
_TRIES = 60  # after so many a node's patterns must be of use
_SHARE = 8  # to one try in so many

Place = tuple[int, str]
"""A node (by id) and the path of its decisions."""
Key = tuple[object, ...]
Known = dict[Key, tuple[str, "Pattern"]]
"""What the children of one node emit under the same variables: the child's name and the pattern."""


class Steps(NamedTuple):
    """Pieces; what each reads, counted from the first, -1, -2, ... being the tensors given; the ends of their
    places; which yields what the node yields, None for zeroes; and how many layers they are.
    """

    pieces: Sequence[Piece]
    sources: Sequence[tuple[int, ...]]
    ends: Sequence[str]
    output: int | None
    layers: int


class Pattern:
    """What a node emitted, from the tensors that it was given.

    start: the first piece of the listing that it emitted, to its end; given: the pieces that make what it was
    given; output: the piece that makes what it yields, None for zeroes; cut: the length of its place; read:
    the decisions that matter. ``lasting`` ones are worth making short.
    """

    def __init__(
        self,
        listing: Listing,
        start: int,
        given: tuple[int | None, ...],
        output: int | None,
        shape: Shape,
        cut: int,
        read: Sequence[str],
        lasting: bool,
    ) -> None:
        self.pieces = listing.pieces[start:]
        self._sources = listing.sources[start:]
        self._places = listing.places[start:]
        self._ends = listing.ends[start:]
        self._start = start
        self._given = given
        self._output = output
        self._cut = cut
        self._lasting = lasting
        self.shape = shape
        self.read = tuple(dict.fromkeys(read))

    def _moved(self, number: int) -> int:
        return number - self._start if number >= self._start else -1 - self._given.index(number)

    @cached_property
    def steps(self) -> Steps:
        """Worked out only for what is met again."""
        moved, cut = self._moved, self._cut
        sources = [tuple([moved(source) for source in before]) for before in self._sources]
        ends = [(place + end)[cut:] for place, end in zip(self._places, self._ends, strict=True)]
        output = None if self._output is None else moved(self._output)
        layers = sum([piece.count for piece in self.pieces])
        found = Steps(self.pieces, sources, ends, output, layers)
        return shortened(found) if self._lasting else found


def shortened(steps: Steps) -> Steps:
    """The same with rows of layers as one piece each. Nothing but the output is read from outside."""
    uses = Counter(chain.from_iterable(steps.sources))
    rows: list[list[int]] = []
    number: dict[int, int] = {}
    for step, before in enumerate(steps.sources):
        last = step - 1
        goes_on = before == (last,) and uses[last] == 1 and last != steps.output
        if last >= 0 and goes_on and len(steps.sources[last]) == 1:
            rows[-1].append(step)
        else:
            rows.append([step])
        number[step] = len(rows) - 1
    pieces, ends = [], []
    for row in rows:
        own = [steps.ends[step] for step in row]
        pieces.append(
            joined([steps.pieces[step] for step in row], own) if len(row) > 1 else steps.pieces[row[0]]
        )
        ends.append("" if len(row) > 1 else own[0])
    sources = [tuple([number.get(source, source) for source in steps.sources[row[0]]]) for row in rows]
    output = None if steps.output is None else number.get(steps.output, steps.output)
    return Steps(pieces, sources, ends, output, steps.layers)


class Patterns:
    """Those of one space."""

    def __init__(self) -> None:
        self._known: dict[Key, Pattern] = {}
        self._kept = 0
        self._tables: dict[Key, Known] = {}
        self._read: dict[Place, dict[str, None]] = {}  # the paths, in a fixed order
        self._use: dict[Place, list[int]] = {}  # tries, hits

    def worthwhile(self, place: Place) -> bool:
        """Whether patterns of this node are met again often enough."""
        use = self._use.get(place)
        return use is None or use[0] < _TRIES or use[1] * _SHARE >= use[0]

    def decided(self, place: Place, typed: Mapping[str, object]) -> Key:
        """The part of a key that decisions make, which are given by ``literal_key``."""
        paths = tuple(self._read.get(place, ()))  # another thread may add to them
        return (place[1], *[typed.get(path) for path in paths])

    def find(self, key: Key, place: Place | None) -> Pattern | None:
        found = self._known.get(key)
        if place is not None:
            use = self._use.setdefault(place, [0, 0])
            use[0] += 1
            use[1] += found is not None
        return found

    def table(self, key: Key) -> Known:
        """What is known of a node's children, to be added to."""
        return self._tables.setdefault(key, {})

    def learn(self, place: Place, read: Sequence[str]) -> bool:
        """Note what a walk read; whether some of it is new, so that keys change."""
        known = self._read.setdefault(place, {})
        before = len(known)
        known.update(dict.fromkeys(read))
        return len(known) > before

    def keep(self, key: Key, pattern: Pattern) -> None:
        if self._kept > MAX_KEPT:
            self._known.clear()
            self._tables.clear()
            self._kept = 0
        self._known[key] = pattern
        self._kept += 1 + len(pattern.pieces)
