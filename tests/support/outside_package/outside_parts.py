"""What somebody else's package adds to Archloom: an operation, and an evaluator."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from archloom.space import OpSpec

if TYPE_CHECKING:
    from archloom_evaluators.evaluator import EvaluatorInfo, Job, Outcome, Run
    from torch import nn

CHANNEL_SCALE = OpSpec(
    "channel_scale",
    1,
    {"image": ("image", ("c", "h", "w"))},
    weights="c",
    zero_to_zero="true",
    summary="Each channel times a number that is learnt.",
    builder="outside_parts:build_channel_scale",
)


def build_channel_scale(parameters: Any, inputs: Any, output: Any) -> nn.Module:
    import torch

    class ChannelScale(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = torch.nn.Parameter(torch.full((output.channels, 1, 1), 2.0))

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return images * self.scale

    return ChannelScale()


class SparsityEvaluator:
    """Trains nothing: says which share of the decisions is "none"."""

    def describe(self) -> EvaluatorInfo:
        from archloom_evaluators.evaluator import EvaluatorInfo

        return EvaluatorInfo(
            kind="sparsity",
            version="1",
            summary="The share of decisions that are none.",
            task_kinds=(),
            metrics=("sparsity",),
            settings_schema={"type": "object", "additionalProperties": False},
        )

    def evaluate(self, job: Job, run: Run) -> Outcome:
        from archloom_evaluators.evaluator import Outcome

        run.advance()
        values = list(job.architecture.decisions.values())
        return Outcome({"sparsity": values.count("none") / len(values)})
