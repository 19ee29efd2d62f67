"""What the algorithms have in common, and the two whose population is one that breeds."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator

from archloom.strategy import Observation, Proposal

from archloom_strategies.evolution.population import Climb, Herd, Member
from archloom_strategies.evolution.survival import Standing, Standings, cull
from archloom_strategies.evolution.variation import Request, rounds
from archloom_strategies.selection import winner

#: Members beyond the population until the worst go before all events were told: a step tells of thousands of
#: trials where a search is taken over, and standings cost their square.
GATHERED = 64


class Kind(ABC):
    """An algorithm while a step works: who becomes a member, who stays one, and what is tried next."""

    def __init__(self, request: Request, herd: Herd) -> None:
        self.request = request
        self.herd = herd

    @abstractmethod
    def join(self, member: Member, trial: Observation) -> None:
        """A trial ended with numbers."""

    def ended(self, trial: Observation) -> None:  # noqa: B027 - most kinds need none
        """A trial ended in any way, or the proposal was refused; told before ``join``."""

    def settle(self) -> None:  # noqa: B027
        """All events of the step were told."""

    @abstractmethod
    def rounds(self) -> Iterator[Iterator[Proposal]]:
        """Candidates for one proposal, the preferred round first. There is a member."""

    def used_up(self) -> bool:
        """No round had anything new. Whether it began anew somewhere else."""
        return False

    def proposed(self, proposal: Proposal) -> None:  # noqa: B027
        """One was taken."""

    @property
    def climb(self) -> Climb:
        return Climb()

    def gather(self, members: list[Member], member: Member, standings: Standings) -> None:
        """Takes it in, where the best stay."""
        members.append(member)
        if len(members) >= self.herd.size + GATHERED:
            self.cull(members, standings)

    def cull(self, members: list[Member], standings: Standings) -> None:
        """Down to the population's size."""
        self.herd.retire(cull(members, self.herd.size, standings))


class Ageing(Kind):
    """Real, Aggarwal, Huang and Le, "Regularized Evolution for Image Classifier Architecture Search", AAAI
    2019 (algorithm 1): a tournament, one mutation, and the oldest goes, whatever its worth.

    Results come in any order, so age is the order of ending. With several objectives a tournament is won by
    the least crowded of its non-dominated members; the paper has one objective.
    """

    def join(self, member: Member, trial: Observation) -> None:
        self.herd.members.append(member)
        if len(self.herd.members) > self.herd.size:
            self.herd.retire([self.herd.members.pop(0)])

    def rounds(self) -> Iterator[Iterator[Proposal]]:
        return rounds(self.request, self.herd, self._tournament, crossing=0.0)

    def _tournament(self) -> Member:
        members, request = self.herd.members, self.request
        sample = min(request.settings.sample_for(request.spec), len(members))
        contestants = request.rng.sample(members, sample)
        best = winner([member.scores for member in contestants], [member.violation for member in contestants])
        return contestants[best]


class Elitist(Kind):
    """NSGA-II and NSGA-III, by their standings: parents win tournaments, every other child has two
    parents, and the worst goes.

    In the papers a whole generation is made, then evaluated, then thinned out. Here each trial joins when it
    ends and one goes for it (Nebro and Durillo, "On the Effect of the Steady-State Selection Scheme in
    Multi-Objective Genetic Algorithms", 2009), so that nothing waits for the slowest trial.
    """

    CROSSING = 0.5
    """The papers' 0.9 is for long runs: of 100 trials, mutations need their share."""

    def __init__(self, request: Request, herd: Herd, standings: Standings) -> None:
        super().__init__(request, herd)
        self._standings = standings
        self._standing: dict[int, Standing] = {}

    def join(self, member: Member, trial: Observation) -> None:
        self.gather(self.herd.members, member, self._standings)

    def settle(self) -> None:
        members = self.herd.members
        self.cull(members, self._standings)
        found = self._standings(members)
        self._standing = {id(member): each for member, each in zip(members, found, strict=True)}

    def rounds(self) -> Iterator[Iterator[Proposal]]:
        return rounds(self.request, self.herd, self._tournament, self.CROSSING)

    def _tournament(self) -> Member:
        members, request = self.herd.members, self.request
        sample = min(request.settings.sample_for(request.spec), len(members))
        return max(request.rng.sample(members, sample), key=lambda member: self._standing[id(member)])
