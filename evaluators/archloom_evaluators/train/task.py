"""Tasks: what a model's output means. A task turns outputs and targets into a loss and metrics."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F


@dataclass(frozen=True)
class Scores:
    """Sums over examples, so that batches add up."""

    loss: float
    correct: int
    examples: int


@dataclass(frozen=True)
class Classification:
    """Class scores [n, classes] against class numbers [n]."""

    label_smoothing: float = 0.0

    def loss(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """The mean training loss of a batch."""
        return F.cross_entropy(outputs.float(), targets, label_smoothing=self.label_smoothing)

    def score(self, outputs: torch.Tensor, targets: torch.Tensor) -> Scores:
        """Sums of a batch; the loss without smoothing."""
        outputs = outputs.float()
        loss = F.cross_entropy(outputs, targets, reduction="sum")
        correct = (outputs.argmax(dim=1) == targets).sum()
        return Scores(float(loss), int(correct), len(targets))

    @staticmethod
    def metrics(prefix: str, scores: Scores) -> dict[str, float]:
        """ "val" or "test" in front of accuracy and loss."""
        return {
            f"{prefix}_accuracy": scores.correct / scores.examples,
            f"{prefix}_loss": scores.loss / scores.examples,
        }


@torch.inference_mode()
def score(
    model: torch.nn.Module,
    task: Classification,
    inputs: torch.Tensor,
    targets: torch.Tensor,
    batch_size: int,
) -> Scores:
    """Scores a whole split, in evaluation mode. Leaves the model in that mode."""
    model.eval()
    parts = [
        task.score(model(inputs[start : start + batch_size]), targets[start : start + batch_size])
        for start in range(0, len(targets), batch_size)
    ]
    return Scores(
        sum(part.loss for part in parts),
        sum(part.correct for part in parts),
        sum(part.examples for part in parts),
    )
