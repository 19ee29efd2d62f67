"""A whole search against a strategy in one process: proposals become trials, end in a random order, some in
other ways than success.
"""

from __future__ import annotations

import hashlib
import math
import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from archloom.errors import InternalError
from archloom.space import Architecture, Space, SpaceError
from archloom.strategy import convert
from archloom.strategy.values import Fidelity, SearchSpec
from archloom.testing.session import Session, SessionTrial
from archloom.v1 import strategy_pb2

#: "nan" and "infinite" end with such metrics, "missing" with none.
Ending = Literal["finish", "infeasible", "fail", "cancel", "nan", "infinite", "missing"]
#: Steps without a new trial after which a rehearsal gives up.
PATIENCE = 2_000


def quality(architecture: Architecture, metric: str) -> float:
    """A made-up value in [0, 1) for a metric; the same in every process."""
    digest = hashlib.sha256(f"{metric}/{architecture.key}".encode()).digest()
    return int.from_bytes(digest[:6], "big") / 2**48


def network_of(space: Space, architecture: Architecture) -> str:
    """Equal for architectures that make the same network and the same recipe; the decisions where none can
    be made.
    """
    try:
        return f"{space.graph(architecture).hash}/{sorted(space.recipe(architecture).items())}"
    except SpaceError:
        return architecture.key


def always_finish(trial: int) -> Ending:
    return "finish"


def never(ordinal: int) -> bool:
    return False


@dataclass(frozen=True)
class Asked:
    """A proposal that became a trial."""

    trial: int
    architecture: Architecture
    fidelity: Fidelity
    resume_from: int
    """0 where it starts afresh."""


@dataclass
class Rehearsal:
    """What came of it."""

    session: Session
    spec: SearchSpec
    proposed: list[Architecture] = field(default_factory=list)
    """All proposals in order, refused ones and those of scores included."""
    trials: list[Architecture] = field(default_factory=list)
    """Those that became trials, of any fidelity; scores are not among them."""
    asked: list[Asked] = field(default_factory=list)
    """All that was accepted: trials and scores."""
    stopped: list[tuple[int, int]] = field(default_factory=list)
    """(step, trial) of each wish to end a trial early."""
    ended: int = 0
    exhausted: str = ""
    """What the strategy said when it had no more."""


def rehearse(
    session: Session,
    spec: SearchSpec,
    *,
    trials: int,
    parallel: int = 1,
    seed: int = 0,
    ending: Callable[[int], Ending] = always_finish,
    fixed_metrics: Mapping[str, float] | None = None,
    refusing: Callable[[int], bool] = never,
    scores: bool = False,
    curves: bool = False,
    patience: int = PATIENCE,
) -> Rehearsal:
    """Runs ``session`` until ``trials`` trials have ended or the strategy is exhausted.

    ``ending`` says by the trial's number how it ends, ``refusing`` by the number of all proposals so far
    which of them are refused. An architecture that is a trial of that fidelity already is refused, as the
    controller does. Proposals of training-free scores are refused, unless ``scores``: then they end soon,
    count as no trials and take no place of one. With ``curves`` measurements are told along the way.

    Raises InternalError when the strategy waits for nothing, or brings no new trial for ``patience`` steps.
    """
    fixed = fixed_metrics or {}
    stage = _Stage(session, spec, trials, parallel, seed, ending, fixed, refusing, scores, curves, patience)
    return stage.run()


