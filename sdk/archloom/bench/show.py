"""A benchmark's result as tables for the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

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
    console.print(_means(f"mean {measure} after so many queries", key, total))
    if not benchmark.several:
        _print_found(console, benchmark, len(runs), total)


def _means(title: str, key: str, total: Mapping[str, object]) -> Table:
    rows = {str(total["strategy"]): total, "random": total.get("random")}
    table = Table(title=title)
    table.add_column("strategy")
    for name, row in rows.items():
        if isinstance(row, Mapping):
            means: Mapping[str, float | None] = row[key]
            if not table.rows:
                for milestone in means:
                    table.add_column(milestone, justify="right")
            table.add_row(name, *(_number(value) for value in means.values()))
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
