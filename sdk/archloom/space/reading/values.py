"""Reading of constants, expressions and domains, each fault noted with its path."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from typing import Any

from archloom.space.errors import mean, show, suggest
from archloom.space.language.domains import (
    Choice,
    Divisors,
    Domain,
    Flag,
    Integer,
    Literal,
    Log,
    Subset,
    Uniform,
    literal_key,
)
from archloom.space.language.expressions import MAX_MAGNITUDE, Expression, ExpressionError, parse
from archloom.space.language.tree import Bindings, Value
from archloom.space.reading.fields import FieldReader

MAX_VALUES = 10_000
MAX_NAMES = 1_000

_VARIABLES = (
    "cin",
    "i",
    "if",
    "else",
    "and",
    "or",
    "not",
    "true",
    "false",
    "min",
    "max",
    "ceil",
    "floor",
    "round8",
)


FAULTY = parse("0")
"""Stands for a value that was no value, so that no further fault is found in it."""

_PATH = re.compile(r"[A-Za-z_]\w*(\[\d*\])?\.[A-Za-z_]")
"""Looks like the path of a decision."""


class ValueReader(FieldReader):
    """Reads values too."""

    def bindings(self, data: object, path: str) -> Bindings:
        """name -> value, in order."""
        if not isinstance(data, Mapping):
            self.fault(path, f"expected a map, name: value, found {show(data)}")
            return ()
        if len(data) > MAX_NAMES:
            self.fault(path, f"expected at most {MAX_NAMES} names, found {len(data)}")
            return ()
        fields = self.mapping(data, path, None) or {}
        for name in fields:
            self.name(name, f"{path}.{name}", _VARIABLES)
        self.variables.update(fields)
        return tuple((name, self.value(value, f"{path}.{name}")) for name, value in fields.items())

    def literal(self, data: object, path: str) -> Literal:
        if isinstance(data, (bool, str)):
            if isinstance(data, str) and len(data) > 1_000:
                self.fault(path, "a text has at most 1000 characters")
            return data
        if isinstance(data, (int, float)):
            if not abs(data) <= MAX_MAGNITUDE:  # also catches NaN
                self.fault(path, f"expected a finite number within 2**53, found {show(data)}")
                return 0
            return data
        if isinstance(data, (list, tuple)):
            if len(data) > MAX_VALUES or any(isinstance(item, (list, tuple)) for item in data):
                self.fault(path, "expected a flat list of at most 10000 constants")
                return ()
            return tuple(self.literal(item, f"{path}[{number}]") for number, item in enumerate(data))
        self.fault(path, f"expected a value, found {show(data)}")
        return 0

    def expression(self, data: object, path: str, known: set[str] | None = None) -> Expression | None:
        """An expression where nothing else may stand: the leading "=" may be left out."""
        if not isinstance(data, str):
            hint = f'; put it in quotes: "{show(data)}"' if isinstance(data, (bool, int, float)) else ""
            self.fault(path, f"expected an expression, found {show(data)}{hint}")
            return None
        try:
            found = parse(data[1:] if data.startswith("=") else data)
        except ExpressionError as error:
            read = "; expressions read variables, not paths: give the value a name in let, and read that"
            self.fault(path, f"{error}{read if _PATH.search(data) else ''}")
            return None
        for name in sorted(found.names - known) if known is not None else ():
            self.fault(path, f"there is no variable {name!r} here{suggest(name, known or ())}")
        return found

    def value(self, data: object, path: str) -> Value:
        """A constant, "=expression", or a domain."""
        if isinstance(data, Mapping):
            return self.domain(data, path)
        if isinstance(data, str) and data.startswith("="):
            return self.expression(data, path) or FAULTY
        before = len(self.violations)
        literal = self.literal(data, path)
        return literal if len(self.violations) == before else FAULTY

    def check_whole(self, value: Value, path: str, low: int, high: int) -> None:
        """Whether a value is a whole number in a range, as far as it is known."""
        for sample in samples(value):
            if type(sample) is not int or not low <= sample <= high:
                wanted = f"expected a whole number from {low} to {high}"
                self.fault(path, f"{wanted}, found {show(sample)}{meant_by(sample, self.variables)}")
                return

    # --------------------------------------------------------- domains

    def domain(self, data: Mapping[Any, Any], path: str) -> Value:
        if "divisors" in data:
            return self.divisors(data, path) or FAULTY
        kinds = [kind for kind in _DOMAINS if kind in data]
        if len(kinds) != 1 or len(data) != 1:
            found = ", ".join(map(str, data)) or "an empty map"
            names = (*_DOMAINS, "divisors")
            hint = "" if kinds else mean(str(next(iter(data), "")), names)
            self.fault(path, f"expected one domain of {', '.join(names)}, found {found}{hint}")
            return FAULTY
        before = len(self.violations)
        domain = _DOMAINS[kinds[0]](self, data[kinds[0]], f"{path}.{kinds[0]}")
        return FAULTY if domain is None or len(self.violations) > before else domain

    def choice_domain(self, data: object, path: str) -> Domain | None:
        if not isinstance(data, (list, tuple)) or not 1 <= len(data) <= MAX_VALUES:
            what = "an empty list: a domain needs a value" if data in ([], ()) else show(data)
            self.fault(path, f"expected a list of 1 to {MAX_VALUES} values, found {what}")
            return None
        values = tuple(self.literal(item, f"{path}[{number}]") for number, item in enumerate(data))
        self.distinct(values, path)
        for number, value in enumerate(values):
            if isinstance(value, str) and value.startswith("="):
                self.fault(
                    f"{path}[{number}]", "a domain holds constants; give the expression a name with let"
                )
        return Choice(values)

    def distinct(self, values: Sequence[Literal], path: str) -> None:
        seen = set()
        for number, value in enumerate(values):
            if literal_key(value) in seen:
                self.fault(f"{path}[{number}]", f"{show(value)} occurs twice")
            seen.add(literal_key(value))

    def bounds(self, data: object, path: str, most: int) -> list[Any] | None:
        """Two finite numbers in order, perhaps a third."""
        if not isinstance(data, (list, tuple)) or not 2 <= len(data) <= most:
            self.fault(
                path,
                f"expected [low, high]{' or [low, high, step]' if most == 3 else ''}, found {show(data)}",
            )
            return None
        for number, item in enumerate(data):
            if isinstance(item, bool) or not isinstance(item, (int, float)) or not abs(item) <= MAX_MAGNITUDE:
                hint = "; write 1.0e-4 for 1e-4" if isinstance(item, str) and _is_number(item) else ""
                self.fault(
                    f"{path}[{number}]", f"expected a finite number within 2**53, found {show(item)}{hint}"
                )
                return None
        if data[0] > data[1]:
            self.fault(path, f"has no value: {show(data[0])} is more than {show(data[1])}")
            return None
        return list(data)

    def integer(self, data: object, path: str) -> Domain | None:
        bounds = self.bounds(data, path, 3)
        if bounds is None:
            return None
        for number, item in enumerate(bounds):
            if type(item) is not int or (number == 2 and item < 1):
                self.fault(
                    f"{path}[{number}]",
                    f"expected a whole number{' above 0' * (number == 2)}, found {show(item)}",
                )
                return None
        return Integer(*bounds)

    def uniform(self, data: object, path: str) -> Domain | None:
        bounds = self.bounds(data, path, 2)
        if bounds is None or not self.room(bounds, path):
            return None
        return Uniform(float(bounds[0]), float(bounds[1]))

    def log(self, data: object, path: str) -> Domain | None:
        bounds = self.bounds(data, path, 2)
        if bounds is None or not self.room(bounds, path):
            return None
        if bounds[0] <= 0:
            self.fault(f"{path}[0]", f"a logarithmic range begins above 0, found {show(bounds[0])}")
            return None
        return Log(float(bounds[0]), float(bounds[1]))

    def room(self, bounds: Sequence[float], path: str) -> bool:
        if bounds[0] == bounds[1]:
            self.fault(path, f"has the one value {show(bounds[0])}; write it without the range")
        return bounds[0] != bounds[1]

    def flag(self, data: object, path: str) -> Domain | None:
        if data not in ([False, True], (False, True)) or any(type(item) is not bool for item in data):
            self.fault(path, f"expected [false, true], found {show(data)}")
            return None
        return Flag()

    def subset(self, data: object, path: str) -> Domain | None:
        fields = self.mapping(data, path, ("of", "min", "max"), required=("of",))
        if fields is None or "of" not in fields:
            return None
        domain = self.choice_domain(fields["of"], f"{path}.of")
        if not isinstance(domain, Choice):
            return None
        total = len(domain.values)
        if total > 1_000:
            self.fault(f"{path}.of", "a subset is of at most 1000 members")
        least = self.whole(fields.get("min", 0), f"{path}.min", 0, total)
        most = self.whole(fields.get("max", total), f"{path}.max", 0, total)
        if least > most:
            self.fault(path, f"has no value: min {least} is more than max {most}")
            return None
        return Subset(domain.values, least, most)

    def divisors(self, data: Mapping[Any, Any], path: str) -> Domain | None:
        fields = self.mapping(data, path, ("divisors", "among"), required=("among",))
        if fields is None or "among" not in fields:
            return None
        of = fields["divisors"]
        of = self.expression(str(of) if type(of) is int else of, f"{path}.divisors")
        among = self.choice_domain(fields["among"], f"{path}.among")
        if of is None or not isinstance(among, Choice):
            return None
        members: list[int] = []
        for number, member in enumerate(among.values):
            if type(member) is not int or member < 1:
                self.fault(
                    f"{path}.among[{number}]", f"expected a whole number above 0, found {show(member)}"
                )
            else:
                members.append(member)
        return Divisors(of, tuple(members))


_DOMAINS: Mapping[str, Callable[[ValueReader, object, str], Domain | None]] = {
    "choice": ValueReader.choice_domain,
    "int": ValueReader.integer,
    "float": ValueReader.uniform,
    "log": ValueReader.log,
    "bool": ValueReader.flag,
    "subset": ValueReader.subset,
}


def samples(value: Value) -> Iterator[Literal]:
    """Values that stand for all: each of a short domain, else the ends."""
    if not isinstance(value, Domain):
        if not isinstance(value, Expression):
            yield value
    elif isinstance(value, Uniform):
        yield from (value.low, value.high)
    elif isinstance(value, Divisors):
        yield from value.among
    elif value.count is not None and value.count <= 100:
        yield from (value.at(index) for index in range(value.count))
    elif value.count is not None:
        yield from (value.at(0), value.at(value.count - 1))


def meant_by(value: object, variables: Container[str] = ()) -> str:
    """What was probably meant by a value that is no number, for a message."""
    if isinstance(value, str) and value in variables:
        return f'; the value of a variable is written "={value}"'
    if isinstance(value, tuple):
        return "; a decision among them is written {choice: [...]}"
    if not isinstance(value, str):
        return ""
    if _is_number(value):
        return "; write it without quotes"
    try:
        bare = value.isidentifier() and value not in ("cin", "i")
        names = frozenset() if bare else parse(value).names
    except ExpressionError:
        return ""
    if not names:
        return ""
    return f"; an expression begins with '=': \"={value}\""


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False
