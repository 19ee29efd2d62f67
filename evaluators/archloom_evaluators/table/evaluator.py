"""The ``table`` evaluator: answers from a CSV file, thousands of trials a second."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from archloom.errors import ArchloomError
from archloom.space import Architecture, Space, nasbench201
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from archloom_evaluators.data.paths import Roots
from archloom_evaluators.evaluator import Context, EvaluatorInfo, Job, Outcome, Role, Run
from archloom_evaluators.failures import (
    AttemptStopped,
    AttemptYielded,
    EvaluationFailure,
    Reason,
    classify,
)
from archloom_evaluators.settings import worker_settings
from archloom_evaluators.table.csv_table import Table, Tables, header
from archloom_evaluators.validation import explain

Column = str


class TableSettings(BaseModel):
    """Where results are looked up."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    path: str = Field(min_length=1, description="CSV file, plain or .gz, under ARCHLOOM_DATA_ROOTS.")
    key: Literal["arch", "decisions"] = Field(
        default="arch",
        description="Rows by an `arch` column (NAS-Bench-201 strings), or one column a decision.",
    )
    metrics: dict[str, Column] = Field(min_length=1, description="Metric name to column.")
    test_metrics: dict[str, Column] = Field(
        default_factory=dict, description="Metric name to column, read for TEST trials only."
    )
    duration_seconds: float = Field(
        default=0.0,
        ge=0.0,
        allow_inf_nan=False,
        description="Each trial takes this long, as if it were measured.",
    )


@dataclass(frozen=True)
class _Lookup:
    """A context's settings, made ready: the key of an architecture and the two tables."""

    settings: TableSettings
    key: Callable[[Architecture], tuple[str, ...]]
    keys: tuple[str, ...]
    table: Table


class TableEvaluator:
    """Implements ``BatchedEvaluator``."""

    def __init__(self, roots: Roots | None = None) -> None:
        self._roots = roots
        self._tables = Tables()
        self._lookups: dict[tuple[str, str, bool], tuple[Mapping[str, Any], _Lookup]] = {}

    def describe(self) -> EvaluatorInfo:
        return EvaluatorInfo(
            kind="table",
            version="1",
            summary="Answers from a CSV file of measured architectures.",
            task_kinds=(),  # whatever the task is: the results stand in the table
            metrics=(),
            settings_schema=TableSettings.model_json_schema(),
        )

    def evaluate_many(self, jobs: Sequence[Job], runs: Sequence[Run]) -> Iterator[Outcome | Exception]:
        for job, run in zip(jobs, runs, strict=True):
            try:
                lookup = self._lookup(job.context, test=job.role is Role.TEST)
                if lookup.settings.duration_seconds:
                    run.pause(lookup.settings.duration_seconds)
                else:
                    run.advance()
                yield _answer(job, lookup)
            except (AttemptStopped, AttemptYielded) as end:
                yield end
            except Exception as error:
                # The batch goes on: one architecture without a row is not the others' fault.
                yield classify(error)

    def _lookup(self, context: Context, *, test: bool) -> _Lookup:
        place = (context.experiment, context.space_digest, test)
        known = self._lookups.get(place)
        if known is not None and (
            known[0] is context.evaluator_settings or known[0] == context.evaluator_settings
        ):
            return known[1]
        if len(self._lookups) >= 64:
            self._lookups.clear()
        lookup = self._prepare(context, test)
        self._lookups[place] = (context.evaluator_settings, lookup)
        return lookup

    def _prepare(self, context: Context, test: bool) -> _Lookup:
        try:
            settings = TableSettings.model_validate(dict(context.evaluator_settings))
        except ValidationError as error:
            raise EvaluationFailure(Reason.DATA, explain("evaluator.settings", error)) from error
        wanted = settings.test_metrics if test else settings.metrics
        if not wanted:
            raise EvaluationFailure(
                Reason.DATA, "the table's settings name no test_metrics, and this trial asks for them"
            )
        path = (self._roots or worker_settings().roots).resolve(settings.path)
        if settings.key == "arch":
            keys: tuple[str, ...] = ("arch",)
            key: Callable[[Architecture], tuple[str, ...]] = _arch_key
        else:
            keys = _decision_columns(context.space, header(path))
            key = _decision_key(keys)
        return _Lookup(settings, key, keys, self._tables.get(path, keys, tuple(wanted.values())))


def _answer(job: Job, lookup: _Lookup) -> Outcome:
    key = lookup.key(job.architecture)
    cells = lookup.table.cells.get(key)
    if cells is None:
        shown = ", ".join(f"{name}={value}" for name, value in zip(lookup.keys, key, strict=True) if value)
        raise EvaluationFailure(Reason.CANNOT_BUILD, f"the table has no row for {shown}")
    settings = lookup.settings
    names = settings.test_metrics if job.role is Role.TEST else settings.metrics
    metrics = dict(zip(names, cells, strict=True))
    for name, value in metrics.items():
        if not math.isfinite(value):
            raise EvaluationFailure(Reason.CANNOT_BUILD, f"the table's row has no number for {name}")
    return Outcome(metrics)


def _arch_key(architecture: Architecture) -> tuple[str, ...]:
    try:
        return (nasbench201.to_arch_string(architecture),)
    except (ArchloomError, KeyError, ValueError) as error:
        raise EvaluationFailure(
            Reason.CANNOT_BUILD, f"not an architecture of nasbench201, which key: arch needs: {error}"
        ) from error


def _decision_columns(space: Space, names: Sequence[str]) -> tuple[str, ...]:
    """The table's columns that are paths of decisions. Raises when a decision has no column."""
    paths = [decision.path for decision in space.decisions()]
    missing = [path for path in paths if path not in names]
    if missing:
        raise EvaluationFailure(
            Reason.DATA, f"the table has no column for the decision {', '.join(map(repr, missing[:5]))}"
        )
    return tuple(paths)


def _decision_key(paths: Sequence[str]) -> Callable[[Architecture], tuple[str, ...]]:
    def key(architecture: Architecture) -> tuple[str, ...]:
        decisions = architecture.decisions
        return tuple(cell_of(decisions[path]) if path in decisions else "" for path in paths)

    return key


def cell_of(value: object) -> str:
    """How a decision's value stands in a table.

    True and false in lower case, members of a subset by semicolons.
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple | list):
        return ";".join(cell_of(member) for member in value)
    return str(value)
