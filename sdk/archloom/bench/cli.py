"""``archloom bench``: measure a strategy on a table."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from archloom.bench.plugins import open_plugin
from archloom.bench.tabular import Benchmark, Run, run_seeds, summary
from archloom.cli.running import new_app
from archloom.errors import InvalidInput, Violation
from archloom.space import Space, load_preset, preset_names
from archloom.strategy.settings import near
from archloom.strategy.values import Goal
from archloom.tables import Keys, Table, arch_keys, decision_keys, read_table

app = new_app("Measure a strategy.")


@app.callback()
def bench() -> None:
    """Measure a strategy."""


@app.command()
def tabular(
    space: Annotated[str, typer.Option(help="nasbench201, another preset, or a space's YAML file.")],
    table: Annotated[
        Path,
        typer.Option(
            help="CSV, plain or gzipped, keyed by arch for nasbench201, else by the decisions' paths."
        ),
    ],
    metric: Annotated[str, typer.Option(help="The column that the strategy is told.")],
    strategy: Annotated[
        str, typer.Option(help="An installed strategy, module:Class, or HOST:PORT of a running plugin.")
    ],
    report: Annotated[
        str, typer.Option(help="The column reported of the best so far; the metric's when empty.")
    ] = "",
    report_table: Annotated[
        Path | None, typer.Option(help="Where --report is, if not in --table: the same keys, another file.")
    ] = None,
    goal: Annotated[Goal, typer.Option(help="Which way the metric is better.")] = Goal.MAXIMIZE,
    settings: Annotated[str, typer.Option(help="The strategy's settings, a JSON object.")] = "{}",
    queries: Annotated[int, typer.Option(min=1, help="Different architectures a seed may ask for.")] = 300,
    seeds: Annotated[int, typer.Option(min=1, help="How many searches.")] = 10,
    first_seed: Annotated[int, typer.Option(min=0, help="The seed of the first.")] = 0,
    parallel: Annotated[
        int, typer.Option(min=1, help="Trials in flight; they end in a random order drawn from the seed.")
    ] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON line a seed, and one of all.")] = False,
) -> None:
    """Search a table of trained architectures, and count the queries.

    A query is an architecture asked for the first time; an equal one again is free. 1,000 repeats in a row
    end a seed. A seed that does not find the table's best counts as one query more than it had.
    """
    benchmark = _benchmark(space, table, metric, report, report_table, goal, queries, parallel)
    runs: list[Run] = []
    with open_plugin(strategy) as plugin:
        name = plugin.describe().name
        for run in run_seeds(plugin, benchmark, _settings(settings), range(first_seed, first_seed + seeds)):
            runs.append(run)
            if as_json:
                print(json.dumps(_line(run)), flush=True)
    total = summary(name, runs, queries)
    if as_json:
        print(json.dumps(total), flush=True)
    else:
        from archloom.bench.show import show

        show(benchmark, runs, total)


def _line(run: Run) -> dict[str, object]:
    return {
        "seed": run.seed,
        "queries_to_best": run.queries_to_best,
        "curve": [list(point) for point in run.curve],
        "queries": run.queries,
        "repeats": run.repeats,
        "proxy_evaluations": run.proxy_evaluations,
        "end": run.end,
    }


def _benchmark(
    space: str,
    table: Path,
    metric: str,
    report: str,
    report_table: Path | None,
    goal: Goal,
    queries: int,
    parallel: int,
) -> Benchmark:
    tree, keys = _space(space)
    found = read_table(table, keys, option="--table")
    values = found.column(metric, "--metric")
    if not values:
        raise InvalidInput([Violation("--metric", f"column {metric!r} of {table} has no numbers")])
    other: Table = found if report_table is None else read_table(report_table, keys, option="--report-table")
    if report_table is not None and not report:
        raise InvalidInput([Violation("--report", "name the column of --report-table to report")])
    return Benchmark(
        space=tree,
        keys=keys,
        values=values,
        reports=other.column(report, "--report") if report else values,
        goal=goal,
        queries=queries,
        parallel=parallel,
        metric=metric,
        proxies=_Columns(found),
    )


class _Columns(Mapping[str, Mapping[tuple[str, ...], float]]):
    """A table's columns by name, each gathered when it is asked for."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._gathered: dict[str, Mapping[tuple[str, ...], float]] = {}

    def __getitem__(self, name: str) -> Mapping[tuple[str, ...], float]:
        if name not in self._table.columns:
            raise KeyError(name)
        if name not in self._gathered:
            self._gathered[name] = self._table.column(name, "--table")
        return self._gathered[name]

    def __iter__(self) -> Any:
        return iter(self._table.columns)

    def __len__(self) -> int:
        return len(self._table.columns)


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


def _settings(text: str) -> Mapping[str, Any]:
    try:
        settings = json.loads(text)
    except ValueError as error:
        raise InvalidInput([Violation("--settings", f"it is not JSON: {error}")]) from None
    if not isinstance(settings, dict):
        raise InvalidInput(
            [Violation("--settings", "give a JSON object, for example '{\"population\": 50}'")]
        )
    return settings


__all__: Sequence[str] = ["app"]
