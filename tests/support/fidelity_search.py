"""The log of a search over rungs, written by hand, and what the strategy answers upon it."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from archloom.space import Architecture, Space
from archloom.strategy import (
    Fidelity,
    Measurement,
    Objective,
    Observation,
    ObservationKind,
    Proposal,
    ProposeRequest,
    SearchSpec,
)
from archloom.strategy.values import ProposeResult
from archloom.testing.probe import TREE_SPACE
from archloom_strategies.multi_fidelity.settings import MultiFidelitySettings
from archloom_strategies.multi_fidelity.strategy import MultiFidelity, MultiFidelityState

ACCURACY = Objective("accuracy")
SPACE = Space.from_yaml(TREE_SPACE)
NINE = Fidelity(epochs=9)


def spec_of(fidelity: Fidelity = NINE, space: Space = SPACE, trials: int = 0, **fields: Any) -> SearchSpec:
    return SearchSpec(space, **{"objectives": (ACCURACY,), **fields}, fidelity=fidelity, trials=trials)


def drawn(count: int, space: Space = SPACE) -> list[Architecture]:
    rng = random.Random(0)
    found: dict[str, Architecture] = {}
    while len(found) < count:
        architecture = space.sample(rng)
        found.setdefault(str(space.graph(architecture).hash) + str(space.recipe(architecture)), architecture)
    return list(found.values())


class Search:
    """The log of a search, and the strategy's answers upon it."""

    def __init__(self, spec: SearchSpec, **settings: Any) -> None:
        self.spec = spec
        self.settings = MultiFidelitySettings.model_validate(settings)
        self.log: list[Observation] = []
        self.trials: list[tuple[Architecture, Fidelity, int]] = []
        self.state: MultiFidelityState | None = None
        self.told = self.step = 0

    def tell(self, kind: ObservationKind, architecture: Architecture, **fields: Any) -> None:
        self.log.append(Observation(len(self.log) + 1, kind, architecture, **fields))

    def begin(self, architecture: Architecture, fidelity: Fidelity, source: int = 0, step: int = 1) -> int:
        self.trials.append((architecture, fidelity, source))
        kind = ObservationKind.ACCEPTED if step else ObservationKind.ENQUEUED
        self.tell(kind, architecture, trial=len(self.trials), step=step, fidelity=fidelity)
        return len(self.trials)

    def end(self, trial: int, kind: ObservationKind = ObservationKind.FINISHED, /, **metrics: float) -> None:
        architecture, fidelity, _ = self.trials[trial - 1]
        self.tell(kind, architecture, trial=trial, step=1, fidelity=fidelity, metrics=metrics)

    def measure(self, trial: int, curve: Mapping[float, float]) -> None:
        architecture, fidelity, _ = self.trials[trial - 1]
        points = tuple(Measurement(at, {"accuracy": value}) for at, value in curve.items())
        kind = ObservationKind.MEASURED
        self.tell(kind, architecture, trial=trial, step=1, fidelity=fidelity, measurements=points)

    def request(self, count: int) -> ProposeRequest[MultiFidelitySettings, MultiFidelityState]:
        before, news = tuple(self.log[: self.told]), tuple(self.log[self.told :])
        return ProposeRequest(
            self.spec,
            self.settings,
            self.step,
            self.step,
            self.state,
            news,
            count,
            random.Random(self.step),
            read_history=lambda: before,
        )

    def ask(self, count: int = 1) -> ProposeResult[MultiFidelityState]:
        self.step += 1
        answer = MultiFidelity().propose(self.request(count))
        self.told, self.state = len(self.log), answer.state
        return answer

    def accept(self, proposal: Proposal) -> int:
        fidelity = proposal.fidelity or self.spec.fidelity
        return self.begin(proposal.architecture, fidelity, proposal.resume_from, self.step)

    def run(self, trials: int, parallel: int, score: Callable[[Architecture, Fidelity], float]) -> str:
        """Until so many trials have ended; why it ended, when that was before."""
        running: list[int] = []
        rng, ended = random.Random(1), 0
        while ended < trials:
            answer = self.ask(min(parallel - len(running), trials - ended - len(running)))
            running += [self.accept(proposal) for proposal in answer.proposals]
            if not running:
                return answer.exhausted
            trial = running.pop(rng.randrange(len(running)))
            architecture, fidelity, _ = self.trials[trial - 1]
            self.end(trial, accuracy=score(architecture, fidelity))
            ended += 1
        return ""

    def at(self, epochs: int) -> list[Architecture]:
        return [architecture for architecture, fidelity, _ in self.trials if fidelity.epochs == epochs]


def worth(architecture: Architecture, fidelity: Fidelity) -> float:
    return random.Random(architecture.key).random() + fidelity.epochs / 10


def at_one_epoch(values: Sequence[float], **settings: Any) -> Search:
    """A search whose first trials, of one epoch, ended with these accuracies."""
    search = Search(spec_of(), **settings)
    for architecture, value in zip(drawn(len(values)), values, strict=True):
        search.end(search.begin(architecture, Fidelity(epochs=1)), accuracy=value)
    return search
