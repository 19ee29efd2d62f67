"""Grid search: every member of a space once, in one of three orders, at the same cost for each.

A member has a number (``Space.at``, mixed radices over decisions that come and go), and so has every choice
of points for the floats it has. An order is a permutation of these numbers that is computed, not kept:

- ``enumeration``: 0, 1, 2, ...: the last decisions change fastest.
- ``spread``: start + k * step, modulo the number of all. The step is near the golden section, so that the
  first k members cut the slowest decisions evenly for every k (Kronecker's sequence; Kuipers and
  Niederreiter, "Uniform Distribution of Sequences", 1974), and prime to the number of all, so that none
  comes twice and the fastest decisions take their values in turn, too.
- ``shuffled``: a Feistel network over the numbers (Luby and Rackoff 1988), walked on until it falls below the
  number of all (Black and Rogaway, "Ciphers with Arbitrary Finite Domains", CT-RSA 2002).
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable
from contextlib import suppress
from functools import lru_cache
from typing import Any, Literal

from archloom.space import Architecture, Space, SpaceError
from archloom.space.language.domains import Uniform
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

from archloom_strategies.networks import network_of

Order = Literal["enumeration", "shuffled", "spread"]

#: Numbers that one step looks at; where most are no members, it then gives fewer proposals.
LOOKED_AT = 1_000
#: Numbers that it looks at while it has none, some ten seconds in a deep space; then it gives up.
LOOKED_FOR = 20_000
#: Times the budget that a grid in the order of the enumeration may have.
TOO_LARGE = 100
_ROUNDS = 6


class GridSettings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    order: Order = Field(
        "spread",
        description="In which order members come: evenly over the space, shuffled, or as they are numbered.",
    )
    points: int = Field(5, ge=1, le=1_000, description="Values of each float, from its low to its high end.")


class GridState(BaseModel):
    model_config = ConfigDict(frozen=True)

    key: int
    """Drawn in the first step; what an order is shuffled or shifted by."""
    next: int = 0
    """How many numbers of the order were looked at."""


Request = ProposeRequest[GridSettings, GridState]


class Grid(Strategy[GridSettings, GridState]):
    """Proposes what comes next in the order and is new: what does not fit or breaks a constraint is left
    out, and so is what makes the network of an earlier whole trial with the same recipe, whoever brought it.

    Results do not matter to it. A space that is much larger than the budget is cut evenly by ``spread``, the
    default, and sampled without repeats by ``shuffled``; ``enumeration`` would only see its first corner, and
    is refused.
    """

    name = "grid"
    version = "1"
    summary = "Every member of the space once: spread evenly, shuffled, or in the order of the enumeration."
    capabilities = Capabilities(max_objectives=0, constraints=True, history=True)

    def check(self, spec: SearchSpec, settings: GridSettings) -> Iterable[Violation]:
        size = Numbers(spec.space, settings.points).count
        if settings.order == "enumeration" and spec.trials and size > TOO_LARGE * spec.trials:
            yield Violation(
                "settings.order",
                f"the grid has over {TOO_LARGE} members for each of the {spec.trials} trials: in the order "
                "of the enumeration all of these would share their first decisions; take spread or shuffled",
            )

    def propose(self, request: Request) -> ProposeResult[GridState]:
        before = request.state or GridState(key=request.rng.getrandbits(64))
        if not request.count:
            return ProposeResult(state=before)
        numbers = Numbers(request.space, request.settings.points)
        asked = _asked(request)
        found: list[Architecture] = []
        place = before.next
        while place < numbers.count and len(found) < request.count:
            if place - before.next >= (LOOKED_AT if found else LOOKED_FOR):
                break
            member = numbers.at(number_of(request.settings.order, before.key, place, numbers.count))
            place += 1
            if member is not None and (network := network_of(request, member)) not in asked:
                asked.add(network)
                found.append(member)
        return ProposeResult(
            [Proposal(member) for member in found],
            state=GridState(key=before.key, next=place),
            exhausted="" if found else _end(place, numbers.count),
            diagnostics={"share_seen": place / numbers.count},
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


class Numbers:
    """The members of a space, each float at ``points`` values, by number."""

    def __init__(self, space: Space, points: int) -> None:
        self._space = space
        self._points = points
        self._settings = points ** len(space.continuous)
        self.count = space.size() * self._settings
        """Of all numbers. Not each has a member of its own."""

    def at(self, number: int) -> Architecture | None:
        """None where what it stands for does not fit or breaks a constraint, or has a smaller number, too:
        the digits of floats that are not decided on have to be 0.
        """
        if not self._space.continuous:
            return self._space.at(number)
        index, digits = divmod(number, self._settings)
        decided: dict[str, Any] = {}
        self._space.choices.at(index, None, decided)
        floats = {
            path: domain
            for path, domain in self._space.choices.reachable(decided)
            if isinstance(domain, Uniform)
        }
        for path in self._space.continuous:
            digits, digit = divmod(digits, self._points)
            if path in floats:
                unit = digit / (self._points - 1) if self._points > 1 else 0.5
                decided[path] = floats[path].value(unit)
            elif digit:
                return None
        found = Architecture(decided)
        return None if self._space.check(found) else found


def number_of(order: Order, key: int, place: int, count: int) -> int:
    """Number ``place`` of a permutation of 0, ..., ``count`` - 1."""
    if order == "enumeration":
        return place
    if order == "spread":
        return (key + place * _step(count)) % count
    bits = max(1, math.ceil(count.bit_length() / 2))
    number = place
    while True:
        number = _mixed(number, key, bits)
        if number < count:
            return number


@lru_cache(maxsize=64)
def _step(count: int) -> int:
    """The number next to the golden section of ``count`` that is prime to it."""
    golden = count * 618_033_988_749_894_848_204_586_834 // 10**27
    for away in range(count + 1):
        for step in (golden + away, golden - away):
            if step > 0 and math.gcd(step, count) == 1:
                return step
    return 1


def _mixed(number: int, key: int, bits: int) -> int:
    """A permutation of the numbers of 2 * ``bits`` bits."""
    mask = (1 << bits) - 1
    left, right = number >> bits, number & mask
    for turn in range(_ROUNDS):
        digest = hashlib.shake_128(f"{key}/{turn}/{right}".encode()).digest((bits + 7) // 8)
        left, right = right, left ^ (int.from_bytes(digest, "big") & mask)
    return left << bits | right
