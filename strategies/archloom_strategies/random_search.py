"""Random search: the baseline that every other strategy has to beat.

Li and Talwalkar, "Random Search and Reproducibility for Neural Architecture Search", UAI 2019.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from archloom.space import Architecture
from archloom.strategy import Capabilities, Proposal, ProposeRequest, ProposeResult, Strategy
from pydantic import BaseModel, ConfigDict, Field

from archloom_strategies.enumeration import members_of

#: Draws for one proposal until a new one comes; then what is left of a small space is listed, and a large
#: space gives one proposal fewer.
TRIES = 64


class RandomSettings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    sampling: Literal["decisions", "architectures"] = Field(
        "decisions",
        description="What is uniform: each decision as it becomes reachable, or the architectures.",
    )


class Drawn(BaseModel):
    """What a small space has given already: bit i of ``members`` (hex) is architecture i of the
    enumeration.
    """

    model_config = ConfigDict(frozen=True)

    members: str = "0"


class RandomSearch(Strategy[RandomSettings, Drawn]):
    """Independent uniform draws.

    The distribution is the one the controller draws its controls from: uniform, without repeats. In a space
    of at most 4,096 architectures the state remembers what was proposed, as a bit map of constant size, and
    the strategy says when everything was. In a larger space it keeps no state: a repeat is rare there, the
    controller refuses it, and another is drawn in the next step. A state of all proposals would grow with
    the experiment, and so would the cost of each step.
    """

    name = "random"
    version = "1"
    summary = "Independent uniform draws from the space; the baseline."
    capabilities = Capabilities(max_objectives=0, constraints=True)

    def propose(self, request: ProposeRequest[RandomSettings, Drawn]) -> ProposeResult[Drawn]:
        members = members_of(request)
        if members is not None:
            return _from_small(request, members)
        drawn: dict[str, Architecture] = {}
        for _ in range(request.count):
            for _ in range(TRIES):
                architecture = _draw(request)
                if architecture.key not in drawn:
                    drawn[architecture.key] = architecture
                    break
        return ProposeResult(_proposals(drawn.values()))


def _from_small(
    request: ProposeRequest[RandomSettings, Drawn], members: tuple[Architecture, ...]
) -> ProposeResult[Drawn]:
    places = request.derived("places", lambda: {each.key: place for place, each in enumerate(members)})
    seen = int(request.state.members, 16) if request.state else 0
    drawn: list[Architecture] = []
    while len(drawn) < request.count and seen.bit_count() < len(members):
        place = _unseen(request, places, seen)
        seen |= 1 << place
        drawn.append(members[place])
    exhausted = "" if drawn or seen.bit_count() < len(members) else "every architecture was proposed"
    return ProposeResult(_proposals(drawn), state=Drawn(members=f"{seen:x}"), exhausted=exhausted)


def _unseen(request: ProposeRequest[RandomSettings, Drawn], places: dict[str, int], seen: int) -> int:
    """The place of an architecture that was not drawn before: rejection first, since it keeps the
    distribution exact.
    """
    for _ in range(TRIES):
        place = places[_draw(request).key]
        if not seen >> place & 1:
            return place
    return request.rng.choice([place for place in places.values() if not seen >> place & 1])


def _draw(request: ProposeRequest[RandomSettings, Drawn]) -> Architecture:
    return request.space.sample(request.rng, uniform=request.settings.sampling)


def _proposals(architectures: Iterable[Architecture]) -> list[Proposal]:
    return [Proposal(architecture) for architecture in architectures]
