"""What the decisions of a space are, and where each of them exists."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from archloom.space.decisions.choices import Condition, Tree
from archloom.space.language.domains import Choice, Domain, Literal, literal_key


@dataclass(frozen=True)
class DecisionInfo:
    """A decision of a space. It exists where one of ``alternatives`` holds: all conditions of it, each (path,
    values).
    """

    path: str
    domain: Domain
    alternatives: tuple[tuple[Condition, ...], ...]

    @property
    def always(self) -> bool:
        return not self.alternatives


WRITTEN_OUT = 10**12


def size_text(size: int) -> str:
    """Exact as long as people can read it."""
    return f"{size:,}" if size < WRITTEN_OUT else f"{Decimal(size):.2e}".replace("e+", "e")


def digits(size: int) -> str:
    """A size written out, however long; Python's own ``str`` refuses more than 4,300 digits."""
    return f"{Decimal(size):f}"


def describe(tree: Tree) -> tuple[DecisionInfo, ...]:
    """Every decision that can exist, once, in the tree's order.

    Where a path has other values in other branches, its domain is their union.
    """
    found: dict[str, tuple[dict[Domain, None], list[tuple[Condition, ...]]]] = {}
    for path, domain, under in tree.conditions(()):
        domains, alternatives = found.setdefault(path, ({}, []))
        domains[domain] = None
        alternatives.append(under)
    whole = {path: union(list(domains)) for path, (domains, _) in found.items()}
    counts = {path: domain.count or 0 for path, domain in whole.items()}
    result = []
    for path, (_, alternatives) in found.items():
        merged = _merged([_restricting(one, counts) for one in alternatives], counts)
        result.append(DecisionInfo(path, whole[path], () if () in merged else merged))
    return tuple(result)


def union(domains: Sequence[Domain]) -> Domain:
    """All values of discrete domains, once each, in an order that keeps the order of each; numbers that are
    free to stand in either order by size, divisors in the order of ``among``.
    """
    if len(domains) == 1:
        return domains[0]
    among = {domain.among if isinstance(domain, Choice) else () for domain in domains}
    if len(among) == 1 and (members := among.pop()):
        return Choice(tuple(m for m in members if any(d.index(m) is not None for d in domains)), members)
    left = [[domain.at(number) for number in range(domain.count or 1)] for domain in domains]
    merged: list[Literal] = []
    while left:
        heads = {literal_key(values[0]): values[0] for values in left}
        later = {literal_key(value) for values in left for value in values[1:]}
        free = [key for key in heads if key not in later] or list(heads)
        chosen = min(free, key=lambda key: _place(heads[key]))
        merged.append(heads[chosen])
        left = [[value for value in values if literal_key(value) != chosen] for values in left]
        left = [values for values in left if values]
    return Choice(tuple(merged))


def _place(value: Literal) -> float:
    return value if isinstance(value, (int, float)) else 0.0


def _restricting(one: tuple[Condition, ...], counts: Mapping[str, int]) -> tuple[Condition, ...]:
    """Without the conditions that hold for every value."""
    return tuple((path, values) for path, values in one if len(values) < counts[path])


def _merged(
    alternatives: list[tuple[Condition, ...]], counts: Mapping[str, int]
) -> tuple[tuple[Condition, ...], ...]:
    """Alternatives that differ in the values of one condition as one; those that hold for every value go."""
    left = list(dict.fromkeys(alternatives))
    merged = True
    while merged:
        merged = False
        for place in range(max((len(one) for one in left), default=0) - 1, -1, -1):
            joined = _joined_at(place, left, counts)
            merged |= len(joined) < len(left)
            left = joined
    return tuple(left)


def _joined_at(
    place: int, alternatives: list[tuple[Condition, ...]], counts: Mapping[str, int]
) -> list[tuple[Condition, ...]]:
    """Those that differ in the values of the condition at a place alone, each group as one."""
    groups: dict[object, list[tuple[Condition, ...]]] = {}
    for one in alternatives:
        rest = one if place >= len(one) else (one[:place], one[place][0], one[place + 1 :])
        groups.setdefault((len(one), rest), []).append(one)
    result = []
    for group in groups.values():
        first = group[0]
        if len(group) > 1:
            values = {literal_key(value): value for one in group for value in one[place][1]}
            first = (*first[:place], (first[place][0], tuple(values.values())), *first[place + 1 :])
        result.append(_restricting(first, counts))
    return list(dict.fromkeys(result))
