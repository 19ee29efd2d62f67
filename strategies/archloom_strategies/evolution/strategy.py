"""Regularized evolution: a population that forgets its oldest, a tournament, one mutation.

Real, Aggarwal, Huang and Le, "Regularized Evolution for Image Classifier Architecture Search", AAAI 2019
(algorithm 1).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, Literal

from archloom.space import Architecture, SpaceError
from archloom.strategy import (
    Capabilities,
    Observation,
    ObservationKind,
    Proposal,
    ProposeRequest,
    ProposeResult,
    SearchSpec,
    Strategy,
)
from pydantic import BaseModel, ConfigDict, Field

from archloom_strategies.enumeration import members_of
from archloom_strategies.networks import network_of
from archloom_strategies.recent import Recent
from archloom_strategies.selection import winner

#: : Fresh children for one proposal until a new one comes: the first third one mutation away from its
#: parent, then two, then three.
TRIES = 24
STEPS = 3
#: Refusals in a row after which mutations give way to other sources: the neighbourhood is used up.
STUCK = 100
#: Networks that are remembered, so that they are not proposed again.
MEMORY = 4_096


class EvolutionSettings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["auto", "regularized"] = Field(
        "auto", description="The algorithm; auto takes the one that suits the search."
    )
    population: int | None = Field(
        None, ge=1, le=10_000, description="Members; null takes a number that suits the budget."
    )
    sample: int | None = Field(
        None, ge=1, le=10_000, description="Members of a tournament; null takes half of the population."
    )


class Member(BaseModel):
    """An evaluated trial that may be a parent."""

    model_config = ConfigDict(frozen=True)

    trial: int
    scores: tuple[float, ...]
    """By objective, larger is better."""
    violation: float
    """0 where every constraint holds."""
    shape: int
    values: tuple[Any, ...]
    """Of the decisions, in the order of the paths of ``Population.shapes[shape]``."""


class Population(BaseModel):
    """The state: its size depends on the settings, never on how long the experiment runs."""

    model_config = ConfigDict(frozen=True)

    members: tuple[Member, ...] = ()
    """Oldest first."""
    shapes: tuple[tuple[str, ...], ...] = ()
    """The sets of decision paths that members have, each written once."""
    made: int = 0
    """Proposals made and not refused."""
    refused: int = 0
    """Proposals refused in a row."""
    swept: int = 0
    """How far a small space was listed when mutations gave nothing new."""
    recent: str = ""
    """What was proposed last, see ``Recent``."""


Request = ProposeRequest[EvolutionSettings, Population]


class Evolution(Strategy[EvolutionSettings, Population]):
    """The first members are random; then each child is one mutation of the winner of a tournament, and the
    oldest member goes.

    Departures from the paper, which evaluates one after the other and without limits:

    - Results come in any order and several children are made at once, from the population as it stands. A
      trial joins when it ends, so age is the order of ending.
    - A failed trial does not join. An infeasible one does, behind every feasible one and ordered by how far
      it misses (Deb's rules), so that a search which begins outside the limits finds its way in.
    - With several objectives a tournament is won by the least crowded of its non-dominated members; the
      paper has one objective.
    - A child whose network was among the last 4,096 is drawn anew, after eight tries by two mutations and
      after sixteen by three: the paper evaluates it again, the controller would refuse it. Where that
      brings nothing new, or the controller refuses 100 in a row, random draws take the place of mutations,
      and in a small space the list of what it holds, until all of it was proposed.
    """

    name = "evolution"
    version = "1"
    summary = "Ageing evolution (Real et al. 2019): tournaments, one mutation, the oldest goes."
    capabilities = Capabilities(max_objectives=0, constraints=True)

    def propose(self, request: Request) -> ProposeResult[Population]:
        before = request.state or Population()
        herd = _Herd(before, population_size(request))
        made, refused = before.made, before.refused
        for event in request.observations:
            if event.kind is ObservationKind.REFUSED and event.step:
                # Those of a strategy before this one, whose fallback it is, were not made here.
                made, refused = max(0, made - 1), refused + 1
            elif event.kind is ObservationKind.ACCEPTED:
                refused = 0
            elif event.kind in (ObservationKind.FINISHED, ObservationKind.INFEASIBLE):
                herd.join(event, request.spec)
        recent = Recent(before.recent, MEMORY)
        for event in request.of_kind(
            ObservationKind.ENQUEUED, ObservationKind.FINISHED, ObservationKind.INFEASIBLE
        ):
            recent.add(network_of(request, event.architecture))
        children, swept = _children(request, herd, recent, made, refused, before.swept)
        members = members_of(request)
        done = request.count > 0 and not children and members is not None and swept == len(members)
        state = Population(
            members=tuple(herd.members),
            shapes=tuple(herd.shapes),
            made=made + len(children),
            refused=refused,
            swept=swept,
            recent=recent.text(),
        )
        return ProposeResult(
            children,
            state=state,
            exhausted="every architecture was proposed" if done else "",
            diagnostics=herd.diagnostics() | {"refused_in_a_row": float(refused)},
        )


def population_size(request: Request) -> int:
    """As set; else 1.2 times the root of the budget, from 4 to the paper's 100, which suit its 20,000 trials.

    A short search has to leave its random start sooner: of 10 to 100 members, 20 found the best of
    NAS-Bench-201 in the fewest of 300 queries.
    """
    return request.settings.population or max(4, min(100, round(1.2 * math.sqrt(request.spec.trials))))


class _Herd:
    """The members while a step works on them."""

    def __init__(self, population: Population, size: int) -> None:
        self.size = size
        self.members = list(population.members)
        self.shapes = list(population.shapes)

    def join(self, trial: Observation, spec: SearchSpec) -> None:
        scores = spec.scores(trial)
        if not all(math.isfinite(score) for score in scores):
            return
        decisions = trial.architecture.decisions
        paths = tuple(sorted(decisions))
        if paths not in self.shapes:
            self.shapes.append(paths)
        self.members.append(
            Member(
                trial=trial.trial,
                scores=scores,
                violation=spec.violation(trial),
                shape=self.shapes.index(paths),
                values=tuple(decisions[path] for path in paths),
            )
        )
        if len(self.members) > self.size:
            del self.members[0]
            self._drop_unused_shapes()

    def _drop_unused_shapes(self) -> None:
        used = sorted({member.shape for member in self.members})
        if len(used) < len(self.shapes):
            self.shapes = [self.shapes[shape] for shape in used]
            moved = {shape: place for place, shape in enumerate(used)}
            self.members = [
                member.model_copy(update={"shape": moved[member.shape]}) for member in self.members
            ]

    def architecture(self, member: Member) -> Architecture:
        values = (tuple(value) if isinstance(value, list) else value for value in member.values)
        return Architecture(dict(zip(self.shapes[member.shape], values, strict=True)))

    def tournament(self, request: Request) -> Member:
        sample = request.settings.sample or max(2, self.size // 2)
        contestants = request.rng.sample(self.members, min(sample, len(self.members)))
        best = winner([member.scores for member in contestants], [member.violation for member in contestants])
        return contestants[best]

    def diagnostics(self) -> dict[str, float]:
        feasible = [member for member in self.members if member.violation == 0]
        numbers = {"population": float(len(self.members)), "feasible": float(len(feasible))}
        if feasible:
            numbers["best_score"] = max(member.scores[0] for member in feasible)
        return numbers


def _children(
    request: Request, herd: _Herd, recent: Recent, made: int, refused: int, swept: int
) -> tuple[list[Proposal], int]:
    """Up to ``request.count`` new proposals, and how far a small space is listed now."""
    members = members_of(request)
    children: list[Proposal] = []
    for _ in range(request.count):
        young = max(made + len(children), len(herd.members)) < herd.size
        candidates = _bred(request, herd, young=young, stuck=refused >= STUCK)
        child = next(
            (each for each in candidates if recent.add(network_of(request, each.architecture))), None
        )
        while child is None and members is not None and swept < len(members):
            if recent.add(network_of(request, members[swept])):
                child = Proposal(members[swept], note="listed")
            swept += 1
        if child is not None:
            children.append(child)
    return children, swept


def _bred(request: Request, herd: _Herd, *, young: bool, stuck: bool) -> Iterator[Proposal]:
    """Candidates for one proposal; the caller takes the first that is new."""
    if stuck and members_of(request) is not None:
        return
    if not young and not stuck and herd.members:
        for attempt in range(TRIES):
            parent = herd.tournament(request)
            child = herd.architecture(parent)
            try:
                for _ in range(1 + STEPS * attempt // TRIES):
                    child = request.space.mutate(child, request.rng)
            except SpaceError:
                # No decision of this parent has a second value that holds.
                continue
            yield Proposal(child, parents=(parent.trial,), note="mutation")
    for _ in range(TRIES):
        yield Proposal(request.space.sample(request.rng), note="random")
