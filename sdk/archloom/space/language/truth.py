"""The parts of an expression that are true or false, and how far each is from what is wanted.

A comparison of numbers is off by their distance relative to their sizes, from 0 to 1; what is no comparison
of numbers by 1. ``and`` adds up what its parts miss, ``or`` takes the least (the other way round under
``not``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

Scalar = int | float | str | bool
Environment = Mapping[str, "Scalar | tuple[object, ...]"]
Evaluator = Callable[[Environment], "Scalar"]

_LEAST = 1e-9  # what a comparison misses by where both sides are equal


class ExpressionError(ValueError):
    """The text is no expression, or it has no value here. The message names the place."""


class Truth:
    """An evaluator that also tells how far it is from a wanted truth."""

    def __call__(self, env: Environment) -> Scalar:
        raise NotImplementedError

    def miss(self, env: Environment, wanted: bool) -> float:
        """0 exactly where it has the wanted truth."""
        raise NotImplementedError


def miss(evaluator: Evaluator, env: Environment, wanted: bool) -> float:
    """How far a value is from the truth that is wanted."""
    if isinstance(evaluator, Truth):
        return evaluator.miss(env, wanted)
    return float(bool(evaluator(env)) != wanted)


def _misses(parts: Sequence[Evaluator], env: Environment, wanted: bool) -> list[float]:
    """Of each part; 1 of one without a value, such as behind ``w > 0 and``."""
    found = []
    for part in parts:
        try:
            found.append(miss(part, env, wanted))
        except ExpressionError:
            found.append(1.0)
    return found


class Comparison(Truth):
    def __init__(self, compare: Callable[[Scalar, Scalar], bool], left: Evaluator, right: Evaluator) -> None:
        self._compare, self._left, self._right = compare, left, right

    def __call__(self, env: Environment) -> bool:
        return self._compare(self._left(env), self._right(env))

    def miss(self, env: Environment, wanted: bool) -> float:
        one, other = self._left(env), self._right(env)
        if self._compare(one, other) == wanted:
            return 0.0
        if isinstance(one, str) or isinstance(other, str):
            return 1.0
        return max(_LEAST, abs(one - other) / max(1e-300, abs(one) + abs(other)))


class Both(Truth):
    def __init__(self, parts: Sequence[Evaluator]) -> None:
        self._parts = parts

    def __call__(self, env: Environment) -> bool:
        return all(part(env) for part in self._parts)

    def miss(self, env: Environment, wanted: bool) -> float:
        if bool(self(env)) == wanted:
            return 0.0
        off = _misses(self._parts, env, wanted)
        return sum(off) if wanted else min(off)


class Either(Truth):
    def __init__(self, parts: Sequence[Evaluator]) -> None:
        self._parts = parts

    def __call__(self, env: Environment) -> bool:
        return any(part(env) for part in self._parts)

    def miss(self, env: Environment, wanted: bool) -> float:
        if bool(self(env)) == wanted:
            return 0.0
        off = _misses(self._parts, env, wanted)
        return min(off) if wanted else sum(off)


class Negation(Truth):
    def __init__(self, value: Evaluator) -> None:
        self._value = value

    def __call__(self, env: Environment) -> bool:
        return not self._value(env)

    def miss(self, env: Environment, wanted: bool) -> float:
        return miss(self._value, env, not wanted)


class Conditional(Truth):
    """``a if c else b``."""

    def __init__(self, condition: Evaluator, value: Evaluator, other: Evaluator) -> None:
        self._condition, self._value, self._other = condition, value, other

    def __call__(self, env: Environment) -> Scalar:
        return self._value(env) if self._condition(env) else self._other(env)

    def miss(self, env: Environment, wanted: bool) -> float:
        return miss(self._value if self._condition(env) else self._other, env, wanted)
