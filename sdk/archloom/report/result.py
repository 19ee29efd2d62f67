"""result.json: a stable form of what an experiment found, for programs. docs/result.md has each field."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from archloom.client import ControlComparison, Finalist, SampleSummary, Trial
from archloom.report.outcome import Outcome
from archloom.space import Architecture

#: Grows when a field changes its meaning or goes; new fields may come without it.
SCHEMA = "archloom.result/1"


def result_of(outcome: Outcome, files: Mapping[str, str]) -> dict[str, Any]:
    """The whole as JSON has it. `files` are names by kind ("onnx": "model.onnx"), relative to the folder."""
    experiment, report = outcome.experiment, outcome.report
    counts = experiment.trials
    network = report.network
    return {
        "schema": SCHEMA,
        "experiment": experiment.name,
        "title": experiment.display_name,
        "state": experiment.state,
        "state_reason": experiment.state_reason,
        "create_time": _time(experiment.create_time),
        "end_time": _time(experiment.end_time),
        "objectives": [{"metric": each.metric, "goal": each.goal} for each in outcome.objectives],
        "trials": {
            "completed": counts.completed,
            "infeasible": counts.infeasible,
            "failed": counts.failed,
            "cancelled": counts.cancelled,
            "cache_hits": counts.cache_hits,
            "proxies_completed": counts.proxies_completed,
            "proxies_failed": counts.proxies_failed,
        },
        "device_seconds": experiment.device_seconds_charged,
        "front": [_trial(each) for each in report.front],
        "control": _control(report.control) if report.control is not None else None,
        "finalists": [_finalist(each) for each in report.finalists],
        "winner": _winner(outcome),
        "test": _test(outcome),
        "network": None
        if network is None
        else {"hash": network.hash, "parameters": network.parameters, "flops": network.flops},
        "files": dict(files),
        "notes": list(report.notes),
        "spec": experiment.spec.to_dict(),
    }


def _winner(outcome: Outcome) -> dict[str, Any] | None:
    report, winner = outcome.report, outcome.winner
    if winner is None:
        return None
    return {
        "trial": winner.trial,
        "run": report.winner,
        "architecture": architecture_data(winner.architecture),
        "metrics": dict(report.winner_metrics),
        "fixed_time": _time(report.winner_fixed_time),
        "tied_with": list(report.tied_with),
    }


def _test(outcome: Outcome) -> dict[str, Any] | None:
    test = outcome.report.test
    if test is None:
        return None
    return {
        "trial": test.trial,
        "metric": test.metric,
        "value": test.value,
        "lower": test.lower,
        "upper": test.upper,
        "confidence": 0.95,
        "examples": test.examples,
        "opened_time": _time(outcome.report.test_opened_time),
    }


def _control(control: ControlComparison) -> dict[str, Any]:
    return {
        "verdict": control.verdict,
        "statement": control.statement,
        "matched_trials": control.matched_trials,
        "margin": control.margin,
        "p_value": control.p_value,
        "probability_better": control.probability_better,
        "strategy_first": _summary(control.strategy_first),
        "strategy_all": _summary(control.strategy_all),
        "controls": _summary(control.controls),
    }


def _summary(summary: SampleSummary) -> dict[str, Any]:
    return {
        "trials": summary.trials,
        "failed": summary.failed,
        "best": summary.best,
        "median": summary.median,
        "device_seconds": summary.device_seconds,
    }


def _finalist(finalist: Finalist) -> dict[str, Any]:
    return {
        "trial": finalist.trial,
        "architecture": architecture_data(finalist.architecture),
        "validation_mean": finalist.validation_mean,
        "validation_stddev": finalist.validation_stddev,
        "test_mean": finalist.test_mean,
        "runs": [
            {"trial": run.name, "state": run.state, "seed": run.seed, "metrics": dict(run.metrics)}
            for run in finalist.runs
        ],
    }


def _trial(trial: Trial) -> dict[str, Any]:
    return {
        "trial": trial.name,
        "role": trial.role,
        "metrics": dict(trial.metrics),
        "architecture": architecture_data(trial.architecture),
    }


def architecture_data(architecture: Architecture) -> dict[str, Any]:
    """The decisions by path, tuples as lists."""
    return {
        path: list(value) if isinstance(value, tuple) else value
        for path, value in architecture.decisions.items()
    }


def _time(value: datetime | None) -> str | None:
    return None if value is None else value.astimezone(UTC).isoformat().replace("+00:00", "Z")
