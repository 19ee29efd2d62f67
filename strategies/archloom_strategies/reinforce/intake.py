"""From events to memory: what ended, what is under way, which networks were asked."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from contextlib import suppress
from hashlib import sha256

from archloom.space import Architecture, SpaceError
from archloom.strategy import Fidelity, Observation, ObservationKind, ProposeRequest, SearchSpec

from archloom_strategies.networks import network_of
from archloom_strategies.reinforce.draws import Answer, Draws
from archloom_strategies.reinforce.memory import DRAWS, NETWORKS, Asked, Memory, Trial
from archloom_strategies.reinforce.rewards import usefulness
from archloom_strategies.reinforce.settings import ReinforceSettings
from archloom_strategies.trials import TELLING

Request = ProposeRequest[ReinforceSettings, bytes]


class Known:
    """Digests of the networks that were asked."""

    def __init__(self, request: Request, digests: Iterable[bytes]) -> None:
        self._request = request
        self._order = list(digests)
        self._held = set(self._order)

    def add(self, architecture: Architecture) -> bool:
        """Takes the network in; whether it was new. Raises SpaceError where there is none."""
        digest = sha256(network_of(self._request, architecture).encode()).digest()[:8]
        if digest in self._held:
            return False
        self._held.add(digest)
        self._order.append(digest)
        return True

    def digests(self) -> tuple[bytes, ...]:
        return tuple(self._order[-NETWORKS:])


class Intake:
    """Memory while a step works on it. A trial that this policy did not propose has no log probabilities
    until ``fill`` gives them.
    """

    def __init__(self, request: Request, draws: Draws, memory: Memory) -> None:
        self._request = request
        self._draws = draws
        header = memory.header
        self.trials = list(header.trials)
        self.asked = {(each.step, each.ordinal): each for each in header.asked}
        self.ended = header.ended
        self.known = Known(request, memory.networks)
        self.told = 0
        """Trials that ended in this step."""

    def take(self, events: Iterable[Observation]) -> None:
        full = (self._request.spec.fidelity, Fidelity())
        for event in events:
            if event.fidelity in full and event.kind is not ObservationKind.MEASURED:
                self._take(event)

    def _take(self, event: Observation) -> None:
        # What a strategy before this one proposed, and was refused, need not be of the space.
        with suppress(SpaceError):
            self.known.add(event.architecture)
        if event.kind in (ObservationKind.ENQUEUED, ObservationKind.ACCEPTED):
            return
        asked = self.asked.pop((event.step, event.ordinal), None)
        failed = event.kind is ObservationKind.FAILED
        if event.kind in (ObservationKind.REFUSED, ObservationKind.CANCELLED):
            return
        if failed and event.failure not in TELLING:
            return  # it tells of the machine, not of the architecture
        spec = self._request.spec
        self.trials.append(
            Trial(
                answers=asked.answers if asked else tuple(self._draws.answers(event.architecture)),
                logs=asked.logs if asked else (),
                metrics=_metrics(spec, event),
                violation=min(1e9, spec.violation(event)),
                infeasible=event.kind is ObservationKind.INFEASIBLE,
                failed=failed,
            )
        )
        self.ended += 1
        self.told += 1

    def fill(self, logs: Sequence[tuple[int, ...]]) -> None:
        """Log probabilities of the answers of ``unfilled``, in their order."""
        left = iter(logs)
        self.trials = [
            trial if trial.logs or not trial.answers else trial.model_copy(update={"logs": next(left)})
            for trial in self.trials
        ]

    @property
    def unfilled(self) -> list[tuple[Answer, ...]]:
        return [trial.answers for trial in self.trials if trial.answers and not trial.logs]

    def trim(self, most: int, preferences: Sequence[tuple[float, ...]]) -> None:
        """Down to ``most`` trials: the last ones, and of those before them the most useful for any of the
        preferences.
        """
        over = len(self.trials) - most
        if over <= 0:
            return
        last = min(self._request.settings.window, most // 2)
        useful = usefulness(self._request.spec, self._request.settings, self.trials, preferences)
        old = sorted(range(len(self.trials) - last), key=lambda place: useful[place])
        dropped = set(old[:over])
        self.trials = [trial for place, trial in enumerate(self.trials) if place not in dropped]

    def under_way(self) -> tuple[Asked, ...]:
        """The newest that fit. Of one that is forgotten the trial counts as another's."""
        each = max((len(one.answers) for one in self.asked.values()), default=1)
        most = DRAWS // max(1, each)
        return tuple(self.asked.values())[-most:] if most else ()


def _metrics(spec: SearchSpec, event: Observation) -> dict[str, float]:
    names = [goal.metric for goal in spec.objectives] + [limit.metric for limit in spec.constraints]
    found = {name: event.metrics.get(name, math.nan) for name in dict.fromkeys(names)}
    return {name: value for name, value in found.items() if math.isfinite(value)}
