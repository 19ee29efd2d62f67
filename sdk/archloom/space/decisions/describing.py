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
    free to stand in either order by size.
    """
    if len(domains) == 1:
        return domains[0]
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
    """Alternatives that differ in the values of one condition as one."""
    left = list(dict.fromkeys(alternatives))
    merged = True
    while merged:
        merged = False
        for number, one in enumerate(left):
            for other in left[number + 1 :]:
                if (joined := _joined(one, other)) is not None:
                    left = [item for item in left if item not in (one, other)]
                    left.insert(number, _restricting(joined, counts))
                    left = list(dict.fromkeys(left))
                    merged = True
                    break
            if merged:
                break
    return tuple(left)


def _joined(one: tuple[Condition, ...], other: tuple[Condition, ...]) -> tuple[Condition, ...] | None:
    if [path for path, _ in one] != [path for path, _ in other]:
        return None
    different = [place for place, (a, b) in enumerate(zip(one, other, strict=True)) if a != b]
    if len(different) != 1:
        return None
    place = different[0]
    path, values = one[place]
    return (*one[:place], (path, (*values, *other[place][1])), *one[place + 1 :])
