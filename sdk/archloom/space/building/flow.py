"""What flows from node to node while the tree is walked: tensors and variables."""

from __future__ import annotations

from typing import NamedTuple

from archloom.space.building.emitting import Tensor
from archloom.space.language.domains import Literal

Environment = dict[str, Literal]


class Flow(NamedTuple):
    """The history that a node is given, oldest first; of what it yields, ``carry`` tensors are kept.

    A sequence's first child is given what came into the sequence, whatever the length.
    """

    tensors: tuple[Tensor, ...]
    carry: int = 1

    @property
    def newest(self) -> Tensor:
        return self.tensors[-1]

    def step(self, y: Tensor) -> Flow:
        """The history after a node that yields y."""
        return Flow((y,) if self.carry == 1 else (*self.tensors, y)[-self.carry :], self.carry)

    def inside(self, carry: int = 1) -> Flow:
        """The history for nodes inside, which keep their own outputs apart."""
        return self if self.carry == carry else Flow(self.tensors, carry)

    def last(self, number: int) -> tuple[Tensor, ...]:
        """The last so many tensors; the oldest one again where there are fewer."""
        missing = number - len(self.tensors)
        return (self.tensors[0],) * missing + self.tensors if missing > 0 else self.tensors[-number:]
