"""A space's decisions as a table for people: repeated ones folded into one row."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from archloom.space import DecisionInfo
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
)

_INDEX = re.compile(r"\[(\d+)\]")
_LETTERS = "ijkmn"
_SHOWN_VALUES = 12
_SHOWN_ALTERNATIVES = 2


class Row(NamedTuple):
    """``path`` holds ranges such as ``[0..3]``, ``number`` decisions in all; ``exists`` says when they do."""

    path: str
    number: int
    values: str
    exists: str


def decision_rows(infos: Sequence[DecisionInfo]) -> list[Row]:
    """Decisions that differ in the numbers within their paths alone are one row."""
    groups: dict[tuple[str, Domain], list[DecisionInfo]] = {}
    for info in infos:
        groups.setdefault((_INDEX.sub("[]", info.path), info.domain), []).append(info)
    domains = {info.path: info.domain for info in infos}
    return [_row(part, domains) for group in groups.values() for part in _boxes(group)]


def _numbers(path: str) -> tuple[int, ...]:
    return tuple(map(int, _INDEX.findall(path)))


def _boxes(group: list[DecisionInfo]) -> list[list[DecisionInfo]]:
    """The group in parts, each of which holds every combination of the numbers that occur in it."""
    numbers = [_numbers(info.path) for info in group]
    axes = [sorted(set(axis)) for axis in zip(*numbers, strict=True)]
    size = 1
    for axis in axes:
        size *= len(axis)
    if size == len(group):
        return [group]
    varying = next(place for place, axis in enumerate(axes) if len(axis) > 1)
    parts: dict[int, list[DecisionInfo]] = {}
    for info, own in zip(group, numbers, strict=True):
        parts.setdefault(own[varying], []).append(info)
    return [box for part in parts.values() for box in _boxes(part)]


def _row(group: list[DecisionInfo], domains: Mapping[str, Domain]) -> Row:
    axes = [sorted(set(axis)) for axis in zip(*[_numbers(info.path) for info in group], strict=True)]
    letters = iter(_LETTERS)
    symbols = [next(letters, "") if len(axis) > 1 else "" for axis in axes]
    exists = _exists(group, symbols, domains)
    ranges = iter(
        f"{symbol}={_range(axis)}"
        if symbol and re.search(rf"> {symbol}\b|\[{symbol}\]", exists)
        else _range(axis)
        for symbol, axis in zip(symbols, axes, strict=True)
    )
    path = _INDEX.sub(lambda _: f"[{next(ranges)}]", group[0].path)
    return Row(path, len(group), domain_text(group[0].domain), exists)


def _range(numbers: list[int]) -> str:
    if len(numbers) > 1 and numbers == list(range(numbers[0], numbers[-1] + 1)):
        return f"{numbers[0]}..{numbers[-1]}"
    return ",".join(map(str, numbers))


def _exists(group: list[DecisionInfo], symbols: list[str], domains: Mapping[str, Domain]) -> str:
    """When a group's decisions exist: said once where it is the same for all, or follows from their numbers;
    else what it hangs on.
    """
    texts = [
        [
            [_condition(info.path, *condition, symbols, domains) for condition in one]
            for one in info.alternatives
        ]
        for info in group
    ]
    alternatives = max(map(len, texts))
    if alternatives <= 1:
        longest = sorted((parts for one in texts for parts in one), key=len, reverse=True)
        whole = dict.fromkeys(text for parts in longest for text in parts)
        # The first repetitions exist whatever the count is, so "count > i" holds for them unsaid.
        rest = [tuple(text for parts in one for text in parts if "> " not in text) for one in texts]
        if len(set(rest)) == 1:
            return f"if {' and '.join(whole)}" if whole else "always"
    elif alternatives <= _SHOWN_ALTERNATIVES and all(one == texts[0] for one in texts):
        return "if " + " or ".join(" and ".join(parts) for parts in texts[0])
    names = [
        _named(path, info.path, symbols) for info in group for one in info.alternatives for path, _ in one
    ]
    return "by " + ", ".join(dict.fromkeys(names))


def _condition(
    of: str, path: str, values: Sequence[Literal], symbols: Sequence[str], domains: Mapping[str, Domain]
) -> str:
    """One condition for the decision at path ``of``: ``count > i``, ``mix.by is attention``."""
    above = path.removesuffix(".count")
    name = "count" if path != above and of.startswith(f"{above}[") else _named(path, of, symbols)
    known = _whole_values(domains.get(path))
    least = min((value for value in values if type(value) is int), default=0)
    if known and sorted(values, key=str) == sorted((v for v in known if v >= least), key=str):
        for number, symbol in zip(_numbers(of), symbols, strict=True):
            if symbol and least == number + 1:
                return f"{name} > {symbol}"
        if len(values) > 1:
            return f"{name} >= {least}"
    return f"{name} is {' or '.join(map(literal_text, values))}"


def _named(path: str, of: str, symbols: Sequence[str]) -> str:
    """A condition's path, with letters for the numbers that it shares with the decision's own path."""
    result, end = "", 0
    for place, found in enumerate(_INDEX.finditer(path)):
        shared = place < len(symbols) and symbols[place] and of.startswith(path[: found.end()])
        result += path[end : found.start()] + (f"[{symbols[place]}]" if shared else found.group())
        end = found.end()
    return result + path[end:]


def _whole_values(domain: Domain | None) -> list[int]:
    """All values of a domain of not too many whole numbers, else none."""
    if domain is None or domain.count is None or domain.count > 1_000:
        return []
    found = [domain.at(index) for index in range(domain.count)]
    return [value for value in found if type(value) is int] if type(found[0]) is int else []


def literal_text(value: Literal) -> str:
    """A constant as YAML has it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple):
        return f"[{', '.join(map(literal_text, value))}]"
    return f"{value:g}" if isinstance(value, float) else str(value)


def domain_text(domain: Domain) -> str:
    """A domain in a few words."""
    match domain:
        case Choice():
            return _listed(domain.values)
        case Flag():
            return "false, true"
        case Integer(low, high, step):
            return f"{low} to {high}" + (f" by {step}" if step not in (None, 1) else "")
        case Log(low, high):
            return f"{low:g} to {high:g}, log"
        case Uniform(low, high):
            return f"{low:g} to {high:g}"
        case Subset(of, least, most):
            number = str(least) if least == most else f"{least} to {most}"
            return f"{number} of {_listed(of)}"
        case Divisors(of, among):
            return f"those of {_listed(among)} that divide {of.text.strip()}"
    return type(domain).__name__.lower()


def _listed(values: Sequence[Literal]) -> str:
    low, high = values[0], values[-1]
    if len(values) > 3 and type(low) is int and type(high) is int and values == tuple(range(low, high + 1)):
        return f"{low} to {high}"
    shown = ", ".join(map(literal_text, values[:_SHOWN_VALUES]))
    return shown if len(values) <= _SHOWN_VALUES else f"{shown}, ... ({len(values)})"
