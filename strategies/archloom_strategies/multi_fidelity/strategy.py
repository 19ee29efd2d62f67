"""Many architectures trained a little, few trained to the end; see ``schedulers`` and ``estimates``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import cached_property

from archloom.errors import Violation
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
)
from pydantic import BaseModel, ConfigDict

from archloom_strategies.inner import InnerState, ask, foreign
from archloom_strategies.inner import faults as inner_faults
from archloom_strategies.multi_fidelity.board import Board, Configuration
from archloom_strategies.multi_fidelity.curves import hopeless
from archloom_strategies.multi_fidelity.estimates import Estimates
from archloom_strategies.multi_fidelity.ladder import Ladder, faults, ladder_of
from archloom_strategies.multi_fidelity.ranking import violation_of
from archloom_strategies.multi_fidelity.schedulers import Promote, Start, go_straight, next_move
from archloom_strategies.multi_fidelity.settings import MultiFidelitySettings
from archloom_strategies.networks import network_of

#: Answers of the inner strategy that may bring nothing new before a step goes without.
ROUNDS = 16


class MultiFidelityState(BaseModel):
    model_config = ConfigDict(frozen=True)

    inner: InnerState | None = None


Request = ProposeRequest[MultiFidelitySettings, MultiFidelityState]
_ENDED = (ObservationKind.FINISHED, ObservationKind.INFEASIBLE)


class MultiFidelity(Strategy[MultiFidelitySettings, MultiFidelityState]):
    """Successive halving, synchronous, asynchronous or in Hyperband's brackets, with any inner strategy.

    All but the inner strategy's state is read from the log in each step.

    - A promotion goes on from the checkpoint of the rung below; where there is none it trains from the
      start.
    - The inner strategy (``bayesian`` makes it BOHB: Falkner et al., ICML 2018) is told of trials as if all
      were of full fidelity: with each architecture's result at the highest rung it reached, carried to the
      common scale of ``estimates``. Promotions look to it as a user's repeated trials.
    - A trial that was ended early counts with the last point of its curve, and is not promoted.
    """

    name = "multi-fidelity"
    version = "1"
    summary = "Successive halving (ASHA, Hyperband) over any strategy; promotions resume from checkpoints."
    capabilities = Capabilities(
        max_objectives=0, constraints=True, multi_fidelity=True, curves=True, history=True, proxies=True
    )

    def check(self, spec: SearchSpec, settings: MultiFidelitySettings) -> Iterable[Violation]:
        yield from faults(spec, settings)
        yield from inner_faults(settings.inner, spec)

    def propose(self, request: Request) -> ProposeResult[MultiFidelityState]:
        return _Step(request).answer()


class _Step:
    def __init__(self, request: Request) -> None:
        self.request = request
        self.ladder: Ladder = ladder_of(request.spec, request.settings)
        self.board = Board(request.spec, self.ladder, (*request.history, *request.observations))
        self.estimates = Estimates(self.board)
        self.state = (request.state or MultiFidelityState()).inner

    def answer(self) -> ProposeResult[MultiFidelityState]:
        stop = hopeless(self.board, self.request.settings.stopping)
        promotions, started = self._plan()
        fresh, exhausted = self._fresh(started)
        missing = started[len(fresh) :]
        self.board.drop(missing)
        for _ in missing:
            if (straight := go_straight(self.board)) is None:
                break
            promotions.append(self._promotion(straight))
        # The inner strategy's come first: they have the places that it gave them.
        proposals = [*fresh, *promotions]
        ends = exhausted if not proposals and not self.board.running else ""
        return ProposeResult(
            proposals,
            state=MultiFidelityState(inner=self.state),
            waiting=not proposals and not ends and self.board.running,
            exhausted=ends,
            stop=stop,
            diagnostics={
                "promotions": float(len(promotions)),
                "at_full_fidelity": float(self.board.at_top()),
                "stopped": float(len(stop)),
            },
        )

    def _plan(self) -> tuple[list[Proposal], list[Configuration]]:
        promotions: list[Proposal] = []
        started: list[Configuration] = []
        for _ in range(self.request.count):
            move = next_move(self.board, self.request.settings)
            if isinstance(move, Promote):
                promotions.append(self._promotion(move))
            elif isinstance(move, Start):
                started.append(self.board.start(move.rung))
            else:
                break
        return promotions, started

    def _promotion(self, move: Promote) -> Proposal:
        configuration, rung = move.configuration, move.rung
        assert configuration.architecture is not None
        source = configuration.trials[configuration.reached]
        # More data is another training, not more of the same.
        resumes = self.ladder.dimension == "epochs" and not configuration.refusals.get(rung)
        self.board.promote(configuration, rung)
        return Proposal(
            configuration.architecture,
            fidelity=self.ladder.fidelity(rung),
            resume_from=source if resumes else 0,
            parents=(source,),
            note=f"promoted to rung {rung + 1} of {self.ladder.top + 1}",
        )

    def _fresh(self, started: Sequence[Configuration]) -> tuple[list[Proposal], str]:
        """New architectures of the inner strategy, up to the first that is not new, each at the rung that
        was planned; and why there are no more.
        """
        dropped: list[Observation] = []
        for turn in range(ROUNDS):
            answer = ask(
                self.request.settings.inner,
                self.request,
                self.state,
                len(started),
                label=f"inner {turn}",
                tell=self._told if turn == 0 else _nothing,
                before=dropped,
                spec=self._inner_spec(),
            )
            self.state = answer.state
            new: list[Proposal] = []
            for proposal, configuration in zip(answer.proposals, started, strict=False):
                if not self._take(proposal):
                    break
                new.append(replace(proposal, fidelity=self._fidelity(proposal, configuration.start)))
            if new or not answer.proposals:
                return new, answer.exhausted
            dropped = [self._refusal(place, each) for place, each in enumerate(answer.proposals)]
        return [], ""

    def _take(self, proposal: Proposal) -> bool:
        """Whether it is new; scores without training may be asked of anything."""
        if proposal.fidelity is not None and proposal.fidelity.proxies:
            return True
        network = self._network(proposal.architecture)
        if network in self.networks:
            return False
        self.networks.add(network)
        return True

    def _fidelity(self, proposal: Proposal, rung: int) -> Fidelity | None:
        asked = proposal.fidelity
        return asked if asked is not None and asked.proxies else self.ladder.fidelity(rung)

    def _network(self, architecture: Architecture) -> str:
        return network_of(self.request, architecture)

    @cached_property
    def networks(self) -> set[str]:
        known = (each.architecture for each in self.board.configurations)
        return {self._network(each) for each in known if each is not None}

    def _inner_spec(self) -> SearchSpec:
        """Its budget is what begins, not what is promoted."""
        spec = self.request.spec
        begins = round(spec.trials / sum(self.ladder.shares))
        return replace(spec, trials=max(1, begins)) if spec.trials else spec

    def _refusal(self, place: int, proposal: Proposal) -> Observation:
        return Observation(
            sequence=max((event.sequence for event in self.request.observations), default=0),
            kind=ObservationKind.REFUSED,
            architecture=proposal.architecture,
            step=self.request.step,
            ordinal=place,
            fidelity=proposal.fidelity or self.request.spec.fidelity,
            reason="an equal network was proposed before",
        )

    def _told(self, event: Observation) -> Observation | None:
        """What the inner strategy hears of an event."""
        if event.fidelity.proxies:
            return event
        found = self.board.known.get(event.architecture.key)
        rung = self.ladder.rung(event.fidelity)
        if found is not None and rung != found.start:
            if event.kind is ObservationKind.REFUSED:
                return None
            event = foreign(event)
        event = replace(event, fidelity=self.request.spec.fidelity, measurements=())
        if event.kind is ObservationKind.MEASURED:
            return None
        partial = event.kind is ObservationKind.CANCELLED and found is not None and found.stopped
        if found is None or not found.results or not (event.kind in _ENDED or partial):
            return event
        metrics = {**event.metrics, **self.estimates.of(found)}
        feasible = violation_of(self.request.spec, metrics) == 0.0
        kind = ObservationKind.FINISHED if feasible else ObservationKind.INFEASIBLE
        return replace(event, kind=kind, metrics=metrics)


def _nothing(event: Observation) -> None:
    """For a second answer in one step: the events were told already."""
