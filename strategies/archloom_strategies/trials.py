"""The log as a search needs it: what was evaluated, what is under way, and what must not be asked again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from archloom.space import Architecture
from archloom.strategy import Fidelity, Observation, ObservationKind, ProposeRequest, SearchSpec

#: Failures that tell of the architecture; the others tell of the machine.
TELLING = frozenset({"out_of_memory", "diverged", "cannot_build", "timeout"})


@dataclass
class Trial:
    """One architecture at full fidelity, however often it was evaluated."""

    number: int
    architecture: Architecture
    metrics: dict[str, float] = field(default_factory=dict)
    """Means of what was reported."""
    ended: bool = False
    refused: bool = False
    """It ended as infeasible or failed, by its own fault."""
    times: int = 0

    def report(self, metrics: Mapping[str, float]) -> None:
        self.times += 1
        for name, value in metrics.items():
            before = self.metrics.get(name, value)
            self.metrics[name] = before + (value - before) / self.times


@dataclass(frozen=True)
class Log:
    """All trials that became known up to this step, by the key of their architecture, in that order."""

    trials: Mapping[str, Trial]
    asked: frozenset[str]
    """Keys of everything that was a trial or was refused: none of it is to be proposed again."""

    @property
    def ended(self) -> list[Trial]:
        """Those that say something: with metrics, or at fault."""
        return [each for each in self.trials.values() if each.ended and (each.metrics or each.refused)]

    @property
    def pending(self) -> list[Trial]:
        return [each for each in self.trials.values() if not each.ended]


def read_log(request: ProposeRequest[Any, Any]) -> Log:
    """Needs ``capabilities.history``."""
    return gather((*request.history, *request.observations), request.spec)


def gather(events: Iterable[Observation], spec: SearchSpec) -> Log:
    trials: dict[str, Trial] = {}
    asked: dict[str, None] = {}
    for event in events:
        if event.fidelity not in (spec.fidelity, Fidelity()):
            continue  # another fidelity's number would mislead, and it is no duplicate
        key = event.architecture.key
        if event.kind is not ObservationKind.MEASURED:
            asked[key] = None
        if event.kind in (ObservationKind.REFUSED, ObservationKind.MEASURED):
            continue
        trial = trials.setdefault(key, Trial(event.trial, event.architecture))
        if event.kind is ObservationKind.FINISHED:
            trial.ended, trial.refused = True, False
            trial.report(event.metrics)
        elif event.kind is ObservationKind.INFEASIBLE:
            trial.ended = trial.refused = True
            trial.report(event.metrics)
        elif event.kind is ObservationKind.FAILED:
            trial.ended = True
            trial.refused = trial.refused or event.failure in TELLING
        elif event.kind is ObservationKind.CANCELLED:
            trial.ended = True
    return Log(trials, frozenset(asked))
