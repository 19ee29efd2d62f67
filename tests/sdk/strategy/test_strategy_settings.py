"""Settings that are refused: what is told, and where."""

from __future__ import annotations

from typing import Any

import pytest
from archloom.errors import InvalidInput
from archloom.strategy.settings import read_settings
from pydantic import BaseModel, Field


class Arm(BaseModel):
    name: str


class Settings(BaseModel):
    arms: tuple[Arm, ...] = Field((), min_length=1)
    weights: dict[str, float] = {}


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"arms": []}, {"settings.arms": "has to have at least 1, and has 0"}),
        ({"arms": [7]}, {"settings.arms[0]": "has to be an object of names and values, not 7"}),
        ({"arms": {"name": 7}}, {"settings.arms": "input should be a valid tuple"}),
        ({"weights": "even"}, {"settings.weights": "has to be an object of names and values, not 'even'"}),
        (
            {"weights": {"a": "x"}, "arm": 1},
            {"settings.weights.a": "input should be a valid number", "settings.arm": "'arms'"},
        ),
    ],
)
def test_a_fault_is_told_once_and_in_the_words_of_a_spec(given: dict[str, Any], told: dict[str, str]) -> None:
    with pytest.raises(InvalidInput) as refusal:
        read_settings(Settings, given)
    faults = {fault.field: fault.message for fault in refusal.value.violations}
    assert set(faults) == set(told)
    for field, message in told.items():
        assert message in faults[field]
