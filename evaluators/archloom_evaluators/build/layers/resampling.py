"""More positions, or fewer."""

from __future__ import annotations

from archloom.space import Shape
from torch import Tensor, nn
from torch.nn import functional

from archloom_evaluators.build.layers.signature import Parameters, Shapes
from archloom_evaluators.build.registry import register_operation


class ResizeAs(nn.Module):
    """The first input interpolated to the positions of the second."""

    def __init__(self, mode: str) -> None:
        super().__init__()
        self.mode = mode

    def forward(self, x: Tensor, like: Tensor) -> Tensor:
        return functional.interpolate(x, like.shape[2:], mode=self.mode)


class SeqShuffle(nn.Module):
    """[n, c * factor, t] -> [n, c, t * factor]"""

    def __init__(self, factor: int) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        apart = x.reshape(x.shape[0], -1, self.factor, x.shape[2])
        return apart.transpose(2, 3).flatten(2)


class SeqUnshuffle(nn.Module):
    """[n, c, t] -> [n, c * factor, t / factor]"""

    def __init__(self, factor: int) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        apart = x.reshape(*x.shape[:2], -1, self.factor)
        return apart.transpose(2, 3).flatten(1, 2)


def _mode(parameters: Parameters, output: Shape) -> str:
    mode: str = parameters["mode"]
    return "linear" if mode == "bilinear" and output.kind == "seq" else mode


def upsample(parameters: Parameters, inputs: Shapes, output: Shape) -> nn.Module:
    return nn.Upsample(
        scale_factor=parameters["factor"], mode=_mode(parameters, output)
    )


def resize_as(parameters: Parameters, inputs: Shapes, output: Shape) -> nn.Module:
    return ResizeAs(_mode(parameters, output))


def pixel_shuffle(parameters: Parameters, inputs: Shapes, output: Shape) -> nn.Module:
    return (nn.PixelShuffle if output.kind == "image" else SeqShuffle)(
        parameters["factor"]
    )


def pixel_unshuffle(parameters: Parameters, inputs: Shapes, output: Shape) -> nn.Module:
    return (nn.PixelUnshuffle if output.kind == "image" else SeqUnshuffle)(
        parameters["factor"]
    )


register_operation("upsample", upsample)
register_operation("resize_as", resize_as)
register_operation("pixel_shuffle", pixel_shuffle)
register_operation("pixel_unshuffle", pixel_unshuffle)
