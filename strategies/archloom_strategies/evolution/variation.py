"""Children: of one parent by mutation, of two by crossover. Both keep the space's conditions."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from archloom.space import SpaceError
from archloom.strategy import Proposal, ProposeRequest

from archloom_strategies.evolution.population import Herd, Member, Population
from archloom_strategies.evolution.settings import EvolutionSettings

Request = ProposeRequest[EvolutionSettings, Population]

#: The children of a round are one mutation away from their parents, those of the next two, and so on: what
#: is near is tried first, and where all of it is known, what is further.
ROUNDS = 3
#: Children of a round: one after the other, and where a guide compares them.
TRIES, COMPARED = 8, 64
#: The chance that a child of two parents is mutated too.
MUTATED = 0.5


def rounds(
    request: Request, herd: Herd, pick: Callable[[], Member], crossing: float
) -> Iterator[Iterator[Proposal]]:
    """``pick`` chooses a parent; ``crossing`` is the chance that a child has two."""
    tries = COMPARED if request.settings.guided else TRIES
    for steps in range(1, ROUNDS + 1):
        yield children(request, herd, pick, crossing, steps, tries)


def children(
    request: Request, herd: Herd, pick: Callable[[], Member], crossing: float, steps: int, tries: int
) -> Iterator[Proposal]:
    space, rng = request.space, request.rng
    for _ in range(tries):
        parents = [pick()]
        if rng.random() < crossing:
            other = pick()
            if other.trial != parents[0].trial:
                parents.append(other)
        child = herd.architecture(parents[0])
        try:
            if len(parents) == 2:
                child = space.cross(child, herd.architecture(parents[1]), rng)
            if len(parents) == 1 or steps > 1 or rng.random() < MUTATED:
                for _ in range(steps):
                    child = space.mutate(child, rng)
        except SpaceError:
            continue  # no decision of this one has a second value that holds
        numbers = tuple(parent.trial for parent in parents)
        yield Proposal(child, parents=numbers, note="crossover" if len(parents) == 2 else "mutation")
