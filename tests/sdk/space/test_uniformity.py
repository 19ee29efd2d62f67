"""Both uniformities, by chi-square on small spaces; seeded, so the outcome is fixed."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest
from archloom.space import Architecture, Space, SpaceError

# A lopsided space: option a brings three decisions more, b none.
SPACE = Space.from_dict(
    {
        "input": {"x": {"kind": "vector", "shape": [4]}},
        "body": {
            "name": "top",
            "choice": {
                "a": {
                    "repeat": {
                        "count": {"int": [1, 2]},
                        "decisions": "free",
                        "body": {"layer": "linear", "out": {"choice": [1, 2, 3]}},
                    }
                },
                "b": {"layer": "identity"},
            },
        },
    }
)
SAMPLES = 20_000


def chi_square(counts: Counter[Architecture], expected: dict[Architecture, float]) -> float:
    assert set(counts) <= set(expected)
    total = counts.total()
    return sum((counts[a] - total * share) ** 2 / (total * share) for a, share in expected.items())


def share(architecture: Architecture) -> float:
    """What drawing each decision in turn gives."""
    given = architecture.decisions
    if given["top"] == "b":
        return 1 / 2
    count = given["top.a.count"]
    assert isinstance(count, int)
    return 1 / 2 * 1 / 2 * (1 / 3) ** count


def test_size() -> None:
    assert SPACE.size() == 1 + 3 + 9 == len(list(SPACE.enumerate()))


@pytest.mark.parametrize("seed", range(5))
def test_uniform_over_architectures(seed: int) -> None:
    rng = Random(seed)
    counts = Counter(SPACE.sample(rng, "architectures") for _ in range(SAMPLES))
    expected = dict.fromkeys(SPACE.enumerate(), 1 / 13)
    assert chi_square(counts, expected) < 32.9  # 12 degrees of freedom, p = 0.001


@pytest.mark.parametrize("seed", range(5))
def test_uniform_over_decisions(seed: int) -> None:
    rng = Random(seed)
    counts = Counter(SPACE.sample(rng, "decisions") for _ in range(SAMPLES))
    expected = {architecture: share(architecture) for architecture in SPACE.enumerate()}
    assert sum(expected.values()) == pytest.approx(1)
    assert chi_square(counts, expected) < 32.9


def test_a_constraint_leaves_the_rest_uniform() -> None:
    data = SPACE.to_dict() | {"constraints": ["params >= 10"]}
    space = Space.from_dict(data)
    kept = [a for a in SPACE.enumerate() if SPACE.graph(a).parameters >= 10]
    assert 1 < len(kept) < 13
    assert list(space.enumerate()) == kept
    counts = Counter(space.sample(Random(seed), "architectures") for seed in range(3_000))
    assert chi_square(counts, {architecture: 1 / len(kept) for architecture in kept}) < 32.9


def test_a_constraint_that_nothing_keeps_says_so() -> None:
    space = Space.from_dict(SPACE.to_dict() | {"constraints": ["params < 0"]})
    with pytest.raises(Exception, match=r"no sample of 1,000 keeps 'params < 0': at most about 0\.3%"):
        space.sample(Random(0))


def test_floats_are_sampled_in_range_and_stay_out_of_the_size() -> None:
    data = SPACE.to_dict() | {"recipe": {"lr": {"log": [1e-4, 1e-1]}, "momentum": {"float": [0.5, 0.9]}}}
    space = Space.from_dict(data)
    assert space.size() == 13
    assert space.continuous == ("recipe.lr", "recipe.momentum")
    rng = Random(1)
    rates = [space.sample(rng)["recipe.lr"] for _ in range(4_000)]
    assert all(isinstance(rate, float) and 1e-4 <= rate <= 1e-1 for rate in rates)
    below = sum(rate < 10**-2.5 for rate in rates)  # type: ignore[operator]
    assert abs(below - 2_000) < 200
    parent = space.sample(rng)
    assert parent["recipe.lr"] != space.mutate(parent, rng, rate=1.0)["recipe.lr"]


def test_a_recipe_that_cannot_be_computed_is_not_drawn() -> None:
    data = SPACE.to_dict() | {"recipe": {"batch": {"choice": [0, 32]}, "steps": "=3000 // recipe_batch"}}
    with pytest.raises(SpaceError, match=r"recipe\.steps: there is no variable 'recipe_batch'"):
        Space.from_dict(data)
    space = Space.from_dict(
        SPACE.to_dict() | {"recipe": {"batch": {"choice": [0, 32]}, "steps": "=3000 // batch"}}
    )
    architecture = space.sample(Random(0))
    assert space.recipe(architecture) == {"batch": 32, "steps": 93}
    broken = Architecture({**architecture.decisions, "recipe.batch": 0})
    (violation,) = space.check(broken)
    assert violation.field == "recipe.batch"
    assert "division by zero; 0 does not fit, 32 would" in violation.message
    with pytest.raises(SpaceError, match="division by zero"):
        space.recipe(broken)
