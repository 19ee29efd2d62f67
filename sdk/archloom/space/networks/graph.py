"""The canonical network of an architecture: layer instances in topological order, identity and dead parts
gone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import TYPE_CHECKING, NamedTuple

from archloom.space.errors import SpaceError, Violation
from archloom.space.language.expressions import Scalar
from archloom.space.networks.canonical import hash_of_pieces
from archloom.space.networks.listing import Listing
from archloom.space.networks.pieces import Piece, single
from archloom.space.networks.scans import SCAN, scan_operation
from archloom.space.operations import Operation, OperationError, Shape, resolve

if TYPE_CHECKING:
    from archloom.v1 import architecture_pb2


class GraphNode(NamedTuple):
    """A layer instance. ``inputs`` are ids of earlier nodes; nodes of one ``group`` hold the same weights
    ("": its own).

    ``path`` says where it stands in the space and keys its weights; it is outside the hash.
    """

    id: int
    operation: Operation
    inputs: tuple[int, ...]
    path: str
    group: str

    @property
    def op(self) -> str:
        return self.operation.name

    @property
    def version(self) -> int:
        return self.operation.version

    @property
    def params(self) -> Mapping[str, Scalar]:
        """Resolved parameters, defaults filled in."""
        return dict(self.operation.parameters)

    @property
    def shape(self) -> Shape:
        """Of its output, the batch axis left out."""
        return self.operation.shape

    @property
    def weights_key(self) -> str:
        """Where its weights are kept: its group's name, or its path."""
        return self.group or self.path


@dataclass(frozen=True, slots=True)
class Assembly:
    """A network by pieces. Its ports and the keys of ``groups`` are numbers of pieces; ``kept`` are the
    pieces of the listing that they come from, which knows the paths.
    """

    pieces: Sequence[Piece]
    sources: Sequence[tuple[int, ...]]
    groups: Mapping[int, str]
    inputs: Mapping[str, int]
    outputs: Mapping[str, int]
    listing: Listing
    kept: Sequence[int]

    def nodes(self) -> Iterator[GraphNode]:
        """Layer by layer."""
        paths = self.listing.paths()
        last: list[int] = []
        number = -1
        for place, (piece, sources) in enumerate(zip(self.pieces, self.sources, strict=True)):
            inputs = tuple([last[source] for source in sources])
            group = self.groups.get(place, "")
            for operation, path in zip(piece.operations, paths[self.kept[place]], strict=True):
                number += 1
                yield GraphNode(number, operation, inputs, path, group)
                inputs = (number,)
            last.append(number)

    def ports(self, ports: Mapping[str, int]) -> dict[str, int]:
        """Name -> number of the layer."""
        ends = list(accumulate([piece.count for piece in self.pieces]))
        return {name: ends[piece] - 1 for name, piece in ports.items()}


