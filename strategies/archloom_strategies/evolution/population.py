"""The evaluated trials that a search goes on from, and the state that holds them."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from archloom.space import Architecture
from archloom.strategy import Observation, ObservationKind, SearchSpec
from pydantic import BaseModel, ConfigDict

from archloom_strategies.trials import TELLING

#: Trials outside of the population that a guide learns from.
REMEMBERED = 150


class Member(BaseModel):
    """An ended trial."""

    model_config = ConfigDict(frozen=True)

    trial: int
    scores: tuple[float, ...]
    """By objective, larger is better; empty where it failed by its own fault."""
    violation: float
    """0 where every constraint holds."""
    shape: int
    values: tuple[Any, ...]
    """Of the decisions, in the order of the paths of ``Population.shapes[shape]``."""


class Climb(BaseModel):
    """Of a local search: the climb that it is in. What is not of this climb is of the next one."""

    model_config = ConfigDict(frozen=True)

    under_way: tuple[str, ...] = ()
    """Keys of its architectures that have not ended."""
    ahead: tuple[Member, ...] = ()
    """Random trials that ended while it waited: the next climb's start."""
    drawn: int = 0
    """Random trials proposed for that."""
    number: int = 0


class Population(BaseModel):
    """The state: its size depends on the settings, never on how long the experiment runs."""

    model_config = ConfigDict(frozen=True)

    members: tuple[Member, ...] = ()
    """Oldest first."""
    others: tuple[Member, ...] = ()
    """Ended trials that are no members, oldest first, for a guide to learn from; empty without one."""
    shapes: tuple[tuple[str, ...], ...] = ()
    """The sets of decision paths that members have, each written once."""
    made: int = 0
    """Proposals made and not refused."""
    refused: int = 0
    """Proposals refused in a row."""
    swept: int = 0
    """How far a small space was listed when nothing else was new."""
    recent: str = ""
    """What was proposed last, see ``Recent``."""
    climb: Climb = Climb()


class Herd:
    """A population while a step works on it."""

    def __init__(self, population: Population, size: int, start: int, remembered: int) -> None:
        self.size = size
        self.start = start
        self.members = list(population.members)
        self.others = list(population.others)
        self.ahead = list(population.climb.ahead)
        self.made = population.made
        self._remembered = remembered
        self._shapes = list(population.shapes)

    @property
    def young(self) -> bool:
        """Random trials are still wanted. What is under way counts, and what others brought."""
        return max(self.made, len(self.members)) < self.start

    def member(self, trial: Observation, spec: SearchSpec) -> Member | None:
        """The trial as a member; None for one that says nothing of its architecture."""
        scores: tuple[float, ...] = ()
        if trial.kind is not ObservationKind.FAILED:
            scores = spec.scores(trial)
            if not all(math.isfinite(score) for score in scores):
                scores = ()
        elif trial.failure not in TELLING:
            return None
        decisions = trial.architecture.decisions
        paths = tuple(sorted(decisions))
        if paths not in self._shapes:
            self._shapes.append(paths)
        return Member(
            trial=trial.trial,
            scores=scores,
            violation=spec.violation(trial),
            shape=self._shapes.index(paths),
            values=tuple(decisions[path] for path in paths),
        )

    def forget(self, member: Member) -> None:
        """What was known of the same architecture, which was evaluated again."""
        for kept in (self.members, self.others, self.ahead):
            kept[:] = [
                each for each in kept if each.shape != member.shape or not _equal(each.values, member.values)
            ]

    def retire(self, members: Iterable[Member]) -> None:
        """They are members no longer; a guide still learns from the last of them."""
        self.others.extend(members)
        del self.others[: max(0, len(self.others) - self._remembered)]

    def shapes(self) -> tuple[tuple[str, ...], ...]:
        """Those in use; the members' numbers are set to them."""
        every = (self.members, self.others, self.ahead)
        used = sorted({member.shape for kept in every for member in kept})
        if len(used) < len(self._shapes):
            moved = {shape: place for place, shape in enumerate(used)}
            for kept in every:
                kept[:] = [each.model_copy(update={"shape": moved[each.shape]}) for each in kept]
            self._shapes = [self._shapes[shape] for shape in used]
        return tuple(self._shapes)

    def architecture(self, member: Member) -> Architecture:
        values = (_literal(value) for value in member.values)
        return Architecture(dict(zip(self._shapes[member.shape], values, strict=True)))

    def diagnostics(self) -> dict[str, float]:
        feasible = [member for member in self.members if member.violation == 0]
        numbers = {"population": float(len(self.members)), "feasible": float(len(feasible))}
        if feasible:
            numbers["best_score"] = max(member.scores[0] for member in feasible)
        return numbers


def _literal(value: Any) -> Any:
    """JSON has no tuples."""
    return tuple(value) if isinstance(value, list) else value


def _equal(one: tuple[Any, ...], other: tuple[Any, ...]) -> bool:
    return all(_literal(mine) == _literal(its) for mine, its in zip(one, other, strict=True))
