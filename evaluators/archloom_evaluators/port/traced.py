"""What is read from a torch module: its layers, as operations of spaces."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from archloom.space import Shape
from torch import Tensor

Path = tuple[str, ...]


@dataclass
class Layer:
    """One operation.

    number: its place in the order of computation; inputs of the network are -1, -2, ...
    path: the names of the modules it stands in and its own; one path has one layer.
    parameters: those that a space has to say.
    weights: its tensors as the operation's torch module calls them.
    """

    number: int
    path: Path
    operation: str
    parameters: dict[str, object]
    inputs: tuple[int, ...]
    takes: tuple[Shape, ...]
    shape: Shape
    weights: Mapping[str, Tensor] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """As the module's ``named_modules`` has it."""
        return ".".join(self.path)


@dataclass
class Traced:
    """A module's layers in order, its inputs (name -> shape) and its outputs (name -> number)."""

    layers: list[Layer]
    inputs: dict[str, Shape]
    outputs: dict[str, int]

    def shape(self, number: int) -> Shape:
        return self.layers[number].shape if number >= 0 else list(self.inputs.values())[-1 - number]

    def called(self, number: int) -> str:
        """The name of a layer or an input, for messages."""
        if number >= 0:
            return repr(self.layers[number].name)
        return f"the input {list(self.inputs)[-1 - number]!r}"


@dataclass(frozen=True)
class Taken:
    """A tensor that depends on the inputs: the layer it comes from, what a space calls its shape, and how
    torch holds it.

    view: "plain": [n, *dims]; "last": channels last, [n, t, c] or [n, h, w, c]; "pooled": a vector as
    [n, c, 1, 1] or [n, c, 1].
    """

    number: int
    shape: Shape
    view: str = "plain"

    def dims(self, axes: int) -> tuple[int, ...]:
        """The shape in torch, batch left out; ``axes`` tells [n, c, 1] and [n, c, 1, 1] apart."""
        if self.view == "pooled":
            return (*self.shape.dims, *[1] * (axes - 2))
        if self.view == "last":
            return (*self.shape.dims[1:], self.shape.dims[0])
        return self.shape.dims
