"""A strategy that has its candidates scored without training, and evaluates the best of them."""

from __future__ import annotations

from archloom.strategy import (
    Capabilities,
    Fidelity,
    ObservationKind,
    Proposal,
    ProposeRequest,
    ProposeResult,
    Strategy,
)
from pydantic import BaseModel, ConfigDict, Field


class Settings(BaseModel):
    """What is scored, and how many."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    proxies: tuple[str, ...] = Field(default=("synflow",), description="The first one decides.")
    candidates: int = Field(default=6, ge=1, description="So many are scored.")
    kept: int = Field(default=2, ge=1, description="So many of them are evaluated.")


class Told(BaseModel):
    """How many were asked for, and have ended; number and score of those that have one."""

    asked: int = 0
    ended: int = 0
    scores: list[tuple[int, float]] = []
    chosen: bool = False


class ProxiesFirst(Strategy[Settings, Told]):
    """Candidate k is the space's k-th architecture. Once all have ended, the best by the first score are
    evaluated, and the search is exhausted.
    """

    name = "proxies-first"
    version = "1"
    capabilities = Capabilities(proxies=True)

    def propose(self, request: ProposeRequest[Settings, Told]) -> ProposeResult[Told]:
        settings, told = request.settings, (request.state or Told()).model_copy(deep=True)
        for seen in request.observations:
            if not seen.fidelity.proxies or seen.kind is ObservationKind.ACCEPTED:
                continue
            told.ended += 1
            if settings.proxies[0] in seen.metrics:
                number = next(n for n in range(told.asked) if request.space.at(n) == seen.architecture)
                told.scores.append((number, seen.metrics[settings.proxies[0]]))
        if told.asked < settings.candidates:
            chosen = range(told.asked, min(told.asked + request.count, settings.candidates))
            told.asked += len(chosen)
            fidelity = Fidelity(proxies=settings.proxies)
            return ProposeResult([_proposal(request, n, fidelity) for n in chosen], state=told)
        if told.chosen and request.count:
            return ProposeResult(state=told, exhausted="the best were evaluated")
        if told.ended < settings.candidates or request.count < settings.kept:
            return ProposeResult(state=told, waiting=True)
        told.chosen = True
        best = sorted(told.scores, key=lambda each: (-each[1], each[0]))[: settings.kept]
        numbers = [number for number, _ in best] or range(settings.kept)
        return ProposeResult([_proposal(request, n, None) for n in numbers], state=told)


def _proposal(request: ProposeRequest[Settings, Told], number: int, fidelity: Fidelity | None) -> Proposal:
    architecture = request.space.at(number)
    assert architecture is not None
    return Proposal(architecture, fidelity=fidelity)
