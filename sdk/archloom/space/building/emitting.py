"""Layer instances as they are emitted: operations resolved, identities and zeroes dropped, merges and
projections.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from archloom.space.building.patterns import MAX_STEPS, Pattern, Patterns
from archloom.space.errors import BuildError
from archloom.space.language.domains import Literal
from archloom.space.language.tree import below
from archloom.space.networks.graph import GraphNode
from archloom.space.operations import Operation, OperationError, Shape, resolve

MAX_INSTANCES = 50_000
Given = tuple[tuple[str, type, Literal], ...]
"""Parameters as (name, type, value)."""


class Tensor(NamedTuple):
    """What a node yields: the instance that makes it, None for a tensor of zeroes."""

    node: int | None
    shape: Shape


class Emitter:
    """Collects instances. ``path`` is where a fault is laid, ``place`` where the layer stands and its weights
    are kept.
    """

    def __init__(self, decisions: Mapping[str, Literal], patterns: Patterns) -> None:
        self.decisions = decisions
        self.patterns = patterns
        self.read: list[str] = []  # paths of decisions, as they are asked for
        self.instances: list[GraphNode] = []
        self.places: set[str] = set()
        self.zeroes: dict[Shape, int] = {}
        # Inside a repetition that shares weights: its place, and the name of all repetitions together.
        self.sharing: tuple[str, str] | None = None
        self.groups: dict[str, dict[object, str]] = {}  # name -> weights -> where these are kept

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

    def decided(self, path: str) -> Literal:
        """What was decided at a path."""
        self.read.append(path)
        return self.decisions[path]

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
            kinds = self.groups.setdefault(group, {})
            group = kinds.setdefault(weights_of(operation), f"{group}#{len(kinds)}" if kinds else group)
        self.add(operation, inputs, place, group)
        return Tensor(len(self.instances) - 1, operation.shape)

    def pattern(
        self, start: int, given: tuple[Tensor, ...], y: Tensor, place: str, read: Sequence[str]
    ) -> Pattern | None:
        """What was emitted from start on, from these tensors; None where it may have read zeroes besides."""
        if self.zeroes or len(self.instances) - start > MAX_STEPS:
            return None
        nodes = tuple([x.node for x in given])
        return Pattern(self.instances[start:], start, nodes, y.node, y.shape, len(place), read)

    def replay(self, pattern: Pattern, given: tuple[Tensor, ...], place: str) -> Tensor:
        """Emit a pattern again, from these tensors."""
        steps, output, shape = pattern.steps, pattern.output, pattern.shape
        instances = self.instances
        start = len(instances)
        if start + len(steps) > MAX_INSTANCES:
            raise BuildError(place, f"the network has more than {MAX_INSTANCES} layers")
        self.read.extend(pattern.read)
        if steps:
            ends = [place + end for _, _, end in steps]
            if self.places.isdisjoint(ends):
                self.places.update(ends)
            else:
                ends = [self.free(end) for end in ends]
            sources = [x.node for x in reversed(given)]  # so that -1 is the first of those given
            new, node, number = tuple.__new__, GraphNode, start
            for (operation, inputs, _), end in zip(steps, ends, strict=True):
                if len(inputs) == 1:
                    [only] = inputs
                    moved: tuple[int | None, ...] = (only + start if only >= 0 else sources[only],)
                else:
                    moved = tuple([s + start if s >= 0 else sources[s] for s in inputs])
                instances.append(new(node, (number, operation, moved, end, "")))
                number += 1
        if output is None:
            return Tensor(None, shape)
        return Tensor(output + start, shape) if output >= 0 else given[-1 - output]

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
    body = "" if operation.body is None else operation.body.hash
    return (operation.name, operation.version, operation.parameters, inputs, operation.weights, body)
