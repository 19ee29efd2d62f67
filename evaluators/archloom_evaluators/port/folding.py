"""A graph as nested pieces of code: layers, chains of them, and blocks with a ``forward`` of their own.

Paths say what belongs together: ``stage[1].block.conv`` is in ``stage[1].block``. A piece can be a module of
its own when one tensor leaves it, nothing outside stands between its layers, and no weights are shared across
its border (unless all of it is shared: then it is one module that is called several times).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import Enum

from archloom.space import Graph, GraphNode

from archloom_evaluators.port.borders import Borders

Segments = tuple[str, ...]
MERGES = ("sum", "mul", "concat")
_MANY = 4
"""So many modules make a piece with several inputs worth a class."""


class Kind(Enum):
    LAYER = "layer"
    MERGE = "merge"
    CHAIN = "chain"
    BLOCK = "block"


@dataclass(frozen=True, eq=False)
class Piece:
    """``reads`` and ``output`` are ids of the graph; a layer and a merge read one tensor for each input, the
    others each tensor once. Pieces of equal ``instance`` are one module, called several times.
    """

    kind: Kind
    segments: Segments
    reads: tuple[int, ...]
    output: int
    members: frozenset[int]
    instance: object
    pieces: tuple[Piece, ...] = ()


@dataclass
class _Branch:
    path: Segments = ()
    node: int | None = None
    members: list[int] = field(default_factory=list)
    children: dict[str, _Branch] = field(default_factory=dict)


def split_path(path: str) -> Segments:
    """``a.b[0].c`` as a, b, [0], c."""
    return tuple(re.findall(r"\[[^\]]*\]|[^.\[\]]+", path))


def fold(graph: Graph) -> Piece:
    """The whole network as one block."""
    return _Folder(graph).whole()


class _Folder:
    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.borders = Borders({node.id: node.inputs for node in graph.nodes}, graph.outputs.values())
        self.root = _Branch()
        for node in graph.nodes:
            if node.op != "input":
                self.insert(node)
        self.groups = Counter(node.group for node in graph.nodes if node.group)
        self.twins: dict[object, list[_Branch]] = {}
        self.collect(self.root)

    def insert(self, node: GraphNode) -> None:
        branch = self.root
        branch.members.append(node.id)
        for segment in split_path(node.path):
            branch = branch.children.setdefault(segment, _Branch((*branch.path, segment)))
            branch.members.append(node.id)
        branch.node = node.id

    def collect(self, branch: _Branch) -> None:
        """Gather the branches that hold the same shared weights; one that only holds another is that one."""
        alone = len(branch.children) == 1 and branch.node is None
        if not alone and any(self.graph[number].group for number in branch.members):
            self.twins.setdefault(self.signature(branch), []).append(branch)
        for child in branch.children.values():
            self.collect(child)

    def signature(self, branch: _Branch) -> object:
        """Equal for branches that are the same layers, with the same weights where they have any."""
        local = {number: place for place, number in enumerate(branch.members)}
        entries: dict[int, int] = {}
        steps = []
        for number in branch.members:
            node = self.graph[number]
            reads = tuple(
                local[source] if source in local else -1 - entries.setdefault(source, len(entries))
                for source in node.inputs
            )
            steps.append((node.op, node.operation.parameters, node.group, reads))
        return tuple(steps)

    def instance(self, branch: _Branch) -> object:
        """What module it is; None where its weights are shared with parts of others."""
        inside = Counter(self.graph[n].group for n in branch.members if self.graph[n].group)
        crossing = [group for group, count in inside.items() if count != self.groups[group]]
        if not crossing:
            return branch.path
        twins = self.twins[self.signature(branch)]
        if any(inside[group] * len(twins) != self.groups[group] for group in crossing):
            return None
        return self.signature(branch) if all(self.borders.closed(twin.members) for twin in twins) else None

    # --------------------------------------------------------------- pieces

    def whole(self) -> Piece:
        pieces = self.ordered(self.parts(self.root))
        members = frozenset(self.root.members)
        return Piece(Kind.BLOCK, (), tuple(self.graph.inputs.values()), -1, members, (), tuple(pieces))

    def parts(self, branch: _Branch) -> list[Piece]:
        found = [] if branch.node is None else [self.leaf(branch.node)]
        for segment, child in branch.children.items():
            for piece in self.plan(child):
                found.append(replace(piece, segments=(segment, *piece.segments)))
        return found

    def leaf(self, number: int) -> Piece:
        node = self.graph[number]
        kind = Kind.MERGE if node.op in MERGES else Kind.LAYER
        return Piece(kind, (), node.inputs, number, frozenset((number,)), ("", node.weights_key))

    def plan(self, branch: _Branch) -> list[Piece]:
        """One piece where it can be closed, else its parts."""
        parts = self.parts(branch)
        if len(parts) == 1:
            return [replace(parts[0], segments=())]
        if not self.borders.closed(branch.members) or (instance := self.instance(branch)) is None:
            return parts
        parts = self.ordered(parts)
        modules = [piece for piece in parts if piece.kind is not Kind.MERGE]
        entries = self.borders.entries(branch.members)
        if len(modules) == len(parts) and self.is_line(parts):
            if len({piece.instance for piece in parts}) < len(parts):
                return parts
            kind = Kind.CHAIN
        elif modules and (len(entries) == 1 or len(modules) >= _MANY):
            kind = Kind.BLOCK
        else:
            return parts
        output = self.borders.exits(branch.members)[0]
        if kind is Kind.CHAIN:
            parts = [each for piece in parts for each in _unwrapped(piece, len(branch.members))]
        return [Piece(kind, (), entries, output, frozenset(branch.members), instance, tuple(parts))]

    def is_line(self, parts: Sequence[Piece]) -> bool:
        """Whether each reads the one before, and nothing else does."""
        for before, piece in zip((None, *parts), parts, strict=False):
            if len(piece.reads) != 1:
                return False
            if before is None:
                continue
            readers = self.borders.readers[before.output]
            if piece.reads != (before.output,) or before.output in self.borders.outputs:
                return False
            if any(reader not in piece.members for reader in readers):
                return False
        return True

    def ordered(self, parts: list[Piece]) -> list[Piece]:
        """In an order in which they can be called, nearest to the graph's."""
        maker = {number: place for place, piece in enumerate(parts) for number in piece.members}
        waiting = sorted(range(len(parts)), key=lambda place: min(parts[place].members))
        done: set[int] = set()
        result: list[Piece] = []
        while waiting:
            for place in waiting:
                needs = {maker[read] for read in parts[place].reads if read in maker} - {place}
                if needs <= done:
                    break
            else:  # pieces that need each other: open one
                place = next(place for place in waiting if parts[place].pieces)
                opened = [
                    replace(p, segments=parts[place].segments + p.segments) for p in parts[place].pieces
                ]
                return self.ordered([*parts[:place], *opened, *parts[place + 1 :]])
            waiting.remove(place)
            done.add(place)
            result.append(parts[place])
        return result


def _unwrapped(piece: Piece, size: int) -> tuple[Piece, ...]:
    """A short chain inside a short chain reads better without a chain of its own."""
    if piece.kind is not Kind.CHAIN or size > 9 or any(p.kind is not Kind.LAYER for p in piece.pieces):
        return (piece,)
    return piece.pieces
