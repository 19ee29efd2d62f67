"""A torch layer of which Archloom knows nothing but how to build it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from archloom.space import Shape
from torch import Tensor, nn


class ColumnMeans(nn.Module):
    """[n, c, h, w] -> [n, c, w], raised to a power"""

    def __init__(self, power: int) -> None:
        super().__init__()
        self.power = power

    def forward(self, images: Tensor) -> Tensor:
        return images.mean(2) ** self.power


def column_means(parameters: Mapping[str, Any], inputs: tuple[Shape, ...], output: Shape) -> nn.Module:
    return ColumnMeans(parameters["power"])
