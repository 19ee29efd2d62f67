"""Pooling."""

from __future__ import annotations

import torch
from archloom.space import Shape
from torch import Tensor, nn
from torch.nn import functional

from archloom_evaluators.build.layers.signature import Parameters, Shapes
from archloom_evaluators.build.registry import register_operation


class CausalMaxPool1d(nn.Module):
    """The maximum of each position and the k - 1 before it."""

    def __init__(self, k: int, stride: int) -> None:
        super().__init__()
        self.k = k
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        before = functional.pad(x, (self.k - 1, 0), value=float("-inf"))
        return functional.max_pool1d(before, self.k, self.stride)


class CausalAvgPool1d(nn.Module):
    """The mean of each position and those of the k - 1 before it that exist."""

    def __init__(self, k: int, stride: int) -> None:
        super().__init__()
        self.k = k
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        counted = functional.pad(torch.ones_like(x[:1, :1]), (self.k - 1, 0))
        means = functional.avg_pool1d(
            functional.pad(x, (self.k - 1, 0)), self.k, self.stride
        )
        return means / functional.avg_pool1d(counted, self.k, self.stride)


class GlobalPool(nn.Module):
    """[n, c, ...] -> [n, c]"""

    def __init__(self, mode: str) -> None:
        super().__init__()
        self.mode = mode

    def forward(self, x: Tensor) -> Tensor:
        flat = x.flatten(2)
        return flat.mean(-1) if self.mode == "avg" else flat.amax(-1)


def max_pool(parameters: Parameters, inputs: Shapes, output: Shape) -> nn.Module:
    k, stride = parameters["k"], parameters["stride"]
    if parameters["padding"] == "causal":
        return CausalMaxPool1d(k, stride)
    kind = nn.MaxPool2d if output.kind == "image" else nn.MaxPool1d
    return kind(k, stride, k // 2 if parameters["padding"] == "same" else 0)


def avg_pool(parameters: Parameters, inputs: Shapes, output: Shape) -> nn.Module:
    k, stride = parameters["k"], parameters["stride"]
    if parameters["padding"] == "causal":
        return CausalAvgPool1d(k, stride)
    kind = nn.AvgPool2d if output.kind == "image" else nn.AvgPool1d
    return kind(
        k,
        stride,
        k // 2 if parameters["padding"] == "same" else 0,
        count_include_pad=False,
    )


register_operation("max_pool", max_pool)
register_operation("avg_pool", avg_pool)
register_operation(
    "global_pool", lambda parameters, inputs, output: GlobalPool(parameters["mode"])
)
