"""A benchmark over made-up numbers, and a strategy that proposes from a list."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

from archloom.bench.benchmark import Benchmark, Metric
from archloom.bench.tabular import Run, run_seeds
from archloom.space import load_preset
from archloom.strategy import (
    Capabilities,
    Fidelity,
    Goal,
    Proposal,
    ProposeRequest,
    ProposeResult,
    Strategy,
)
from archloom.strategy.runtime import StrategyRuntime
from archloom.tables import Key, arch_keys
from pydantic import BaseModel

SPACE = load_preset("nasbench201")
KEYS = arch_keys()


def benchmark(
    values: dict[Key, float] | None = None, goal: Goal = Goal.MAXIMIZE, *more: Metric, **fields: Any
) -> Benchmark:
    """All of nasbench201 with made-up accuracies, the best of them once."""
    made = values if values is not None else every_value()
    whole: dict[str, Any] = {"queries": 30, "reports": made, **fields}
    return Benchmark(space=SPACE, keys=KEYS, metrics=(Metric("accuracy", goal, made), *more), **whole)


def every_value() -> dict[Key, float]:
    rng = random.Random(1)
    return {KEYS.of(architecture): rng.random() for architecture in SPACE.enumerate()}


class Listed(BaseModel):
    place: int = 0
    told: list[str] = []


class Scripted(Strategy[Any, Listed]):
    """Proposes the architectures of ``numbers`` one after the other; its state has what it was just told."""

    name = "scripted"
    capabilities = Capabilities(max_objectives=0)
    numbers: Sequence[int] = ()
    proxies: tuple[str, ...] = ()

    def propose(self, request: ProposeRequest[Any, Listed]) -> ProposeResult[Listed]:
        state = request.state or Listed()
        told = [f"{event.kind.value} {event.trial}" for event in request.observations]
        numbers = self.numbers[state.place : state.place + request.count]
        architectures = [request.space.at(number) for number in numbers]
        fidelity = Fidelity(proxies=self.proxies) if self.proxies else None
        return ProposeResult(
            [Proposal(each, fidelity=fidelity) for each in architectures if each is not None],
            state=Listed(place=state.place + len(numbers), told=told),
            exhausted="" if numbers else "the end of the list",
        )


def scripted(numbers: Sequence[int], proxies: tuple[str, ...] = ()) -> StrategyRuntime:
    strategy = Scripted()
    strategy.numbers, strategy.proxies = numbers, proxies
    return StrategyRuntime(strategy)


def run_one(runtime: StrategyRuntime, bench: Benchmark, seed: int = 0) -> Run:
    (run,) = run_seeds(runtime, bench, {}, [seed])
    return run


def key_of(number: int) -> Key:
    architecture = SPACE.at(number)
    assert architecture is not None
    return KEYS.of(architecture)
