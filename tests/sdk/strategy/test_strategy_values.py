from __future__ import annotations

import math

import pytest
from archloom.space import Architecture
from archloom.strategy import (
    Comparison,
    Constraint,
    Goal,
    Objective,
    Observation,
    ObservationKind,
    SearchSpec,
)


@pytest.mark.parametrize(
    ("comparison", "bound", "value", "violation"),
    [
        (Comparison.AT_MOST, 100, 100, 0),
        (Comparison.AT_MOST, 100, 150, 0.5),
        (Comparison.AT_LEAST, 0.8, 0.6, 0.25),
        (Comparison.AT_LEAST, 0.8, 0.9, 0),
        (Comparison.AT_MOST, 0, 3, 3),
        (Comparison.AT_MOST, -2, -1, 0.5),
    ],
)
def test_a_violation_is_a_share_of_the_bound(
    comparison: Comparison, bound: float, value: float, violation: float
) -> None:
    assert Constraint("m", comparison, bound).violation(value) == pytest.approx(violation)


def test_scores_are_larger_when_better(spec: SearchSpec) -> None:
    two = SearchSpec(
        space=spec.space,
        objectives=(Objective("acc"), Objective("size", Goal.MINIMIZE), Objective("unreported")),
        constraints=(
            Constraint("size", Comparison.AT_MOST, 10),
            Constraint("unreported", Comparison.AT_LEAST, 1),
        ),
    )
    trial = Observation(1, ObservationKind.FINISHED, Architecture({}), metrics={"acc": 0.9, "size": 15})
    assert two.scores(trial) == (0.9, -15, -math.inf)
    assert two.violation(trial) == pytest.approx(0.5)
