from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

from archloom.report import Outcome, render_page, result_of
from archloom.spec import ExperimentSpec

DOCUMENT = (Path(__file__).parents[3] / "docs" / "result.md").read_text(encoding="utf-8")


def names(value: Any) -> set[str]:
    """Every field's name, without those that users or metrics give."""
    if isinstance(value, dict):
        free = {"spec", "metrics", "architecture", "files"}
        return set(value).union(*(names(each) for key, each in value.items() if key not in free))
    return set().union(*map(names, value)) if isinstance(value, list) else set()


def test_every_field_is_documented(outcome: Outcome) -> None:
    documented = set(re.findall(r"[a-z_]+", DOCUMENT))
    assert names(result_of(outcome, {"onnx": "model.onnx"})) <= documented


def test_the_numbers_are_those_of_the_report(outcome: Outcome) -> None:
    result = json.loads(json.dumps(result_of(outcome, {"onnx": "model.onnx"}), allow_nan=False))
    assert result["winner"]["trial"].endswith("/trials/15")
    assert result["winner"]["run"].endswith("/trials/17")
    assert result["winner"]["fixed_time"] == "2026-01-02T03:08:00Z"
    assert result["test"] | {"trial": ""} == {
        "trial": "",
        "metric": "test_accuracy",
        "value": 0.971,
        "lower": 0.9587,
        "upper": 0.9797,
        "confidence": 0.95,
        "examples": 1000,
        "opened_time": "2026-01-02T03:08:30Z",
    }
    assert [len(each["runs"]) for each in result["finalists"]] == [2, 2]
    assert len(result["winner"]["architecture"]) == 6
    assert result["control"]["strategy_all"]["failed"] == 1
    assert ExperimentSpec.from_dict(result["spec"]) == outcome.experiment.spec


def test_a_search_that_found_nothing_has_a_result_and_a_page(outcome: Outcome) -> None:
    report = replace(
        outcome.report,
        front=(),
        control=None,
        finalists=(),
        winner="",
        winner_fixed_time=None,
        test_opened_time=None,
        tied_with=(),
        test=None,
        winner_metrics={},
        network=None,
        notes=(),
    )
    empty = replace(outcome, report=report, trials=[])
    result = result_of(empty, {})
    assert (result["winner"], result["test"], result["control"], result["front"]) == (None, None, None, [])
    page = render_page(empty)
    assert "No trial has completed within the constraints." in page
    assert "nothing can be said" in page
