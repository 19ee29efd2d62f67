"""Paths, neighbourhoods, sizes and routes of a network, as rows of numbers: see ``features``.

A network comes in pieces, layers in a row, of which most are met in hundreds of networks: what can be said of
a piece alone is worked out once. The rows do not depend on where the layers are cut into pieces.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from operator import attrgetter

import numpy as np
from archloom.space import Graph
from archloom.space.networks.pieces import Piece
from archloom.space.operations import Operation
from numpy.typing import NDArray

from archloom_strategies.routes import MERGES, hashed, kind, routes

Row = NDArray[np.float32] | NDArray[np.uint8]
Sources = Sequence[tuple[int, ...]]
Kinds = tuple[NDArray[np.uint64], NDArray[np.intp]]
"""64 bits for each kind of layer, ascending, and how many layers are of it."""

PATHS = 512
NEIGHBORHOODS = 512
#: Links of a chain at most.
LINKS = 4
#: Chains that one layer passes on: of more, those whose hashes are least, a sample that similar networks
#: share.
CHAINS = 32
#: Refinements of the Weisfeiler-Lehman labels.
REFINEMENTS = 2
#: Chains and pieces that a process keeps, some 500 bytes each.
KEPT_CHAINS, KEPT_PIECES = 20_000, 50_000
#: Pieces that are gone through at once, some 1 KB each.
TOGETHER = 40_000

_MASK = (1 << 64) - 1
_SPREAD = 0x9E3779B97F4A7C15


def blocks(graphs: Sequence[Graph]) -> list[tuple[Row, Row, Row, Row]]:
    """Paths, neighborhoods, sizes and routes of each."""
    return [rows for some in _portions(graphs) for rows in _blocks(some)]


def kinds(graph: Graph) -> Kinds:
    """Which kinds of layers there are, by operation, all parameters and channels, and how many of each."""
    labels = b"".join([(_known.get(piece.text) or _words(piece)).labels for piece in graph.pieces])
    return np.unique(np.frombuffer(labels, np.uint64), return_counts=True)


def _portions(graphs: Sequence[Graph]) -> Iterator[list[Graph]]:
    """Of few pieces, or of one network that has more."""
    some: list[Graph] = []
    left = TOGETHER
    for graph in graphs:
        left -= len(graph.pieces)
        if some and left < 0:
            yield some
            some, left = [], TOGETHER - len(graph.pieces)
        some.append(graph)
    if some:
        yield some


def _blocks(graphs: Sequence[Graph]) -> list[tuple[Row, Row, Row, Row]]:
    words = [[_known.get(piece.text) or _words(piece) for piece in graph.pieces] for graph in graphs]
    near = _neighborhoods(graphs, words)
    return [
        (_paths(graph.sources, said), row, _sizes(graph), route)
        for graph, said, row, route in zip(graphs, words, near, routes(graphs), strict=True)
    ]


# ------------------------------------------------------------------ what a piece says alone


@dataclass(frozen=True, slots=True)
class _Words:
    """Of a piece's layers, in their order."""

    count: int
    links: tuple[int, ...]
    """The words of chains: operation and kernel; 0 for what they lead through."""
    row: int
    """The hash of all these links in a row."""
    alone: tuple[int, ...]
    """Where each layer's link stands as a chain of its own."""
    labels: bytes
    """The words of neighbourhoods, 64 bits each: all of a layer's parameters, channels among them."""


_known: dict[bytes, _Words] = {}


def _words(piece: Piece) -> _Words:
    """Of one that is not known."""
    if len(_known) > KEPT_PIECES:
        _known.clear()
    said = [_said(operation) for operation in piece.operations]
    links = tuple([link for link, _ in said])
    alone = tuple([_place((link,) if link else ()) for link in links])
    labels = np.array([label for _, label in said], np.uint64).tobytes()
    found = _known[piece.text] = _Words(len(links), links, _in_a_row(0, links), alone, labels)
    return found


def _said(operation: Operation) -> tuple[int, int]:
    """A layer's link and its label."""
    label = f"{operation.name}{sorted(dict(operation.parameters).items())}{operation.shape.channels}"
    return 0 if operation.name in MERGES else hashed(kind(operation)), hashed(label)


