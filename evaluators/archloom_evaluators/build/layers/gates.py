"""Gates: tensors that scale others."""

from __future__ import annotations

import torch
from archloom.space import Shape
from torch import Tensor, nn

from archloom_evaluators.build.layers.activations import make_activation
from archloom_evaluators.build.layers.signature import Parameters, Shapes, plain
from archloom_evaluators.build.registry import register_operation


class SqueezeExcite(nn.Module):
    """Scales each channel of [n, c, ...] by a gate of the means of all channels."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.reduce = nn.Linear(channels, hidden)
        self.expand = nn.Linear(hidden, channels)

    def forward(self, x: Tensor) -> Tensor:
        gate = self.expand(torch.relu(self.reduce(x.flatten(2).mean(2))))
        return x * torch.sigmoid(gate).view(*gate.shape, *[1] * (x.dim() - 2))


class ScaleChannels(nn.Module):
    """[n, c, ...] times [n, c]"""

    def forward(self, x: Tensor, scale: Tensor) -> Tensor:
        return x * scale.view(*scale.shape, *[1] * (x.dim() - 2))


class GatedUnit(nn.Module):
    """The first half of the channels times the gate of the second.

    [n, 2 * c, ...] -> [n, c, ...]; gate: an activation.
    """

    def __init__(self, gate: nn.Module) -> None:
        super().__init__()
        self.gate = gate

    def forward(self, x: Tensor) -> Tensor:
        value, gate = x.chunk(2, 1)
        opened: Tensor = self.gate(gate)
        return value * opened


def squeeze_excite(parameters: Parameters, inputs: Shapes, output: Shape) -> nn.Module:
    return SqueezeExcite(
        output.channels, max(1, output.channels // parameters["reduction"])
    )


def glu(parameters: Parameters, inputs: Shapes, output: Shape) -> nn.Module:
    if parameters["gate"] == "none":
        return GatedUnit(nn.Identity())
    return GatedUnit(make_activation(parameters["gate"], output.channels))


register_operation("squeeze_excite", squeeze_excite)
register_operation("scale_channels", plain(ScaleChannels))
register_operation("glu", glu)
