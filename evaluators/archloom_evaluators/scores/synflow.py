"""Synaptic flow: "Pruning neural networks without any data by iteratively conserving synaptic flow" (Tanaka,
Kunin, Yamins and Ganguli 2020), as a score of networks by Abdelfattah et al. (2021).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from archloom_evaluators.build.layers.attention import Attention, CrossAttention
from archloom_evaluators.build.layers.gates import GatedUnit
from archloom_evaluators.build.layers.merging import Mul
from archloom_evaluators.scores.codes import GATES
from archloom_evaluators.scores.subject import NORMS, NoScore, Subject, matrices, outputs_of

#: They open at positive inputs, and have no slope there: what they gate passes as it is.
_OPEN = (nn.Sigmoid, nn.Hardsigmoid)
_TINY = 1e-300


def synflow(subject: Subject) -> float:
    """Log of the sum over all weights of |weight x gradient|, where the gradient is of the outputs' sum.

    All weights and biases are replaced by their absolute values, norms are left out, the input is a single
    example of ones. The flow grows by orders of magnitude a layer, so it is summed in float64 and told as a
    logarithm, which leaves the order of networks as it is. Where the paper has ReLU, which passes what is
    positive, other activations pass it too; products become geometric means, and attention looks everywhere
    alike, so that the network stays homogeneous in each layer's weights, which is what the flow's
    conservation rests on. Tokens have no ones: each position reads the mean of all embeddings.
    """
    module = subject.copy().double()
    _make_homogeneous(module)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.abs_()
        for part in module.modules():
            if isinstance(part, (Attention, CrossAttention)):
                _look_everywhere(part)
            if isinstance(part, nn.Embedding):
                part.weight.copy_(part.weight.mean(0, keepdim=True).expand_as(part.weight))
    weights = matrices(module)
    if not weights:
        raise NoScore("the network has no weights")
    total = torch.stack([output.sum() for output in outputs_of(module, _ones(subject))]).sum()
    gradients = torch.autograd.grad(total, weights, allow_unused=True)
    flow = sum(
        float((weight.detach() * gradient).abs().sum())
        for weight, gradient in zip(weights, gradients, strict=True)
        if gradient is not None
    )
    if not math.isfinite(flow):
        raise NoScore("the flow is beyond the numbers of float64")
    if flow <= 0:
        raise NoScore("no flow reaches the weights")
    return math.log(flow)


class _GeometricMean(nn.Module):
    """Of all inputs, or of the two halves of a single one's channels."""

    def forward(self, first: Tensor, *rest: Tensor) -> Tensor:
        factors = (first, *rest) if rest else first.chunk(2, 1)
        product = factors[0]
        for factor in factors[1:]:
            product = product * factor
        return product.clamp(min=_TINY) ** (1 / len(factors))


def _look_everywhere(attention: Attention | CrossAttention) -> None:
    """Without queries and keys all positions weigh the same."""
    for part in (attention.query, attention.key):
        for parameter in part.parameters():
            parameter.zero_()


def _make_homogeneous(module: nn.Module) -> None:
    """Leaves out norms, lets activations pass what is positive, and puts means in place of products."""
    for part in list(module.modules()):
        for name, child in list(part.named_children()):
            if isinstance(child, Mul) or (isinstance(child, GatedUnit) and not isinstance(child.gate, _OPEN)):
                setattr(part, name, _GeometricMean())
            elif isinstance(child, (*NORMS, *GATES)) and not isinstance(child, _OPEN):
                setattr(part, name, nn.Identity())


def _ones(subject: Subject) -> tuple[Tensor, ...]:
    return tuple(
        torch.ones_like(value[:1], dtype=torch.float64)
        if value.is_floating_point()
        else torch.zeros_like(value[:1])
        for value in subject.batch.inputs
    )