class Graph:
    """``nodes`` in topological order. ``inputs`` and ``outputs`` are name -> node id. An input is a node of
    operation ``input``.
    """

    def __init__(
        self, nodes: Sequence[GraphNode], inputs: Mapping[str, int], outputs: Mapping[str, int]
    ) -> None:
        listing = Listing()
        for node in nodes:
            listing.add(single(node.operation), node.inputs, node.path)
        groups = {node.id: node.group for node in nodes if node.group}
        self._assembly = Assembly(
            listing.pieces, listing.sources, groups, inputs, outputs, listing, range(len(nodes))
        )
        self.nodes = tuple(nodes)

    @classmethod
    def assembled(cls, assembly: Assembly) -> Graph:
        """Of pieces; nodes are made when they are asked for."""
        graph = cls.__new__(cls)
        graph._assembly = assembly
        return graph

    @cached_property
    def nodes(self) -> tuple[GraphNode, ...]:
        return tuple(self._assembly.nodes())

    @property
    def pieces(self) -> Sequence[Piece]:
        """The layers, rows of them as one piece each. To look at these is quicker than at the nodes."""
        return self._assembly.pieces

    @property
    def sources(self) -> Sequence[tuple[int, ...]]:
        """The pieces that each piece's first layer reads."""
        return self._assembly.sources

    @property
    def ends(self) -> Collection[int]:
        """The pieces that make the outputs."""
        return self._assembly.outputs.values()

    @cached_property
    def layers(self) -> int:
        """How many nodes there are."""
        return sum([piece.count for piece in self._assembly.pieces])

    @cached_property
    def inputs(self) -> Mapping[str, int]:
        return self._assembly.ports(self._assembly.inputs)

    @cached_property
    def outputs(self) -> Mapping[str, int]:
        return self._assembly.ports(self._assembly.outputs)

    def with_ports(self, inputs: Mapping[str, int], outputs: Mapping[str, int]) -> Graph:
        """The same layers with other inputs and outputs."""
        return Graph(self.nodes, inputs, outputs)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Graph) and (self.nodes, self.inputs, self.outputs) == (
            other.nodes,
            other.inputs,
            other.outputs,
        )

    def __hash__(self) -> int:
        return hash(self.hash)

    @cached_property
    def hash(self) -> str:
        """Lower-case hex, equal for networks that are equal up to isomorphism; paths, names of weights and
        ids play no part.
        """
        one, shared = self._assembly, self.shared
        groups = {number: group for number, group in one.groups.items() if group in shared}
        return hash_of_pieces(one.pieces, one.sources, groups, one.inputs, one.outputs)

    @cached_property
    def shared(self) -> frozenset[str]:
        """The groups of two nodes and more; one of a single node only names its weights."""
        found = Counter(self._assembly.groups.values())
        return frozenset([group for group, number in found.items() if number > 1])

    @cached_property
    def parameters(self) -> int:
        """Weights that training changes; shared ones once."""
        pieces, groups = self._assembly.pieces, self._assembly.groups
        shared = {group: pieces[number].weights for number, group in groups.items()}
        repeated = sum([pieces[number].weights for number in groups])
        return sum([piece.weights for piece in pieces]) - repeated + sum(shared.values())

    @cached_property
    def flops(self) -> int:
        """Multiply-adds of the convolutions and matrix products of one forward pass for one example, those of
        attention's scores among them; norms, activations and pools count nothing.
        """
        return sum([piece.flops for piece in self._assembly.pieces])

    @cached_property
    def opaque(self) -> tuple[GraphNode, ...]:
        """Nodes whose weights and multiply-adds are unknown, and left out of ``parameters`` and ``flops``."""
        return tuple(node for node in self.nodes if node.operation.opaque)

    @cached_property
    def depth(self) -> int:
        """Layers with weights on the longest path; a scan counts as one step of its body."""
        depths: list[int] = []
        for node in self.nodes:
            body = node.operation.body
            own = int(node.operation.weights > 0) if body is None else body.depth
            depths.append(own + max([depths[source] for source in node.inputs], default=0))
        return max([depths[node] for node in self.outputs.values()], default=0)

    @cached_property
    def causal(self) -> bool:
        """Whether no output at a time depends on later times of any input that has a time axis."""
        return all(self.causal_in(name) for name in self.inputs)

    def causal_in(self, name: str) -> bool:
        """Whether no output at a time depends on later times of this input; true without a time axis."""
        source = self.inputs[name]
        if self[source].shape.kind not in ("seq", "tokens"):
            return True
        reached = {source}
        for number, operation, inputs, _, _ in self.nodes:
            places = [place for place, one in enumerate(inputs) if one in reached]
            if places:
                if not operation.causal or any(place in operation.whole_inputs for place in places):
                    return False
                reached.add(number)
        return True

    def __getitem__(self, node: int) -> GraphNode:
        return self.nodes[node]

    def to_proto(self) -> architecture_pb2.Graph:
        from archloom.space.messages.graphs import write_graph

        return write_graph(self)

    @staticmethod
    def from_proto(message: architecture_pb2.Graph) -> Graph:
        """Raises SpaceError where it is no network, or where an operation is unknown here or of another
        version.
        """
        from archloom.space.messages.graphs import read_graph

        return read_graph(message)


class NodeFacts(NamedTuple):
    """What a message says of a node."""

    operation: str
    version: int
    parameters: Mapping[str, Scalar]
    inputs: tuple[int, ...]
    path: str
    group: str
    shape: Shape
    body: Graph | None


def rebuild(parts: Sequence[NodeFacts], inputs: Mapping[str, int], outputs: Mapping[str, int]) -> Graph:
    """A graph from what a message says, checked; raises SpaceError."""
    nodes: list[GraphNode] = []
    faults: list[Violation] = []
    for number, facts in enumerate(parts):
        place = f"nodes[{number}]"
        if any(not 0 <= source < number for source in facts.inputs):
            raise SpaceError([*faults, Violation(f"{place}.inputs", "an input is no earlier node")])
        try:
            operation = _resolved(facts, tuple(nodes[source].shape for source in facts.inputs))
        except OperationError as error:
            raise SpaceError([*faults, Violation(place, str(error))]) from None
        name = facts.operation
        if operation.version != facts.version:
            found = f"{name} is version {operation.version} here, the graph has version {facts.version}"
            faults.append(Violation(f"{place}.version", found))
        if operation.shape != facts.shape:
            found = f"{name} yields {operation.shape}, the graph has {facts.shape}"
            faults.append(Violation(f"{place}.shape", found))
        nodes.append(GraphNode(number, operation, facts.inputs, facts.path, facts.group))
    for port in (*inputs.values(), *outputs.values()):
        if not 0 <= port < len(nodes):
            faults.append(Violation("outputs", f"there is no node {port}"))
    if faults:
        raise SpaceError(faults)
    return Graph(tuple(nodes), dict(inputs), dict(outputs))


def _resolved(facts: NodeFacts, shapes: tuple[Shape, ...]) -> Operation:
    if facts.operation == "input":
        shapes = (facts.shape,)
    if not shapes:
        raise OperationError(f"{facts.operation} needs an input")
    if facts.operation == SCAN:
        if facts.body is None:
            raise OperationError("a scan needs a body")
        return scan_operation(facts.body, shapes[0])
    given = tuple((key, type(value), value) for key, value in facts.parameters.items())
    return resolve(facts.operation, given, shapes)
