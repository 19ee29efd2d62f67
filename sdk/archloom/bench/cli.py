"""``archloom bench``: measure a strategy on a table."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from archloom.bench.benchmark import Benchmark
from archloom.bench.options import read_benchmark, read_settings
from archloom.bench.plugins import open_plugin
from archloom.bench.tabular import MILESTONES, Run, run_seeds, summary
from archloom.cli.running import new_app
from archloom.strategy.values import Goal

app = new_app("Measure a strategy.")
#: What stands beside every figure.
BASELINE = "random"


@app.callback()
def bench() -> None:
    """Measure a strategy."""


@app.command()
def tabular(
    space: Annotated[str, typer.Option(help="nasbench201, another preset, or a space's YAML file.")],
    table: Annotated[
        list[Path],
        typer.Option(
            help="CSV, plain or gzipped, keyed by arch for nasbench201, else by the decisions' paths. May be "
            "repeated: a metric is looked for in each."
        ),
    ],
    metric: Annotated[
        list[str], typer.Option(help="The column that the strategy is told; repeat it for several.")
    ],
    strategy: Annotated[
        str, typer.Option(help="An installed strategy, module:Class, or HOST:PORT of a running plugin.")
    ],
    report: Annotated[
        str, typer.Option(help="The column reported of the best so far; the metric's when empty.")
    ] = "",
    report_table: Annotated[
        Path | None, typer.Option(help="Where --report is, if not in --table: the same keys, another file.")
    ] = None,
    proxy_table: Annotated[
        Path | None, typer.Option(help="Where training-free scores are, if not in --table: a column each.")
    ] = None,
    fidelity: Annotated[
        list[str] | None,
        typer.Option(
            help="A lower fidelity and its column, as 12=cifar10_val; with several metrics up to one column "
            "each, with commas. A trial there costs its share of --epochs."
        ),
    ] = None,
    epochs: Annotated[
        int, typer.Option(min=0, help="Epochs of the full fidelity, which --metric is of.")
    ] = 0,
    proxies: Annotated[
        str,
        typer.Option(
            help="live: compute training-free scores with torch (extra evaluators), on random inputs."
        ),
    ] = "",
    goal: Annotated[
        list[Goal] | None,
        typer.Option(
            help="Which way a metric is better, in their order; the first maximize, others minimize."
        ),
    ] = None,
    settings: Annotated[str, typer.Option(help="The strategy's settings, a JSON object.")] = "{}",
    queries: Annotated[int, typer.Option(min=1, help="Different architectures a seed may ask for.")] = 300,
    seeds: Annotated[int, typer.Option(min=1, help="How many searches.")] = 10,
    first_seed: Annotated[int, typer.Option(min=0, help="The seed of the first.")] = 1000,
    parallel: Annotated[
        int, typer.Option(min=1, help="Trials in flight; they end in a random order drawn from the seed.")
    ] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON line a seed, and one of all.")] = False,
) -> None:
    """Search a table of trained architectures, and count the queries; random search stands beside.

    A query is an architecture asked for the first time; an equal one again is free. 1,000 repeats in a row
    end a seed. A seed that does not find the table's best counts as one query more than it had. With several
    metrics, the hypervolume of what was found is given as a share of the true front's: minimised metrics
    over their maximum, the error of maximised ones clipped at 20 points, reference (1, 1); -1 in a minimised
    column is "not supported", and infeasible.

    With --fidelity, queries are counted in trials of the full fidelity: one of 12 epochs of 200 is 0.06. Only
    the full fidelity's results are reported.
    """
    benchmark = read_benchmark(
        space=space,
        tables=table,
        metrics=metric,
        goals=goal or [],
        report=report,
        report_table=report_table,
        proxy_table=proxy_table,
        proxies=proxies,
        fidelities=fidelity or [],
        epochs=epochs,
        queries=queries,
        parallel=parallel,
    )
    chosen = read_settings(settings)
    runs: list[Run] = []
    numbers = range(first_seed, first_seed + seeds)
    with open_plugin(strategy) as plugin:
        name = plugin.describe().name
        for run in run_seeds(plugin, benchmark, chosen, numbers):
            runs.append(run)
            if as_json:
                print(json.dumps(_line(benchmark, run)), flush=True)
    total = summary(name, benchmark, runs)
    if name != BASELINE:
        total[BASELINE] = _baseline(benchmark, numbers)
    if as_json:
        print(json.dumps(total), flush=True)
    else:
        from archloom.bench.show import show

        show(benchmark, runs, total)


def _baseline(benchmark: Benchmark, seeds: Sequence[int]) -> dict[str, object]:
    """The same seeds searched at random."""
    with open_plugin(BASELINE) as plugin:
        total = summary(BASELINE, benchmark, list(run_seeds(plugin, benchmark, {}, seeds)))
    del total["strategy"]
    return total


def _line(benchmark: Benchmark, run: Run) -> dict[str, object]:
    line: dict[str, object] = {
        "seed": run.seed,
        "queries_to_best": run.queries_to_best,
        "curve": [list(point) for point in run.curve],
        "queries": run.queries,
        "repeats": run.repeats,
        "proxy_evaluations": run.proxy_evaluations,
        "end": run.end,
    }
    if benchmark.lower:
        line["trials"] = {
            str(epochs): run.trials.get(epochs, 0) for epochs in (*benchmark.lower, benchmark.epochs)
        }
    if benchmark.several:
        line["hypervolume"] = {
            str(each): run.best_after(each) or 0.0 for each in MILESTONES if each <= benchmark.queries
        }
    return line


__all__: Sequence[str] = ["app"]
