"""Strategies small enough to see through, and the search they are asked about."""

from __future__ import annotations

from typing import Any

import pytest
from archloom.space import Space
from archloom.strategy import (
    Capabilities,
    Objective,
    Proposal,
    ProposeRequest,
    ProposeResult,
    SearchSpec,
    Strategy,
)
from archloom.testing.probe import TINY_SPACE
from pydantic import BaseModel, ConfigDict, Field


class CountingSettings(BaseModel):
    model_config = ConfigDict(frozen=True)

    step_size: int = Field(1, ge=1)
    weights: list[float] = []


class Count(BaseModel):
    told: int = 0


class Counting(Strategy[CountingSettings, Count]):
    """Counts what it is told, and proposes at random."""

    name = "counting"
    version = "3"
    capabilities = Capabilities(max_objectives=1)

    def propose(self, request: ProposeRequest[CountingSettings, Count]) -> ProposeResult[Count]:
        told = (request.state.told if request.state else 0) + request.settings.step_size * len(
            request.observations
        )
        drawn = {each.key: each for each in (request.space.sample(request.rng) for _ in range(request.count))}
        return ProposeResult(
            [Proposal(architecture) for architecture in drawn.values()],
            state=Count(told=told),
            diagnostics={"told": told, "count": request.count},
        )


class Remembering(Strategy):
    """Reads the log."""

    name = "remembering"
    capabilities = Capabilities(max_objectives=0, history=True)

    def propose(self, request: ProposeRequest) -> ProposeResult:
        log = [*request.history, *request.observations]
        known = {event.architecture.key for event in log}
        fresh = [each for each in request.space.enumerate() if each.key not in known]
        return ProposeResult(
            [Proposal(each) for each in fresh[: request.count]],
            exhausted="" if fresh else "all seen",
            diagnostics={"log": len(log), "last": log[-1].sequence if log else 0},
        )


@pytest.fixture
def spec() -> SearchSpec:
    return SearchSpec(
        space=Space.from_yaml(TINY_SPACE), objectives=(Objective("val_accuracy"),), trials=8, parallelism=2
    )


@pytest.fixture
def counting() -> Strategy[Any, Any]:
    return Counting()


@pytest.fixture
def remembering() -> Strategy[Any, Any]:
    return Remembering()
