"""Convolutions."""

from __future__ import annotations

from archloom.space import Shape
from torch import Tensor, nn
from torch.nn import functional

from archloom_evaluators.build.layers.signature import Parameters, Shapes
from archloom_evaluators.build.registry import register_operation


class CausalConv1d(nn.Conv1d):
    """All padding stands before the first position: no output sees a later input."""

    def forward(self, x: Tensor) -> Tensor:
        before = self.dilation[0] * (self.kernel_size[0] - 1)
        return super().forward(functional.pad(x, (before, 0)))


def conv(parameters: Parameters, inputs: Shapes, output: Shape) -> nn.Module:
    kind: type[nn.Conv1d] | type[nn.Conv2d] = (
        nn.Conv2d if output.kind == "image" else nn.Conv1d
    )
    if parameters["padding"] == "causal":
        kind = CausalConv1d
    window = parameters["dilation"] * (parameters["k"] - 1)
    return kind(
        inputs[0].channels,
        output.channels,
        parameters["k"],
        stride=parameters["stride"],
        padding=window // 2 if parameters["padding"] == "same" else 0,
        dilation=parameters["dilation"],
        groups=parameters["groups"],
        bias=parameters["bias"],
    )


def conv_transpose(parameters: Parameters, inputs: Shapes, output: Shape) -> nn.Module:
    kind = nn.ConvTranspose2d if output.kind == "image" else nn.ConvTranspose1d
    return kind(
        inputs[0].channels,
        output.channels,
        parameters["k"],
        stride=parameters["stride"],
        padding=(parameters["k"] - parameters["stride"]) // 2,
        groups=parameters["groups"],
        bias=parameters["bias"],
    )


register_operation("conv", conv)
register_operation("conv_transpose", conv_transpose)
