"""The correlation of input gradients: the first version of "Neural architecture search without training"
(Mellor, Turner, Storkey and Crowley 2020, arXiv:2006.04647v1).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from archloom_evaluators.scores.subject import NoScore, Subject, outputs_of

_TINY = 1e-5


def jacob_cov(subject: Subject) -> float:
    """-sum(log(v + k) + 1 / (v + k)) over the eigenvalues v of the correlation matrix [n, n] of the gradients
    of the outputs' sum with respect to each example; k = 1e-5.

    It is largest where all eigenvalues are 1: where examples are seen apart. With tokens, the gradients are
    those with respect to their embeddings.
    """
    leaves: list[Tensor] = []
    inputs = []
    for value in subject.batch.inputs:
        leaf = value.detach().clone()
        if leaf.is_floating_point():
            leaves.append(leaf.requires_grad_())
        inputs.append(leaf)

    def cut(module: nn.Module, given: object, output: Tensor) -> Tensor:
        leaves.append(output.detach().requires_grad_())
        return leaves[-1]

    handles = [
        part.register_forward_hook(cut) for part in subject.module.modules() if isinstance(part, nn.Embedding)
    ]
    try:
        outputs = outputs_of(subject.module, tuple(inputs))
    finally:
        for handle in handles:
            handle.remove()
    total = torch.stack([output.sum() for output in outputs]).sum()
    gradients = torch.autograd.grad(total, leaves, allow_unused=True)
    rows = [gradient.flatten(1).double() for gradient in gradients if gradient is not None]
    if not rows:
        raise NoScore("the outputs do not depend on the inputs")
    correlations = torch.corrcoef(torch.cat(rows, 1))
    if not bool(torch.isfinite(correlations).all()):
        raise NoScore("the gradient of an example is the same at every input, so it correlates with none")
    values = torch.linalg.eigvalsh(correlations).clamp(min=0.0) + _TINY
    return -float((values.log() + 1.0 / values).sum())
