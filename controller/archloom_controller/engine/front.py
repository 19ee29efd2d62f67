"""The Pareto front, kept as trials end."""

from __future__ import annotations

from collections.abc import Sequence

#: Of a trial: its number, and its objectives signed so that less is better.
Entry = tuple[int, tuple[float, ...]]


def dominates(one: Sequence[float], other: Sequence[float]) -> bool:
    """Nowhere worse, somewhere better; less is better."""
    return all(a <= b for a, b in zip(one, other, strict=True)) and tuple(one) != tuple(other)


def extend(front: Sequence[Entry], number: int, values: tuple[float, ...]) -> list[Entry]:
    """The front with one more trial. Costs the front's size, so of trials with equal values the first that
    ended stands for all: an objective that saturates would otherwise make the front as long as the search.
    """
    if any(known == values or dominates(known, values) for _, known in front):
        return list(front)
    kept = [entry for entry in front if not dominates(values, entry[1])]
    kept.append((number, values))
    return sorted(kept, key=lambda entry: (entry[1], entry[0]))
