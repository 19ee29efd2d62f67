"""Torch builders of operations about which Archloom is told nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from archloom.space import Shape
from torch import Tensor, nn


class Halved(nn.Module):
    """Means over pairs of channels, and a norm."""

    def __init__(self, channels: int, scale: float) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels // 2)
        self.scale = scale

    def forward(self, x: Tensor) -> Tensor:
        normed: Tensor = self.norm((x[:, ::2] + x[:, 1::2]) / 2)
        return normed * self.scale


class Doubled(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return 2 * x


class Broken(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x @ torch.ones(3, 4)


class Pair(nn.Module):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x, x


def halve(parameters: Mapping[str, Any], inputs: tuple[Shape, ...], output: Shape) -> nn.Module:
    return Halved(inputs[0].channels, parameters.get("scale", 1.0))


def double(parameters: Mapping[str, Any], inputs: tuple[Shape, ...], output: Shape) -> nn.Module:
    return Doubled()


def broken(parameters: Mapping[str, Any], inputs: tuple[Shape, ...], output: Shape) -> nn.Module:
    return Broken()


def pair(parameters: Mapping[str, Any], inputs: tuple[Shape, ...], output: Shape) -> nn.Module:
    return Pair()
