"""A strategy that keeps the contract, and others that each break one promise of it."""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Iterator
from typing import Any, ClassVar

from archloom.space import Architecture
from archloom.strategy import (
    Capabilities,
    Fidelity,
    ObservationKind,
    Proposal,
    ProposeRequest,
    ProposeResult,
    Strategy,
)
from archloom.strategy.runtime import StrategyRuntime
from archloom.testing.rehearsal import network_of
from archloom.v1 import strategy_pb2
from pydantic import BaseModel, ConfigDict, Field

METRIC = "val_accuracy"


class Settings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    draws: int = Field(30, ge=1, description="Random draws for one proposal.")


class Count(BaseModel):
    """How many were proposed."""

    made: int = 0


class Sound(Strategy[Settings, Count]):
    """New networks at random; in a small space all of them, then the end."""

    name = "sound"
    capabilities = Capabilities(max_objectives=0, constraints=True, history=True)

    def propose(self, request: ProposeRequest[Settings, Count]) -> ProposeResult[Count]:
        known = self.known(request)
        chosen: list[Architecture] = []
        for each in self.candidates(request):
            if len(chosen) >= request.count:
                break
            network = self.identity(request, each)
            if network not in known:
                known.add(network)
                chosen.append(each)
        made = (request.state or Count()).made + len(chosen)
        over = "" if chosen or not request.count else "nothing new was drawn"
        return ProposeResult([Proposal(each) for each in chosen], state=Count(made=made), exhausted=over)

    def known(self, request: ProposeRequest[Settings, Count]) -> set[str]:
        events = (*request.history, *request.observations)
        return {
            self.identity(request, event.architecture)
            for event in events
            if event.kind is not ObservationKind.REFUSED
        }

    def identity(self, request: ProposeRequest[Settings, Count], architecture: Architecture) -> str:
        return network_of(request.space, architecture)

    def candidates(self, request: ProposeRequest[Settings, Count]) -> Iterator[Architecture]:
        for _ in range(request.count * request.settings.draws):
            yield request.space.sample(request.rng)
        if request.space.size() < 100:
            yield from request.space.enumerate()


Request = ProposeRequest[Settings, Count]
Result = ProposeResult[Count]


class Holding(Sound):
    """Keeps what it made in the object."""

    def __init__(self) -> None:
        self.held: set[str] = set()

    def known(self, request: Request) -> set[str]:
        return self.held


class Counting(Sound):
    """Counts its calls, and cannot come to a search midway."""

    def __init__(self) -> None:
        self.calls = 0

    def candidates(self, request: Request) -> Iterator[Architecture]:
        self.calls += 1
        for _ in range(self.calls % 7):
            request.space.sample(request.rng)
        yield from super().candidates(request)


class Mixing(Sound):
    """Remembers by step what it answered, whichever experiment asks."""

    def __init__(self) -> None:
        self.answers: dict[int, Result] = {}

    def propose(self, request: Request) -> Result:
        return self.answers.setdefault(request.step, super().propose(request))


class Unordered(Sound):
    """Walks a set."""

    def candidates(self, request: Request) -> Iterator[Architecture]:
        found = {each.key: each for each in super().candidates(request)}
        yield from (found[key] for key in set(found))


class Unseeded(Sound):
    def candidates(self, request: Request) -> Iterator[Architecture]:
        return itertools.islice(request.space.enumerate(), 200)


class Forgetful(Sound):
    """Loads no more than a part of its state."""

    def load_state(self, version: int, data: bytes) -> Count:
        return Count()


class Guessing(Sound):
    """Looks at no version."""

    def load_state(self, version: int, data: bytes) -> Count:
        return Count(**json.loads(data))


class Straying(Sound):
    """Leaves a decision out."""

    def propose(self, request: Request) -> Result:
        result = super().propose(request)
        short = [dict(list(each.architecture.decisions.items())[1:]) for each in result.proposals]
        return ProposeResult([Proposal(Architecture(each)) for each in short], state=result.state)


class Repeating(Sound):
    def propose(self, request: Request) -> Result:
        result = super().propose(request)
        return ProposeResult(list(result.proposals)[:1] * request.count, exhausted=result.exhausted)


class Respelling(Sound):
    """Knows architectures, not the networks that they make."""

    def identity(self, request: Request, architecture: Architecture) -> str:
        return architecture.key


class Generous(Sound):
    def propose(self, request: Request) -> Result:
        one = request.space.sample(request.rng)
        return ProposeResult([*super().propose(request).proposals, Proposal(one)])


class Endless(Sound):
    def propose(self, request: Request) -> Result:
        return ProposeResult(super().propose(request).proposals)


class Quitting(Sound):
    def propose(self, request: Request) -> Result:
        if request.step > 2:
            return ProposeResult(exhausted="it was enough")
        return super().propose(request)


class Single(Sound):
    """One objective, whatever it says."""

    def propose(self, request: Request) -> Result:
        for trial in request.finished:
            (_,) = request.spec.scores(trial)
        return super().propose(request)


class Unlimited(Sound):
    """No trial breaks a limit."""

    def propose(self, request: Request) -> Result:
        assert not request.infeasible
        return super().propose(request)