@dataclass
class _Stage:
    """A rehearsal that is under way."""

    session: Session
    spec: SearchSpec
    wanted: int
    parallel: int
    seed: int
    ending: Callable[[int], Ending]
    fixed_metrics: Mapping[str, float]
    refusing: Callable[[int], bool]
    scores: bool
    curves: bool
    patience: int
    running: list[SessionTrial] = field(default_factory=list)
    scoring: list[SessionTrial] = field(default_factory=list)
    taken: set[tuple[str, Fidelity]] = field(default_factory=set)
    idle: int = 0

    def __post_init__(self) -> None:
        self.result = Rehearsal(self.session, self.spec)
        self.order = random.Random(self.seed)

    def run(self) -> Rehearsal:
        result = self.result
        while result.ended < self.wanted and (self.running or self.scoring or not result.exhausted):
            free = min(self.parallel - len(self.running), self.wanted - len(result.trials))
            if free > 0 and not result.exhausted:
                self.ask(free)
            self.end_scores()
            if self.running:
                self.end(self.running.pop(self.order.randrange(len(self.running))))
                result.ended += 1
        return result

    def ask(self, count: int) -> None:
        answer = self.session.ask(count)
        result = self.result
        if answer.HasField("exhausted"):
            result.exhausted = answer.exhausted.reason or "exhausted"
        if answer.HasField("wait") and not (self.running or self.scoring):
            raise InternalError("the strategy waits, but nothing is running and everything was told")
        for number in answer.stop:
            result.stopped.append((answer.step, number))
            self.end_early(number)
        made = [
            trial
            for ordinal, proposal in enumerate(answer.proposals.proposals)
            if (trial := self.take(ordinal, proposal)) is not None
        ]
        for trial in made:
            (self.scoring if trial.proposal.fidelity.proxies else self.running).append(trial)
        self.idle = 0 if self.running else self.idle + 1
        if self.idle > self.patience:
            raise InternalError(f"{self.patience:,} steps brought nothing new")

    def take(self, ordinal: int, proposal: strategy_pb2.Proposal) -> SessionTrial | None:
        result, session = self.result, self.session
        if not proposal.HasField("architecture"):
            session.refuse(ordinal, proposal, "supernet jobs have no evaluator in this installation")
            return None
        architecture = Architecture.from_proto(proposal.architecture)
        result.proposed.append(architecture)
        fidelity = fidelity_of(proposal, self.spec)
        if self.refusing(len(result.proposed)):
            session.refuse(ordinal, proposal, "it was told to")
            return None
        if fidelity.proxies and not self.scores:
            session.refuse(ordinal, proposal, f"the evaluator offers no proxy {fidelity.proxies[0]!r}")
            return None
        if (architecture.key, fidelity) in self.taken:
            session.refuse(ordinal, proposal, "an equal trial exists")
            return None
        self.taken.add((architecture.key, fidelity))
        trial = session.accept(ordinal, proposal)
        result.asked.append(Asked(trial.number, architecture, fidelity, proposal.resume_from))
        if not fidelity.proxies:
            result.trials.append(architecture)
        return trial

    def end_scores(self) -> None:
        """Most of those that are under way: a score comes soon, but in no promised order."""
        for trial in list(self.scoring):
            if not self.running or self.order.random() < 0.8:
                self.scoring.remove(trial)
                self.session.finish(trial, dict(_scores(trial)))

    def end(self, trial: SessionTrial) -> None:
        if self.curves:
            self.measure(trial)
        architecture = Architecture.from_proto(trial.proposal.architecture)
        names = {goal.metric for goal in self.spec.objectives}
        names |= {limit.metric for limit in self.spec.constraints}
        metrics = {name: self.fixed_metrics.get(name, quality(architecture, name)) for name in sorted(names)}
        match self.ending(trial.number):
            case "finish":
                self.session.finish(trial, metrics)
            case "infeasible":
                self.session.finish(trial, metrics, feasible=False)
            case "nan":
                self.session.finish(trial, dict.fromkeys(metrics, math.nan))
            case "infinite":
                self.session.finish(trial, dict.fromkeys(metrics, math.inf))
            case "missing":
                self.session.finish(trial, {})
            case "fail":
                self.session.fail(trial)
            case "cancel":
                self.session.cancel(trial)

    def end_early(self, number: int) -> None:
        """A trial that runs ends as cancelled; of others the wish comes too late."""
        for trial in list(self.running):
            if trial.number == number:
                self.running.remove(trial)
                self.session.cancel(trial)
                self.result.ended += 1

    def measure(self, trial: SessionTrial) -> None:
        """Two points of its curve."""
        architecture = Architecture.from_proto(trial.proposal.architecture)
        epochs = max(2, fidelity_of(trial.proposal, self.spec).epochs)
        for progress in (epochs // 2, epochs):
            share = progress / epochs
            metrics = {
                goal.metric: share * quality(architecture, goal.metric) for goal in self.spec.objectives
            }
            self.session.measure(trial, float(progress), metrics)


def fidelity_of(proposal: strategy_pb2.Proposal, spec: SearchSpec) -> Fidelity:
    """A proposal's fidelity; the full one where it names none."""
    if not proposal.HasField("fidelity"):
        return spec.fidelity
    return convert.fidelity_value(proposal.fidelity)


def _scores(trial: SessionTrial) -> Iterator[tuple[str, float]]:
    """Made-up scores; of each the eighth part is missing, and one of sixteen is no number."""
    architecture = Architecture.from_proto(trial.proposal.architecture)
    for name in trial.proposal.fidelity.proxies:
        score = quality(architecture, name)
        if score >= 0.125:
            yield name, math.nan if score > 0.9375 else score
