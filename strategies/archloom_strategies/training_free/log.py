"""What the log says of training-free scores: which were asked, refused and given."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from archloom.space import Architecture
from archloom.strategy import Observation, ObservationKind, ProposeRequest, SearchSpec

#: Refusals of a set of scores, none accepted, by which it counts as not offered: one alone may be for the
#: architecture's sake.
NEVER = 3
#: Refusals in a row of a set that is offered, after which the limit of proxy trials counts as spent.
SPENT = 8
#: Proxy trials that end without any score after which no more is asked.
FRUITLESS = 32

_ENDED = frozenset(
    {
        ObservationKind.REFUSED,
        ObservationKind.FINISHED,
        ObservationKind.INFEASIBLE,
        ObservationKind.FAILED,
        ObservationKind.CANCELLED,
    }
)


@dataclass
class Scored:
    """An architecture that was a proxy trial."""

    architecture: Architecture
    asked: set[str] = field(default_factory=set)
    values: dict[str, float] = field(default_factory=dict)
    """Finite scores by name; none while it is under way, and of one that has none."""
    violation: float = 0.0
    """Of the constraints on what a score says exactly, such as parameters."""
    ended: bool = False


@dataclass(frozen=True)
class ScoreLog:
    pool: dict[str, Scored]
    """By the key of the architecture, in the order in which they were asked."""
    accepted: frozenset[tuple[str, ...]]
    """Sets of scores that became proxy trials."""
    refused: frozenset[tuple[str, ...]]
    """Sets of scores that never did."""
    refusals: int
    """In a row, up to now, of sets that are offered."""

    @property
    def ended(self) -> int:
        return sum(each.ended for each in self.pool.values())

    @property
    def with_scores(self) -> int:
        return sum(bool(each.values) for each in self.pool.values())

    @property
    def spent(self) -> bool:
        """Whether asking for more is of no use."""
        return self.refusals >= SPENT or (self.ended >= FRUITLESS and not self.with_scores)

    def having(self, names: Sequence[str]) -> list[Scored]:
        """Those of whom all of these were asked; none where no name is given."""
        return [each for each in self.pool.values() if names and each.asked.issuperset(names)]

    def names(self, wanted: Sequence[str]) -> tuple[str, ...] | None:
        """Which of the wanted scores the evaluator offers; None while it is not known.

        A refused proposal does not say which score is at fault: so then each is asked alone.
        """
        wanted = tuple(wanted)
        if wanted in self.accepted or wanted not in self.refused:
            return wanted
        alone = [(name,) for name in wanted]
        if any(each not in self.accepted and each not in self.refused for each in alone):
            return None
        return tuple(name for (name,) in alone if (name,) in self.accepted)


def read_scores(request: ProposeRequest[Any, Any]) -> ScoreLog:
    """Needs ``capabilities.history``."""
    return gather_scores((*request.history, *request.observations), request.spec)


def gather_scores(events: Iterable[Observation], spec: SearchSpec) -> ScoreLog:
    pool: dict[str, Scored] = {}
    accepted: set[tuple[str, ...]] = set()
    refused: Counter[tuple[str, ...]] = Counter()
    refusals = 0
    for event in events:
        names = event.fidelity.proxies
        if not names or event.kind is ObservationKind.MEASURED:
            continue
        if event.kind is ObservationKind.REFUSED:
            refused[names] += 1
            if names not in accepted:
                continue
            refusals += 1
        if event.kind is ObservationKind.ACCEPTED:
            accepted.add(names)
            refusals = 0
        scored = pool.setdefault(event.architecture.key, Scored(event.architecture))
        scored.asked.update(names)
        if event.kind in _ENDED:
            scored.ended = True
            scored.values |= {name: value for name, value in event.metrics.items() if math.isfinite(value)}
            scored.violation = max(scored.violation, _finite(spec.violation(event)))
    never = {names for names, times in refused.items() if times >= NEVER and names not in accepted}
    return ScoreLog(pool, frozenset(accepted), frozenset(never), refusals)


def _finite(violation: float) -> float:
    return violation if math.isfinite(violation) else 0.0
