"""Local search with restarts.

White, Nolen and Savani, "Local Search is State of the Art for Neural Architecture Search Benchmarks", 2020.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import repeat

from archloom.strategy import Observation, Proposal

from archloom_strategies.evolution.kinds import Kind
from archloom_strategies.evolution.population import Climb, Herd, Member
from archloom_strategies.evolution.survival import crowded
from archloom_strategies.evolution.variation import TRIES, Request, children
from archloom_strategies.selection import winner


class LocalSearch(Kind):
    """From the best of some random trials to a neighbour that is better, and on from there; where no
    neighbour is, from new random trials. The members are the best of this climb.

    Of the paper's variants this is the one for large spaces: a neighbour that is better is where the climb
    goes on at once, without a look at the other neighbours first. So results may come in any order. A
    neighbour differs in one decision; those of the same network are one. A climb ends when all neighbours
    have ended; until then, random trials of the next one are proposed.

    With several objectives a neighbour is better that dominates, and restarts widen the front.
    """

    def __init__(self, request: Request, herd: Herd, climb: Climb) -> None:
        super().__init__(request, herd)
        self._under_way = dict.fromkeys(climb.under_way)
        self._climbing = False
        self._drawn = climb.drawn
        self._number = climb.number

    def ended(self, trial: Observation) -> None:
        key = trial.architecture.key
        self._climbing = key in self._under_way
        self._under_way.pop(key, None)

    def join(self, member: Member, trial: Observation) -> None:
        later = self._drawn and self.herd.members and not self._climbing
        self.gather(self.herd.ahead if later else self.herd.members, member, crowded)

    def settle(self) -> None:
        self.cull(self.herd.members, crowded)
        self.cull(self.herd.ahead, crowded)

    def rounds(self) -> Iterator[Iterator[Proposal]]:
        request, herd = self.request, self.herd
        best = self._top()
        top = repeat(best)
        # Where much is new, draws find it; the list of all neighbours may be long.
        yield children(request, herd, lambda: next(top), 0.0, 1, TRIES)
        neighbors = list(request.space.neighbors(herd.architecture(best)))
        request.rng.shuffle(neighbors)
        yield (Proposal(each, parents=(best.trial,), note="neighbour") for each in neighbors)

    def _top(self) -> Member:
        members = self.herd.members
        return members[winner([each.scores for each in members], [each.violation for each in members])]

    def used_up(self) -> bool:
        if self._under_way:
            return False
        self.herd.retire(self.herd.members)
        self.herd.members[:] = self.herd.ahead
        self.herd.ahead.clear()
        self.herd.made, self._drawn = self._drawn, 0
        self._number += 1
        return True

    def proposed(self, proposal: Proposal) -> None:
        if proposal.parents:
            self._under_way[proposal.architecture.key] = None
        elif self.herd.members and not self.herd.young:
            self._drawn += 1

    @property
    def climb(self) -> Climb:
        return Climb(
            under_way=tuple(self._under_way),
            ahead=tuple(self.herd.ahead),
            drawn=self._drawn,
            number=self._number,
        )
