"""What the decisions of a space are, and where each of them exists."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from archloom.space.choices import Condition, Tree
from archloom.space.domains import Domain


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


def describe(tree: Tree) -> tuple[DecisionInfo, ...]:
    """Every decision that can exist, once, in the tree's order."""
    found: dict[str, tuple[Domain, list[tuple[Condition, ...]]]] = {}
    for path, domain, under in tree.conditions(()):
        found.setdefault(path, (domain, []))[1].append(under)
    counts = {path: domain.count or 0 for path, (domain, _) in found.items()}
    result = []
    for path, (domain, alternatives) in found.items():
        merged = _merged([_restricting(one, counts) for one in alternatives], counts)
        result.append(DecisionInfo(path, domain, () if () in merged else merged))
    return tuple(result)


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
