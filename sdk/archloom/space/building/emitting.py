"""Layer instances as they are emitted: operations resolved, identities and zeroes dropped, merges and
projections.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from archloom.space.domains import Literal
from archloom.space.errors import BuildError
from archloom.space.graph import GraphNode
from archloom.space.operations import Operation, OperationError, Shape, resolve
from archloom.space.tree import below

MAX_INSTANCES = 50_000
Given = tuple[tuple[str, type, Literal], ...]
"""Parameters as (name, type, value)."""


class Tensor(NamedTuple):
    """What a node yields: the instance that makes it, None for a tensor of zeroes."""

    node: int | None
    shape: Shape


class Pattern(NamedTuple):
    """What a node without decisions emitted: inputs count from its first instance, -1 is what it took."""

    steps: tuple[tuple[Operation, tuple[int, ...], str], ...]
    output: int | None
    shape: Shape


Patterns = dict[tuple[object, ...], Pattern]
"""By node, input shape and the values of the variables it reads."""
MAX_PATTERNS = 20_000


class Emitter:
    """Collects instances. ``path`` is where a fault is laid, ``place`` where the layer stands and its weights
    are kept.
    """

    def __init__(self, decisions: Mapping[str, Literal], patterns: Patterns) -> None:
        self.decisions = decisions
        self.patterns = patterns
        self.instances: list[GraphNode] = []
        self.places: set[str] = set()
        self.zeroes: dict[Shape, int] = {}
        # Inside a repetition that shares weights: its place, and the name of all repetitions together.
        self.sharing: tuple[str, str] | None = None
        self.groups: dict[tuple[str, object], str] = {}

    def operation(
        self,
        name: str,
        given: Given,
        shapes: tuple[Shape, ...],
        path: str,
        normed: bool = False,
    ) -> Operation:
        try:
            return resolve(name, given, shapes, normed)
        except OperationError as error:
            at_fault = below(path, error.parameter) if error.parameter else ""
            raise BuildError(at_fault if at_fault in self.decisions else path, str(error)) from None

    def add(self, operation: Operation, inputs: tuple[int, ...], place: str, group: str) -> None:
        self.instances.append(GraphNode(len(self.instances), operation, inputs, place, group))

    def emit(self, operation: Operation, inputs: tuple[int, ...], place: str) -> Tensor:
        if len(self.instances) >= MAX_INSTANCES:
            raise BuildError(place, f"the network has more than {MAX_INSTANCES} layers")
        place = self.free(place)
        group = ""
        if self.sharing is not None and operation.weights:
            here, shared = self.sharing
            group = f"{shared}{place[len(here) :]}"
            number = len({kind for name, kind in self.groups if name == group})
            kind = weights_of(operation)
            group = self.groups.setdefault((group, kind), f"{group}#{number}" if number else group)
        self.add(operation, inputs, place, group)
        return Tensor(len(self.instances) - 1, operation.shape)

    def remember(self, key: tuple[object, ...], start: int, x: Tensor, y: Tensor, place: str) -> None:
        """Keep what was emitted from start on as a pattern, unless it read zeroes besides x."""
        steps = []
        for _, operation, inputs, path, _ in self.instances[start:]:
            if any(source < start and source != x.node for source in inputs):
                return
            moved = tuple([-1 if source == x.node else source - start for source in inputs])
            steps.append((operation, moved, path[len(place) :]))
        output = -1 if y.node == x.node else None if y.node is None else y.node - start
        if len(self.patterns) >= MAX_PATTERNS:
            self.patterns.clear()
        self.patterns[key] = Pattern(tuple(steps), output, y.shape)

    def replay(self, pattern: Pattern, x: Tensor, place: str) -> Tensor:
        """Emit a pattern again, from x."""
        start, source = len(self.instances), x.node
        if start + len(pattern.steps) > MAX_INSTANCES:
            raise BuildError(place, f"the network has more than {MAX_INSTANCES} layers")
        assert source is not None
        for operation, inputs, end in pattern.steps:
            moved = tuple([source if number < 0 else start + number for number in inputs])
            self.add(operation, moved, self.free(place + end), "")
        if pattern.output is None or pattern.output < 0:
            return Tensor(None if pattern.output is None else source, pattern.shape)
        return Tensor(start + pattern.output, pattern.shape)

    def free(self, place: str) -> str:
        """The place, marked where it is taken: such as by the sum of a residual whose body is a residual."""
        while place in self.places:
            place += "'"
        self.places.add(place)
        return place

    def copies(self, start: int, x: Tensor, y: Tensor, place: str, numbers: range) -> list[Tensor]:
        """The same repetition again, without walking it: the instances from start led from x to y in the one
        numbered first. What each of the others yields.
        """
        pattern = self.instances[start:]
        cut = len(f"{place}[{numbers[0]}]")
        source, target = x.node, y.node
        assert target is not None
        if len(self.instances) + len(pattern) * (len(numbers) - 1) > MAX_INSTANCES:
            raise BuildError(place, f"the network has more than {MAX_INSTANCES} layers")
        if target < start:  # it yields its input
            return [y] * (len(numbers) - 1)
        made = []
        previous = target
        for i in numbers[1:]:
            there = f"{place}[{i}]"
            shift = len(self.instances) - start
            for _, operation, inputs, path, _ in pattern:
                moved = tuple([previous if s == source else s + shift if s >= start else s for s in inputs])
                self.add(operation, moved, there + path[cut:], "")
            previous = target + shift
            made.append(Tensor(previous, y.shape))
        return made

    def apply(
        self,
        name: str,
        given: Given,
        inputs: tuple[Tensor, ...],
        path: str,
        place: str,
        normed: bool = False,
    ) -> Tensor:
        """An operation on its inputs; nothing is emitted where it is an identity or zero."""
        operation = self.operation(name, given, tuple([x.shape for x in inputs]), path, normed)
        if operation.identity:
            return inputs[0]
        if operation.zero or (operation.zero_to_zero and all(x.node is None for x in inputs)):
            return Tensor(None, operation.shape)
        return self.emit(operation, tuple([self.materialise(x) for x in inputs]), place)

    def materialise(self, x: Tensor) -> int:
        """The instance that makes a tensor; zeroes of one shape are made once, after the input's batch."""
        if x.node is not None:
            return x.node
        if x.shape not in self.zeroes:
            given = tuple((f"d{axis}", int, size) for axis, size in enumerate(x.shape.dims))
            operation = self.operation(
                "zeroes_" + x.shape.kind, given, (self.instances[0].operation.shape,), ""
            )
            self.add(operation, (0,), f"zeroes[{'x'.join(map(str, x.shape.dims))}]", "")
            self.zeroes[x.shape] = len(self.instances) - 1
        return self.zeroes[x.shape]

    def merge(self, how: str, parts: Sequence[Tensor], path: str, place: str) -> Tensor:
        """sum, concat or mul of tensors, without the parts that do nothing."""
        shapes = tuple(part.shape for part in parts)
        operation = self.operation(how, (), shapes, path)
        live = [part for part in parts if part.node is not None]
        if not live or (how == "mul" and len(live) < len(parts)):
            return Tensor(None, operation.shape)
        if how == "concat":
            live = list(parts)
        if len(live) == 1:
            return live[0]
        if len(live) < len(parts):
            operation = self.operation(how, (), tuple(part.shape for part in live), path)
        return self.emit(operation, tuple([self.materialise(part) for part in live]), place)

    def project(self, x: Tensor, target: Shape, keep_channels: bool, path: str, place: str) -> Tensor:
        """x brought to a shape by a strided 1x1 convolution with norm, or a linear layer; as it is where it
        fits.
        """
        if x.shape == target or (
            keep_channels and x.shape.dims[1:] == target.dims[1:] and x.shape.kind == target.kind
        ):
            return x
        channels = x.shape.channels if keep_channels else target.channels
        out = (("out", int, channels),)
        if x.shape.kind == target.kind == "vector":
            return self.apply("linear", out, (x,), path, place)
        if x.shape.kind == target.kind and target.kind in ("image", "seq"):
            stride = -(-x.shape.dims[1] // target.dims[1])
            reached = tuple((size - 1) // stride + 1 for size in x.shape.dims[1:])
            if reached == target.dims[1:]:
                given = (("k", int, 1), ("stride", int, stride), *out)
                y = self.apply("conv", given, (x,), path, place, True)
                return self.apply("batch_norm", (), (y,), path, f"{place}.norm")
        raise BuildError(path, f"no projection leads from {x.shape} to {target}")


def weights_of(operation: Operation) -> object:
    """What operations that hold the same weights agree on: all but the lengths along space and time."""
    inputs = tuple([(shape.kind, shape.channels) for shape in operation.inputs])
    body = b"" if operation.body is None else operation.label
    return (operation.name, operation.version, operation.parameters, inputs, operation.weights, body)
