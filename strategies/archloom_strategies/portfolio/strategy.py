"""A portfolio: several strategies share all results, and what has worked lately proposes more.

A bandit over optimisers, as GP-Hedge over acquisitions (Hoffman, Brochu and de Freitas, "Portfolio Allocation
for Bayesian Optimization", UAI 2011) and OpenTuner over search techniques (Ansel et al., PACT 2014).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from typing import Any

from archloom.errors import InternalError
from archloom.space import Architecture, SpaceError
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

from archloom_strategies.enumeration import DRY
from archloom_strategies.inner import Inner, InnerState, ask, faults, foreign, own
from archloom_strategies.networks import network_of
from archloom_strategies.portfolio.bandit import Bandit
from archloom_strategies.portfolio.credit import Outcome, outcome_of, share_of
from archloom_strategies.portfolio.ledger import LETTERS, Known, Ledger, Place

#: Proposals whose arm and network are remembered.
REMEMBERED = 1_000
#: Errors in a row after which an arm is asked no more.
ERRORS = 3
#: Results that are remembered, in half-lives: the oldest counts a sixteenth.
HALF_LIVES = 4
#: Proposals that were not passed on, of which the arms are told.
DROPPED = 200
#: Of all arms' states together; base64 makes four bytes of three.
STATES_BYTES = 2 * 1024 * 1024
RANDOM = "random"

#: What an event does to the number of trials under way.
_BECOMES = {
    ObservationKind.ACCEPTED: 1,
    ObservationKind.ENQUEUED: 1,
    ObservationKind.FINISHED: -1,
    ObservationKind.INFEASIBLE: -1,
    ObservationKind.FAILED: -1,
    ObservationKind.CANCELLED: -1,
}


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
    memory: int = Field(
        25, ge=1, le=250, description="Trials after which a result counts half when arms are compared."
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
    reason: str


class PortfolioState(BaseModel):
    model_config = ConfigDict(frozen=True)

    arms: tuple[ArmState, ...] = ()
    outcomes: tuple[Outcome, ...] = ()
    steps: tuple[tuple[int, str], ...] = ()
    """See ``Ledger``."""
    known: str = ""
    """See ``Known``."""
    dropped: tuple[Dropped, ...] = ()
    brought: int = 0
    """Whole trials of others that ended, as of users."""
    running: int = 0
    """Trials under way."""
    dry: int = 0
    """Steps in a row without anything new and with nothing under way."""


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
        self.refusals = before.dropped
        self.brought, self.running, self.dry = before.brought, before.running, before.dry
        self.rng = request.random_stream("bandit")
        self.outcomes = list(before.outcomes)
        for event in request.observations:
            self._observe(event)
        del self.outcomes[: -HALF_LIVES * self.settings.memory]
        self.bandit = Bandit(self.number, self.outcomes, self.settings.memory)
        self.made = self.ledger.made(self.number)
        self.wanted = [0] * self.number
        self.proposals: list[Proposal] = []
        self.dropped: list[Dropped] = []
        self.line = ""
        self.stop: set[int] = set()
        self.waiting: set[int] = set()
        self.failed: dict[int, InternalError] = {}

    # What happened.

    def _observe(self, event: Observation) -> None:
        self.running = max(0, self.running + _BECOMES.get(event.kind, 0))
        place = self._place(event)
        if place is None:
            # What a strategy before this one proposed, and was refused, need not be of the space.
            with suppress(SpaceError):
                self._is_new(event.architecture, event.fidelity)
            full = share_of(event.fidelity, self.request.spec) == 1.0
            self.brought += full and event.kind is ObservationKind.FINISHED
        elif outcome := outcome_of(event, place.arm, self.request.spec):
            self.outcomes.append(outcome)

    def _place(self, event: Observation) -> Place | None:
        """None for what no arm proposed, or did long ago."""
        return self.ledger.place(event.step, event.ordinal) if event.step else None

    def _is_new(self, architecture: Architecture, fidelity: Fidelity | None) -> bool:
        spec = self.request.spec
        full = fidelity is None or fidelity in (spec.fidelity, Fidelity())
        network = network_of(self.request, architecture)
        return self.known.add((network,) if full else (network, fidelity))

    # What is asked.

    def answer(self) -> ProposeResult[PortfolioState]:
        """The arms one after the other, the one with most to do first; what one leaves is shared out anew."""
        uncalled = set(range(self.number))
        self._share_out(self.request.count, uncalled)
        while uncalled:
            arm = max(uncalled, key=lambda arm: (self.wanted[arm], -arm))
            uncalled.remove(arm)
            if not self.arms[arm].exhausted:
                self._share_out(self.wanted[arm] - self._call(arm, self.wanted[arm]), uncalled)
        if self.failed and all(arm.errors for arm in self.arms):
            raise self.failed[min(self.failed)]
        nothing = self.request.count > 0 and not self.proposals
        live = {arm for arm in range(self.number) if not self.arms[arm].exhausted}
        waiting = nothing and bool(self.waiting) and (self.running > 0 or self.waiting == live)
        self.dry = self.dry + 1 if nothing and not waiting and not self.running else 0
        self.ledger.add(self.request.step, self.line)
        return ProposeResult(
            self.proposals,
            state=self._state(),
            waiting=waiting,
            exhausted=self._end(bool(live)) if nothing else "",
            stop=sorted(self.stop),
            diagnostics=self._numbers(),
        )

    def _share_out(self, count: int, among: set[int]) -> None:
        """``count`` more proposals are wanted of these arms."""
        live = [arm for arm in sorted(among) if not self.arms[arm].exhausted]
        chance = [arm for arm in live if self.settings.arms[arm].name == RANDOM]
        least, initial = self._least(), self._initial()
        for _ in range(count if live else 0):
            planned = [done + more for done, more in zip(self.made, self.wanted, strict=True)]
            youngest = min(live, key=lambda arm: planned[arm])
            early = self.brought + sum(planned) < initial
            if chance and (early or self.rng.random() < self.settings.random_share):
                arm = self.rng.choice(chance)
            elif planned[youngest] < least:
                arm = youngest
            else:
                draws = {arm: self.bandit.draw(arm, self.rng) for arm in live}
                arm = max(live, key=lambda arm: draws[arm])
            self.wanted[arm] += 1

    def _initial(self) -> int:
        trials, initial = self.request.spec.trials, self.settings.initial
        if initial is not None:
            return initial
        return max(2, min(5, trials // 4)) if trials else 5

    def _least(self) -> int:
        trials = self.request.spec.trials
        return min(self.settings.least, trials // (4 * self.number)) if trials else self.settings.least

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
                before=[_refusal(each) for each in self.refusals if each.arm == arm],
                max_state_bytes=STATES_BYTES // self.number,
            )
        except InternalError as failure:
            self.failed[arm] = failure
            errors = held.errors + 1
            reason = f"it failed {errors} times in a row" if errors >= ERRORS else ""
            self.arms[arm] = ArmState(state=held.state, errors=errors, exhausted=reason)
            return 0
        self.arms[arm] = ArmState(state=answer.state, exhausted=answer.exhausted if count else "")
        self.stop.update(answer.stop)
        if count and answer.waiting:
            self.waiting.add(arm)
        return sum(self._take(arm, ordinal, proposal) for ordinal, proposal in enumerate(answer.proposals))

    def _told(self, arm: int, event: Observation) -> Observation:
        place = self._place(event)
        return own(event, place.ordinal) if place and place.arm == arm else foreign(event)

    def _take(self, arm: int, ordinal: int, proposal: Proposal) -> bool:
        """Whether it is passed on."""
        subject, letter = proposal.subject, LETTERS[arm]
        if not isinstance(subject, SupernetJob):
            reason = ""
            try:
                if not self._is_new(subject, proposal.fidelity):
                    reason = "an equal network was proposed"
            except SpaceError as error:
                reason = str(error)
            if reason:
                self.line += letter.lower()
                lost = Dropped(
                    arm=arm,
                    step=self.request.step,
                    ordinal=ordinal,
                    decisions=subject.to_dict(),
                    reason=reason,
                )
                self.dropped.append(lost)
                return False
        name = self.settings.arms[arm].name
        note = f"{name}: {proposal.note}" if proposal.note else name
        self.proposals.append(replace(proposal, note=note))
        self.line += letter
        return True

    # What is answered.

    def _state(self) -> PortfolioState:
        return PortfolioState(
            arms=tuple(self.arms),
            outcomes=tuple(self.outcomes),
            steps=tuple(self.ledger.steps),
            known=self.known.text(),
            dropped=tuple(self.dropped[:DROPPED]),
            brought=self.brought,
            running=self.running,
            dry=self.dry,
        )

    def _end(self, live: bool) -> str:
        if live:
            return f"in {DRY} steps no arm brought anything new" if self.dry >= DRY else ""
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


def _refusal(dropped: Dropped) -> Observation:
    return Observation(
        sequence=0,
        kind=ObservationKind.REFUSED,
        architecture=Architecture.from_dict(dropped.decisions),
        step=dropped.step,
        ordinal=dropped.ordinal,
        reason=dropped.reason,
    )
