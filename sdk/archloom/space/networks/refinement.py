"""The exact form of networks whose nodes simple colours do not tell apart.

1. The network is cut at every node that all paths from input to output pass (a residual network falls into
   its blocks). Cuts keep their order under isomorphism, so the network's form is the sequence of its
   segments' forms; segments repeat, and are cached.
2. Inside a segment colours are refined: a node's colour tells its label, its inputs' colours (in order where
   order matters) and its consumers' colours, until no colour splits (Weisfeiler and Leman 1968).
3. What still shares a colour is told apart by trial: one node is given a colour of its own, and the least
   result over the nodes of its class is taken, separately in each connected group of undecided nodes (as
   McKay 1981 does). Two trials with equal results show a symmetry; a node that known symmetries lead to is
   not tried, for its result is known. This makes the form exact, where refinement alone would take a ring of
   eight for two rings of four.

Symmetric networks could make step 3 long. After ``_MOST_TRIALS`` a segment's form is its listing as it
stands: equal networks may then get different hashes, different networks still never get equal ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from hashlib import sha256
from typing import Any

from archloom.space.networks.colours import colours_from_above, finer_colours
from archloom.space.networks.pieces import labelled

Vertex = tuple[bytes, bool, tuple[int, ...]]
"""Label, whether its inputs are ordered, its inputs (earlier vertices)."""
Segment = tuple[Vertex, ...]
"""Vertices numbered from 1; 0 is the cut before."""

_MOST_TRIALS = 500
_GROUP, _OUTPUTS, _ALL = (text.ljust(16).encode() for text in ("group", "outputs", "all"))


def refined_form(
    labels: Sequence[bytes],
    ordered: Sequence[bool],
    sources: Sequence[tuple[int, ...]],
    groups: Sequence[str],
    inputs: Sequence[int],
    outputs: Sequence[int],
) -> bytes:
    """Equal for equal networks. Of each node: its label (16 bytes), whether its inputs are ordered, its
    inputs, its group.
    """
    nodes, kept = _live(list(zip(labels, ordered, sources, strict=True)), inputs, outputs)
    members: dict[str, list[int]] = {}
    for number, old in enumerate(kept):
        if groups[old]:
            members.setdefault(groups[old], []).append(number)
    place = {old: number for number, old in enumerate(kept)}
    whole = _with_ports(
        nodes,
        list(members.values()),
        [place[node] for node in inputs],
        [place[node] for node in outputs],
    )
    return b"".join(map(_form, _segments(whole)))


def _live(
    nodes: Sequence[Vertex], inputs: Sequence[int], outputs: Sequence[int]
) -> tuple[list[Vertex], list[int]]:
    """The vertices that an output reads, and the inputs; and their old numbers."""
    live = [False] * len(nodes)
    for port in (*inputs, *outputs):
        live[port] = True
    for number in range(len(nodes) - 1, -1, -1):
        if live[number]:
            for source in nodes[number][2]:
                live[source] = True
    kept = [number for number, alive in enumerate(live) if alive]
    place = {old: number for number, old in enumerate(kept)}
    moved = [
        (label, ordered, tuple(place[source] for source in before))
        for label, ordered, before in (nodes[old] for old in kept)
    ]
    return moved, kept


def _with_ports(
    nodes: Sequence[Vertex], groups: Sequence[Sequence[int]], inputs: Sequence[int], outputs: Sequence[int]
) -> list[Vertex]:
    """One sink over all outputs, and a vertex for each group that touches its members."""
    whole = list(nodes)
    first = len(whole)
    whole.extend((_GROUP, False, tuple(members)) for members in groups)
    sink = len(whole)
    whole.append((_OUTPUTS, True, tuple(outputs)))
    if groups or len(inputs) > 1:  # tie everything to the sink, so that nothing hangs loose
        whole.append((_ALL, False, (sink, *range(first, first + len(groups)), *inputs)))
    return whole


def _segments(nodes: Sequence[Vertex]) -> list[Segment]:
    """Pieces between consecutive cuts; each ends with the cut node and sees the cut before it as number 0."""
    last_use = list(range(len(nodes)))
    waiting = 0  # vertices without inputs that are listed further on: no cut lies before them
    for number, (_, _, sources) in enumerate(nodes):
        waiting += not sources
        for source in sources:
            last_use[source] = number
    pieces: list[Segment] = []
    start = 0  # the number of the first node of the piece
    furthest = 0  # the last consumer of anything before
    for number, (_, _, sources) in enumerate(nodes):
        waiting -= not sources
        if furthest <= number and not waiting:
            base = start - 1
            piece: list[Vertex] = []
            for label, ordered, before in nodes[start : number + 1]:
                moved = [source - base for source in before]
                piece.append((label, ordered, tuple(moved if ordered else sorted(moved))))
            pieces.append(tuple(piece))
            start = number + 1
        furthest = max(furthest, last_use[number])
    return pieces


@lru_cache(maxsize=50_000)
def _form(segment: Segment) -> bytes:
    """A digest of the segment's isomorphism class."""
    if len(segment) == 1:
        form: Any = segment
    else:
        form = _Refinement(segment).form()
    return sha256(repr(form).encode()).digest()


Settled = tuple[str, list[int]]
"""A form, and the vertices in the order in which it tells them."""


class _TooManyTrials(Exception):
    pass


