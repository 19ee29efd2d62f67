"""Activations."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from archloom_evaluators.build.layers.signature import plain
from archloom_evaluators.build.registry import register_operation


class SquaredReLU(nn.Module):
    """max(x, 0) squared (So et al. 2021)."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(x) ** 2


ACTIVATIONS: Mapping[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "relu6": nn.ReLU6,
    "leaky_relu": lambda: nn.LeakyReLU(0.01),
    "elu": nn.ELU,
    "selu": nn.SELU,
    "celu": nn.CELU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "mish": nn.Mish,
    "squared_relu": SquaredReLU,
    "hard_swish": nn.Hardswish,
    "tanh": nn.Tanh,
    "hard_tanh": nn.Hardtanh,
    "softsign": nn.Softsign,
    "sigmoid": nn.Sigmoid,
    "hard_sigmoid": nn.Hardsigmoid,
    "softplus": nn.Softplus,
    "softmax": lambda: nn.Softmax(1),
}


def make_activation(name: str, channels: int) -> nn.Module:
    return nn.PReLU(channels) if name == "prelu" else ACTIVATIONS[name]()


for _name, _make in ACTIVATIONS.items():
    register_operation(_name, plain(_make))
register_operation(
    "prelu", lambda parameters, inputs, output: nn.PReLU(output.channels)
)
