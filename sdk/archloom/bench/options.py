"""From the command's options to what is measured."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from archloom.bench.benchmark import Benchmark, Metric
from archloom.bench.proxies import ProxyColumns, read_scorer
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
    proxies: str,
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
    if proxies and proxy_table is not None:
        message = "give --proxy-table or --proxies: scores are looked up or computed"
        raise InvalidInput([Violation("--proxies", message)])
    # What is searched for, or reported, is no free score.
    hidden = {*metrics, report, *(name for text in fidelities for name in re.split("[=,]", text)[1:])}
    scored = found if proxy_table is None else [read_table(proxy_table, keys, option="--proxy-table")]
    return Benchmark(
        space=tree,
        keys=keys,
        metrics=tuple(columns),
        queries=queries,
        reports=_reports(found, columns, report, report_table, keys),
        parallel=parallel,
        epochs=epochs,
        lower=_lower(found, columns, fidelities, epochs),
        proxies=ProxyColumns(scored, hidden if proxy_table is None else ()),
        scorer=read_scorer(proxies, tree),
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
