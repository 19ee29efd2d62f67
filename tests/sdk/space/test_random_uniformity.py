"""Both uniformities on small random spaces: tied parts, conditions, counts, divisors, constraints."""

from __future__ import annotations

import math
from collections import Counter
from random import Random
from typing import Any

import pytest
from archloom.space import Architecture, Space
from random_spaces import MORE, drawn_spaces

DRAWS = 1_500


def small_spaces() -> list[tuple[Space, list[Architecture]]]:
    """Random spaces with few members and no floats, and their members."""
    found = []
    for space in drawn_spaces(150 * MORE, seed=1):
        if not space.continuous and 2 <= space.size() <= 40:
            members = list(space.enumerate())
            if len(members) > 1:
                found.append((space, members))
    return found


SMALL = small_spaces()


def odds(space: Space, architecture: Architecture) -> float:
    """Of being drawn decision by decision."""
    given = architecture.decisions
    return math.prod(1 / (domain.count or 1) for _, domain in space.choices.reachable(given))


def limit(freedom: int) -> float:
    """The chi-square value that one in 30,000 exceeds (Wilson and Hilferty 1931)."""
    part = 2 / (9 * freedom)
    return float(freedom * (1 - part + 4 * math.sqrt(part)) ** 3)


def test_there_are_enough_of_them_and_they_are_of_all_sorts() -> None:
    assert len(SMALL) >= 30
    texts = " ".join(str(space.to_dict()) for space, _ in SMALL)
    for word in ("use", "when", "repeat", "links", "cell", "divisors", "constraints", "recipe"):
        assert f"'{word}'" in texts


@pytest.mark.parametrize("uniform", ["decisions", "architectures"])
def test_samples_are_uniform(uniform: Any) -> None:
    rng = Random(5)
    for space, members in SMALL:
        weights = [odds(space, each) if uniform == "decisions" else 1.0 for each in members]
        expected = [DRAWS * weight / sum(weights) for weight in weights]
        counts = Counter(space.sample(rng, uniform) for _ in range(DRAWS))
        assert set(counts) <= set(members)
        off = sum((counts[each] - share) ** 2 / share for each, share in zip(members, expected, strict=True))
        assert off < limit(len(members) - 1), space.to_yaml()
