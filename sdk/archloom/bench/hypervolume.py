"""How much of the space of losses a set of points covers: the quality of a front in one number."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

Losses = tuple[float, ...]


def front_of(points: Iterable[Losses]) -> list[Losses]:
    """The points that no other one dominates, each once, in ascending order. Smaller is better."""
    front: list[Losses] = []
    for point in sorted(set(points)):  # what dominates a point is before it
        if not any(covers(other, point) for other in front):
            front.append(point)
    return front


def covers(one: Losses, other: Losses) -> bool:
    """No worse in any place."""
    return all(mine <= theirs for mine, theirs in zip(one, other, strict=True))


def hypervolume(points: Iterable[Losses], reference: Losses) -> float:
    """The volume between the points and ``reference`` that some point covers; smaller is better.

    Exact, by slices along the last loss (Knowles 2002): n points of d losses cost about n**(d - 1) steps.
    """
    inside = [point for point in points if all(x < limit for x, limit in zip(point, reference, strict=True))]
    return _volume(front_of(inside), reference)


def _volume(front: Sequence[Losses], reference: Losses) -> float:
    if not front:
        return 0.0
    if len(reference) == 1:
        return reference[0] - min(point[0] for point in front)
    by_height = sorted(front, key=lambda point: point[-1])
    volume = 0.0
    for number, point in enumerate(by_height):
        above = by_height[number + 1][-1] if number + 1 < len(by_height) else reference[-1]
        if above > point[-1]:
            slice_ = front_of(each[:-1] for each in by_height[: number + 1])
            volume += (above - point[-1]) * _volume(slice_, reference[:-1])
    return volume
