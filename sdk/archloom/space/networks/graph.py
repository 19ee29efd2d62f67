"""The canonical network of an architecture: layer instances in topological order, identity and dead parts
gone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from archloom.space.errors import SpaceError, Violation
from archloom.space.language.expressions import Scalar
from archloom.space.networks.canonical import hash_of_pieces
from archloom.space.networks.pieces import single
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


@dataclass(frozen=True)
class Graph:
    """``inputs`` and ``outputs`` are name -> node id. An input is a node of operation ``input``."""

    nodes: tuple[GraphNode, ...]
    inputs: Mapping[str, int]
    outputs: Mapping[str, int]

    @cached_property
    def hash(self) -> str:
        """Lower-case hex, equal for networks that are equal up to isomorphism; paths, names of weights and
        ids play no part.
        """
        _, operations, sources, _, names = zip(*self.nodes, strict=True)
        shared = self.shared
        groups = {number: name for number, name in enumerate(names) if name in shared}
        return hash_of_pieces([single(o) for o in operations], sources, groups, self.inputs, self.outputs)

    @cached_property
    def shared(self) -> frozenset[str]:
        """The groups of two nodes and more; one of a single node only names its weights."""
        found = Counter([node.group for node in self.nodes if node.group])
        return frozenset([group for group, number in found.items() if number > 1])

    @cached_property
    def parameters(self) -> int:
        """Weights that training changes; shared ones once."""
        shared = {node.group: node.operation.weights for node in self.nodes if node.group}
        return sum(node.operation.weights for node in self.nodes if not node.group) + sum(shared.values())

    @cached_property
    def flops(self) -> int:
        """Multiply-adds of the convolutions and matrix products of one forward pass for one example, those of
        attention's scores among them; norms, activations and pools count nothing.
        """
        return sum(node.operation.flops for node in self.nodes)

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


_ASSOCIATIVE = ("sum", "mul")


def prune(instances: Sequence[GraphNode], inputs: Mapping[str, int], outputs: Mapping[str, int]) -> Graph:
    """The graph of what reaches an output; inputs stay.

    A sum that is read once, by another sum, is part of it (products likewise).
    """
    uses = _uses(instances, inputs, outputs)
    absorbed: set[int] = set()
    for number, operation, sources, _, _ in instances:
        if not uses[number]:
            continue
        if operation.name in _ASSOCIATIVE:
            absorbed.update(
                s for s in sources if uses[s] == 1 and instances[s].operation.name == operation.name
            )
    if not absorbed and all(uses):
        return Graph(tuple(instances), inputs, outputs)
    ids = [0] * len(instances)
    terms: dict[int, list[int]] = {}
    nodes: list[GraphNode] = []
    for number, operation, sources, path, group in instances:
        if not uses[number]:
            continue
        if absorbed and operation.name in _ASSOCIATIVE:
            flat: list[int] = []
            for source in sources:
                flat.extend(terms[source] if source in absorbed else (ids[source],))
            if number in absorbed:
                terms[number] = flat
                continue
            if len(flat) > len(sources):
                operation = resolve(operation.name, (), (operation.shape,) * len(flat))
            before = tuple(flat)
        else:
            before = tuple([ids[source] for source in sources])
        ids[number] = len(nodes)
        nodes.append(GraphNode(len(nodes), operation, before, path, group))
    return Graph(
        tuple(nodes),
        {name: ids[node] for name, node in inputs.items()},
        {name: ids[node] for name, node in outputs.items()},
    )


def _uses(instances: Sequence[GraphNode], inputs: Mapping[str, int], outputs: Mapping[str, int]) -> list[int]:
    """How often what reaches an output reads each instance, a port counting twice; 0 for what is dead."""
    uses = [0] * len(instances)
    for node in (*inputs.values(), *outputs.values()):
        uses[node] = 2
    for number in range(len(instances) - 1, -1, -1):
        if uses[number]:
            for source in instances[number].inputs:
                uses[source] += 1
    return uses


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
