"""The ``table`` evaluator: answers from a CSV file, thousands of trials a second."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from archloom.errors import InvalidInput
from archloom.space import SpaceError
from archloom.tables import Keys, Table, arch_keys, decision_keys, read_table
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
from archloom_evaluators.validation import explain

Column = str


class TableSettings(BaseModel):
    """Where results are looked up."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    path: str = Field(
        min_length=1,
        description="CSV file, plain or .gz, under ARCHLOOM_DATA_ROOTS.",
        json_schema_extra={"format": "path"},
    )
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
    """A context's settings, made ready: the key of an architecture and the table."""

    settings: TableSettings
    keys: Keys
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
        keys = arch_keys() if settings.key == "arch" else decision_keys(context.space)
        return _Lookup(settings, keys, self._tables.get(path, keys, tuple(dict.fromkeys(wanted.values()))))


class Tables:
    """The tables this process has read. A file that changes is read again."""

    def __init__(self, kept: int = 4) -> None:
        self._kept = kept
        self._tables: dict[tuple[object, ...], Table] = {}

    def get(self, path: Path, keys: Keys, columns: tuple[str, ...]) -> Table:
        """Raises EvaluationFailure with DATA."""
        try:
            status = path.stat()
            wanted = (path, status.st_mtime_ns, status.st_size, keys.columns, columns)
            if wanted not in self._tables:
                if len(self._tables) >= self._kept:
                    del self._tables[next(iter(self._tables))]
                self._tables[wanted] = read_table(
                    path, keys, columns, option="evaluator.settings", name=path.name
                )
            return self._tables[wanted]
        except OSError as error:
            raise EvaluationFailure(Reason.DATA, f"{path.name} cannot be read: {error}") from error
        except InvalidInput as error:
            raise EvaluationFailure(Reason.DATA, "; ".join(map(str, error.violations[:5]))) from error


def _answer(job: Job, lookup: _Lookup) -> Outcome:
    try:
        key = lookup.keys.of(job.architecture)
    except SpaceError as error:
        raise EvaluationFailure(
            Reason.CANNOT_BUILD, f"not an architecture of nasbench201, which key: arch needs: {error}"
        ) from error
    cells = lookup.table.cells.get(key)
    if cells is None:
        named = zip(lookup.keys.columns, key, strict=True)
        shown = ", ".join(f"{name}={value}" for name, value in named if value)
        raise EvaluationFailure(Reason.CANNOT_BUILD, f"the table has no row for {shown}")
    numbers = dict(zip(lookup.table.columns, cells, strict=True))
    settings = lookup.settings
    columns = settings.test_metrics if job.role is Role.TEST else settings.metrics
    metrics = {name: numbers[column] for name, column in columns.items()}
    for name, value in metrics.items():
        if not math.isfinite(value):
            raise EvaluationFailure(Reason.CANNOT_BUILD, f"the table's row has no number for {name}")
    return Outcome(metrics)
