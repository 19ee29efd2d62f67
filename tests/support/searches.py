"""Specs of searches that tests run, and running them to their end."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from archloom.client import Client, Experiment
from archloom.spec import ExperimentSpec
from waiting import wait_for


def table_search(table: Path, **changes: Any) -> ExperimentSpec:
    """A search of nasbench201 in a table that ``synthetic_table`` wrote; ``changes`` replace whole fields."""
    tree: dict[str, Any] = {
        "name": "table search",
        "task": {"kind": "classification", "dataset": "table"},
        "space": "nasbench201",
        "objectives": [{"maximize": "val_accuracy"}],
        "strategy": {"name": "evolution", "settings": {"kind": "regularized", "population": 20, "sample": 5}},
        "evaluator": {"kind": "table", "settings": table_settings(table)},
        "budget": {"trials": 60},
        "parallelism": 16,
        "control": {"share": 0.2},
        "finalists": {"count": 2, "seeds": 1},
        "seed": 1,
    }
    return ExperimentSpec.from_dict({**tree, **changes})


def digits_space() -> Mapping[str, Any]:
    """The space of examples/digits.yaml, which fits that data set."""
    example = Path(__file__).resolve().parents[2] / "examples" / "digits.yaml"
    space: Mapping[str, Any] = yaml.safe_load(example.read_text())["space"]
    return space


def table_settings(table: Path, duration_seconds: float = 0.0) -> Mapping[str, Any]:
    return {
        "path": str(table),
        "key": "arch",
        "metrics": {"val_accuracy": "val"},
        "test_metrics": {"test_accuracy": "test"},
        "duration_seconds": duration_seconds,
    }


def ended(client: Client, name: str, seconds: float = 120.0) -> Experiment:
    """The experiment once it has ended, whatever its end."""

    def look() -> Experiment | None:
        experiment = client.experiments.get(name)
        return experiment if experiment.ended else None

    return wait_for(look, seconds, f"the end of {name}")
