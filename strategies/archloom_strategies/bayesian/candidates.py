"""Where the acquisition is looked at: the whole of a small space; in a larger one, what an evolution that
climbs it meets.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import product, takewhile
from random import Random
from typing import Any

import numpy as np
from archloom.space import Architecture, SpaceError
from archloom.space.language.domains import Choice, Uniform
from archloom.strategy import ProposeRequest
from numpy.typing import NDArray

from archloom_strategies.bayesian.process import Rows
from archloom_strategies.features import Encoded, encoder_of, yardstick_of
from archloom_strategies.networks import networks_of

#: Layers of networks that are built and encoded for one proposal, some .15 s; a network costs as much as so
#: many layers more.
WORK, OVERHEAD = 90_000, 160
LEAST, MOST = 64, 300
#: Of a space that is looked at whole: architectures, and layers in all.
WHOLE, WHOLE_WORK = 2_000, 360_000
#: Rounds of the evolution after the first, and parents of a round.
ROUNDS, PARENTS = 4, 16
#: Draws for one candidate until a new one comes.
TRIES = 4
#: How far a float is nudged, as a share of its range.
NUDGE = 0.1

Score = Callable[[Sequence[Encoded]], NDArray[np.float64]]


class Candidates:
    """Architectures that may be proposed, each network once."""

    def __init__(
        self, request: ProposeRequest[Any, Any], asked: frozenset[str], networks: Iterable[str], rng: Random
    ) -> None:
        """None of the keys ``asked``, and no network of ``networks``, is a candidate."""
        self._space = request.space
        self._encoder = encoder_of(request)
        self._rng = rng
        self._floats = {
            info.path: info.domain
            for info in (self._space.decisions() if self._space.continuous else ())
            if isinstance(info.domain, Uniform)
        }
        self._asked = asked
        self._seen = set(asked)
        self._networks = set(networks)
        self.found: list[Encoded] = []
        self._yardstick = yardstick_of(request)
        layers = self._yardstick.layers
        self.budget = int(min(MOST, max(LEAST, WORK / (layers + OVERHEAD))))
        self._looks = self.budget
        self._choices = {
            info.path: info.domain for info in self._space.decisions() if isinstance(info.domain, Choice)
        }
        self._firsts = {path: domain.at(0) for path, domain in self._choices.items()}
        self._size = None if self._space.continuous else self._space.size()
        self.small = self._size is not None and self._size <= min(WHOLE, WHOLE_WORK / (layers + OVERHEAD))

    def add(self, architectures: Iterable[Architecture]) -> None:
        """Looks at those that were not asked or met before, which is the work. Of these the new networks are
        candidates.
        """
        self._look_at([each for each in architectures if self._meet(each)])

    def _look_at(self, architectures: Sequence[Architecture]) -> None:
        for encoded in self._encoder.many(architectures):
            if encoded.network not in self._networks:
                self._networks.add(encoded.network)
                self.found.append(encoded)

    def _meet(self, architecture: Architecture) -> bool:
        """Whether it is met for the first time."""
        known = architecture.key in self._seen
        self._seen.add(architecture.key)
        return not known

    def draw(self, count: int) -> None:
        """Fills ``found`` by chance."""
        self._take(count, (self._space.sample(self._rng) for _ in range(count * TRIES)))

    def spread(self, count: int, known: Sequence[Encoded]) -> None:
        """Fills ``found`` without a score: of some random ones, those that are least like what is ``known``
        and like each other (maximin distance: Johnson, Moore and Ylvisaker, "Minimax and maximin distance
        designs", 1990).
        """
        self.draw(max(LEAST, count))
        if not self.found:
            return
        drawn = Rows.of(self.found, self._yardstick)
        nearest = np.full(len(drawn), np.inf)
        if known:
            nearest = _apart(drawn, Rows.of(known, self._yardstick)).min(1)
        chosen: list[int] = []
        while len(chosen) < min(count, len(drawn)):
            place = int(np.argmax(nearest))
            chosen.append(place)
            nearest = np.minimum(nearest, _apart(drawn, drawn.take(np.array([place])))[:, 0])
            nearest[chosen] = -1.0
        self.found = [self.found[place] for place in chosen]

    def collect(
        self, parents: Sequence[Architecture], score: Score, suggested: Iterable[Architecture] = ()
    ) -> None:
        """Fills ``found``; ``parents`` are the best trials. ``suggested`` ones are candidates without being
        met.
        """
        self.add(suggested)
        if self.small:
            self.add(self._space.enumerate())
            return
        share = self.budget // (ROUNDS + 1)
        self.draw(share)
        self._breed(parents, share)
        scores = np.zeros(0)
        for _ in range(ROUNDS - 1):
            if not self.found:
                break
            if len(scores) < len(self.found):
                scores = np.concatenate([scores, score(self.found[len(scores) :])])
            best = np.argsort(-scores, kind="stable")[:PARENTS]
            self._breed([self.found[place].architecture for place in best], share)

    def plain(self, candidate: Encoded, rerouted: bool = False) -> Architecture:
        """The same network, with the first value for each choice that makes no difference: in most spaces
        "nothing". What nothing reads may cost time nonetheless, in a table or on a device. ``rerouted``: the
        same layers may stand elsewhere, too, where fewer choices make them: not behind a skip connection
        that leads on from them, but right where that leads to.
        """
        best = self._emptied(candidate.architecture, candidate.network)
        while rerouted:
            others = (
                each
                for each in takewhile(lambda _: self._looks > 0, self._moved(best))
                if self._makes(each, candidate.network)
            )
            plainer = (self._emptied(each, candidate.network) for each in others)
            fewer = next((each for each in plainer if self._filled(each) < self._filled(best)), None)
            if fewer is None:
                break
            best = fewer
        return best

    def _emptied(self, architecture: Architecture, network: str) -> Architecture:
        best = architecture
        for path, first in self._firsts.items():
            if best.decisions.get(path, first) != first:
                other = Architecture({**best.decisions, path: first})
                if self._makes(other, network):
                    best = other
        return best

    def _moved(self, architecture: Architecture) -> Iterator[Architecture]:
        """With the value of one choice for another of its kind, whose first value it gets."""
        kinds: dict[Choice, tuple[list[str], list[str]]] = {}
        for path, domain in self._choices.items():
            if path in architecture.decisions:
                empty, filled = kinds.setdefault(domain, ([], []))
                (empty if architecture.decisions[path] == self._firsts[path] else filled).append(path)
        for empty, filled in kinds.values():
            for source, target in product(filled, empty):
                moved = {source: self._firsts[source], target: architecture.decisions[source]}
                yield Architecture({**architecture.decisions, **moved})

    def _filled(self, architecture: Architecture) -> int:
        return sum(architecture.decisions.get(path, first) != first for path, first in self._firsts.items())

    def _makes(self, architecture: Architecture, network: str) -> bool:
        """Whether it makes the network and was not asked; looks at no more than a round of candidates."""
        if self._looks <= 0 or architecture.key in self._asked:
            return False
        self._looks -= 1
        return not self._space.check(architecture) and networks_of(self._space).name(architecture) == network

    def sweep(self, limit: int = 20_000) -> bool:
        """Where draws bring nothing new, looks through the whole space for one that is; whether it was
        looked through to its end in vain.
        """
        if self._size is None or self._size > limit:
            return False
        for architecture in self._space.enumerate():
            self.add([architecture])
            if self.found:
                return False
        return True

    def _breed(self, parents: Sequence[Architecture], count: int) -> None:
        if parents:
            self._take(count, self._children(parents, count * TRIES))

    def _children(self, parents: Sequence[Architecture], count: int) -> Iterator[Architecture]:
        """One, two, ... mutations away from parents, the better the oftener; now and then of two parents."""
        for _ in range(count):
            place = min(int(self._rng.expovariate(3.0 / len(parents))), len(parents) - 1)
            child = parents[place]
            try:
                if len(parents) > 1 and self._rng.random() < 0.2:
                    child = self._space.cross(child, self._rng.choice(parents), self._rng)
                child = self._nudged(child) or self._space.mutate(child, self._rng)
                while self._rng.random() < 0.3:
                    child = self._space.mutate(child, self._rng)
            except SpaceError:
                continue  # no decision of this one has a second value that holds
            yield child

    def _nudged(self, parent: Architecture) -> Architecture | None:
        """Every other time, where a float is decided on: one moved a little. A mutation draws it anew, which
        finds the region, never the place.
        """
        paths = [path for path in self._space.continuous if path in parent.decisions]
        if not paths or self._rng.random() < 0.5:
            return None
        path = self._rng.choice(paths)
        domain, value = self._floats[path], parent.decisions[path]
        assert isinstance(value, float)
        moved = domain.value(min(1.0, max(0.0, domain.unit(value) + self._rng.gauss(0.0, NUDGE))))
        child = Architecture({**parent.decisions, path: moved})
        return None if self._space.check(child) else child

    def _take(self, count: int, architectures: Iterable[Architecture]) -> None:
        """Adds so many that are new."""
        new: list[Architecture] = []
        for architecture in architectures:
            if len(new) >= count:
                break
            if self._meet(architecture):
                new.append(architecture)
        self._look_at(new)


def _apart(one: Rows, other: Rows) -> NDArray[np.float64]:
    return np.asarray(np.sum(one.distances(other), axis=0))
