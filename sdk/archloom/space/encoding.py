"""Architectures as rows of numbers, for surrogates and distances."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from zlib import crc32

from archloom.space.choices import Tree
from archloom.space.domains import Choice, Domain, Flag, Integer, Literal, Subset, Uniform
from archloom.space.graph import Graph

PATH_WIDTH = 512
GRAPH_WIDTH = 256
_MOST_PATHS = 2_000


@dataclass(frozen=True)
class Block:
    """The coordinates of one decision."""

    path: str
    domain: Domain
    conditional: bool

    @cached_property
    def numeric(self) -> bool:
        """Numbers, and flags, are one coordinate from 0 to 1, by rank; other choices have one coordinate a
        value.
        """
        domain = self.domain
        if isinstance(domain, Choice):
            return all(isinstance(value, (int, float)) for value in domain.values) and len(domain.values) > 1
        return isinstance(domain, (Integer, Flag, Uniform))

    @cached_property
    def members(self) -> tuple[Literal, ...]:
        if self.numeric:
            return ()
        domain = self.domain
        return (
            domain.of if isinstance(domain, Subset) else domain.values if isinstance(domain, Choice) else ()
        )

    @cached_property
    def ranks(self) -> Mapping[Literal, float]:
        """For a choice of numbers: where each stands among them."""
        assert isinstance(self.domain, Choice)
        ordered = sorted(self.domain.values)
        return {value: rank / (len(ordered) - 1) for rank, value in enumerate(ordered)}

    @cached_property
    def names(self) -> tuple[str, ...]:
        own = (self.path,) if self.numeric else tuple(f"{self.path}={member}" for member in self.members)
        return (f"{self.path}?", *own) if self.conditional else own

    def values(self, value: Literal | None) -> Iterator[float]:
        """The coordinates of a value, all 0 where the decision does not exist (its "?" coordinate says
        whether it does).
        """
        if self.conditional:
            yield float(value is not None)
        if not self.numeric:
            held = value if isinstance(value, tuple) and isinstance(self.domain, Subset) else (value,)
            yield from (
                float(any(member == one and type(member) is type(one) for one in held))
                for member in self.members
            )
        elif value is None:
            yield 0.0
        elif isinstance(self.domain, Choice):
            yield self.ranks[value]
        elif isinstance(self.domain, Uniform):
            assert isinstance(value, float)
            yield self.domain.unit(value)
        else:
            yield (self.domain.index(value) or 0) / max(1, (self.domain.count or 1) - 1)


def blocks(tree: Tree) -> tuple[Block, ...]:
    """One for each decision path, in the tree's order."""
    found: dict[str, Block] = {}
    for path, domain, under in tree.conditions(()):
        known = found.get(path)
        if known is None or (known.conditional and not under):
            found[path] = Block(path, domain, bool(under))
    return tuple(found.values())


def vector(given: tuple[Block, ...], decisions: Mapping[str, Literal]) -> tuple[float, ...]:
    """One row, in the order of the blocks' names."""
    return tuple(number for block in given for number in block.values(decisions.get(block.path)))


def path_encoding(graph: Graph) -> tuple[float, ...]:
    """Which chains of operations lead from input to output, hashed into PATH_WIDTH coordinates of 0 or 1.

    As BANANAS (White et al. 2021) encodes a cell. A deep network has too many paths, so it is cut where all
    of them meet, and the chains of each piece are taken; pieces that repeat count once. At most 2,000 chains
    a piece.
    """
    row = [0.0] * PATH_WIDTH
    for piece in _pieces(graph):
        for chain in _chains(graph, piece):
            row[crc32(chain.encode()) % PATH_WIDTH] = 1.0
    return tuple(row)


def _pieces(graph: Graph) -> Iterator[range]:
    """Ranges of nodes between one meeting point of all paths and the next, both included."""
    furthest, start = 0, 0
    last = {node.id: node.id for node in graph.nodes}
    for node in graph.nodes:
        for source in node.inputs:
            last[source] = node.id
    for node in graph.nodes:
        if node.id and furthest <= node.id:
            yield range(start, node.id + 1)
            start = node.id
        furthest = max(furthest, last[node.id])


def _chains(graph: Graph, piece: range) -> set[str]:
    reaching: dict[int, set[str]] = {piece[0]: {""}}
    for number in piece[1:]:
        node = graph[number]
        step = _word(graph, number)
        heads = {chain for source in node.inputs for chain in reaching.get(source, ())}
        reaching[number] = {f"{chain}>{step}" for chain in sorted(heads)[:_MOST_PATHS]}
    return reaching[piece[-1]]


def _word(graph: Graph, number: int) -> str:
    node = graph[number]
    size = node.params.get("k", "")
    return node.op if size == "" else f"{node.op}{size}"


def graph_encoding(graph: Graph) -> tuple[float, ...]:
    """Counts of neighbourhoods of up to two steps in the canonical graph, hashed into GRAPH_WIDTH
    coordinates.

    A Weisfeiler-Leman histogram (Shervashidze et al. 2011), as NAS-BOWL uses; labels are operations with
    kernel and channels.
    """
    consumers: list[list[int]] = [[] for _ in graph.nodes]
    for node in graph.nodes:
        for source in node.inputs:
            consumers[source].append(node.id)
    labels = [f"{_word(graph, node.id)}:{node.shape.channels}" for node in graph.nodes]
    row = [0.0] * GRAPH_WIDTH
    for _ in range(3):
        for label in labels:
            row[crc32(label.encode()) % GRAPH_WIDTH] += 1.0
        around = [
            (sorted(labels[s] for s in n.inputs), sorted(labels[c] for c in consumers[n.id]))
            for n in graph.nodes
        ]
        labels = [
            f"{crc32(repr((own, near)).encode()):08x}" for own, near in zip(labels, around, strict=True)
        ]
    return tuple(row)
