"""Small expressions, ``2*cin if i > 0 else cin``: a parser and an evaluator of our own, so that a space never
runs code.

Grammar, loosest first: ``a if c else b``; ``or``; ``and``; ``not``; one comparison; ``+ -``; ``* / // %``;
unary ``-``; ``**``; numbers, 'text', true, false, names, and the functions min, max, ceil, floor and round8.
Numbers stay finite and within 2**53, which every language of the API holds exactly; an expression that leaves
that range is an error, never a long computation.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable
from dataclasses import dataclass, field

from archloom.space.language.truth import (
    Both,
    Comparison,
    Conditional,
    Either,
    Evaluator,
    Negation,
    Truth,
    miss,
)
from archloom.space.language.truth import Environment as Environment
from archloom.space.language.truth import ExpressionError as ExpressionError
from archloom.space.language.truth import Scalar as Scalar

MAX_LENGTH = 1_000
MAX_DEPTH = 24
MAX_MAGNITUDE = 2**53

_TOKEN = re.compile(
    r"\s*(?:(?P<number>(?:[0-9]+(?:_[0-9]+)*\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)"
    r"|(?P<name>[A-Za-z_][A-Za-z0-9_]*)"
    r"|(?P<text>'[^'\n]*'|\"[^\"\n]*\")|(?P<sign>\*\*|//|==|!=|<=|>=|[-+*/%()<>,]))"
)
_OTHER_SIGNS = {
    "^": ": a power is **",
    "&": ": write and",
    "|": ": write or",
    "!": ": write not",
    "=": ": equality is ==",
    "?": ": write a if c else b",
}
_KEYWORDS = {"if", "else", "and", "or", "not", "true", "false"}


@dataclass(frozen=True)
class Expression:
    """A parsed expression. Equal texts are equal expressions; ``names`` are the variables it reads."""

    text: str
    names: frozenset[str] = field(compare=False)
    kind: str = field(compare=False, repr=False)  # truth, number or text; "" where its form does not tell
    _run: Evaluator = field(compare=False, repr=False)

    def evaluate(self, environment: Environment) -> Scalar:
        """Its value; raises ExpressionError where a name is missing or a number leaves the range."""
        try:
            return self._run(environment)
        except ExpressionError as error:
            raise ExpressionError(f"'{self.text.strip()}': {error}") from None

    def miss(self, environment: Environment) -> float:
        """How far it is from being true: 0 where it is, else more the further its comparisons are off.

        Raises ExpressionError as ``evaluate`` does.
        """
        try:
            return miss(self._run, environment, True)
        except ExpressionError as error:
            raise ExpressionError(f"'{self.text.strip()}': {error}") from None

    def __str__(self) -> str:
        return self.text


def parse(text: str) -> Expression:
    """Parse an expression; raises ExpressionError."""
    if len(text) > MAX_LENGTH:
        raise ExpressionError(f"an expression has at most {MAX_LENGTH} characters, this one has {len(text)}")
    parser = _Parser(text)
    run = parser.ternary()
    if parser.peek() != "":
        raise parser.unexpected("an operator or the end")
    return Expression(text, frozenset(parser.names), parser.kind(run), run)


def round8(value: float) -> int:
    """The multiple of 8 nearest to value, at least 8, never more than a tenth below it (the rule of
    MobileNet).
    """
    rounded = max(8, int(value + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * value else rounded


def _bounded(value: Scalar) -> Scalar:
    if isinstance(value, (int, float)) and not (abs(value) <= MAX_MAGNITUDE):  # also catches NaN
        raise ExpressionError("the value is not finite or is larger than 2**53")
    return value


def _number(value: object) -> int | float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ExpressionError(f"expected a number, found {value!r}")
    return value


def _power(base: float, exponent: float) -> float:
    if abs(base) > 1 and exponent * math.log2(abs(base)) > 54:
        raise ExpressionError("the value is larger than 2**53")
    result: float | complex = base**exponent
    if isinstance(result, complex):
        raise ExpressionError("a negative number has no such power")
    return result


_ARITHMETIC: dict[str, Callable[[float, float], float]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "//": operator.floordiv,
    "%": operator.mod,
    "**": _power,
}
_ORDER: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_FUNCTIONS: dict[str, tuple[int, int, Callable[..., float]]] = {  # least and most arguments
    "min": (2, 16, min),
    "max": (2, 16, max),
    "ceil": (1, 1, math.ceil),
    "floor": (1, 1, math.floor),
    "round8": (1, 1, round8),
}


def _arithmetic(sign: str, left: Scalar, right: Scalar) -> Scalar:
    try:
        return _bounded(_ARITHMETIC[sign](_number(left), _number(right)))
    except ZeroDivisionError:
        raise ExpressionError("division by zero") from None
    except OverflowError:
        raise ExpressionError("the value is larger than 2**53") from None


def _equal(one: Scalar, other: Scalar) -> bool:
    """1 equals 1.0, but not true."""
    return one == other and isinstance(one, bool) == isinstance(other, bool)


def _comparison(sign: str, left: Evaluator, right: Evaluator) -> Evaluator:
    if sign in _ORDER:
        compare = _ORDER[sign]
        return Comparison(lambda a, b: compare(_number(a), _number(b)), left, right)
    return Comparison(_equal if sign == "==" else lambda a, b: not _equal(a, b), left, right)


class _Parser:
    """Recursive descent over the tokens; each method returns the evaluator of what it read."""

    def __init__(self, text: str) -> None:
        self.tokens: list[tuple[str, str, int]] = []  # kind, text, place
        self.names: set[str] = set()
        self.reads = 0  # of variables, so far
        self.next = 0
        self.depth = 0
        place = 0
        end = len(text.rstrip())
        while place < end:
            match = _TOKEN.match(text, place)
            if match is None:
                found = text[place:].strip()
                hint = _OTHER_SIGNS.get(found[0], "")
                short = found if len(found) <= 40 else f"{found[:37]}..."
                raise ExpressionError(f"{short!r} at {place} is no part of an expression{hint}")
            kind = match.lastgroup or ""
            self.tokens.append((kind, match.group(kind), match.start(kind)))
            place = match.end()
        self.tokens.append(("end", "", end))

    def kind(self, run: Evaluator) -> str:
        """What the whole expression yields, as far as its form tells."""
        if isinstance(run, Conditional):
            return ""
        first, text, _ = self.tokens[0]
        if isinstance(run, Truth) or text in ("true", "false"):
            return "truth"
        if len(self.tokens) > 2:
            return "" if text == "(" else "number"
        return {"number": "number", "text": "text"}.get(first, "")

    def peek(self) -> str:
        kind, text, _ = self.tokens[self.next]
        return "" if kind == "text" else text

    def take(self) -> tuple[str, str]:
        kind, text, _ = self.tokens[self.next]
        self.next += 1
        return kind, text

    def unexpected(self, wanted: str) -> ExpressionError:
        kind, text, place = self.tokens[self.next]
        found = "the end" if kind == "end" else f"{text!r} at {place}"
        return ExpressionError(f"found {found}, expected {wanted}")

    def expect(self, text: str) -> None:
        if self.peek() != text:
            raise self.unexpected(f"{text!r}")
        self.next += 1

    def ternary(self) -> Evaluator:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise ExpressionError(f"an expression is at most {MAX_DEPTH} brackets deep")
        value = self.either()
        if self.peek() == "if":
            self.next += 1
            condition = self.either()
            self.expect("else")
            other = self.ternary()
            value = Conditional(condition, value, other)
        self.depth -= 1
        return value

    def either(self) -> Evaluator:
        parts = [self.both()]
        while self.peek() == "or":
            self.next += 1
            parts.append(self.both())
        return parts[0] if len(parts) == 1 else Either(parts)

    def both(self) -> Evaluator:
        parts = [self.negation()]
        while self.peek() == "and":
            self.next += 1
            parts.append(self.negation())
        return parts[0] if len(parts) == 1 else Both(parts)

    def negation(self) -> Evaluator:
        negate = False
        while self.peek() == "not":
            self.next += 1
            negate = not negate
        value = self.comparison()
        return Negation(value) if negate else value

    def comparison(self) -> Evaluator:
        before = self.reads
        left = self.sum()
        sign = self.peek()
        if sign not in _ORDER and sign not in ("==", "!="):
            return left
        between = self.reads
        self.next += 1
        right = self.sum()
        for side, constant in ((left, between == before), (right, self.reads == between)):
            if constant:  # one without a value is told now: it would never have one
                value = side({})
                if sign in _ORDER:
                    _number(value)
        return _comparison(sign, left, right)

    def sum(self) -> Evaluator:
        return self.chain(("+", "-"), self.product)

    def product(self) -> Evaluator:
        return self.chain(("*", "/", "//", "%"), self.unary)

    def chain(self, signs: tuple[str, ...], operand: Callable[[], Evaluator]) -> Evaluator:
        first = operand()
        rest: list[tuple[str, Evaluator]] = []
        while self.peek() in signs:
            rest.append((self.take()[1], operand()))
        if not rest:
            return first

        def run(env: Environment) -> Scalar:  # a loop, so that a long sum is not a deep one
            value = first(env)
            for sign, part in rest:
                value = _arithmetic(sign, value, part(env))
            return value

        return run

    def unary(self) -> Evaluator:
        minus = False
        while self.peek() in ("-", "+"):
            minus ^= self.take()[1] == "-"
        value = self.power()
        return (lambda env: -_number(value(env))) if minus else value

    def power(self) -> Evaluator:
        base = self.atom()
        if self.peek() != "**":
            return base
        self.next += 1
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise ExpressionError(f"an expression is at most {MAX_DEPTH} powers deep")
        exponent = self.unary()
        self.depth -= 1
        return lambda env: _arithmetic("**", base(env), exponent(env))

    def atom(self) -> Evaluator:
        kind, text, _ = self.tokens[self.next]
        if kind == "number":
            self.next += 1
            return _constant(_bounded(float(text) if set(text) & set(".eE") else int(text)))
        if kind == "text":
            self.next += 1
            return _constant(text[1:-1])
        if text in ("true", "false"):
            self.next += 1
            return _constant(text == "true")
        if text == "(":
            self.next += 1
            value = self.ternary()
            self.expect(")")
            return value
        if kind == "name" and text not in _KEYWORDS:
            self.next += 1
            return self.call(text) if self.peek() == "(" else self.variable(text)
        raise self.unexpected("a value")

    def variable(self, name: str) -> Evaluator:
        self.names.add(name)
        self.reads += 1

        def run(env: Environment) -> Scalar:
            try:
                value = env[name]
            except KeyError:
                raise ExpressionError(f"there is no variable {name!r} here") from None
            if isinstance(value, tuple):
                raise ExpressionError(f"{name!r} is a list")
            return value

        return run

    def call(self, name: str) -> Evaluator:
        if name not in _FUNCTIONS:
            raise ExpressionError(f"there is no function {name!r} (known: {', '.join(sorted(_FUNCTIONS))})")
        least, most, function = _FUNCTIONS[name]
        self.expect("(")
        arguments = [self.ternary()]
        while self.peek() == ",":
            self.next += 1
            arguments.append(self.ternary())
        self.expect(")")
        if not least <= len(arguments) <= most:
            raise ExpressionError(f"{name} takes {least} to {most} arguments, here are {len(arguments)}")
        return lambda env: _bounded(function(*(_number(argument(env)) for argument in arguments)))


def _constant(value: Scalar) -> Evaluator:
    return lambda env: value
