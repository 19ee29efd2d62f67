"""What a builder is given."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from archloom.space import Shape
from torch import nn

Parameters = Mapping[str, Any]
Shapes = tuple[Shape, ...]


def plain(
    make: Callable[[], nn.Module],
) -> Callable[[Parameters, Shapes, Shape], nn.Module]:
    """A builder of modules that take nothing."""
    return lambda parameters, inputs, output: make()
