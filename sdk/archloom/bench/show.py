"""A benchmark's result as tables for the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from archloom.bench.benchmark import Benchmark
from archloom.bench.tabular import Run

_HEADINGS = ("seed", "queries", "to the best", "best", "report", "repeats", "proxy scores", "ended by")


def show(benchmark: Benchmark, runs: Sequence[Run], total: Mapping[str, object]) -> None:
    console = Console()
    sought = ", ".join(f"{metric.goal.value} {metric.column}" for metric in benchmark.metrics)
    seeds = Table(title=f"{total['strategy']}: {sought}")
    for heading in _HEADINGS:
        seeds.add_column(heading, justify="left" if heading == "ended by" else "right")
    for run in runs:
        best = run.curve[-1] if run.curve else None
        seeds.add_row(
            str(run.seed),
            str(run.queries),
            "-" if run.queries_to_best is None else str(run.queries_to_best),
            _number(best[1] if best else None),
            _number(best[2] if best else None),
            str(run.repeats),
            str(run.proxy_evaluations),
            run.end,
        )
    console.print(seeds)
    key = "mean_hypervolume" if benchmark.several else "mean_report"
    measure = "share of the true front's hypervolume" if benchmark.several else "report"
    console.print(f"Mean {measure} after so many queries:")
    console.print(_means(key, total))
    if not benchmark.several:
        _print_found(console, benchmark, len(runs), total)
    lacking = list(dict.fromkeys(name for run in runs for name in run.lacking))
    if lacking:
        console.print(
            f"{total['strategy']} asked for scores that are not offered: {', '.join(lacking)}. "
            "Take them from a table by --proxy-table, or compute them by --proxies live."
        )


def _means(key: str, total: Mapping[str, object]) -> Table:
    rows = {str(total["strategy"]): total}
    if isinstance(beside := total.get("random"), Mapping):
        rows["random"] = beside
    means: dict[str, Any] = {name: row[key] for name, row in rows.items()}
    milestones = dict.fromkeys(milestone for row in means.values() for milestone in row)
    reached = [each for each in milestones if any(row[each] is not None for row in means.values())]
    table = Table()
    table.add_column("strategy")
    for milestone in reached:
        table.add_column(milestone, justify="right")
    for name, row in means.items():
        table.add_row(name, *(_number(row[milestone]) for milestone in reached))
    return table


def _print_found(console: Console, benchmark: Benchmark, seeds: int, total: Mapping[str, object]) -> None:
    beside = total.get("random")
    random = f"; random {beside['median_queries_to_best']:g}" if isinstance(beside, Mapping) else ""
    console.print(
        f"Found the table's best ({benchmark.optimum:g}) in {total['found']} of {seeds} seeds; "
        f"median queries to it: {total['median_queries_to_best']:g}, from {total['least_queries_to_best']:g} "
        f"to {total['most_queries_to_best']:g}{random} (not found counts as {benchmark.queries + 1})."
    )


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"
