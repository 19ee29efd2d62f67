"""Grid search: every member of a space once, evenly or as they are numbered, at the same cost for each."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from functools import lru_cache
from typing import Literal

from archloom.space import Architecture, Space, SpaceError
from archloom.space.decisions.choices import Decisions
from archloom.strategy import (
    Capabilities,
    Fidelity,
    Proposal,
    ProposeRequest,
    ProposeResult,
    SearchSpec,
    Strategy,
    Violation,
)
from pydantic import BaseModel, ConfigDict, Field

from archloom_strategies.grid.points import with_points
from archloom_strategies.grid.turns import Turns
from archloom_strategies.networks import network_of

Order = Literal["even", "enumeration"]

#: Numbers that one step looks at; where most are no members, it then gives fewer proposals.
LOOKED_AT = 1_000
#: Numbers that it looks at while it has none, some twenty seconds in a deep space; then it gives up.
LOOKED_FOR = 20_000
#: Times the budget that a grid in the order of the enumeration may have.
TOO_LARGE = 100


class GridSettings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    order: Order = Field(
        "even",
        description="In which order members come: each decision's values in turn, or as they are numbered.",
    )
    points: int = Field(5, ge=1, le=1_000, description="Values of each float, from its low to its high end.")


class GridState(BaseModel):
    model_config = ConfigDict(frozen=True)

    key: int
    """Drawn in the first step; what the order of turns is made from."""
    next: int = 0
    """How many numbers of the order were looked at."""


Request = ProposeRequest[GridSettings, GridState]


class Grid(Strategy[GridSettings, GridState]):
    """Proposes what comes next in the order and is new: what does not fit or breaks a constraint is left
    out, and so is what makes the network of an earlier whole trial with the same recipe, whoever brought it.

    Results do not matter to it. In the order ``even``, the default, any first part of the grid has the values
    of each decision about equally often (``turns``). ``enumeration`` would only see the first corner of a
    space that is much larger than the budget, and is refused there.
    """

    name = "grid"
    version = "2"
    summary = "Every member of the space once, in an order that is even in each decision."
    capabilities = Capabilities(max_objectives=0, constraints=True, history=True)

    def check(self, spec: SearchSpec, settings: GridSettings) -> Iterable[Violation]:
        size = members_of(spec.space, settings.points).count
        if settings.order == "enumeration" and spec.trials and size > TOO_LARGE * spec.trials:
            yield Violation(
                "settings.order",
                f"the grid has over {TOO_LARGE} members for each of the {spec.trials} trials: in the order "
                "of the enumeration all of these would share their first decisions; take even",
            )

    def propose(self, request: Request) -> ProposeResult[GridState]:
        before = request.state or GridState(key=request.rng.getrandbits(64))
        if not request.count:
            return ProposeResult(state=before)
        members = members_of(request.space, request.settings.points)
        asked = _asked(request)
        found: list[Architecture] = []
        place = before.next
        while place < members.count and len(found) < request.count:
            if place - before.next >= (LOOKED_AT if found else LOOKED_FOR):
                break
            member = members.at(place, before.key if request.settings.order == "even" else None)
            place += 1
            if member is not None and (network := network_of(request, member)) not in asked:
                asked.add(network)
                found.append(member)
        return ProposeResult(
            [Proposal(member) for member in found],
            state=GridState(key=before.key, next=place),
            exhausted="" if found else _end(place, members.count),
            diagnostics={"share_seen": place / members.count},
        )


def _asked(request: Request) -> set[str]:
    """Networks of whole trials, and of refused proposals."""
    found = set()
    for event in (*request.history, *request.observations):
        if event.fidelity in (request.spec.fidelity, Fidelity()):
            # What a strategy before this one proposed, and was refused, need not be of the space.
            with suppress(SpaceError):
                found.add(network_of(request, event.architecture))
    return found


def _end(place: int, count: int) -> str:
    if place == count:
        return "every member of the grid was proposed"
    return f"of {LOOKED_FOR:,} numbers in a row none is a new member of the space; take random for it"


class Members:
    """The members of a space, each float at so many points."""

    def __init__(self, space: Space, points: int) -> None:
        self._space = space
        self._tree = with_points(space.choices, points)
        self._turns = Turns(self._tree)
        self.count = self._tree.count
        """With those that do not fit or break a constraint."""

    def at(self, place: int, key: int | None) -> Architecture | None:
        """In the even order of a key, or as they are numbered; None where it does not fit or breaks a
        constraint.
        """
        if key is not None:
            found = Architecture(self._turns.member(place, key))
        else:
            decided: Decisions = {}
            self._tree.at(place, None, decided)
            found = Architecture(decided)
        return found if self._space.holds(found) else None


members_of = lru_cache(maxsize=4)(Members)
