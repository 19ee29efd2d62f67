"""What a user decides of a multi-fidelity search."""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from archloom_strategies.inner import Inner

Scheduler = Literal["asha", "hyperband", "successive-halving"]
Stopping = Literal["none", "median", "curve"]


class MultiFidelitySettings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    scheduler: Scheduler = Field(
        "asha",
        description="asha promotes as results come; hyperband does so in several brackets, which begin at "
        "different rungs; successive-halving waits until a rung is complete.",
    )
    inner: Inner = Field(
        Inner(name="random"),
        description="The strategy that new architectures come from: {name, settings}. With bayesian this is "
        "BOHB.",
    )
    eta: float = Field(
        3.0, ge=1.5, le=100, description="How many times longer each rung trains than the one below it."
    )
    min_epochs: int | None = Field(
        None,
        ge=1,
        le=100_000,
        description="Epochs of the lowest rung; null takes three rungs below the full fidelity.",
    )
    min_data_fraction: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="The same for a search whose full fidelity has a data_fraction and no epochs.",
    )
    rungs: tuple[float, ...] | None = Field(
        None,
        min_length=1,
        max_length=20,
        description="The lower rungs themselves, ascending: epochs, or data fractions. In place of eta and "
        "the minimum.",
    )
    cohort: int | None = Field(
        None,
        ge=2,
        le=100_000,
        description="Architectures that begin together under successive-halving; null takes as many as bring "
        "one to the full fidelity, and no fewer than run in parallel.",
    )
    full_trials: int | None = Field(
        None,
        ge=1,
        le=100_000,
        description="Trials that reach the full fidelity at least, before the budget ends; null takes the "
        "root of the budget.",
    )
    stopping: Stopping = Field(
        "none",
        description="Whether trials under way are ended early: median ends those below the median of the "
        "others at the same epoch; curve does so too, and ends those whose extrapolated curve comes nowhere "
        "near.",
    )

    @model_validator(mode="after")
    def _ascends(self) -> MultiFidelitySettings:
        rungs = self.rungs or ()
        if any(rung <= 0 for rung in rungs) or any(a >= b for a, b in pairwise(rungs)):
            raise ValueError(f"rungs has to ascend from above 0, and is {list(rungs)}")
        return self
