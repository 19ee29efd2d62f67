"""A whole search against a strategy in one process: proposals become trials, end in a random order, some in
other ways than success.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from archloom.errors import InternalError
from archloom.space import Architecture
from archloom.strategy.values import SearchSpec
from archloom.testing.session import Session, SessionTrial
from archloom.v1 import strategy_pb2

Ending = Literal["finish", "infeasible", "fail", "cancel"]
#: Steps without a new trial after which a rehearsal gives up.
PATIENCE = 2_000


def quality(architecture: Architecture, metric: str) -> float:
    """A made-up value in [0, 1) for a metric; the same in every process."""
    digest = hashlib.sha256(f"{metric}/{architecture.key}".encode()).digest()
    return int.from_bytes(digest[:6], "big") / 2**48


def always_finish(trial: int) -> Ending:
    return "finish"


@dataclass
class Rehearsal:
    """What came of it."""

    session: Session
    proposed: list[Architecture] = field(default_factory=list)
    """All proposals in order, refused ones included."""
    trials: list[Architecture] = field(default_factory=list)
    """Those that became trials."""
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
) -> Rehearsal:
    """Runs ``session`` until ``trials`` trials have ended or the strategy is exhausted.

    ``ending`` says by the trial's number how it ends. An architecture that is a trial already is refused,
    as the controller does. Raises InternalError when the strategy waits for nothing, or brings nothing new
    for 2,000 steps.
    """
    result = Rehearsal(session)
    order = random.Random(seed)
    running: list[SessionTrial] = []
    keys: set[str] = set()
    idle = 0
    while result.ended < trials and (running or not result.exhausted):
        free = min(parallel - len(running), trials - len(result.trials))
        if free > 0 and not result.exhausted:
            answer = session.ask(free)
            result.exhausted = _exhausted(answer)
            if answer.HasField("wait") and not running:
                raise InternalError("the strategy waits, but nothing is running and everything was told")
            made = [
                trial
                for ordinal, proposal in enumerate(answer.proposals.proposals)
                if (trial := _take(result, keys, ordinal, proposal)) is not None
            ]
            running += made
            idle = 0 if made else idle + 1
            if idle > PATIENCE:
                raise InternalError(f"{PATIENCE} steps brought nothing new")
        if running:
            trial = running.pop(order.randrange(len(running)))
            _end(session, spec, trial, ending(trial.number), fixed_metrics or {})
            result.ended += 1
    return result


def _exhausted(answer: strategy_pb2.ProposeResponse) -> str:
    return (answer.exhausted.reason or "exhausted") if answer.HasField("exhausted") else ""


def _take(
    result: Rehearsal, keys: set[str], ordinal: int, proposal: strategy_pb2.Proposal
) -> SessionTrial | None:
    architecture = Architecture.from_proto(proposal.architecture)
    result.proposed.append(architecture)
    if architecture.key in keys:
        result.session.refuse(ordinal, proposal, "an equal trial exists")
        return None
    keys.add(architecture.key)
    result.trials.append(architecture)
    return result.session.accept(ordinal, proposal)


def _end(
    session: Session, spec: SearchSpec, trial: SessionTrial, ending: Ending, fixed: Mapping[str, float]
) -> None:
    architecture = Architecture.from_proto(trial.proposal.architecture)
    names = {goal.metric for goal in spec.objectives} | {limit.metric for limit in spec.constraints}
    metrics = {name: fixed.get(name, quality(architecture, name)) for name in sorted(names)}
    match ending:
        case "finish":
            session.finish(trial, metrics)
        case "infeasible":
            session.finish(trial, metrics, feasible=False)
        case "fail":
            session.fail(trial)
        case "cancel":
            session.cancel(trial)
