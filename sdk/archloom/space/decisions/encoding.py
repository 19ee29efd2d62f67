"""Architectures as rows of numbers, for surrogates and distances."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from zlib import crc32

from archloom.space.decisions.describing import DecisionInfo
from archloom.space.language.domains import (
    Choice,
    Domain,
    Flag,
    Integer,
    Literal,
    Subset,
    Uniform,
    literal_key,
)
from archloom.space.networks.graph import Graph

PATH_WIDTH = 512
GRAPH_WIDTH = 256
_MOST_PATHS = 2_000
_MOST_KEPT = 256


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
    def ranks(self) -> Mapping[object, float]:
        """For a choice of numbers: where each stands among them, by its literal_key. Numbers that are equal,
        such as 1 and 1.0, stand by their types' names.
        """
        assert isinstance(self.domain, Choice)
        ordered = sorted(self.domain.values, key=lambda value: (value, type(value).__name__))
        return {literal_key(value): rank / (len(ordered) - 1) for rank, value in enumerate(ordered)}

    @cached_property
    def names(self) -> tuple[str, ...]:
        told = [str(member) for member in self.members]
        if len(set(told)) < len(told):  # such as 1 and "1"
            told = [repr(member) for member in self.members]
        own = (self.path,) if self.numeric else tuple(f"{self.path}={member}" for member in told)
        return (f"{self.path}?", *own) if self.conditional else own

    @cached_property
    def known(self) -> dict[object, tuple[float, ...]]:
        """The coordinates of values met so far, by their ``literal_key``; of few."""
        return {}

    def coordinates(self, value: Literal | None) -> tuple[float, ...]:
        """``values``, noted in ``known``."""
        found = tuple(self.values(value))
        if len(self.known) < _MOST_KEPT and not isinstance(self.domain, Uniform):
            self.known[literal_key(value)] = found
        return found

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
            yield self.ranks[literal_key(value)]
        elif isinstance(self.domain, Uniform):
            assert isinstance(value, float)
            yield self.domain.unit(value)
        else:
            yield (self.domain.index(value) or 0) / max(1, (self.domain.count or 1) - 1)


def blocks(decisions: Iterable[DecisionInfo]) -> tuple[Block, ...]:
    """One for each decision, in the order of the space."""
    return tuple(Block(info.path, info.domain, not info.always) for info in decisions)


def vector(given: tuple[Block, ...], decisions: Mapping[str, Literal]) -> tuple[float, ...]:
    """One row, in the order of the blocks' names."""
    row: list[float] = []
    for block in given:
        value = decisions.get(block.path)
        key = literal_key(value) if isinstance(value, tuple) else (type(value), value)
        row += block.known.get(key) or block.coordinates(value)
    return tuple(row)


def path_encoding(graph: Graph) -> tuple[float, ...]:
    """Which chains of operations lead from inputs to outputs, hashed into PATH_WIDTH coordinates of 0 or 1.

    As BANANAS (White et al. 2021) encodes a cell. A deep network has too many paths, so it is cut where all
    of them meet, and the chains of each piece are taken; pieces that repeat count once. At most 2,000 chains
    a piece. A scan counts as one step, and its body's chains stand beside the others.
    """
    row = [0.0] * PATH_WIDTH
    for chain in _all_chains(graph, ""):
        row[crc32(chain.encode()) % PATH_WIDTH] = 1.0
    return tuple(row)


def _all_chains(graph: Graph, prefix: str) -> Iterator[str]:
    starts = {node: f"{prefix}{name}" for name, node in graph.inputs.items()}
    if len(starts) == 1:
        starts = dict.fromkeys(starts, prefix)
    for piece in _pieces(graph):
        yield from _chains(graph, piece, starts)
    for node in graph.nodes:
        if node.operation.body is not None:
            yield from _all_chains(node.operation.body, f"{prefix}{node.op}:")


def _pieces(graph: Graph) -> Iterator[range]:
    """Ranges of nodes between one meeting point of all paths and the next, both included."""
    furthest, start = 0, 0
    last = {node.id: node.id for node in graph.nodes}
    for node in graph.nodes:
        for source in node.inputs:
            last[source] = node.id
    inputs = max(graph.inputs.values(), default=0)
    for node in graph.nodes:
        if node.id and furthest <= node.id and inputs <= node.id:
            yield range(start, node.id + 1)
            start = node.id
        furthest = max(furthest, last[node.id])
    if start + 1 < len(graph.nodes):  # several outputs, which meet nowhere
        yield range(start, len(graph.nodes))


def _chains(graph: Graph, piece: range, starts: Mapping[int, str]) -> set[str]:
    reaching: dict[int, set[str]] = {piece[0]: {starts.get(piece[0], next(iter(starts.values()), ""))}}
    for number in piece[1:]:
        node = graph[number]
        if number in starts:
            reaching[number] = {starts[number]}
            continue
        step = _word(graph, number)
        heads = {chain for source in node.inputs for chain in reaching.get(source, ())}
        reaching[number] = {f"{chain}>{step}" for chain in sorted(heads)[:_MOST_PATHS]}
    ends = {piece[-1], *(node for node in graph.outputs.values() if node in piece[1:])}
    return {chain for end in ends for chain in reaching[end]}


def _word(graph: Graph, number: int) -> str:
    node = graph[number]
    if node.operation.body is not None:
        return f"{node.op}:{node.operation.body.hash[:8]}"
    size = node.params.get("k", "")
    return node.op if size == "" else f"{node.op}{size}"


def graph_encoding(graph: Graph) -> tuple[float, ...]:
    """Counts of neighbourhoods of up to two steps in the canonical graph, hashed into GRAPH_WIDTH
    coordinates.

    A Weisfeiler-Leman histogram (Shervashidze et al. 2011), as NAS-BOWL uses; labels are operations with
    kernel and channels. The bodies of scans are counted too.
    """
    row = [0.0] * GRAPH_WIDTH
    for label in _neighbourhoods(graph, ""):
        row[crc32(label.encode()) % GRAPH_WIDTH] += 1.0
    return tuple(row)


def _neighbourhoods(graph: Graph, prefix: str) -> Iterator[str]:
    consumers: list[list[int]] = [[] for _ in graph.nodes]
    for node in graph.nodes:
        for source in node.inputs:
            consumers[source].append(node.id)
    labels = [f"{prefix}{_word(graph, node.id)}:{node.shape.channels}" for node in graph.nodes]
    for _ in range(3):
        yield from labels
        around = [
            (sorted(labels[s] for s in n.inputs), sorted(labels[c] for c in consumers[n.id]))
            for n in graph.nodes
        ]
        labels = [
            f"{crc32(repr((own, near)).encode()):08x}" for own, near in zip(labels, around, strict=True)
        ]
    for node in graph.nodes:
        if node.operation.body is not None:
            yield from _neighbourhoods(node.operation.body, f"{prefix}{node.op}:")
