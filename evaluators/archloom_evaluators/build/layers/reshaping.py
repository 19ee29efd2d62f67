"""From one kind of tensor to another, and other orders of the same values."""

from __future__ import annotations

from archloom.space import Shape
from torch import Tensor, nn
from torch.nn import functional

from archloom_evaluators.build.layers.signature import Parameters, Shapes, plain
from archloom_evaluators.build.registry import register_operation


class Token(nn.Module):
    """One position: [n, c, t] -> [n, c]"""

    def __init__(self, position: int) -> None:
        super().__init__()
        self.position = position

    def forward(self, x: Tensor) -> Tensor:
        return x[:, :, self.position]


class ColumnsToChannels(nn.Module):
    """[n, c, h, w] -> [n, c * w, h]"""

    def forward(self, x: Tensor) -> Tensor:
        return x.transpose(2, 3).flatten(1, 2)


class Transpose(nn.Module):
    """[n, c, t] -> [n, t, c]"""

    def forward(self, x: Tensor) -> Tensor:
        return x.transpose(1, 2)


class Shift(nn.Module):
    """Position p of each axis holds what was at p + by; zeroes enter."""

    def __init__(self, by: int) -> None:
        super().__init__()
        self.by = by

    def forward(self, x: Tensor) -> Tensor:
        for axis in range(2, x.dim()):
            kept = x.shape[axis] - abs(self.by)
            x = x.narrow(axis, max(self.by, 0), kept)
        pads = (max(-self.by, 0), max(self.by, 0)) * (x.dim() - 2)
        return functional.pad(x, pads)


def to_seq(parameters: Parameters, inputs: Shapes, output: Shape) -> nn.Module:
    if inputs[0].kind == "vector":
        return nn.Unflatten(1, output.dims)
    if parameters["along"] == "height":
        return ColumnsToChannels()
    return nn.Flatten(2) if parameters["along"] == "positions" else nn.Flatten(1, 2)


register_operation("flatten", plain(lambda: nn.Flatten(1)))
register_operation(
    "token",
    lambda parameters, inputs, output: Token(0 if parameters["at"] == "first" else -1),
)
register_operation("to_seq", to_seq)
register_operation(
    "to_image", lambda parameters, inputs, output: nn.Unflatten(2, output.dims[1:])
)
register_operation("transpose", plain(Transpose))
register_operation("shift", lambda parameters, inputs, output: Shift(parameters["by"]))
