"""The Zen score: "Zen-NAS: A zero-shot NAS for high-performance image recognition" (Lin, Wang, Sun, Chen,
Sun, Qian, Li and Jin 2021).
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from archloom_evaluators.scores.subject import NORMS, NoScore, Subject, matrices, outputs_of

#: How far the input is moved, in its own standard deviations.
_STEP = 0.01


@torch.no_grad()
def zen(subject: Subject) -> float:
    """Log of how far the features move when the input does, plus the logs of the norms' scales.

    Weights are standard normal, biases zero; the input is too, and moved by 0.01 of another. The distance is
    the sum of absolute differences of an example's features before the head, averaged over the batch. What
    batch norms divide by is put back by their scales, the root of the mean variance over the channels; other
    norms count alike. Where the input is tokens, their embeddings move. Departure: the paper removes residual
    links before it scores; here the network is scored as it is.
    """
    module = subject.fresh(subject.body)
    draws = subject.generator("zen")
    for part in module.modules():
        for name, parameter in part.named_parameters(recurse=False):
            if isinstance(part, NORMS):
                parameter.fill_(1.0 if name == "weight" else 0.0)
            elif parameter.ndim <= 1 and "bias" in name:
                parameter.zero_()
    for weight in matrices(module):
        weight.copy_(_normal(weight, draws))
    inputs = tuple(_normal(x, draws) if x.is_floating_point() else x for x in subject.batch.inputs)
    moved = tuple(x + _STEP * _normal(x, draws) if x.is_floating_point() else x for x in inputs)
    scales: list[Tensor] = []
    with _Hooks(module, NORMS, lambda part, given, output: scales.append(_scale(part, given[0]))):
        before = outputs_of(module, inputs)

    def shift(part: nn.Module, given: Any, output: Tensor) -> Tensor:
        return output + _STEP * _normal(output, draws)

    with _Hooks(module, nn.Embedding, shift):
        after = outputs_of(module, moved)
    distance = sum(
        float((one.double() - other.double()).abs().flatten(1).sum(1).mean())
        for one, other in zip(before, after, strict=True)
    )
    if not math.isfinite(distance):
        raise NoScore("features of standard normal weights are beyond the numbers of float32")
    if distance <= 0:
        raise NoScore("the features do not move with the input")
    return math.log(distance) + sum(float(scale.clamp(min=1e-30).log()) for scale in scales)


class _Hooks:
    """Calls ``hook`` after each layer of these kinds, while it is entered."""

    def __init__(self, module: nn.Module, kinds: Any, hook: Any) -> None:
        self._parts = [part for part in module.modules() if isinstance(part, kinds)]
        self._hook = hook
        self._handles: list[Any] = []

    def __enter__(self) -> None:
        self._handles = [part.register_forward_hook(self._hook) for part in self._parts]

    def __exit__(self, *_: object) -> None:
        for handle in self._handles:
            handle.remove()


def _scale(norm: nn.Module, x: Tensor) -> Tensor:
    """The root of the mean variance that a norm divides by."""
    values = x.double()
    if isinstance(norm, nn.RMSNorm):
        return values.square().mean().sqrt()
    if isinstance(norm, nn.LayerNorm):
        return values.var(1, correction=0).mean().sqrt()
    if isinstance(norm, nn.GroupNorm):
        grouped = values.reshape(values.shape[0], norm.num_groups, -1)
        return grouped.var(2, correction=0).mean().sqrt()
    if isinstance(norm, nn.modules.instancenorm._InstanceNorm):
        return values.flatten(2).var(2, correction=0).mean().sqrt()
    return values.transpose(0, 1).flatten(1).var(1, correction=0).mean().sqrt()


def _normal(like: Tensor, draws: torch.Generator) -> Tensor:
    drawn = torch.randn(like.shape, generator=draws, dtype=like.dtype)
    return drawn.to(like.device)