# ------------------------------------------------------------------ paths


def _paths(sources: Sources, words: Sequence[_Words]) -> Row:
    """Layers in a row are one link, unless all paths meet between them. A chain is the links from one place
    where all paths meet to the next, or any ``LINKS`` links in a row of a longer way. A sum is no link (its
    word is 0): a chain leads through it. Chains that repeat count once.
    """
    places: set[int] = set()
    readers, last = [0] * len(words), list(range(len(words)))
    for number, inputs in enumerate(sources):
        for source in inputs:
            readers[source] += 1
            last[source] = number
    begin = _beginning()
    links = [0] * len(words)  # the hash of the row of layers up to here; 0 where none is open
    before = [begin] * len(words)  # what leads to that row
    passed: list[Chains | None] = [None] * len(words)  # and through it, once that was asked
    known: dict[tuple[Chains, int], Chains] = {}
    joined: dict[tuple[Chains, ...], Chains] = {}

    def through(number: int) -> Chains:
        """What leads through a piece."""
        found = passed[number]
        if found is None:
            found, link = before[number], links[number]
            if link:
                found = known.get((before[number], link)) or _extended(before[number], link, places)
                known[before[number], link] = found
            passed[number] = found
        return found

    furthest = 0
    for number, (inputs, piece) in enumerate(zip(sources, words, strict=True)):
        # Where all paths meet before a piece, they meet after each of its layers.
        meeting = 0 < number >= furthest
        if last[number] > furthest:
            furthest = last[number]
        if len(inputs) == 1:
            [source] = inputs
            if meeting and not links[source] and before[source] is begin:  # as most in a chain of layers
                places.update(piece.alone)
                continue
            if readers[source] == 1 and links[source]:
                more = piece.links[:1] if meeting else piece.links
                before[number], links[number] = before[source], _in_a_row(links[source], more)
            else:
                before[number], links[number] = through(source), piece.links[0] if meeting else piece.row
        elif inputs:
            met = tuple([through(source) for source in inputs])
            if met not in joined:
                joined[met] = _joined(met)
            before[number], links[number] = joined[met], piece.row
        if meeting:  # a stretch ends, and the next begins
            places.update([_place(one.links) for one in through(number)])
            places.update(piece.alone[1:])
            before[number], links[number], passed[number] = begin, 0, begin
    row = np.zeros(PATHS, np.uint8)
    row[list(places)] = 1
    return row


class _Chain:
    """Links on the way to a layer, the last ``LINKS - 1`` at most. Equal ones that have one beginning are one
    object, so that a chain is made longer by looking it up.
    """

    __slots__ = ("links", "longer", "siblings")

    def __init__(self, links: tuple[int, ...], siblings: dict[tuple[int, ...], _Chain]) -> None:
        self.links = links
        self.siblings = siblings
        self.longer: dict[int, tuple[_Chain, int]] = {}
        """By the next link: what goes on, and where the whole chain stands; -1 where it is not yet whole."""

    def extended(self, link: int) -> tuple[_Chain, int]:
        links, place = (*self.links, link), -1
        if len(links) == LINKS:
            links, place = links[1:], _place(links)
        found = self.siblings.get(links) or self.siblings.setdefault(links, _Chain(links, self.siblings))
        self.longer[link] = found, place
        return found, place


Chains = frozenset[_Chain]
_links = attrgetter("links")
_begin: Chains = frozenset([_Chain((), {})])


def _beginning() -> Chains:
    """The empty chain, with all that began with it; a new one where that is much."""
    global _begin
    [empty] = _begin
    if len(empty.siblings) > KEPT_CHAINS:
        _begin = frozenset([_Chain((), {})])
    return _begin


def _extended(heads: Chains, link: int, places: set[int]) -> Chains:
    longer = [head.longer.get(link) or head.extended(link) for head in heads]
    places.update([place for _, place in longer])
    places.discard(-1)
    return frozenset([head for head, _ in longer])


def _joined(met: Sequence[Chains]) -> Chains:
    found = met[0].union(*met[1:])
    return found if len(found) <= CHAINS else frozenset(sorted(found, key=_links)[:CHAINS])


