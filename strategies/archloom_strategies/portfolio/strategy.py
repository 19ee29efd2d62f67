"""A portfolio: several strategies share all results, and what has worked lately proposes more.

A bandit over optimisers, as GP-Hedge over acquisitions (Hoffman, Brochu and de Freitas, "Portfolio Allocation
for Bayesian Optimization", UAI 2011) and OpenTuner over search techniques (Ansel et al., PACT 2014).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from archloom.errors import InternalError
from archloom.space import Architecture
from archloom.strategy import (
    Capabilities,
    Fidelity,
    Observation,
    ObservationKind,
    Proposal,
    ProposeRequest,
    ProposeResult,
    SearchSpec,
    Strategy,
    SupernetJob,
    Violation,
)
from pydantic import BaseModel, ConfigDict, Field

from archloom_strategies.inner import Inner, InnerAnswer, InnerState, ask, faults, foreign, own
from archloom_strategies.networks import network_of
from archloom_strategies.portfolio.bandit import Bandit
from archloom_strategies.portfolio.credit import NOBODY, Outcome
from archloom_strategies.portfolio.ledger import LETTERS, Known, Ledger
from archloom_strategies.trials import TELLING

#: Proposals whose arm and network are remembered.
REMEMBERED = 1_000
#: Errors in a row after which an arm is asked no more.
ERRORS = 3
#: Steps in a row without anything new, after which there is nothing left.
DRY = 100
#: Of all arms' states together; base64 makes four bytes of three.
STATES_BYTES = 2 * 1024 * 1024
RANDOM = "random"


class PortfolioSettings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    arms: tuple[Inner, ...] = Field(
        (Inner(name="bayesian"), Inner(name="evolution"), Inner(name=RANDOM)),
        min_length=1,
        max_length=len(LETTERS),
        description="The strategies, each with its name and its settings.",
    )
    initial: int | None = Field(
        None,
        ge=0,
        le=10_000,
        description="Trials that an arm named random begins with; null takes 5, fewer of a small budget.",
    )
    least: int = Field(2, ge=0, le=1_000, description="Trials of each arm before they are compared.")
    random_share: float = Field(
        0.05, ge=0.0, le=1.0, description="What an arm named random gets whatever it brings."
    )
    window: int = Field(
        100, ge=2, le=1_000, description="The last trials by which arms are compared; older are forgotten."
    )


class ArmState(BaseModel):
    model_config = ConfigDict(frozen=True)

    state: InnerState | None = None
    exhausted: str = ""
    """Why it is asked no more."""
    errors: int = 0
    """In a row."""


class Dropped(BaseModel):
    """A proposal that was not passed on; its arm is told as REFUSED with the next step."""

    model_config = ConfigDict(frozen=True)

    arm: int
    step: int
    ordinal: int
    """In that arm's own answer."""
    decisions: dict[str, Any]


class PortfolioState(BaseModel):
    model_config = ConfigDict(frozen=True)

    arms: tuple[ArmState, ...] = ()
    outcomes: tuple[Outcome, ...] = ()
    steps: tuple[tuple[int, str], ...] = ()
    """See ``Ledger``."""
    known: str = ""
    """See ``Known``."""
    dropped: tuple[Dropped, ...] = ()
    dry: int = 0


Request = ProposeRequest[PortfolioSettings, PortfolioState]


class Portfolio(Strategy[PortfolioSettings, PortfolioState]):
    """In each step the bandit draws an arm for each proposal, and every arm is told everything.

    - A search begins with a few random trials, then each arm makes some, then they compete.
    - A trial of another arm is told as a user's would be.
    - What makes the network of one of the last 1,000 proposals with the same recipe and fidelity is not
      passed on: its arm is told that it was refused.
    - Where an arm brings less than it was asked for, waits, is exhausted or fails, the next one is asked. One
      that fails three times in a row is out.
    - Costs are shared out by fidelity: a trial over a third of the epochs is a third of a pull, and brings
      no credit of its own.
    """

    name = "portfolio"
    version = "1"
    summary = "A bandit over strategies that share all results; takes most from what works lately."
    capabilities = Capabilities(
        max_objectives=0, constraints=True, multi_fidelity=True, curves=True, history=True, proxies=True
    )

    def check(self, spec: SearchSpec, settings: PortfolioSettings) -> Iterable[Violation]:
        for place, arm in enumerate(settings.arms):
            yield from faults(arm, spec, f"settings.arms[{place}]")

    def propose(self, request: Request) -> ProposeResult[PortfolioState]:
        return _Step(request).answer()


