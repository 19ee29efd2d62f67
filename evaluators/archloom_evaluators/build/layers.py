"""The built-in operations in torch. Every builder has the signature of ``registry.Builder``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from archloom.space.operations import Shape
from torch import Tensor, nn
from torch.nn import functional

from archloom_evaluators.build.registry import register_operation

Parameters = Mapping[str, Any]
Shapes = tuple[Shape, ...]


def conv(parameters: Parameters, inputs: Shapes, output: Shape) -> nn.Module:
    window = parameters["dilation"] * (parameters["k"] - 1)
    return nn.Conv2d(
        inputs[0].channels,
        output.channels,
        parameters["k"],
        stride=parameters["stride"],
        padding=window // 2 if parameters["padding"] == "same" else 0,
        dilation=parameters["dilation"],
        groups=parameters["groups"],
        bias=parameters["bias"],
    )


def linear(parameters: Parameters, inputs: Shapes, output: Shape) -> nn.Module:
    return nn.Linear(inputs[0].channels, output.channels, bias=parameters["bias"])


def pool(parameters: Parameters, inputs: Shapes, output: Shape, *, mean: bool) -> nn.Module:
    k, stride = parameters["k"], parameters["stride"]
    padding = k // 2 if parameters["padding"] == "same" else 0
    if mean:
        return nn.AvgPool2d(k, stride, padding, count_include_pad=False)
    return nn.MaxPool2d(k, stride, padding)


def batch_norm(parameters: Parameters, inputs: Shapes, output: Shape) -> nn.Module:
    kind = nn.BatchNorm2d if output.kind == "image" else nn.BatchNorm1d
    return kind(output.channels)


class ChannelNorm(nn.LayerNorm):
    """Layer normalisation over axis 1, at each position alone."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.movedim(1, -1)).movedim(-1, 1)


def layer_norm(parameters: Parameters, inputs: Shapes, output: Shape) -> nn.Module:
    return (nn.LayerNorm if output.kind == "vector" else ChannelNorm)(output.channels)


class GlobalPool(nn.Module):
    """[n, c, ...] -> [n, c]"""

    def __init__(self, mode: str) -> None:
        super().__init__()
        self.mode = mode

    def forward(self, x: Tensor) -> Tensor:
        flat = x.flatten(2)
        return flat.mean(-1) if self.mode == "avg" else flat.amax(-1)


class SqueezeExcite(nn.Module):
    """Scales each channel of [n, c, h, w] by a gate computed from the means of all channels."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(channels, hidden, 1)
        self.expand = nn.Conv2d(hidden, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        gate = self.expand(torch.relu(self.reduce(x.mean((2, 3), keepdim=True))))
        return x * torch.sigmoid(gate)


def squeeze_excite(parameters: Parameters, inputs: Shapes, output: Shape) -> nn.Module:
    return SqueezeExcite(output.channels, max(1, output.channels // parameters["reduction"]))


class Zeroes(nn.Module):
    """Zeroes of a fixed shape, for each example of a batch."""

    def __init__(self, dims: tuple[int, ...]) -> None:
        super().__init__()
        self.dims = dims

    def forward(self, x: Tensor) -> Tensor:
        kind = x.dtype if x.is_floating_point() else torch.get_default_dtype()
        return torch.zeros((x.shape[0], *self.dims), dtype=kind, device=x.device)


class Fold(nn.Module):
    """Combines all inputs with a function of two."""

    def __init__(self, combine: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.combine = combine

    def forward(self, first: Tensor, *rest: Tensor) -> Tensor:
        for other in rest:
            first = self.combine(first, other)
        return first


class Concat(nn.Module):
    """Side by side along axis 1."""

    def forward(self, *inputs: Tensor) -> Tensor:
        return torch.cat(inputs, 1)


class Softplus(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return functional.softplus(x)


def _plain(make: Callable[[], nn.Module]) -> Callable[[Parameters, Shapes, Shape], nn.Module]:
    return lambda parameters, inputs, output: make()


register_operation("conv", conv)
register_operation("linear", linear)
register_operation("max_pool", partial(pool, mean=False))
register_operation("avg_pool", partial(pool, mean=True))
register_operation("batch_norm", batch_norm)
register_operation("layer_norm", layer_norm)
register_operation("squeeze_excite", squeeze_excite)
register_operation("global_pool", lambda parameters, inputs, output: GlobalPool(str(parameters["mode"])))
register_operation("flatten", _plain(lambda: nn.Flatten(1)))
register_operation("identity", _plain(nn.Identity))
register_operation("dropout", lambda parameters, inputs, output: nn.Dropout(float(parameters["p"])))
register_operation("zero", lambda parameters, inputs, output: Zeroes(output.dims))
register_operation("prelu", lambda parameters, inputs, output: nn.PReLU(output.channels))
register_operation("sum", _plain(lambda: Fold(torch.add)))
register_operation("mul", _plain(lambda: Fold(torch.mul)))
register_operation("concat", _plain(Concat))
for _kind in ("image", "seq", "vector"):
    register_operation(f"zeroes_{_kind}", lambda parameters, inputs, output: Zeroes(output.dims))

ACTIVATIONS: Mapping[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "relu6": nn.ReLU6,
    "leaky_relu": lambda: nn.LeakyReLU(0.01),
    "elu": nn.ELU,
    "selu": nn.SELU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "mish": nn.Mish,
    "hard_swish": nn.Hardswish,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
    "hard_sigmoid": nn.Hardsigmoid,
    "softplus": Softplus,
}
for _name, _make in ACTIVATIONS.items():
    register_operation(_name, _plain(_make))
