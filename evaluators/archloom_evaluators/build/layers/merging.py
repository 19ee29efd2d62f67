"""Operations of several inputs."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from archloom_evaluators.build.layers.signature import plain
from archloom_evaluators.build.registry import register_operation


class Sum(nn.Module):
    def forward(self, first: Tensor, *rest: Tensor) -> Tensor:
        for other in rest:
            first = first + other
        return first


class Mul(nn.Module):
    """The product of all inputs."""

    def forward(self, first: Tensor, *rest: Tensor) -> Tensor:
        for other in rest:
            first = first * other
        return first


class Mean(nn.Module):
    def forward(self, first: Tensor, *rest: Tensor) -> Tensor:
        for other in rest:
            first = first + other
        return first / (1 + len(rest))


class Maximum(nn.Module):
    def forward(self, first: Tensor, *rest: Tensor) -> Tensor:
        for other in rest:
            first = torch.maximum(first, other)
        return first


class WeightedSum(nn.Module):
    """A mean with learnt weights, kept positive and of sum one (Tan et al. 2020)."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.ones(inputs))

    def forward(self, first: Tensor, *rest: Tensor) -> Tensor:
        weights = torch.relu(self.weights)
        weights = weights / (weights.sum() + 1e-4)
        total = weights[0] * first
        for number, other in enumerate(rest, 1):
            total = total + weights[number] * other
        return total


class Concat(nn.Module):
    """Side by side along axis 1."""

    def forward(self, *inputs: Tensor) -> Tensor:
        return torch.cat(inputs, 1)


register_operation("sum", plain(Sum))
register_operation("mul", plain(Mul))
register_operation("mean", plain(Mean))
register_operation("maximum", plain(Maximum))
register_operation(
    "weighted_sum", lambda parameters, inputs, output: WeightedSum(len(inputs))
)
register_operation("concat", plain(Concat))
