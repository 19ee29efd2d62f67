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
from archloom.space.networks.listing import Listing
from archloom.space.networks.pieces import single
from archloom.space.operations import Operation, OperationError, Shape, resolve

MAX_INSTANCES = 50_000
Given = tuple[tuple[str, type, Literal], ...]
"""Parameters as (name, type, value)."""


class Tensor(NamedTuple):
    """What a node yields: the piece that makes it, None for a tensor of zeroes."""

    node: int | None
    shape: Shape


class Emitter:
    """Collects layers. ``path`` is where a fault is laid, ``place`` where the layer stands and its weights
    are kept.
    """

    def __init__(self, decisions: Mapping[str, Literal], patterns: Patterns) -> None:
        self.decisions = decisions
        self.patterns = patterns
        self.read: list[str] = []  # paths of decisions, as they are asked for
        self.listing = Listing()
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

    def emit(self, operation: Operation, inputs: tuple[int, ...], place: str) -> Tensor:
        self.make_room(1, place)
        number = self.listing.add(single(operation), inputs, place)
        if self.sharing is not None and operation.weights:
            self.listing.shared[number] = self.sharing
        return Tensor(number, operation.shape)

    def make_room(self, layers: int, place: str) -> None:
        if self.listing.layers + layers > MAX_INSTANCES:
            raise BuildError(place, f"the network has more than {MAX_INSTANCES} layers")

    def pattern(
        self,
        start: int,
        given: tuple[Tensor, ...],
        y: Tensor,
        place: str,
        read: Sequence[str],
        lasting: bool = False,
    ) -> Pattern | None:
        """What was emitted from start on, from these tensors; None where it may have read zeroes besides."""
        if self.zeroes or len(self.listing.pieces) - start > MAX_STEPS:
            return None
        nodes = tuple([x.node for x in given])
        return Pattern(self.listing, start, nodes, y.node, y.shape, len(place), read, lasting)

    def replay(self, pattern: Pattern, given: tuple[Tensor, ...], place: str) -> Tensor:
        """Emit a pattern again, from these tensors."""
        pieces, sources, ends, output, layers = pattern.steps
        listing = self.listing
        start = len(listing.pieces)
        self.make_room(layers, place)
        self.read.extend(pattern.read)
        if len(pieces) == 1 and sources[0] == (-1,):
            assert given[0].node is not None
            listing.add(pieces[0], (given[0].node,), place, ends[0])
        elif pieces:
            listing.layers += layers
            listing.pieces.extend(pieces)
            listing.places.extend([place] * len(pieces))
            listing.ends.extend(ends)
            numbers = [x.node for x in reversed(given)]  # so that -1 is the first of those given
            moved = listing.sources
            for before in sources:
                if len(before) == 1:
                    [s] = before
                    moved.append((s + start if s >= 0 else numbers[s],))  # type: ignore[arg-type]
                else:
                    moved.append(tuple([s + start if s >= 0 else numbers[s] for s in before]))  # type: ignore[misc]
        if output is None:
            return Tensor(None, pattern.shape)
        return Tensor(output + start, pattern.shape) if output >= 0 else given[-1 - output]

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
        """The piece that makes a tensor; zeroes of one shape are made once, after the input's batch."""
        if x.node is not None:
            return x.node
        if x.shape not in self.zeroes:
            given = tuple((f"d{axis}", int, size) for axis, size in enumerate(x.shape.dims))
            operation = self.operation(
                "zeroes_" + x.shape.kind, given, (self.listing.pieces[0].operations[0].shape,), ""
            )
            place = f"zeroes[{'x'.join(map(str, x.shape.dims))}]"
            self.zeroes[x.shape] = self.listing.add(single(operation), (0,), place)
        return self.zeroes[x.shape]

    def merge(self, how: str, parts: Sequence[Tensor], path: str, place: str) -> Tensor:
        """sum, concat or mul of tensors, without the parts that do nothing."""
        operation = self.operation(how, (), tuple([part.shape for part in parts]), path)
        nodes = [part.node for part in parts]
        if None not in nodes and len(nodes) > 1:
            return self.emit(operation, tuple(nodes), place)  # type: ignore[arg-type]
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