def _in_a_row(link: int, more: Sequence[int]) -> int:
    """The hash of a row of layers that goes on; 0 where none is open."""
    for word in more:
        link = _then(link, word) if link else word
    return link


def _then(link: int, word: int) -> int:
    return ((link ^ word) * _SPREAD + word) & _MASK


@lru_cache(maxsize=100_000)
def _place(chain: tuple[int, ...]) -> int:
    found = 0
    for link in chain:
        found = _then(found, link)
    return (found >> 40) % PATHS


# ------------------------------------------------------------------ neighbourhoods


def _neighborhoods(graphs: Sequence[Graph], words: Sequence[Sequence[_Words]]) -> Sequence[Row]:
    """All graphs as one, since each step on an array costs as much as on some hundred layers."""
    every = list(chain.from_iterable(words))
    labels = np.frombuffer(b"".join([piece.labels for piece in every]), np.uint64)
    counts = np.array([piece.count for piece in every], np.intp)
    ends = np.cumsum(counts)
    firsts, lasts = ends - counts, ends - 1
    inside = np.ones(len(labels), bool)  # layers that read the one before, which no other reads
    inside[firsts] = False
    inner = np.flatnonzero(inside)
    sources = list(chain.from_iterable([graph.sources for graph in graphs]))
    sizes = np.array([len(graph.sources) for graph in graphs], np.intp)
    reads = np.fromiter(map(len, sources), np.intp, len(sources))
    before = np.fromiter(chain.from_iterable(sources), np.intp)
    before += np.repeat(np.repeat(np.cumsum(sizes) - sizes, sizes), reads)
    before, readers = lasts[before], np.repeat(firsts, reads)
    met = [labels]
    for _ in range(REFINEMENTS):
        above, below = _mixed(labels, _ABOVE_AND_BELOW)
        around = np.zeros((2, len(labels)), np.uint64)
        read, reading = around
        read[inner], reading[inner - 1] = above[inner - 1], below[inner]
        np.add.at(read, readers, above[before])
        np.add.at(reading, before, below[readers])
        read, reading = _mixed(around, _READ_AND_READING)
        labels = _mixed(labels + read + reading, _REFINED)[0]
        met.append(labels)
    places = ((np.stack(met) >> np.uint64(40)) % np.uint64(NEIGHBORHOODS)).astype(np.intp)
    layers = [graph.layers for graph in graphs]
    places += np.repeat(np.arange(len(graphs)) * NEIGHBORHOODS, layers)
    rows = np.bincount(places.ravel(), minlength=len(graphs) * NEIGHBORHOODS)
    return list(np.log1p(rows).astype(np.float32).reshape(-1, NEIGHBORHOODS))


def _salts(*numbers: int) -> NDArray[np.uint64]:
    return np.array([[(number * _SPREAD) & _MASK] for number in numbers], np.uint64)


_ABOVE_AND_BELOW, _READ_AND_READING, _REFINED = _salts(1, 2), _salts(3, 4), _salts(5)
_SHIFTS = np.array([30, 27, 31], np.uint64)
_FACTORS = np.array([0xBF58476D1CE4E5B9, 0x94D049BB133111EB], np.uint64)


def _mixed(labels: NDArray[np.uint64], salts: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The finaliser of SplitMix64 (Steele et al. 2014), a row for each salt; sums of what it yields stand for
    multisets.
    """
    mixed = labels + salts
    mixed ^= mixed >> _SHIFTS[0]
    mixed *= _FACTORS[0]
    mixed ^= mixed >> _SHIFTS[1]
    mixed *= _FACTORS[1]
    mixed ^= mixed >> _SHIFTS[2]
    return mixed


# ------------------------------------------------------------------ sizes


def _sizes(graph: Graph) -> Row:
    depths: list[int] = []
    for piece, inputs in zip(graph.pieces, graph.sources, strict=True):
        if len(inputs) == 1:
            depths.append(piece.count + depths[inputs[0]])
        else:
            depths.append(piece.count + max([depths[source] for source in inputs], default=0))
    whole = (graph.parameters, graph.flops, max(depths), graph.layers)
    return np.array([math.log1p(each) for each in whole], np.float32)
