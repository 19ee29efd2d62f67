"""A hash of a network that does not change when layers are renamed, renumbered, or listed in another order.

1. The network is cut at every node that all paths from input to output pass (a residual network falls into
   its blocks). Cuts keep their order under isomorphism, so the network's form is the sequence of its
   segments' forms; segments repeat, and are cached.
2. Inside a segment colours are refined: a node's colour tells its label, its inputs' colours (in order where
   order matters) and its consumers' colours, until no colour splits (Weisfeiler and Leman 1968).
3. What still shares a colour is told apart by trial: one node is given a colour of its own, and the least
   result over the nodes of its class is taken, separately in each connected group of undecided nodes (as
   McKay 1981 does, without his pruning). This makes the form exact, where refinement alone would take a ring
   of eight for two rings of four.

Symmetric networks could make step 3 long. After ``_MOST_TRIALS`` a segment's form is its listing as it
stands: equal networks may then get different hashes, different networks still never get equal ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from hashlib import sha256
from typing import Any

Node = tuple[bytes, bool, tuple[int, ...], str]
"""Label, whether its inputs are ordered, its inputs (earlier nodes), its weight-sharing group or ""."""
Segment = tuple[tuple[bytes, bool, tuple[int, ...]], ...]
"""Nodes as above without groups, numbered from 1; 0 is the cut before."""

_MOST_TRIALS = 500


def canonical_hash(nodes: Sequence[Node], inputs: Mapping[str, int], outputs: Mapping[str, int]) -> str:
    """Lower-case hex of a network's canonical form."""
    digest = sha256()
    for segment in _segments(_with_ports(nodes, inputs, outputs)):
        digest.update(_form(segment))
    return digest.hexdigest()


def _with_ports(
    nodes: Sequence[Node], inputs: Mapping[str, int], outputs: Mapping[str, int]
) -> list[tuple[bytes, bool, tuple[int, ...]]]:
    """Inputs labelled by their names, one sink over all outputs, and a node for each group that touches its
    members.
    """
    plain = [(label, ordered, sources) for label, ordered, sources, _ in nodes]
    for name, node in inputs.items():
        plain[node] = (plain[node][0] + f"input:{name}".encode(), True, ())
    groups: dict[str, list[int]] = {}
    for number, node_ in enumerate(nodes):
        if node_[3]:
            groups.setdefault(node_[3], []).append(number)
    names = sorted(outputs)
    first = len(plain)
    plain.extend((b"group", False, tuple(members)) for members in groups.values())
    sinks = (len(plain),)
    plain.append((f"output:{names}".encode(), True, tuple(outputs[name] for name in names)))
    if groups or len(inputs) > 1:  # tie everything to the sink, so that nothing hangs loose
        plain.append((b"all", False, (*sinks, *range(first, first + len(groups)), *inputs.values())))
    return plain


def _segments(nodes: Sequence[tuple[bytes, bool, tuple[int, ...]]]) -> list[Segment]:
    """Pieces between consecutive cuts; each ends with the cut node and sees the cut before it as number 0."""
    last_use = list(range(len(nodes)))
    for number, (_, _, sources) in enumerate(nodes):
        for source in sources:
            last_use[source] = number
    pieces: list[Segment] = []
    start = 0  # the number of the first node of the piece
    furthest = 0  # the last consumer of anything before
    for number, (_, _, sources) in enumerate(nodes):
        if furthest <= number and (sources or number == 0):
            base = start - 1
            piece: list[tuple[bytes, bool, tuple[int, ...]]] = []
            for label, ordered, before in nodes[start : number + 1]:
                if len(before) == 1:
                    piece.append((label, ordered, (before[0] - base,)))
                else:
                    moved = [source - base for source in before]
                    piece.append((label, ordered, tuple(moved if ordered else sorted(moved))))
            pieces.append(tuple(piece))
            start = number + 1
        if last_use[number] > furthest:
            furthest = last_use[number]
    return pieces


@lru_cache(maxsize=50_000)
def _form(segment: Segment) -> bytes:
    """A digest of the segment's isomorphism class."""
    if len(segment) == 1:
        form: Any = segment
    else:
        form = _Refinement(segment).form()
    return sha256(repr(form).encode()).digest()


class _TooManyTrials(Exception):
    pass


class _Refinement:
    """Canonical form of one segment; vertex 0 is the cut before it."""

    def __init__(self, segment: Segment) -> None:
        self.segment = segment
        self.ordered = [True, *(ordered for _, ordered, _ in segment)]
        self.inputs: list[tuple[int, ...]] = [(), *(sources for _, _, sources in segment)]
        self.labels = [b"", *(label for label, _, _ in segment)]
        self.consumers: list[list[tuple[int, int]]] = [[] for _ in self.inputs]
        for vertex, sources in enumerate(self.inputs):
            for place, source in enumerate(sources):
                self.consumers[source].append((vertex, place if self.ordered[vertex] else -1))
        self.trials = 0

    def form(self) -> Any:
        heights: list[int] = []  # a good first colour: it spares rounds
        for sources in self.inputs:
            heights.append(1 + max([heights[source] for source in sources], default=0))
        firsts = list(zip(self.labels, heights, strict=True))
        start = _ranks(firsts)
        try:
            settled = self.settle(start, self.refine(start), list(range(len(start))))
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

    def settle(self, before: list[int], colours: list[int], members: list[int]) -> Any:
        """The least form of these vertices, the others being settled by their colours.

        It holds which colour before each colour came from, and each member's surroundings: enough to draw the
        members again.
        """
        origin = sorted(set(zip(colours, before, strict=True)))
        frame = sorted(self.signature(vertex, colours) for vertex in members)
        counts: dict[int, int] = {}
        for colour in colours:
            counts[colour] = counts.get(colour, 0) + 1
        loose = [vertex for vertex in members if counts[colours[vertex]] > 1]
        return (
            origin,
            frame,
            sorted(self.tell_apart(colours, group, counts) for group in self.connected(loose)),
        )

    def tell_apart(self, colours: list[int], group: list[int], counts: Mapping[int, int]) -> str:
        if len(group) == 1:  # its twins are elsewhere, and none of them touches it
            return f"alone {colours[group[0]]}"
        chosen = min((colours[vertex] for vertex in group), key=lambda colour: (counts[colour], colour))
        forms = []
        for vertex in group:
            if colours[vertex] == chosen:
                self.trials += 1
                if self.trials > _MOST_TRIALS:
                    raise _TooManyTrials
                marked = [2 * colour for colour in colours]
                marked[vertex] -= 1
                forms.append(repr(self.settle(colours, self.refine(marked), group)))
        return min(forms)

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
