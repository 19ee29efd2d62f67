"""Reading of constants, expressions and domains, each fault noted with its path."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from archloom.space.domains import (
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
from archloom.space.errors import Violation, suggest
from archloom.space.expressions import MAX_MAGNITUDE, Expression, ExpressionError, parse
from archloom.space.tree import Bindings, Value

MAX_VIOLATIONS = 100
MAX_VALUES = 10_000

RESERVED = (
    "adapt",
    "merge",
    "norm",
    "activation",
    "count",
    "layer",
    "links",
    "sum",
    "mul",
    "concat",
    "task",
    "recipe",
    "input",
)
"""Segments of paths that no node may be called by."""
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}")
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


class ValueReader:
    """Notes faults in ``violations`` and goes on; what it returns for a faulty field is a placeholder."""

    def __init__(self) -> None:
        self.violations: list[Violation] = []

    def fault(self, path: str, message: str) -> None:
        if len(self.violations) < MAX_VIOLATIONS:
            self.violations.append(Violation(path, message))

    def fault_once(self, path: str, message: str) -> None:
        if all((v.field, v.message) != (path, message) for v in self.violations):
            self.fault(path, message)

    # ------------------------------------------------------- containers

    def mapping(
        self, data: object, path: str, known: Sequence[str] | None, required: Sequence[str] = ()
    ) -> Mapping[str, Any] | None:
        """The map itself, its keys checked (any key when known is None); None where it is no map."""
        if not isinstance(data, Mapping):
            self.fault(path, f"expected a map, found {show(data)}")
            return None
        for key in data:
            if not isinstance(key, str):
                self.fault(path, f"the key {show(key)} is not text; put it in quotes")
                return None
        if known is not None:
            self.unknown_keys(data, known, path)
        for key in required:
            if key not in data:
                self.fault(f"{path}.{key}" if path else key, "is missing")
        return data

    def unknown_keys(self, data: Mapping[str, Any], known: Sequence[str], path: str) -> None:
        for key in data:
            if key not in known:
                place = f"{path}.{key}" if path else key
                hint = "; write a space after the colon" if ":" in key else suggest(key, known)
                self.fault(place, f"{key!r} is no field here{hint}")

    def items(self, data: object, path: str) -> list[Any]:
        if isinstance(data, (list, tuple)):
            return list(data)
        self.fault(path, f"expected a list, found {show(data)}")
        return []

    def bindings(self, data: object, path: str) -> Bindings:
        """name -> value, in order."""
        fields = self.mapping(data, path, None) or {}
        for name in fields:
            self.name(name, f"{path}.{name}", _VARIABLES)
        return tuple((name, self.value(value, f"{path}.{name}")) for name, value in fields.items())

    # --------------------------------------------------------- scalars

    def text(self, data: object, path: str) -> str:
        if isinstance(data, str) and len(data) <= 10_000:
            return data
        self.fault(path, f"expected a text, found {show(data)}")
        return ""

    def name(self, data: object, path: str, reserved: Sequence[str] = ()) -> str:
        if not isinstance(data, str) or not _NAME.fullmatch(data):
            self.fault(path, f"expected a name (letters, digits, underscores), found {show(data)}")
            return ""
        if data in reserved:
            self.fault(path, f"{data!r} has a meaning of its own; choose another name")
        return data

    def one_of(self, data: object, path: str, known: Sequence[str]) -> str:
        if isinstance(data, str) and data in known:
            return data
        hint = suggest(data, known) if isinstance(data, str) else ""
        self.fault(path, f"expected {', '.join(known)}, found {show(data)}{hint if 'mean' in hint else ''}")
        return ""

    def whole(self, data: object, path: str, low: int, high: int) -> int:
        if type(data) is int and low <= data <= high:
            return data
        self.fault(path, f"expected a whole number from {low} to {high}, found {show(data)}")
        return low

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
            self.fault(path, str(error))
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
                self.fault(path, f"expected a whole number from {low} to {high}, found {show(sample)}")
                return

    # --------------------------------------------------------- domains

    def domain(self, data: Mapping[Any, Any], path: str) -> Value:
        if "divisors" in data:
            return self.divisors(data, path) or FAULTY
        kinds = [kind for kind in _DOMAINS if kind in data]
        if len(kinds) != 1 or len(data) != 1:
            found = ", ".join(map(str, data)) or "an empty map"
            names = (*_DOMAINS, "divisors")
            hint = suggest(str(next(iter(data), "")), names)
            known = ", ".join(names)
            self.fault(
                path,
                f"expected one domain of {known}, found {found}{hint if 'mean' in hint else ''}",
            )
            return FAULTY
        return _DOMAINS[kinds[0]](self, data[kinds[0]], f"{path}.{kinds[0]}") or FAULTY

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
            self.fault(path, f"expected [low, high{', step' if most == 3 else ''}], found {show(data)}")
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


def show(value: object) -> str:
    """A value for a message, short."""
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if value != value else "infinity"
    if isinstance(value, Mapping):
        return f"a map of {', '.join(map(str, list(value)[:5]))}" if value else "an empty map"
    if isinstance(value, (list, tuple)):
        return f"a list of {len(value)}"
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (str, int, float)):
        text = repr(value)
        return text if len(text) <= 60 else f"{text[:57]}..."
    if isinstance(value, Choice):
        return ", ".join(map(str, value.values[:5]))
    return f"a {type(value).__name__}"


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False