class _Step:
    def __init__(self, request: Request) -> None:
        before = request.state or PortfolioState()
        self.request = request
        self.settings = request.settings
        self.number = len(self.settings.arms)
        self.arms = list(before.arms) or [ArmState()] * self.number
        self.ledger = Ledger(before.steps, REMEMBERED)
        self.known = Known(before.known, REMEMBERED)
        self.before, self.dry = before.dropped, before.dry
        self.rng = request.random_stream("bandit")
        self.outcomes = [*before.outcomes, *self._outcomes()][-self.settings.window :]
        self.bandit = Bandit(self.number, self.outcomes)
        for event in request.observations:
            if not event.step:
                self._is_new(event.architecture, event.fidelity)
        self.proposals: list[Proposal] = []
        self.dropped: list[Dropped] = []
        self.line = ""
        self.stop: set[int] = set()
        self.waiting: set[int] = set()
        self.diagnostics: dict[str, float] = {}
        self.failure: InternalError | None = None

    # What happened.

    def _outcomes(self) -> Iterable[Outcome]:
        spec = self.request.spec
        for event in self.request.observations:
            share = _share(event.fidelity, spec)
            place = self.ledger.place(event.step, event.ordinal) if event.step else None
            arm = place.arm if place else NOBODY
            if not share or (share < 1.0 and arm == NOBODY):
                continue
            if event.kind in (ObservationKind.FINISHED, ObservationKind.INFEASIBLE):
                scores = spec.scores(event)
                tells = share == 1.0 and all(math.isfinite(score) for score in scores)
                violation = spec.violation(event)
                if event.kind is ObservationKind.INFEASIBLE:
                    violation = violation or math.inf
                yield Outcome(
                    arm=arm,
                    scores=scores if tells else (),
                    violation=violation if math.isfinite(violation) else 1e300,
                    weight=share,
                )
            elif event.kind is ObservationKind.FAILED and event.failure in TELLING:
                yield Outcome(arm=arm, weight=share)

    def _is_new(self, architecture: Architecture, fidelity: Fidelity | None) -> bool:
        spec = self.request.spec
        full = fidelity is None or fidelity in (spec.fidelity, Fidelity())
        network = network_of(self.request, architecture)
        return self.known.add((network,) if full else (network, fidelity))

    # What is asked.

    def _wanted(self) -> list[int]:
        """How many proposals each arm is to make."""
        wanted = [0] * self.number
        live = [arm for arm, state in enumerate(self.arms) if not state.exhausted]
        made = self.ledger.made(self.number)
        told = sum(outcome.arm == NOBODY for outcome in self.outcomes)
        chance = [arm for arm in live if self.settings.arms[arm].name == RANDOM]
        for _ in range(self.request.count if live else 0):
            total = told + sum(made) + sum(wanted)
            young = [arm for arm in live if made[arm] + wanted[arm] < self._least()]
            if chance and (total < self._initial() or self.rng.random() < self.settings.random_share):
                arm = self.rng.choice(chance)
            elif young:
                arm = min(young, key=lambda arm: made[arm] + wanted[arm])
            else:
                draws = {arm: self.bandit.draw(arm, self.rng) for arm in live}
                arm = max(live, key=lambda arm: draws[arm])
            wanted[arm] += 1
        return wanted

    def _initial(self) -> int:
        trials, initial = self.request.spec.trials, self.settings.initial
        if initial is not None:
            return initial
        return max(2, min(5, trials // 4)) if trials else 5

    def _least(self) -> int:
        trials = self.request.spec.trials
        return min(self.settings.least, trials // (4 * self.number)) if trials else self.settings.least

    def answer(self) -> ProposeResult[PortfolioState]:
        wanted = self._wanted()
        order = sorted(range(self.number), key=lambda arm: (-wanted[arm], -self.bandit.credit(arm), arm))
        short = 0
        for arm in order:
            asked = wanted[arm] + short
            short = asked if self.arms[arm].exhausted else asked - self._call(arm, asked)
        if self.failure is not None and all(self.arms[arm].errors for arm in range(self.number)):
            raise self.failure
        nothing = self.request.count > 0 and not self.proposals
        live = [arm for arm in range(self.number) if not self.arms[arm].exhausted]
        waiting = nothing and bool(live) and all(arm in self.waiting for arm in live)
        self.dry = self.dry + 1 if nothing and not waiting and not self.request.observations else 0
        self.ledger.add(self.request.step, self.line)
        return ProposeResult(
            self.proposals,
            state=self._state(),
            waiting=waiting,
            exhausted=self._end(nothing, live),
            stop=sorted(self.stop),
            diagnostics=self._numbers(),
        )

    def _call(self, arm: int, count: int) -> int:
        """Asks an arm; the number of its proposals that are passed on."""
        held = self.arms[arm]
        try:
            answer = ask(
                self.settings.arms[arm],
                self.request,
                held.state,
                count,
                label=f"{arm}/{self.settings.arms[arm].name}",
                tell=lambda event: self._told(arm, event),
                before=[_refusal(each) for each in self.before if each.arm == arm],
                max_state_bytes=STATES_BYTES // self.number,
            )
        except InternalError as failure:
            self.failure = failure
            errors = held.errors + 1
            reason = f"it failed {errors} times in a row" if errors >= ERRORS else ""
            self.arms[arm] = ArmState(state=held.state, errors=errors, exhausted=reason)
            return 0
        reason = answer.exhausted if count else ""
        self.arms[arm] = ArmState(state=answer.state, exhausted=reason)
        self.stop.update(answer.stop)
        if count and answer.waiting:
            self.waiting.add(arm)
        return self._take(arm, answer)

    def _told(self, arm: int, event: Observation) -> Observation:
        place = self.ledger.place(event.step, event.ordinal) if event.step else None
        return own(event, place.ordinal) if place and place.arm == arm else foreign(event)

    def _take(self, arm: int, answer: InnerAnswer) -> int:
        name, taken = self.settings.arms[arm].name, 0
        for ordinal, proposal in enumerate(answer.proposals):
            subject = proposal.subject
            if isinstance(subject, SupernetJob) or self._is_new(subject, proposal.fidelity):
                note = f"{name}: {proposal.note}" if proposal.note else name
                self.proposals.append(replace(proposal, note=note))
                self.line += LETTERS[arm]
                taken += 1
            else:
                self.line += LETTERS[arm].lower()
                decisions = subject.to_dict()
                self.dropped.append(
                    Dropped(arm=arm, step=self.request.step, ordinal=ordinal, decisions=decisions)
                )
        return taken

    # What is answered.

    def _state(self) -> PortfolioState:
        return PortfolioState(
            arms=tuple(self.arms),
            outcomes=tuple(self.outcomes),
            steps=tuple(self.ledger.steps),
            known=self.known.text(),
            dropped=tuple(self.dropped),
            dry=self.dry,
        )

    def _end(self, nothing: bool, live: list[int]) -> str:
        if not nothing or (live and self.dry < DRY):
            return ""
        if live:
            return f"in {DRY} steps no arm brought anything new"
        names = [arm.name for arm in self.settings.arms]
        return "; ".join(f"{name}: {arm.exhausted}" for name, arm in zip(names, self.arms, strict=True))

    def _numbers(self) -> dict[str, float]:
        pulls = math.fsum(self.bandit.pulls)
        numbers: dict[str, float] = {}
        for place, arm in enumerate(self.settings.arms):
            label = arm.name.replace("-", "_")[:40]
            label = f"{label}_{place}" if f"{label}_credit" in numbers else label
            numbers[f"{label}_credit"] = self.bandit.credit(place)
            numbers[f"{label}_share"] = self.bandit.pulls[place] / pulls if pulls else 0.0
        return numbers


def _share(fidelity: Fidelity, spec: SearchSpec) -> float:
    """What a trial costs of a full one; 0 for scores without training."""
    if fidelity.proxies:
        return 0.0
    full, share = spec.fidelity, 1.0
    if fidelity.epochs and full.epochs:
        share *= min(1.0, fidelity.epochs / full.epochs)
    if fidelity.data_fraction:
        share *= min(1.0, fidelity.data_fraction / (full.data_fraction or 1.0))
    if fidelity.resolution_fraction:
        share *= min(1.0, fidelity.resolution_fraction / (full.resolution_fraction or 1.0)) ** 2
    return share


def _refusal(dropped: Dropped) -> Observation:
    return Observation(
        sequence=0,
        kind=ObservationKind.REFUSED,
        architecture=Architecture.from_dict(dropped.decisions),
        step=dropped.step,
        ordinal=dropped.ordinal,
        reason="an equal network was proposed",
    )
