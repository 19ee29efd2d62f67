"""Activation codes: "Neural architecture search without training" (Mellor, Turner, Storkey, Crowley 2021)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from archloom_evaluators.build.layers.activations import SquaredReLU
from archloom_evaluators.scores.subject import NoScore, Subject, outputs_of

#: What switches a unit on where its input is positive. The paper has ReLU alone.
GATES = (
    nn.ReLU,
    nn.ReLU6,
    nn.LeakyReLU,
    nn.PReLU,
    nn.ELU,
    nn.SELU,
    nn.CELU,
    nn.GELU,
    nn.SiLU,
    nn.Mish,
    nn.Hardswish,
    nn.Softplus,
    nn.Tanh,
    nn.Hardtanh,
    nn.Softsign,
    nn.Sigmoid,
    nn.Hardsigmoid,
    SquaredReLU,
)


@torch.no_grad()
def naswot(subject: Subject) -> float:
    """Log-determinant of the kernel K[i, j]: in how many units the codes of examples i and j agree.

    An example's code says of each unit whether the input of its activation is positive. The more a network
    tells the examples of a batch apart, the larger the determinant.
    """
    examples = subject.batch.inputs[0].shape[0]
    kernel = torch.zeros(examples, examples, dtype=torch.float64, device=subject.device)
    gates = 0

    def add(module: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> None:
        nonlocal gates
        codes = (inputs[0] > 0).reshape(inputs[0].shape[0], -1).float()
        if len(codes) == examples:
            gates += 1
            kernel.add_(codes @ codes.T + (1 - codes) @ (1 - codes).T)

    handles = [
        part.register_forward_hook(add) for part in subject.module.modules() if isinstance(part, GATES)
    ]
    try:
        outputs_of(subject.module, subject.batch.inputs)
    finally:
        for handle in handles:
            handle.remove()
    if not gates:
        raise NoScore("the network has no activations that switch units on and off")
    sign, value = torch.linalg.slogdet(kernel)
    if float(sign) <= 0:
        raise NoScore("some examples of the batch have equal codes")
    return float(value)
