"""What is drawn: layers with their texts, whatever they come from (a ``Graph``, a report's network, two
graphs and what differs between them).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from archloom.space import Graph
from archloom.space.language.expressions import Scalar

ADDED, REMOVED, CHANGED = "added", "removed", "changed"


@dataclass(frozen=True)
class Change:
    """One thing that differs in a layer that two networks share: a parameter, or "operation", "shape"."""

    what: str
    before: str
    after: str

    def __str__(self) -> str:
        return f"{self.what}: {self.before} → {self.after}"


@dataclass(frozen=True)
class Layer:
    """``inputs`` are places of earlier layers; ``edges`` says of each whether it was added or removed.

    ``weights`` and ``flops`` are None where they are not known. ``before`` are other dimensions that it had;
    ``ordered``: the order of its inputs matters. ``body`` is the network inside a scan.
    """

    operation: str
    parameters: tuple[tuple[str, str], ...] = ()
    inputs: tuple[int, ...] = ()
    path: str = ""
    kind: str = ""
    dims: tuple[int, ...] = ()
    weights: int | None = None
    flops: int | None = None
    group: str = ""
    body: Picture | None = None
    status: str = ""
    changes: tuple[Change, ...] = ()
    edges: tuple[str, ...] = ()
    before: tuple[int, ...] = ()
    ordered: bool = False

    @cached_property
    def look(self) -> tuple[object, ...]:
        """Equal for layers that are drawn alike wherever they stand: all but path and inputs."""
        return (
            *(self.operation, self.parameters, self.kind, self.dims, self.weights, self.flops),
            *(self.status, self.changes, self.edges, self.before, bool(self.group), self.body),
        )

    @cached_property
    def kin(self) -> tuple[object, ...]:
        """Equal for layers that do the same at whatever width and resolution."""
        told = tuple((name, value) for name, value in self.parameters if name not in WIDTHS)
        inside = () if self.body is None else tuple(layer.kin for layer in self.body.layers)
        return (
            self.operation,
            told,
            self.kind,
            self.status,
            self.changes,
            self.edges,
            bool(self.group),
            inside,
        )

    def edge(self, number: int) -> str:
        """The status of the edge from input ``number``."""
        return self.edges[number] if self.edges else ""


WIDTHS = ("out", "hidden", "channels", "width", "groups")
"""Parameters that only say how wide a layer is."""


@dataclass(frozen=True)
class Picture:
    """Layers in topological order. ``inputs`` and ``outputs`` are (name, place of the layer)."""

    layers: tuple[Layer, ...]
    inputs: tuple[tuple[str, int], ...]
    outputs: tuple[tuple[str, int], ...]
    parameters: int
    flops: int

    @property
    def compared(self) -> bool:
        """Whether it shows a difference."""
        return any(layer.status or any(layer.edges) for layer in self.layers)


def picture_of(graph: Graph) -> Picture:
    """A graph as it is drawn."""
    layers = []
    for node in graph.nodes:
        operation = node.operation
        body = operation.body
        layers.append(
            Layer(
                node.op,
                texts(dict(operation.parameters)),
                node.inputs,
                node.path,
                node.shape.kind,
                node.shape.dims,
                operation.weights,
                operation.flops,
                node.group if node.group in graph.shared else "",
                None if body is None else picture_of(body),
                ordered=operation.ordered,
            )
        )
    return Picture(tuple(layers), ports(graph.inputs), ports(graph.outputs), graph.parameters, graph.flops)


def ports(named: Mapping[str, int]) -> tuple[tuple[str, int], ...]:
    return tuple(named.items())


def texts(parameters: Mapping[str, Scalar]) -> tuple[tuple[str, str], ...]:
    """Parameters as people write them."""
    return tuple((name, value_text(value)) for name, value in parameters.items())


def value_text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:g}"
    return str(value)


def readers(picture: Picture) -> Sequence[Sequence[int]]:
    """Which layers read each layer, in order."""
    found: list[list[int]] = [[] for _ in picture.layers]
    for place, layer in enumerate(picture.layers):
        for source in dict.fromkeys(layer.inputs):
            found[source].append(place)
    return found