class _Refinement:
    """Canonical form of one segment; vertex 0 is the cut before it."""

    def __init__(self, segment: Segment) -> None:
        self.segment = segment
        self.ordered = [True, *(ordered for _, ordered, _ in segment)]
        self.inputs: list[tuple[int, ...]] = [(), *(sources for _, _, sources in segment)]
        self.labels = [bytes(16), *(label for label, _, _ in segment)]
        self.consumers: list[list[tuple[int, int]]] = [[] for _ in self.inputs]
        for vertex, sources in enumerate(self.inputs):
            for place, source in enumerate(sources):
                self.consumers[source].append((vertex, place if self.ordered[vertex] else -1))
        self.trials = 0
        self.alike: list[tuple[int, int]] = []  # a symmetry maps the one to the other

    def form(self) -> Any:
        layers = [labelled(label, order) for label, order in zip(self.labels, self.ordered, strict=True)]
        first = colours_from_above(layers, self.inputs)
        first, _ = finer_colours(layers, first, self.inputs, [len(first) - 1])  # it spares rounds
        firsts = list(zip(self.labels, first, strict=True))
        start = _ranks(firsts)
        try:
            settled, _ = self.settle(start, self.refine(start), list(range(len(start))))
            return ("exact", sorted(firsts), settled)
        except _TooManyTrials:
            return ("listed", self.segment)

    def signature(self, vertex: int, colours: Sequence[int]) -> tuple[Any, ...]:
        sources = [colours[source] for source in self.inputs[vertex]]
        if len(sources) > 1 and not self.ordered[vertex]:
            sources.sort()
        after = [(colours[consumer], place) for consumer, place in self.consumers[vertex]]
        if len(after) > 1:
            after.sort()
        return (colours[vertex], tuple(sources), tuple(after))

    def refine(self, colours: list[int]) -> list[int]:
        """Split colours until every two nodes of a colour have equally coloured surroundings."""
        classes = len(set(colours))
        while True:
            if classes == len(colours):
                return colours
            colours = _ranks([self.signature(vertex, colours) for vertex in range(len(colours))])
            found = len(set(colours))
            if found == classes:
                return colours
            classes = found

    def settle(self, before: list[int], colours: list[int], members: list[int]) -> Settled:
        """The least form of these vertices, the others being settled by their colours; and the members in an
        order that equal forms share.

        It holds which colour before each colour came from, and each member's surroundings: enough to draw the
        members again.
        """
        origin = sorted(set(zip(colours, before, strict=True)))
        frame = sorted(self.signature(vertex, colours) for vertex in members)
        counts: dict[int, int] = {}
        for colour in colours:
            counts[colour] = counts.get(colour, 0) + 1
        loose = [vertex for vertex in members if counts[colours[vertex]] > 1]
        order = sorted(
            (vertex for vertex in members if counts[colours[vertex]] == 1), key=colours.__getitem__
        )
        inner = sorted(self.tell_apart(colours, group, counts) for group in self.connected(loose))
        for _, part in inner:
            order.extend(part)
        return repr((origin, frame, [form for form, _ in inner])), order

    def tell_apart(self, colours: list[int], group: list[int], counts: Mapping[int, int]) -> Settled:
        if len(group) == 1:  # its twins are elsewhere, and none of them touches it
            return f"alone {colours[group[0]]}", group
        chosen = min((colours[vertex] for vertex in group), key=lambda colour: (counts[colour], colour))
        found: dict[str, list[int]] = {}
        orbits = _Orbits(group)
        tried: list[int] = []
        known = len(self.alike)
        for vertex in self.one_of_twins(vertex for vertex in group if colours[vertex] == chosen):
            if any(orbits.same(vertex, other) for other in tried):
                continue
            tried.append(vertex)
            self.trials += 1
            if self.trials > _MOST_TRIALS:
                raise _TooManyTrials
            marked = [2 * colour for colour in colours]
            marked[vertex] -= 1
            form, order = self.settle(colours, self.refine(marked), group)
            self.alike.extend(zip(found.setdefault(form, order), order, strict=True))
            for one, other in self.alike[
                known:
            ]:  # symmetries with more vertices told apart are ones here too
                orbits.unite(one, other)
        return min(found.items())

    def one_of_twins(self, vertices: Iterable[int]) -> Iterable[int]:
        """Of vertices of a colour that read the same and are read by the same, the first."""
        twins: dict[object, int] = {}
        for vertex in vertices:
            read = self.inputs[vertex] if self.ordered[vertex] else tuple(sorted(self.inputs[vertex]))
            twins.setdefault((read, tuple(sorted(self.consumers[vertex]))), vertex)
        return twins.values()

    def connected(self, vertices: list[int]) -> list[list[int]]:
        """Groups of vertices that edges among them connect."""
        left = set(vertices)
        groups = []
        while left:
            front = [left.pop()]
            group = list(front)
            while front:
                vertex = front.pop()
                for other in (*self.inputs[vertex], *(consumer for consumer, _ in self.consumers[vertex])):
                    if other in left:
                        left.remove(other)
                        group.append(other)
                        front.append(other)
            groups.append(group)
        return groups


def _ranks(signatures: Sequence[Any]) -> list[int]:
    """Equal numbers for equal signatures, in the signatures' order: the same for isomorphic graphs."""
    order = {signature: rank for rank, signature in enumerate(sorted(set(signatures)))}
    return [order[signature] for signature in signatures]


class _Orbits:
    """Which vertices known symmetries lead to each other."""

    def __init__(self, vertices: Iterable[int]) -> None:
        self._above = {vertex: vertex for vertex in vertices}

    def root(self, vertex: int) -> int:
        while self._above[vertex] != vertex:
            vertex = self._above[vertex]
        return vertex

    def unite(self, one: int, other: int) -> None:
        self._above[self.root(one)] = self.root(other)

    def same(self, one: int, other: int) -> bool:
        return self.root(one) == self.root(other)
