"""How a network is trained: the evaluator's settings, overridden by the space's recipe decisions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from archloom_evaluators.failures import EvaluationFailure, Reason
from archloom_evaluators.validation import explain


class Augmentation(BaseModel):
    """Random changes of training images.

    Each applies only where the data set says that it keeps the class.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    shift: float = Field(
        default=0.08, ge=0, le=0.5, description="Largest shift along each axis, as a share of the side."
    )
    rotate_degrees: float = Field(default=12.0, ge=0, le=180, description="Largest rotation either way.")
    scale: float = Field(
        default=0.1, ge=0, le=0.9, description="Largest change of size either way; goes with rotation."
    )
    shear: float = Field(default=0.1, ge=0, le=1, description="Largest shear either way; goes with rotation.")
    flip: bool = Field(default=True, description="Mirror half of the images, where the data set allows it.")
    cutout: float = Field(
        default=0.0, ge=0, le=0.9, description="Side of a square set to the mean, as a share of the image's."
    )


class TrainConfig(BaseModel):
    """Settings of the ``train`` evaluator; a recipe decision of the same name takes precedence."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    epochs: int = Field(default=10, ge=1, le=100_000, description="Used where the fidelity names none.")
    optimizer: Literal["adamw", "sgd"] = "adamw"
    lr: float = Field(default=0.008, gt=0, le=100, description="Peak learning rate.")
    weight_decay: float = Field(default=0.01, ge=0, le=10)
    momentum: float = Field(default=0.9, ge=0, lt=1, description="Of SGD (Nesterov).")
    batch_size: int = Field(default=64, ge=1, le=65_536)
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    warmup: float = Field(
        default=0.1, ge=0, le=1, description="Share of the steps in which the learning rate rises."
    )
    clip_norm: float = Field(
        default=5.0, ge=0, description="Largest norm of the gradient; 0 turns clipping off."
    )
    augment: bool = True
    augmentation: Augmentation = Augmentation()
    mixed_precision: bool = Field(
        default=True, description="bfloat16 on a GPU that has it; never on the CPU."
    )
    device: Literal["auto", "cpu", "cuda"] = "auto"
    checkpoint_seconds: float = Field(
        default=5.0, ge=0, description="A checkpoint at the end of an epoch when the last is this old ..."
    )
    checkpoint_epochs: int = Field(default=10, ge=1, description="... or this many epochs old.")
    divergence_factor: float = Field(
        default=3.0, gt=1, description="A loss this many times that of guessing counts as diverged."
    )
    evaluation_batch_size: int = Field(default=250, ge=1, le=65_536)
    latency_batch_size: int = Field(default=1, ge=1, le=4096)
    proxy_batch_size: int = Field(
        default=32, ge=2, le=4096, description="Examples that training-free scores are computed on."
    )
    latency_runs: int = Field(default=30, ge=3, le=10_000)


def configure(settings: Mapping[str, Any], recipe: Mapping[str, Any]) -> TrainConfig:
    """The configuration of one trial.

    Raises EvaluationFailure: DATA for a fault of the settings, CANNOT_BUILD for one of the recipe.
    """
    try:
        config = TrainConfig.model_validate(dict(settings))
    except ValidationError as error:
        raise EvaluationFailure(Reason.DATA, explain("evaluator.settings", error)) from error
    if not recipe:
        return config
    try:
        return TrainConfig.model_validate({**config.model_dump(), **recipe})
    except ValidationError as error:
        raise EvaluationFailure(Reason.CANNOT_BUILD, explain("space.recipe", error)) from error
