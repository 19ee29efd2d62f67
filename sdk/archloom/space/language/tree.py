"""The space as a tree of frozen values, which YAML, JSON and protos are read into and written from."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

from archloom.space.language.domains import Divisors, Domain, Literal
from archloom.space.language.expressions import Expression

Value = Literal | Expression | Domain
Bindings = tuple[tuple[str, Value], ...]

MAX_DEPTH = 24
"""Nodes inside nodes: protobuf readers stop at 100 messages inside messages, and a node takes up to three."""
MAX_NODES = 20_000
MAX_REPEAT = 1_000
MAX_LINKED = 100
"""Repetitions of a repeat with links."""

KINDS = {"image": 3, "seq": 2, "tokens": 1, "vector": 1}
"""Kinds of tensor and their number of dimensions, the batch left out."""


@dataclass(frozen=True, kw_only=True)
class Node:
    """What all nodes have. ``where`` is the field in the source, for messages, no part of the meaning."""

    name: str = ""
    tensor: str = ""  # YAML: as
    sources: tuple[str, ...] = ()  # YAML: from
    let: Bindings = ()
    when: Expression | None = None
    adapt: str = ""
    where: str = field(default="", compare=False)

    # Parts make the tree a DAG, so what is found by looking below is kept at every node.

    @cached_property
    def fixed(self) -> bool:
        """Whether nothing is decided and no weights are shared inside; its own variables may be decided."""
        inside = children(self)
        linked = isinstance(self, RepeatNode) and self.links is not None
        if isinstance(self, (ChoiceNode, CellNode)) or linked or self.shares:
            return False
        if any(isinstance(value, Domain) for value in values(self)):
            return False
        lets = (value for child in inside for _, value in child.let)
        return all(child.fixed for child in inside) and not any(isinstance(value, Domain) for value in lets)

    @cached_property
    def shares(self) -> bool:
        """Whether it, or a node inside, shares weights."""
        shared = isinstance(self, (RepeatNode, UseNode, MapNode)) and self.weights == "shared"
        return shared or any(child.shares for child in children(self))

    @cached_property
    def reach(self) -> int:
        """How many of the newest tensors it reads; 0 where it reads or names one by name, here or below."""
        if self.tensor or self.sources or isinstance(self, MapNode):
            return 0
        if isinstance(self, ScanNode):  # what is named inside stays inside
            return 1
        below = [child.reach for child in children(self)]
        own = self.inputs if isinstance(self, CellNode) else 1
        return 0 if 0 in below else max(1, own, *below)

    @cached_property
    def local(self) -> bool:
        """Whether it reads its newest input alone and names no tensor, here and below."""
        return self.reach == 1

    @cached_property
    def single(self) -> bool:
        """Whether it is surely one step of the history: repetitions are as many as there are."""
        if self.sources:
            return True
        if isinstance(self, (ChoiceNode, UseNode)):
            return all(child.single and child.when is None for child in children(self))
        return not isinstance(self, RepeatNode)

    @cached_property
    def reads(self) -> frozenset[str]:
        """Variables that are read inside, cin apart; some may be set inside too. Those that parts read are
        ``part_reads``.
        """
        found = {name for value in values(self) for name in names_of(value)}
        if not isinstance(self, UseNode):
            for child in children(self):
                found |= child.reads | child.own_names
        return frozenset(found - {"cin"})

    @cached_property
    def part_reads(self) -> frozenset[str]:
        """Variables that are read by the parts used inside: of the whole space, or given to the part."""
        found: set[str] = set()
        for child in children(self):
            found |= child.part_reads
            if isinstance(self, UseNode):
                found |= child.reads | child.own_names
        return frozenset(found - {"cin"})

    @cached_property
    def own_names(self) -> frozenset[str]:
        """What its own variables and its ``when`` read."""
        found = {name for _, value in self.let for name in names_of(value)}
        return frozenset(found | names_of(self.when))

    @cached_property
    def structural(self) -> frozenset[str]:
        """Variables that decide which decisions exist and what they may be: those read by ``when``, by counts
        and by divisors, below this node too, and what these are computed from.
        """
        found = set(names_of(self.when))
        given = (*values(self), *(value for _, value in self.let))
        found.update(name for value in given if isinstance(value, Divisors) for name in value.of.names)
        if isinstance(self, RepeatNode):
            found |= names_of(self.count)
        for child in children(self):
            found |= child.structural
        if isinstance(self, CellNode) and "stride" in found:
            found |= names_of(self.input_stride)
        arguments = self.arguments if isinstance(self, UseNode) else ()
        for name, value in (*reversed(self.let), *arguments):
            if name in found:
                found |= names_of(value)
        return frozenset(found)

    @cached_property
    def mentioned(self) -> frozenset[str]:
        """Variables whose value may change which decisions exist: those read by a ``let``, an argument, a
        ``when``, a count or divisors, here or below.
        """
        found = set(self.own_names)
        if isinstance(self, RepeatNode):
            found |= names_of(self.count)
        if isinstance(self, CellNode):
            found |= names_of(self.input_stride)
        for value in values(self):
            if isinstance(value, Divisors) or isinstance(self, UseNode):
                found |= names_of(value)
        for child in children(self):
            found |= child.mentioned
        return frozenset(found)


@dataclass(frozen=True, kw_only=True)
class LayerNode(Node):
    operation: Value
    parameters: Bindings = ()  # sorted by name

    @cached_property
    def expansions(self) -> dict[str, Node]:
        """What the layer stands for, by operation; filled by ``operations.stands_for``."""
        return {}


@dataclass(frozen=True, kw_only=True)
class SequenceNode(Node):
    """``carry``: how many earlier outputs its children may read, through repetitions; 0 where unsaid: 1."""

    nodes: tuple[Node, ...]
    carry: int = 0

    @cached_property
    def segments(self) -> tuple[str, ...]:
        return segments(self.nodes)


@dataclass(frozen=True, kw_only=True)
class ChoiceNode(Node):
    options: tuple[tuple[str, Node], ...]


@dataclass(frozen=True)
class Links:
    """Each repetition also reads a subset of what came before it: the repeat's input is tensor 0, the output
    of repetition i tensor i + 1; repetition i always reads tensor i.

    ``subset`` says which earlier tensors it may read ("earlier": all); at most ``most`` of them (None: any
    number). The tensors are joined by ``merge`` (sum by default).
    """

    subset: str = "earlier"
    most: int | None = None
    merge: Value = ""


@dataclass(frozen=True, kw_only=True)
class RepeatNode(Node):
    count: Value
    body: Node
    decisions: str = ""  # tied (default) or free
    weights: str = ""  # separate (default) or shared
    links: Links | None = None

    @cached_property
    def uniform(self) -> bool:
        """Whether all repetitions are surely alike: tied, with weights and tensors of their own, and nothing
        reads i.
        """
        alike = self.decisions != "free" and self.links is None and not self.shares and self.body.reach > 0
        return alike and self.body.single and "i" not in self.body.reads | self.body.own_names


@dataclass(frozen=True)
class SparseEdges:
    k: int
    distinct: bool


@dataclass(frozen=True, kw_only=True)
class CellNode(Node):
    """Tensors are numbered: first the inputs (the oldest is 0), then the nodes. Dense edges where ``edges``
    is None.

    ``pre`` sees the variable ``shrink`` (by what factor its input is larger than the newest one),
    ``operations`` see ``stride`` (``input_stride`` on edges that leave an input, else 1).
    """

    nodes: int
    edges: SparseEdges | None
    operations: tuple[tuple[str, Node], ...]
    inputs: int = 0  # 0 where unsaid: 1
    pre: Node | None = None
    input_stride: Value = ""  # 1 by default
    join: Value = ""  # sum by default
    output: Value = ""  # last by default


@dataclass(frozen=True, kw_only=True)
class ParallelNode(Node):
    nodes: tuple[Node, ...]
    merge: Value = ""  # sum by default

    @cached_property
    def segments(self) -> tuple[str, ...]:
        return segments(self.nodes)


@dataclass(frozen=True, kw_only=True)
class ResidualNode(Node):
    body: Node


@dataclass(frozen=True, kw_only=True)
class UseNode(Node):
    """A part of the space, here. ``body`` is the part itself; the reader put it there."""

    part: str
    body: Node
    arguments: Bindings = ()  # YAML: with
    decisions: str = ""  # tied (default): those of the part; or free
    weights: str = ""  # separate (default) or shared


@dataclass(frozen=True, kw_only=True)
class ScanNode(Node):
    """A recurrent cell over the time axis of a seq; ``states`` are name -> width, zero at first."""

    states: Bindings
    body: Node


@dataclass(frozen=True, kw_only=True)
class MapNode(Node):
    """The same body over several named tensors."""

    over: tuple[str, ...]
    body: Node
    weights: str = ""  # separate (default) or shared


@dataclass(frozen=True)
class InputPort:
    name: str
    kind: str
    shape: tuple[Value, ...]


@dataclass(frozen=True, kw_only=True)
class SpaceTree:
    """A whole space, read and well formed."""

    inputs: tuple[InputPort, ...]
    body: Node
    name: str = ""
    description: str = ""
    let: Bindings = ()
    parts: tuple[tuple[str, Node], ...] = ()
    outputs: tuple[str, ...] = ()
    recipe: Bindings = ()
    constraints: tuple[Expression, ...] = ()


def children(node: Node) -> tuple[Node, ...]:
    """The nodes directly below."""
    match node:
        case SequenceNode() | ParallelNode():
            return node.nodes
        case ChoiceNode():
            return tuple(option for _, option in node.options)
        case RepeatNode() | ResidualNode() | UseNode() | ScanNode() | MapNode():
            return (node.body,)
        case CellNode():
            options = tuple(option for _, option in node.operations)
            return options if node.pre is None else (node.pre, *options)
    return ()


def values(node: Node) -> tuple[Value, ...]:
    """The node's own values: parameters, counts, merges; not its variables, nor its children's."""
    match node:
        case LayerNode():
            return (node.operation, *(value for _, value in node.parameters))
        case RepeatNode():
            return (node.count,) if node.links is None else (node.count, node.links.merge)
        case ParallelNode():
            return (node.merge,)
        case CellNode():
            return (node.input_stride, node.join, node.output)
        case UseNode():
            return tuple(value for _, value in node.arguments)
        case ScanNode():
            return tuple(value for _, value in node.states)
    return ()


def segments(nodes: tuple[Node, ...]) -> tuple[str, ...]:
    """The path segments of siblings: their names; an unnamed one is called by its kind or operation, numbered
    from the second on.
    """
    taken = {node.name for node in nodes if node.name}
    numbers: dict[str, int] = {}
    result = []
    for node in nodes:
        name = node.name
        if not name:
            base = name = kind_of(node)
            number = numbers.get(base, 1)
            while name in taken:
                number += 1
                name = f"{base}_{number}"
            numbers[base] = number
            taken.add(name)
        result.append(name)
    return tuple(result)


def kind_of(node: Node) -> str:
    """``sequence``, ``choice``, ...; for a layer whose operation is fixed, the operation's name."""
    if isinstance(node, LayerNode) and isinstance(node.operation, str):
        return node.operation
    return type(node).__name__.removesuffix("Node").lower()


def below(path: str, segment: str) -> str:
    """A path one step down."""
    if not path or not segment:
        return path or segment
    return f"{path}{segment}" if segment.startswith("[") else f"{path}.{segment}"


def enter(path: str, body: Node) -> str:
    """The path of an only child: without a name of its own it takes its parent's."""
    return below(path, body.name)


def names_of(value: Value | None) -> frozenset[str]:
    """The variables that a value reads."""
    if isinstance(value, Divisors):
        return value.of.names
    return value.names if isinstance(value, Expression) else frozenset()
