"""Who stays in a population, and who of it has children.

Each kind gives its members a standing, larger is better; the worst goes when there are too many, and
tournaments are won by the best.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from archloom_strategies.evolution.population import Member
from archloom_strategies.evolution.references import directions, niches
from archloom_strategies.selection import crowding, fronts

Standing = tuple[float, ...]
Standings = Callable[[Sequence[Member]], list[Standing]]


def crowded(members: Sequence[Member]) -> list[Standing]:
    """NSGA-II: by front, in a front by the room around a member. Deb's rules for constraints."""
    numbers = _fronts(members)
    found: list[Standing] = [()] * len(members)
    for front in sorted(set(numbers)):
        places = [place for place, number in enumerate(numbers) if number == front]
        room = crowding([members[place].scores for place in places])
        for place, around in zip(places, room, strict=True):
            found[place] = (-float(front), around)
    return found


def referenced(size: int) -> Standings:
    """NSGA-III for a population of ``size``: by front, in a front by how few members share a reference
    direction, of these by how near to it a member is.

    The paper fills a new generation from the emptiest niches; taking one out of the fullest is the same,
    told for one trial at a time.
    """

    def standings(members: Sequence[Member]) -> list[Standing]:
        if not members:
            return []
        numbers = _fronts(members)
        scores = [member.scores for member in members]
        lines = directions(len(scores[0]), size)
        first = [each for each, number in zip(scores, numbers, strict=True) if number == 0]
        nearest, off = niches(scores, first, lines)
        found: list[Standing] = [()] * len(members)
        sharing: Counter[int] = Counter()
        for front in sorted(set(numbers)):
            places = [place for place, number in enumerate(numbers) if number == front]
            sharing.update(int(nearest[place]) for place in places)
            for place in places:
                found[place] = (-float(front), -float(sharing[int(nearest[place])]), -float(off[place]))
        return found

    return standings


def _fronts(members: Sequence[Member]) -> list[int]:
    return fronts([each.scores for each in members], [each.violation for each in members])


def cull(members: list[Member], size: int, standings: Standings) -> list[Member]:
    """Takes out the worst, one at a time, until ``size`` are left, and returns them. Of equals the oldest
    goes.
    """
    gone = []
    while len(members) > size:
        found = standings(members)
        gone.append(members.pop(min(range(len(members)), key=lambda place: found[place])))
    return gone
