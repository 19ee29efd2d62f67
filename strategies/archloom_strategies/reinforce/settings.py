"""What a user may set."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class ReinforceSettings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    algorithm: Literal["ppo", "reinforce"] = Field(
        default="ppo",
        description="Proximal policy optimisation, or plain REINFORCE with truncated importance weights.",
    )
    baseline: Literal["rank", "leave-one-out", "moving-average"] = Field(
        default="rank",
        description="What a reward is compared with: the ranks of the last trials, the mean of the others "
        "among them, or a moving average of all before.",
    )
    learning_rate: float = Field(default=1.0, gt=0, le=10, description="Of a logit, in each gradient step.")
    updates: int = Field(default=4, ge=1, le=64, description="Gradient steps for each trial that ended.")
    window: int = Field(
        default=32, ge=2, le=256, description="The last trials, of which the policy gradient is taken."
    )
    clip: float = Field(
        default=0.3,
        gt=0,
        le=10,
        description="How far a trial may move the probability of its decisions: PPO's epsilon.",
    )
    replay: float = Field(
        default=1.0,
        ge=0,
        le=100,
        description="Weight of imitating the best trials; 0 learns from the last ones alone.",
    )
    replayed: int = Field(default=8, ge=1, le=64, description="How many of the best trials are imitated.")
    entropy: float = Field(
        default=0.1, ge=0, le=10, description="Weight of the policy's entropy at the beginning."
    )
    final_entropy: float = Field(
        default=0.05, ge=0, le=10, description="The same when the budget is spent; linear in between."
    )
    exploration: float = Field(
        default=1.0,
        ge=0,
        le=100,
        description="How often decisions are drawn anew, however sure the policy is of them: at 1 each kind "
        "in every sixth proposal, and one decision of each proposal at least.",
    )
    initial: int | None = Field(
        default=None,
        ge=1,
        le=10_000,
        description="Random trials to begin with; null takes 8, fewer of a small budget.",
    )
    limits: Literal["strict", "hard", "soft"] = Field(
        default="strict",
        description="Constraints: whatever breaks one ranks below all else (strict), or the reward is "
        "multiplied by (value / bound) to a power, as MnasNet does: -1 beyond the bound (hard), -0.07 on "
        "both sides (soft).",
    )
    targets: Mapping[str, float] = Field(
        default_factory=dict,
        description="Objectives that are wanted at a value rather than at an extreme, such as "
        "{latency_ms: 80}: they multiply the reward of the others as MnasNet's latency does.",
    )
    target_power: float = Field(
        default=-0.07,
        ge=-100,
        le=0,
        description="The power of (value / target); the same on both sides of a target.",
    )
    weights: Mapping[str, float] = Field(
        default_factory=dict,
        description="With several objectives: the weight of each. Empty: weights are drawn for each trial, "
        "and the policy is given them.",
    )
