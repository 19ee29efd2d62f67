"""A benchmark's result as tables for the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.table import Table

from archloom.bench.tabular import Benchmark, Run


def show(benchmark: Benchmark, runs: Sequence[Run], total: Mapping[str, object]) -> None:
    console = Console()
    seeds = Table(title=f"{total['strategy']}: {benchmark.goal.value} {benchmark.metric}")
    for heading in (
        "seed",
        "queries",
        "to the best",
        "best",
        "report",
        "repeats",
        "proxy scores",
        "ended by",
    ):
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
    means = Table(title="mean report after so many queries")
    reports = total["mean_report"]
    assert isinstance(reports, dict)
    for milestone in reports:
        means.add_column(milestone, justify="right")
    means.add_row(*(_number(value) for value in reports.values()))
    console.print(means)
    console.print(
        f"Found the table's best ({benchmark.optimum:g}) in {total['found']} of {len(runs)} seeds; "
        f"median queries to it: {total['median_queries_to_best']:g}"
        f" (not found counts as {benchmark.queries + 1})."
    )


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"
