"""From the command's options to what is measured."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from archloom.bench.benchmark import Benchmark, Metric
from archloom.errors import InvalidInput, Violation
from archloom.space import Space, load_preset, preset_names
from archloom.strategy.settings import near
from archloom.strategy.values import Goal
from archloom.tables import Key, Keys, Table, arch_keys, decision_keys, read_table


def read_benchmark(
    *,
    space: str,
    tables: Sequence[Path],
    metrics: Sequence[str],
    goals: Sequence[Goal],
    report: str,
    report_table: Path | None,
    proxy_table: Path | None,
    fidelities: Sequence[str],
    epochs: int,
    queries: int,
    parallel: int,
) -> Benchmark:
    """Raises InvalidInput, naming the option at fault."""
    tree, keys = _space(space)
    found = [read_table(path, keys, option="--table") for path in tables]
    columns = [
        _metric(found, column, goal)
        for column, goal in zip(metrics, goals_of(len(metrics), goals), strict=True)
    ]
    names = [metric.name for metric in columns]
    if len(set(names)) < len(names):
        raise InvalidInput([Violation("--metric", f"{', '.join(metrics)}: two of them have one name")])
    if not any(all(key in metric.values for metric in columns) for key in columns[0].values):
        raise InvalidInput([Violation("--metric", f"no row has all of {', '.join(metrics)}")])
    proxies = found if proxy_table is None else [read_table(proxy_table, keys, option="--proxy-table")]
    return Benchmark(
        space=tree,
        keys=keys,
        metrics=tuple(columns),
        queries=queries,
        reports=_reports(found, columns, report, report_table, keys),
        parallel=parallel,
        epochs=epochs,
        lower=_lower(found, columns, fidelities, epochs),
        proxies=_Columns(proxies),
    )


def goals_of(metrics: int, goals: Sequence[Goal]) -> list[Goal]:
    """One for each metric: as given, in order; without any, the first is maximised and the others, costs,
    minimised.
    """
    if len(goals) > metrics:
        raise InvalidInput([Violation("--goal", f"{len(goals)} goals for {metrics} metrics: give one each")])
    given = list(goals) or [Goal.MAXIMIZE]
    return given + [Goal.MINIMIZE] * (metrics - len(given))


def _metric(tables: Sequence[Table], column: str, goal: Goal, option: str = "--metric") -> Metric:
    holder = next((table for table in tables if column in table.columns), None)
    if holder is None:
        known = [name for table in tables for name in table.columns]
        names = " and ".join(table.name for table in tables)
        raise InvalidInput([Violation(option, f"{names} has no column {column!r}; {near(column, known)}")])
    values = holder.column(column, option)
    if not values:
        raise InvalidInput([Violation(option, f"column {column!r} of {holder.name} has no numbers")])
    return Metric(column, goal, values)


def _reports(
    tables: Sequence[Table], metrics: Sequence[Metric], report: str, report_table: Path | None, keys: Keys
) -> Mapping[Key, float]:
    if report_table is not None and not report:
        raise InvalidInput([Violation("--report", "name the column of --report-table to report")])
    if not report:
        return metrics[0].values
    if len(metrics) > 1:
        raise InvalidInput([Violation("--report", "several metrics are reported by their hypervolume")])
    if report_table is not None:
        return read_table(report_table, keys, option="--report-table").column(report, "--report")
    holder = next((table for table in tables if report in table.columns), tables[0])
    return holder.column(report, "--report")


def _lower(
    tables: Sequence[Table], metrics: Sequence[Metric], fidelities: Sequence[str], epochs: int
) -> dict[int, tuple[Mapping[Key, float], ...]]:
    """From ``EPOCHS=COLUMN[,COLUMN...]``, the columns in the order of the metrics; a metric without one is
    the same at each fidelity.
    """
    found: dict[int, tuple[Mapping[Key, float], ...]] = {}
    for text in fidelities:
        number, _, names = text.partition("=")
        columns = [name.strip() for name in names.split(",")]
        if not number.strip().isdecimal() or not all(columns) or len(columns) > len(metrics):
            one = "one column" if len(metrics) == 1 else f"up to {len(metrics)} columns"
            raise InvalidInput(
                [Violation("--fidelity", f"{text!r}: write EPOCHS=COLUMN, with {one}, as 12=val_accuracy")]
            )
        level = int(number)
        if epochs <= 0:
            raise InvalidInput([Violation("--epochs", "say how many epochs the metrics' full fidelity has")])
        if not 0 < level < epochs or level in found:
            raise InvalidInput(
                [Violation("--fidelity", f"{text!r}: give epochs from 1 to {epochs - 1}, each once")]
            )
        named = [
            _metric(tables, column, metric.goal, "--fidelity").values
            for column, metric in zip(columns, metrics, strict=False)
        ]
        found[level] = (*named, *(metric.values for metric in metrics[len(named) :]))
    return found


class _Columns(Mapping[str, Mapping[Key, float]]):
    """Tables' columns by name, each gathered when it is asked for."""

    def __init__(self, tables: Sequence[Table]) -> None:
        self._holders = {name: table for table in reversed(tables) for name in table.columns}
        self._gathered: dict[str, Mapping[Key, float]] = {}

    def __getitem__(self, name: str) -> Mapping[Key, float]:
        if name not in self._gathered:
            self._gathered[name] = self._holders[name].column(name, "--proxy-table")
        return self._gathered[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._holders)

    def __len__(self) -> int:
        return len(self._holders)


def _space(name: str) -> tuple[Space, Keys]:
    if name == "nasbench201":
        return load_preset(name), arch_keys()
    if name in preset_names():
        space = load_preset(name)
        return space, decision_keys(space)
    path = Path(name)
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError:
        raise InvalidInput(
            [Violation("--space", f"there is no file and no preset {name!r}; {near(name, preset_names())}")]
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput([Violation("--space", f"{name} cannot be read: {error}")]) from None
    space = Space.from_yaml(text)
    return space, decision_keys(space)


def read_settings(text: str) -> Mapping[str, Any]:
    try:
        settings = json.loads(text)
    except ValueError as error:
        raise InvalidInput([Violation("--settings", f"it is not JSON: {error}")]) from None
    if not isinstance(settings, dict):
        raise InvalidInput(
            [Violation("--settings", "give a JSON object, for example '{\"population\": 50}'")]
        )
    return settings