class Discrete(Sound):
    """No float in any space."""

    def propose(self, request: Request) -> Result:
        assert not request.space.continuous
        return super().propose(request)


class Hasty(Sound):
    """Asks for three epochs without a word of it."""

    def propose(self, request: Request) -> Result:
        result = super().propose(request)
        short = [Proposal(each.architecture, Fidelity(epochs=3)) for each in result.proposals]
        return ProposeResult(short, state=result.state, exhausted=result.exhausted)


class Grafting(Sound):
    """Goes on from the weights of another architecture."""

    capabilities = Capabilities(max_objectives=0, constraints=True, history=True, multi_fidelity=True)

    def propose(self, request: Request) -> Result:
        result = super().propose(request)
        ended = [trial.trial for trial in request.finished][:1] or [0]
        grafted = [Proposal(each.architecture, resume_from=ended[0]) for each in result.proposals]
        return ProposeResult(grafted, state=result.state, exhausted=result.exhausted)


class Trusting(Sound):
    """Every trial has the metric."""

    def propose(self, request: Request) -> Result:
        ended = [event for event in request.observations if event.kind.value in ("finished", "failed")]
        assert all(METRIC in event.metrics for event in ended)
        return super().propose(request)


class Adding(Sound):
    """Adds metrics up for the dashboard, whatever they are."""

    def propose(self, request: Request) -> Result:
        total = sum(event.metrics.get(METRIC, 0.0) for event in request.finished)
        result = super().propose(request)
        return ProposeResult(
            result.proposals, result.state, exhausted=result.exhausted, diagnostics={"total": total}
        )


class Spreading(Sound):
    """Scales by the spread of what it has."""

    def propose(self, request: Request) -> Result:
        events = (*request.history, *request.observations)
        values = [event.metrics[METRIC] for event in events if METRIC in event.metrics]
        if len(values) > 2:
            assert 1.0 / (max(values) - min(values)) > 0
        return super().propose(request)


class Waiting(Sound):
    """Waits for all that it proposed, refused or not."""

    def propose(self, request: Request) -> Result:
        events = (*request.history, *request.observations)
        ended = sum(event.kind.value in ("finished", "failed", "infeasible", "cancelled") for event in events)
        if (request.state or Count()).made > ended:
            return ProposeResult(waiting=True)
        return super().propose(request)


class Deaf(Sound):
    """Has no eye for what users bring."""

    def known(self, request: Request) -> set[str]:
        events = (*request.history, *request.observations)
        own = {event.trial for event in events if event.kind is ObservationKind.ACCEPTED}
        return {self.identity(request, event.architecture) for event in events if event.trial in own}

    def candidates(self, request: Request) -> Iterator[Architecture]:
        rng = random.Random(0)
        return (request.space.sample(rng) for _ in range(200))


class Owning(Sound):
    """Every trial is its own."""

    def propose(self, request: Request) -> Result:
        assert all(event.step for event in request.observations)
        return super().propose(request)


class Hopeful(Sound):
    """Asks for scores until it has one."""

    capabilities = Capabilities(max_objectives=0, constraints=True, history=True, proxies=True)

    asks: ClassVar[Fidelity] = Fidelity(proxies=("naswot",))

    def propose(self, request: Request) -> Result:
        events = (*request.history, *request.observations)
        if request.count and not any("naswot" in event.metrics for event in events):
            return ProposeResult([Proposal(request.space.sample(request.rng), self.asks)])
        return super().propose(request)


class Scored(Hopeful):
    """Takes every finished trial for one with an accuracy."""

    def propose(self, request: Request) -> Result:
        if any(event.kind is ObservationKind.REFUSED for event in (*request.history, *request.observations)):
            return Sound.propose(self, request)
        assert all(METRIC in event.metrics for event in request.finished)
        return super().propose(request)


class Silent(Hopeful):
    """Asks for one score, and does not say that it does so."""

    capabilities = Sound.capabilities

    def propose(self, request: Request) -> Result:
        return Sound.propose(self, request) if request.step > 1 else super().propose(request)


class Stopping(Sound):
    """Ends a trial that nobody made."""

    def propose(self, request: Request) -> Result:
        result = super().propose(request)
        return ProposeResult(result.proposals, result.state, exhausted=result.exhausted, stop=[99_999])


class Limited(BaseModel):
    wish: int


class Demanding(Strategy[Limited, None]):
    """A setting without a default, and without a word of it."""

    name = "demanding"

    def propose(self, request: ProposeRequest[Limited, None]) -> ProposeResult[None]:
        return ProposeResult()


class Nameless(StrategyRuntime):
    """A plugin that says no version."""

    def describe(self) -> strategy_pb2.StrategyDescription:
        found = strategy_pb2.StrategyDescription()
        found.CopyFrom(super().describe())
        found.version = ""
        return found


class Agreeable(StrategyRuntime):
    """A plugin that finds fault with nothing."""

    def validate(self, request: Any) -> strategy_pb2.ValidateStrategyResponse:
        return strategy_pb2.ValidateStrategyResponse()
