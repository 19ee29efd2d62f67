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
_Asked = Literal["metrics", "test_metrics", "proxies"]


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
    metrics: dict[str, Column] = Field(
        min_length=1, description="Metric name to column.", json_schema_extra={"format": "metrics"}
    )
    proxies: dict[str, Column] = Field(
        default_factory=dict,
        description="Training-free score to column, read for proxy trials.",
        json_schema_extra={"format": "proxies"},
    )
    proxy_path: str = Field(
        default="",
        description="Where the scores are, if not in `path`: a file with the same key.",
        json_schema_extra={"format": "path"},
    )
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
    """A context's settings, made ready: the key of an architecture, the table, and name to column."""

    settings: TableSettings
    keys: Keys
    table: Table
    columns: Mapping[str, Column]


class TableEvaluator:
    """Implements ``BatchedEvaluator``."""

    def __init__(self, roots: Roots | None = None) -> None:
        self._roots = roots
        self._tables = Tables()
        self._lookups: dict[tuple[str, str, _Asked], tuple[Mapping[str, Any], _Lookup]] = {}

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
                lookup = self._lookup(job.context, _asked(job))
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

    def _lookup(self, context: Context, asked: _Asked) -> _Lookup:
        place = (context.experiment, context.space_digest, asked)
        known = self._lookups.get(place)
        if known is not None and (
            known[0] is context.evaluator_settings or known[0] == context.evaluator_settings
        ):
            return known[1]
        if len(self._lookups) >= 64:
            self._lookups.clear()
        lookup = self._prepare(context, asked)
        self._lookups[place] = (context.evaluator_settings, lookup)
        return lookup

    def _prepare(self, context: Context, asked: _Asked) -> _Lookup:
        try:
            settings = TableSettings.model_validate(dict(context.evaluator_settings))
        except ValidationError as error:
            raise EvaluationFailure(Reason.DATA, explain("evaluator.settings", error)) from error
        wanted: Mapping[str, Column] = getattr(settings, asked)
        if not wanted:
            raise EvaluationFailure(
                Reason.DATA, f"the table's settings name no {asked}, and this trial asks for them"
            )
        file = settings.proxy_path if asked == "proxies" and settings.proxy_path else settings.path
        path = (self._roots or worker_settings().roots).resolve(file)
        keys = arch_keys() if settings.key == "arch" else decision_keys(context.space)
        table = self._tables.get(path, keys, tuple(dict.fromkeys(wanted.values())))
        return _Lookup(settings, keys, table, wanted)


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


def _asked(job: Job) -> _Asked:
    """Which of the settings' columns a trial reads."""
    if job.fidelity.proxies:
        return "proxies"
    return "test_metrics" if job.role is Role.TEST else "metrics"


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
    if job.fidelity.proxies:
        return _scores(job.fidelity.proxies, lookup.columns, numbers)
    metrics = {name: numbers[column] for name, column in lookup.columns.items()}
    for name, value in metrics.items():
        if not math.isfinite(value):
            raise EvaluationFailure(Reason.CANNOT_BUILD, f"the table's row has no number for {name}")
    return Outcome(metrics)


def _scores(names: Sequence[str], columns: Mapping[str, Column], numbers: Mapping[str, float]) -> Outcome:
    """Those of the scores for which the row has a number."""
    unknown = [name for name in names if name not in columns]
    if unknown:
        known = ", ".join(sorted(columns))
        raise EvaluationFailure(
            Reason.DATA, f"the table's settings name no proxy {unknown[0]!r}, but {known}"
        )
    found = {name: numbers[columns[name]] for name in names}
    scores = {name: value for name, value in found.items() if math.isfinite(value)}
    if not scores:
        raise EvaluationFailure(Reason.CANNOT_BUILD, f"the table's row has no number for {', '.join(names)}")
    return Outcome(scores)
