"""What a user may set, and what is taken where nothing is."""

from __future__ import annotations

import math
from typing import Literal

from archloom.strategy import SearchSpec
from pydantic import BaseModel, ConfigDict, Field

#: Random trials from which a climb or a guide begins.
START = 8

KindName = Literal["regularized", "nsga2", "nsga3", "local-search"]


class EvolutionSettings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["auto", KindName] = Field(
        "auto",
        description="The algorithm; auto takes nsga2, for more than three objectives nsga3, both guided.",
    )
    population: int | None = Field(
        None,
        ge=1,
        le=1_000,
        description="Members, and random trials at the start, with a guide at most 8 of them; null takes a "
        "number that suits the budget.",
    )
    sample: int | None = Field(
        None,
        ge=1,
        le=1_000,
        description="Members of a tournament; null takes half of the population for regularized, else 2.",
    )
    guide: Literal["auto", "additive", "none"] = Field(
        "auto",
        description="additive: of many children the one is tried whose decisions did best so far, each by "
        "itself; auto: additive for the kind auto alone.",
    )

    @property
    def guided(self) -> bool:
        return self.guide == "additive" or (self.guide == "auto" and self.kind == "auto")

    def kind_for(self, spec: SearchSpec) -> KindName:
        if self.kind != "auto":
            return self.kind
        return "nsga2" if len(spec.objectives) <= 3 else "nsga3"

    def population_for(self, spec: SearchSpec) -> int:
        """As set; else 1.2 times the root of the budget, from 4 to the 100 of Real et al., which suit their
        20,000 trials.

        A short search has to leave its random start sooner: of 10 to 100 members of an ageing population, 20
        found the best of NAS-Bench-201 in the fewest of 300 queries. One objective alone needs no wide
        front, and a local search no more than a fair start: 8 do. A front of several is to have 20, if the
        budget is four times that.
        """
        if self.population is not None:
            return self.population
        suited = max(4, min(100, round(1.2 * math.sqrt(spec.trials))))
        if self.kind_for(spec) == "regularized":
            return suited
        if len(spec.objectives) == 1 or self.kind_for(spec) == "local-search":
            return min(START, suited)
        return max(suited, min(20, spec.trials // 4))

    def start_for(self, spec: SearchSpec) -> int:
        """Random trials at the start: as many as members; a guide has learned enough from a few."""
        return min(START, self.population_for(spec)) if self.guided else self.population_for(spec)

    def sample_for(self, spec: SearchSpec) -> int:
        half = max(2, self.population_for(spec) // 2)
        return self.sample or (half if self.kind_for(spec) == "regularized" else 2)
