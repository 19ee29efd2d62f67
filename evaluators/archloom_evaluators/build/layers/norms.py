"""Normalisations."""

from __future__ import annotations

from archloom.space import Shape
from torch import Tensor, nn

from archloom_evaluators.build.layers.signature import Parameters, Shapes
from archloom_evaluators.build.registry import register_operation


class ChannelNorm(nn.LayerNorm):
    """Layer normalisation over axis 1, at each position alone."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.movedim(1, -1)).movedim(-1, 1)


class ChannelRMSNorm(nn.RMSNorm):
    """Axis 1 over its root mean square, at each position alone."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.movedim(1, -1)).movedim(-1, 1)


def batch_norm(parameters: Parameters, inputs: Shapes, output: Shape) -> nn.Module:
    return (nn.BatchNorm2d if output.kind == "image" else nn.BatchNorm1d)(
        output.channels
    )


def layer_norm(parameters: Parameters, inputs: Shapes, output: Shape) -> nn.Module:
    return (nn.LayerNorm if output.kind == "vector" else ChannelNorm)(output.channels)


def rms_norm(parameters: Parameters, inputs: Shapes, output: Shape) -> nn.Module:
    return (nn.RMSNorm if output.kind == "vector" else ChannelRMSNorm)(output.channels)


def group_norm(parameters: Parameters, inputs: Shapes, output: Shape) -> nn.Module:
    return nn.GroupNorm(parameters["groups"], output.channels)


def instance_norm(parameters: Parameters, inputs: Shapes, output: Shape) -> nn.Module:
    return (nn.InstanceNorm2d if output.kind == "image" else nn.InstanceNorm1d)(
        output.channels, affine=True
    )


register_operation("batch_norm", batch_norm)
register_operation("layer_norm", layer_norm)
register_operation("rms_norm", rms_norm)
register_operation("group_norm", group_norm)
register_operation("instance_norm", instance_norm)
