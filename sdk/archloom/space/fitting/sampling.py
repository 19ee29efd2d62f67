"""Drawing from what fits and keeps the constraints, and telling how much of a space that is.

Where a few hundred draws find members, draws that miss are thrown away: what is left is exactly uniform.
Where they find almost none, a space of at most ``_LISTED`` architectures whose constraints read no network is
looked at as a whole, once: its members are listed, and draws from the list are exact too.

Else subset simulation (Au and Beck 2001) leads to them. Of ``_PARTICLES`` draws the
quarter that misses the constraints least is kept, and grown to as many again by Markov chains that never miss
by more; and so on, until a quarter keeps the constraints. The share of each step multiplies to the share of
the space. The members found so are a pool; a sample starts at one of them and is moved within the
constraints: ``_MOVES`` times, or as often as lets ``_ACCEPTED`` moves succeed, up to ``_MOST_MOVES``. The
number is found once for a space; to stop a chain by what it met would favour what it leaves easily.

A move draws each decision again with a small probability, as the draw itself would, together with what
becomes reachable. That keeps the distribution of "decisions"; for "architectures" it is accepted as
Metropolis and Hastings (1970) have it, by how many values the decisions had. So the chain leads to the
uniform distribution on what it can reach. A sample is nearer to that the more moves succeed; members that no
move connects with those of the pool are never drawn, and islands of members are drawn as often as the pool
holds them, not by their size.

The pool is drawn by a generator of its own, once for a space: a sample depends on the generator given, and on
nothing that was drawn before.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from itertools import accumulate
from random import Random
from typing import Literal, NamedTuple

from archloom.space.decisions.choices import Decisions, Tree
from archloom.space.fitting.fitting import Fitting
from archloom.space.language.domains import Domain, literal_key

Uniform = Literal["decisions", "architectures"]

MAX_TRIES = 1_000
"""How often a draw is repeated where nothing is known of what is left."""
_TRIAL_DRAWS = 500
_TRIAL_HITS = 5  # so many hits among those, and misses are thrown away
_PARTICLES = 128
_KEPT = _PARTICLES // 4
_RUNS = 4
_MAX_LEVELS = 60
_MOST_STUCK = 3
_MOVES, _MOST_MOVES = 60, 300
_ACCEPTED = 20
_WATCHED = 100  # moves, to see how many succeed
_WALKED = 10  # moves at a time, to meet more members
_LISTED = 100_000
_NORMAL = 1.96
_STUDENT = 3.18  # 95%, with as many degrees of freedom as there are runs but one


@dataclass(frozen=True)
class SizeEstimate:
    """How many architectures fit and keep the constraints, with a 95% interval; floats count 1.

    ``share`` is their part of all ``Space.size()``; ``exact`` where all were looked at.
    """

    size: int
    low: int
    high: int
    share: float
    exact: bool


class _Share(NamedTuple):
    """An estimate and its 95% interval."""

    middle: float
    low: float
    high: float

    def __str__(self) -> str:
        if self.high == 0:
            return "nothing"
        if self.middle == 0:
            return f"at most about {100 * self.high:.1g}%"
        return f"about {100 * self.middle:.2g}% ({100 * self.low:.2g}% to {100 * self.high:.2g}%)"


class _Particle(NamedTuple):
    miss: float
    decisions: Decisions


class _Descent(NamedTuple):
    """``error``: of the share, relative, squared (Au and Beck 2001, equation 29, for independent draws)."""

    share: float
    error: float
    members: list[Decisions]


class _Pilot(NamedTuple):
    share: _Share
    members: Sequence[Decisions] = ()  # none where draws that miss are thrown away
    moves: int = 0  # from a member, until it is a sample
    weights: Sequence[float] | None = None  # added up, where all members are known


class Sampler:
    """Samples of one space. Stateless but for what it learns of the space by generators of its own."""

    def __init__(self, tree: Tree, fitting: Fitting) -> None:
        self._tree = tree
        self._fitting = fitting
        self._pilots: dict[Uniform, _Pilot] = {}
        self._rates: tuple[float, ...] = ()

    def sample(self, rng: Random, uniform: Uniform) -> Decisions | None:
        """Decisions that fit and keep the constraints; None where there seem to be none."""
        tries = MAX_TRIES
        if self._fitting.constrained:
            pilot = self.pilot(uniform)
            if pilot.weights:
                return rng.choices(pilot.members, cum_weights=pilot.weights)[0].copy()
            if pilot.members:
                return self._moved(rng, uniform, pilot)
            if pilot.share.middle == 0:
                return None
            tries += int(20 / pilot.share.middle)
        for _ in range(tries):
            out = self._draw(rng, uniform)
            if self._fitting.holds(out):
                return out
        return None

    def left(self, uniform: Uniform) -> str:
        """The share of what is drawn that fits and keeps the constraints, in words."""
        if self._fitting.constrained:
            return str(self.pilot(uniform).share)
        return str(_Share(0.0, 0.0, 3 / MAX_TRIES))  # the rule of three

    def estimate(self, rng: Random, draws: int) -> SizeEstimate:
        """The number of members; all are looked at where they are no more than ``draws``, or few of many can
        be listed. Never less than the members found.
        """
        total = self._tree.count
        if total <= draws:
            return _counted(sum(1 for _ in self._all_members()), total)
        members = [out for _ in range(draws) if self._fitting.holds(out := self._draw(rng, "architectures"))]
        hits = len(members)
        share = _wilson(hits, draws)
        if hits < 3 and self._fitting.constrained:
            if self._listed is not None:
                return _counted(len(self._listed), total)
            share, found = self._descents(rng, "architectures", hits, draws)
            members += found + self._met(rng, found)
        known = len({self._discrete(member) for member in members})
        size, low, high = (max(known, round(Fraction(part) * total)) for part in share)
        return SizeEstimate(size, low, high, share.middle, False)

    def _all_members(self) -> Iterator[Decisions]:
        for index in range(self._tree.count):
            out: Decisions = {}
            self._tree.at(index, None, out)
            if self._fitting.holds(out):
                yield out

    @cached_property
    def _listed(self) -> list[Decisions] | None:
        """All members, where these can be found at once."""
        if self._tree.count > _LISTED or self._fitting.measured:
            return None
        if any(domain.count is None for _, domain, _ in self._tree.conditions(())):
            return None
        return list(self._all_members())

    def _met(self, rng: Random, members: Sequence[Decisions]) -> list[Decisions]:
        """More members, by a walk that begins anew at times."""
        met = []
        for _ in range(_WATCHED if members else 0):
            particle = _Particle(0.0, members[rng.randrange(len(members))])
            for _ in range(_WALKED):
                particle = self._move(rng, "architectures", particle, 0.0)
                met.append(particle.decisions)
        return met

    def _discrete(self, decisions: Decisions) -> frozenset[tuple[str, object]]:
        """What a size counts of them."""
        domains = self._tree.reachable(decisions)
        return frozenset(
            [(path, literal_key(decisions[path])) for path, domain in domains if domain.count is not None]
        )

    def pilot(self, uniform: Uniform) -> _Pilot:
        """What the constraints leave, found once, by a generator of its own."""
        found = self._pilots.get(uniform)
        if found is None:
            rng = Random(f"pilot {uniform}")
            hits = draws = 0
            while draws < _TRIAL_DRAWS and hits < _TRIAL_HITS:
                draws += 1
                hits += self._fitting.holds(self._draw(rng, uniform))
            if hits == _TRIAL_HITS:
                found = _Pilot(_wilson(hits, draws))
            elif self._listed is not None:
                found = self._weighed(self._listed, uniform)
            else:
                share, members = self._descents(rng, uniform, hits, draws)
                found = _Pilot(share, members, self._enough(rng, uniform, members))
            self._pilots[uniform] = found
        return found

    def _weighed(self, members: Sequence[Decisions], uniform: Uniform) -> _Pilot:
        """All members, with the odds that each is drawn."""
        if uniform == "architectures":
            odds = [1 / self._tree.count] * len(members)
        else:
            odds = [math.exp(-self._log_values(member)) for member in members]
        weights = list(accumulate(odds))
        share = weights[-1] if weights else 0.0
        return _Pilot(_Share(share, share, share), members, 0, weights)

    def _enough(self, rng: Random, uniform: Uniform, members: Sequence[Decisions]) -> int:
        """How many moves let _ACCEPTED succeed."""
        moved = 0
        for _ in range(_WATCHED if members else 0):
            start = _Particle(0.0, members[rng.randrange(len(members))])
            moved += self._move(rng, uniform, start, 0.0) is not start
        return min(_MOST_MOVES, max(_MOVES, math.ceil(_ACCEPTED * _WATCHED / max(1, moved))))

    # ------------------------------------------------------ subset simulation

    def _descents(
        self, rng: Random, uniform: Uniform, hits: int, draws: int
    ) -> tuple[_Share, list[Decisions]]:
        """The share by independent runs, and the members that they found. ``hits`` of ``draws`` are known."""
        runs = [self._descend(rng, uniform) for _ in range(_RUNS)]
        members = [member for run in runs for member in run.members]
        shares = [run.share for run in runs]
        bound = _wilson(hits, draws).high
        if not members:
            return _Share(0.0, 0.0, 3 / (draws + _RUNS * _PARTICLES)), []
        middle = statistics.fmean(shares)
        if min(shares) == 0:
            return _Share(middle, 0.0, max(middle, bound)), members
        logs = [math.log(share) for share in shares]
        spread = _STUDENT * statistics.stdev(logs) / math.sqrt(_RUNS)
        least = _NORMAL * math.sqrt(statistics.fmean(run.error for run in runs) / _RUNS)
        width = math.exp(max(spread, least))
        return _Share(middle, middle / width, min(1.0, middle * width)), members

    def _descend(self, rng: Random, uniform: Uniform) -> _Descent:
        """One run, from plain draws down to members."""
        particles = [self._looked_at(self._draw(rng, uniform)) for _ in range(_PARTICLES)]
        share, error, bound, stuck = 1.0, 0.0, math.inf, 0
        for _ in range(_MAX_LEVELS):
            members = [particle.decisions for particle in particles if particle.miss == 0]
            kept = sorted(particles, key=lambda particle: particle.miss)
            limit = kept[_KEPT - 1].miss
            if limit >= bound:  # a plateau: only what is below it leads on
                limit = max((one.miss for one in kept if one.miss < bound), default=bound)
                stuck += limit == bound
            if limit == 0 or stuck > _MOST_STUCK:
                part = len(members) / _PARTICLES
                error += (1 - part) / (part * _PARTICLES) if members else 0.0
                return _Descent(share * part, error, members)
            if limit < bound:
                kept = [one for one in kept if one.miss <= limit]
                part = len(kept) / _PARTICLES
                share, error, bound = share * part, error + (1 - part) / (part * _PARTICLES), limit
            particles = self._grown(rng, uniform, kept, bound)
        return _Descent(0.0, 0.0, [])

    def _grown(
        self, rng: Random, uniform: Uniform, seeds: Sequence[_Particle], bound: float
    ) -> list[_Particle]:
        """_PARTICLES of them: each seed's chain goes on in turn."""
        particles = list(seeds) if len(seeds) < _PARTICLES else []
        ends = list(seeds)
        for number in range(_PARTICLES - len(particles)):
            place = number % len(ends)
            ends[place] = self._move(rng, uniform, ends[place], bound)
            particles.append(ends[place])
        return particles

    def _moved(self, rng: Random, uniform: Uniform, pilot: _Pilot) -> Decisions:
        particle = _Particle(0.0, pilot.members[rng.randrange(len(pilot.members))])
        for _ in range(pilot.moves):
            particle = self._move(rng, uniform, particle, 0.0)
        return particle.decisions

    def _move(self, rng: Random, uniform: Uniform, particle: _Particle, bound: float) -> _Particle:
        """A step that keeps the distribution among what misses by no more than ``bound``."""
        if not self._rates:
            self._rates = self._usual_rates()
        rate = self._rates[rng.randrange(len(self._rates))]
        old = particle.decisions
        kept = {path: value for path, value in old.items() if rng.random() >= rate}
        out: Decisions = {}
        self._tree.complete(kept, rng, out)
        if out == old:
            return particle
        if uniform == "architectures":
            gain = self._log_values(out) - self._log_values(old)
            if gain < 0 and rng.random() >= math.exp(gain):
                return particle
        found = self._looked_at(out)
        return found if found.miss <= bound else particle

    def _usual_rates(self) -> tuple[float, ...]:
        """Probabilities of drawing a decision again: mostly one or two change, at times a fifth of all."""
        rng = Random(0)
        usual = max(1.0, statistics.fmean(len(self._draw(rng, "decisions")) for _ in range(16)))
        return (min(0.5, 1 / usual), min(0.5, 1 / usual), min(0.5, 2 / usual), 0.2)

    def _log_values(self, decisions: Decisions) -> float:
        """The logarithm of how many values the decisions could have had: one over their odds to be drawn."""
        return sum(_log_count(domain) for _, domain in self._tree.reachable(decisions))

    def _looked_at(self, decisions: Decisions) -> _Particle:
        return _Particle(self._fitting.miss(decisions), decisions)

    def _draw(self, rng: Random, uniform: Uniform) -> Decisions:
        out: Decisions = {}
        if uniform == "decisions":
            self._tree.draw(rng, out)
        else:
            self._tree.at(rng.randrange(self._tree.count), rng, out)
        return out


def _counted(members: int, total: int) -> SizeEstimate:
    return SizeEstimate(members, members, members, members / total, True)


def _log_count(domain: Domain) -> float:
    return math.log(domain.count) if domain.count else 0.0


def _wilson(hits: int, draws: int) -> _Share:
    """The score interval of Wilson (1927)."""
    share, square = hits / draws, _NORMAL**2
    middle = (share + square / (2 * draws)) / (1 + square / draws)
    half = _NORMAL / (1 + square / draws) * math.sqrt(share * (1 - share) / draws + square / (4 * draws**2))
    return _Share(share, max(0.0, middle - half), min(1.0, middle + half))
