"""The values that a decision may take.

A discrete domain is a numbered list that is never written out: ``count`` values, ``at(index)``,
``index(value)``; a subset of 200 members has 2**200 values and costs nothing. A continuous domain (``count``
is None) is sampled, and stays out of sizes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from random import Random
from typing import Any

from archloom.space.language.expressions import Environment, Expression, ExpressionError

_REDRAWS = 100  # where there are so few floats that the same is drawn again and again

Literal = int | float | str | bool | tuple[Any, ...]
"""A constant; a tuple holds constants again."""


def literal_key(value: object) -> object:
    """Tells 1, 1.0 and True apart, which Python calls equal."""
    if isinstance(value, tuple):
        return (tuple, tuple(literal_key(item) for item in value))
    return (type(value), value)


class Domain:
    """Base of all domains. ``count`` is the number of values, None when continuous."""

    count: int | None

    def at(self, index: int) -> Literal:
        """The value numbered ``index``; in a continuous domain there is only 0, its low end."""
        raise NotImplementedError

    def index(self, value: object) -> int | None:
        """The number of a value, None where it is no member. In a continuous domain members are all 0."""
        raise NotImplementedError

    def draw(self, rng: Random) -> Literal:
        """One value, uniformly (Log: uniformly in the logarithm)."""
        assert self.count is not None
        return self.at(rng.randrange(self.count))

    def redraw(self, value: object, rng: Random) -> Literal:
        """One value other than ``value``, uniformly; the domain has at least two."""
        assert self.count is not None
        old = self.index(value)
        new = rng.randrange(self.count - (old is not None))
        return self.at(new + (old is not None and new >= old))

    def near(self, value: object) -> Iterator[Literal]:
        """What a neighbour takes: all other values, those of the nearest numbers first; in a continuous
        domain a tenth of its range down, up.
        """
        assert self.count is not None
        old = self.index(value)
        assert old is not None
        for distance in range(1, max(old, self.count - 1 - old) + 1):
            for index in (old - distance, old + distance):
                if 0 <= index < self.count:
                    yield self.at(index)

    @property
    def movable(self) -> bool:
        """Whether it has a second value."""
        return self.count is None or self.count > 1


@dataclass(frozen=True)
class Choice(Domain):
    """``among``: what the values were taken from, where they are divisors; it orders their unions."""

    values: tuple[Literal, ...]
    among: tuple[int, ...] = field(default=(), compare=False, repr=False)

    @cached_property
    def count(self) -> int:  # type: ignore[override]
        return len(self.values)

    @cached_property
    def _numbers(self) -> dict[object, int]:
        return {literal_key(value): number for number, value in enumerate(self.values)}

    def at(self, index: int) -> Literal:
        return self.values[index]

    def index(self, value: object) -> int | None:
        return self._numbers.get(literal_key(value))

    def draw(self, rng: Random) -> Literal:
        return self.values[int(rng.random() * self.count)]


@dataclass(frozen=True)
class Flag(Domain):
    count = 2

    def at(self, index: int) -> bool:
        return index == 1

    def index(self, value: object) -> int | None:
        return int(value) if isinstance(value, bool) else None


@dataclass(frozen=True)
class Integer(Domain):
    """low, low + step, ... up to high."""

    low: int
    high: int
    step: int | None = None

    @cached_property
    def count(self) -> int:  # type: ignore[override]
        return (self.high - self.low) // (self.step or 1) + 1

    def at(self, index: int) -> int:
        return self.low + index * (self.step or 1)

    def index(self, value: object) -> int | None:
        if type(value) is not int or not self.low <= value <= self.high:
            return None
        number, rest = divmod(value - self.low, self.step or 1)
        return number if rest == 0 else None


@dataclass(frozen=True)
class Uniform(Domain):
    """Every float from low to high."""

    low: float
    high: float
    count = None

    def at(self, index: int) -> float:
        return self.low

    def index(self, value: object) -> int | None:
        return 0 if type(value) is float and self.low <= value <= self.high else None

    def unit(self, value: float) -> float:
        """Where a value stands between low, 0, and high, 1."""
        return (value - self.low) / (self.high - self.low)

    def value(self, unit: float) -> float:
        return min(self.high, max(self.low, self.low + unit * (self.high - self.low)))

    def draw(self, rng: Random) -> float:
        return self.value(rng.random())

    def redraw(self, value: object, rng: Random) -> float:
        for _ in range(_REDRAWS):
            if (new := self.draw(rng)) != value:
                return new
        return self.high if value == self.low else self.low

    def near(self, value: object) -> Iterator[float]:
        assert isinstance(value, float)
        here = self.unit(value)
        for unit in (here - 0.1, here + 0.1):
            if (new := self.value(unit)) != value:
                yield new

    @property
    def movable(self) -> bool:
        return True


@dataclass(frozen=True)
class Log(Uniform):
    """Every float from low > 0 to high, uniform in the logarithm."""

    def unit(self, value: float) -> float:
        return (math.log(value) - math.log(self.low)) / self._range

    def value(self, unit: float) -> float:
        return min(self.high, max(self.low, math.exp(math.log(self.low) + unit * self._range)))

    @property
    def _range(self) -> float:
        return math.log(self.high) - math.log(self.low)


@dataclass(frozen=True)
class Subset(Domain):
    """Subsets with ``least`` to ``most`` members, as tuples in the order of ``of``; numbered by size, then
    lexicographically.
    """

    of: tuple[Literal, ...]
    least: int
    most: int
    _places: dict[object, int] = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        places = {literal_key(member): place for place, member in enumerate(self.of)}
        object.__setattr__(self, "_places", places)

    @cached_property
    def count(self) -> int:  # type: ignore[override]
        return sum(math.comb(len(self.of), size) for size in range(self.least, self.most + 1))

    def at(self, index: int) -> tuple[Literal, ...]:
        size = self.least
        while index >= (block := math.comb(len(self.of), size)):
            index -= block
            size += 1
        chosen: list[Literal] = []
        for place, member in enumerate(self.of):
            if len(chosen) == size:
                break
            with_member = math.comb(len(self.of) - place - 1, size - len(chosen) - 1)
            if index < with_member:
                chosen.append(member)
            else:
                index -= with_member
        return tuple(chosen)

    def index(self, value: object) -> int | None:
        if not isinstance(value, tuple) or not self.least <= len(value) <= self.most:
            return None
        places = [self._places.get(literal_key(member)) for member in value]
        known = [place for place in places if place is not None]
        if len(known) < len(places) or any(a >= b for a, b in pairwise(known)):
            return None
        total, size = len(self.of), len(known)
        number = sum(math.comb(total, smaller) for smaller in range(self.least, size))
        previous = -1
        for taken, place in enumerate(known):
            number += sum(
                math.comb(total - left - 1, size - taken - 1) for left in range(previous + 1, place)
            )
            previous = place
        return number


@dataclass(frozen=True)
class Divisors(Domain):
    """Those of ``among`` that divide the value of an expression. A domain only once that value is known: the
    compiler puts a ``Choice`` in its place.
    """

    of: Expression
    among: tuple[int, ...]
    count = None

    def index(self, value: object) -> int | None:
        return self.among.index(value) if type(value) is int and value in self.among else None

    def settle(self, environment: Environment) -> Choice:
        """Raises ExpressionError where the value is no whole number above 0 or no member divides it."""
        value = self.of.evaluate(environment)
        if type(value) is not int or value < 1:
            raise ExpressionError(f"'{self.of.text.strip()}' is {value!r}, which has no divisors")
        fitting = tuple(member for member in self.among if value % member == 0)
        if not fitting:
            raise ExpressionError(f"none of {', '.join(map(str, self.among))} divides {value}")
        return Choice(fitting, self.among)
