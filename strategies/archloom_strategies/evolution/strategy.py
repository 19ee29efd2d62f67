"""Evolution: members, children of members, and a rule for who stays; which, the kind says."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice

from archloom.strategy import Capabilities, ObservationKind, Proposal, ProposeResult, Strategy

from archloom_strategies.enumeration import members_of
from archloom_strategies.evolution.climbing import LocalSearch
from archloom_strategies.evolution.credit import LEAST, Credit, targets_of
from archloom_strategies.evolution.kinds import Ageing, Elitist, Kind
from archloom_strategies.evolution.population import REMEMBERED, Herd, Population
from archloom_strategies.evolution.settings import EvolutionSettings
from archloom_strategies.evolution.survival import crowded, referenced
from archloom_strategies.evolution.variation import COMPARED, Request
from archloom_strategies.networks import network_of
from archloom_strategies.recent import Recent

__all__ = ["Evolution", "Population", "Request"]

#: Random draws for one proposal until a new one comes.
DRAWS = 24
#: Where a guide picks the children, every so-many-th proposal is a random draw, a "random immigrant"
#: (Grefenstette, "Genetic algorithms for changing environments", 1992): a few members and a guide that
#: believes in them would else never leave a hill that is the wrong one.
IMMIGRANT_EVERY = 4
#: Refusals in a row after which children give way to other sources: the neighbourhood is used up.
STUCK = 100
#: Networks that are remembered, so that they are not proposed again.
MEMORY = 4_096

#: How a trial, or a proposal, comes to its end.
ENDS = (
    ObservationKind.FINISHED,
    ObservationKind.INFEASIBLE,
    ObservationKind.FAILED,
    ObservationKind.CANCELLED,
    ObservationKind.REFUSED,
)


class Evolution(Strategy[EvolutionSettings, Population]):
    """The first trials are random; then children of members are tried.

    Of all kinds:

    - Results come in any order and several children are made at once, from the population as it stands.
    - Trials of users, or of a strategy before this one, are members like its own.
    - A failed trial does not become a member. An infeasible one does, behind every feasible one and ordered
      by how far it misses (Deb's rules), so that a search which begins outside the limits finds its way in.
    - A child whose network was among the last 4,096 is passed over. Where children bring nothing new, or the
      controller refuses 100 in a row, random draws take their place, and in a small space the list of what
      it holds, until all of it was proposed.
    """

    name = "evolution"
    version = "2"
    summary = (
        "Evolution guided by which decisions did well; or regularized, NSGA-II, NSGA-III, or a local search."
    )
    capabilities = Capabilities(max_objectives=0, constraints=True)
    state_version = 2

    def propose(self, request: Request) -> ProposeResult[Population]:
        step = _Step(request, request.state or Population())
        step.listen()
        children = step.children()
        return ProposeResult(
            children,
            state=step.state(),
            exhausted="every architecture was proposed" if step.over and not children else "",
            diagnostics=step.diagnostics(),
        )

    def load_state(self, version: int, data: bytes) -> Population:
        """Layout 1 lacked what has a default now: the other trials and the climb."""
        return super().load_state(self.state_version if version == 1 else version, data)


class _Step:
    def __init__(self, request: Request, before: Population) -> None:
        settings, spec = request.settings, request.spec
        self.request = request
        remembered = REMEMBERED if settings.guided else 0
        self.herd = Herd(before, settings.population_for(spec), settings.start_for(spec), remembered)
        self.kind = _kind(request, self.herd, before)
        self.refused = before.refused
        self.swept = before.swept
        self.recent = Recent(before.recent, MEMORY)
        self.over = False
        self._members = members_of(request)
        self._credit: Credit | None = None

    def listen(self) -> None:
        for event in self.request.observations:
            if event.kind in ENDS:
                self.kind.ended(event)
            if event.kind is ObservationKind.REFUSED and event.step:
                # Those of a strategy before this one, whose fallback it is, were not made here.
                self.herd.made, self.refused = max(0, self.herd.made - 1), self.refused + 1
            elif event.kind is ObservationKind.ACCEPTED:
                self.refused = 0
            elif event.kind is ObservationKind.ENQUEUED:
                self.recent.add(network_of(self.request, event.architecture))
            elif event.kind in (ObservationKind.FINISHED, ObservationKind.INFEASIBLE, ObservationKind.FAILED):
                self.recent.add(network_of(self.request, event.architecture))
                member = self.herd.member(event, self.request.spec)
                if member is not None and member.scores:
                    self.herd.forget(member)
                    self.kind.join(member, event)
                elif member is not None:
                    self.herd.retire([member])
        self.kind.settle()

    def children(self) -> list[Proposal]:
        """Up to ``request.count`` new proposals."""
        self._credit = self._learned() if self.request.count else None
        found: list[Proposal] = []
        while len(found) < self.request.count and (child := self._child()) is not None:
            self.kind.proposed(child)
            self.herd.made += 1
            found.append(child)
        self.over = self.request.count > 0 and self._members is not None and self.swept == len(self._members)
        return found

    def _child(self) -> Proposal | None:
        """Of the first source that has something new."""
        stuck = self.refused >= STUCK
        immigrant = self.request.settings.guided and self.herd.made % IMMIGRANT_EVERY == 0
        sources = [] if stuck else [self._bred]
        if not stuck or self._members is None:
            sources.insert(0 if immigrant else len(sources), self._drawn)
        return next((child for source in (*sources, self._listed) if (child := source()) is not None), None)

    def _bred(self) -> Proposal | None:
        while not self.herd.young and self.herd.members:
            for candidates in self.kind.rounds():
                if (child := self._first_new(self._ordered(candidates))) is not None:
                    return child
            if not self.kind.used_up():
                break
        return None

    def _drawn(self) -> Proposal | None:
        drawn = (self.request.space.sample(self.request.rng) for _ in range(DRAWS))
        return self._first_new(Proposal(each, note="random") for each in drawn)

    def _listed(self) -> Proposal | None:
        while self._members is not None and self.swept < len(self._members):
            listed = Proposal(self._members[self.swept], note="listed")
            self.swept += 1
            if self._first_new([listed]) is not None:
                return listed
        return None

    def _first_new(self, candidates: Iterable[Proposal]) -> Proposal | None:
        """The first whose network is new, which is remembered from now on."""
        return next(
            (each for each in candidates if self.recent.add(network_of(self.request, each.architecture))),
            None,
        )

    def _ordered(self, candidates: Iterator[Proposal]) -> Iterator[Proposal]:
        """The most creditable of some first, where there is a guide."""
        if self._credit is None:
            yield from candidates
            return
        while some := list(islice(candidates, COMPARED)):
            order = self._credit.ordered([each.architecture for each in some], self.request.rng)
            yield from (some[place] for place in order)

    def _learned(self) -> Credit | None:
        herd, request = self.herd, self.request
        seen = [*herd.members, *herd.ahead, *herd.others]
        if not request.settings.guided or herd.young or len(seen) < LEAST:
            return None
        architectures = [herd.architecture(member) for member in seen]
        return Credit(request.space, architectures, targets_of(seen, len(request.spec.objectives)))

    def state(self) -> Population:
        herd = self.herd
        shapes = herd.shapes()  # before the members, whose numbers it sets
        return Population(
            members=tuple(herd.members),
            others=tuple(herd.others),
            shapes=shapes,
            made=herd.made,
            refused=self.refused,
            swept=self.swept,
            recent=self.recent.text(),
            climb=self.kind.climb,
        )

    def diagnostics(self) -> dict[str, float]:
        return self.herd.diagnostics() | {"refused_in_a_row": float(self.refused)}


def _kind(request: Request, herd: Herd, before: Population) -> Kind:
    match request.settings.kind_for(request.spec):
        case "regularized":
            return Ageing(request, herd)
        case "nsga2":
            return Elitist(request, herd, crowded)
        case "nsga3":
            return Elitist(request, herd, referenced(herd.size))
        case "local-search":
            return LocalSearch(request, herd, before.climb)
