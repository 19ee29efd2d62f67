from __future__ import annotations

import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from archloom.bench.benchmark import Benchmark, Metric
from archloom.bench.hypervolume import covers, hypervolume
from archloom.bench.tabular import REPEATS, Run, run_seeds, summary
from archloom.cli import main
from archloom.errors import InternalError, InvalidInput
from archloom.space import Space, load_preset
from archloom.strategy import (
    Capabilities,
    Fidelity,
    Goal,
    Proposal,
    ProposeRequest,
    ProposeResult,
    Strategy,
)
from archloom.strategy.runtime import StrategyRuntime
from archloom.strategy.server import StrategyServer
from archloom.tables import Key, arch_keys, decision_keys
from archloom_strategies.evolution.strategy import Evolution
from archloom_strategies.random_search import RandomSearch
from pydantic import BaseModel

SPACE = load_preset("nasbench201")
KEYS = arch_keys()


def benchmark(
    values: dict[Key, float] | None = None, goal: Goal = Goal.MAXIMIZE, *more: Metric, **fields: Any
) -> Benchmark:
    """All of nasbench201 with made-up accuracies, the best of them once."""
    made = values if values is not None else every_value()
    whole: dict[str, Any] = {"queries": 30, "reports": made, **fields}
    return Benchmark(space=SPACE, keys=KEYS, metrics=(Metric("accuracy", goal, made), *more), **whole)


def every_value() -> dict[Key, float]:
    rng = random.Random(1)
    return {KEYS.of(architecture): rng.random() for architecture in SPACE.enumerate()}


class Listed(BaseModel):
    place: int = 0
    told: list[str] = []


class Scripted(Strategy[Any, Listed]):
    """Proposes the architectures of ``numbers`` one after the other; its state has what it was just told."""

    name = "scripted"
    capabilities = Capabilities(max_objectives=0)
    numbers: Sequence[int] = ()
    proxies: tuple[str, ...] = ()

    def propose(self, request: ProposeRequest[Any, Listed]) -> ProposeResult[Listed]:
        state = request.state or Listed()
        told = [f"{event.kind.value} {event.trial}" for event in request.observations]
        numbers = self.numbers[state.place : state.place + request.count]
        architectures = [request.space.at(number) for number in numbers]
        fidelity = Fidelity(proxies=self.proxies) if self.proxies else None
        return ProposeResult(
            [Proposal(each, fidelity=fidelity) for each in architectures if each is not None],
            state=Listed(place=state.place + len(numbers), told=told),
            exhausted="" if numbers else "the end of the list",
        )


def scripted(numbers: Sequence[int], proxies: tuple[str, ...] = ()) -> StrategyRuntime:
    strategy = Scripted()
    strategy.numbers, strategy.proxies = numbers, proxies
    return StrategyRuntime(strategy)


def run_one(runtime: StrategyRuntime, bench: Benchmark, seed: int = 0) -> Run:
    (run,) = run_seeds(runtime, bench, {}, [seed])
    return run


def key_of(number: int) -> Key:
    architecture = SPACE.at(number)
    assert architecture is not None
    return KEYS.of(architecture)


def test_a_repeat_is_free_and_told_again() -> None:
    told: list[str] = []

    class Listening(Scripted):
        numbers = (5, 5, 6, 5, 7)

        def propose(self, request: ProposeRequest[Any, Listed]) -> ProposeResult[Listed]:
            result = super().propose(request)
            assert result.state is not None
            told.extend(result.state.told)
            return result

    run = run_one(StrategyRuntime(Listening()), benchmark())
    assert (run.queries, run.repeats, run.end) == (3, 2, "the end of the list")
    assert told == [f"{kind} {trial}" for trial in range(1, 6) for kind in ("accepted", "finished")]


def test_the_curve_and_the_query_that_found_the_best() -> None:
    numbers = [3, 9, 4, 9, 8, 1]
    values = {key_of(number): number / 10 for number in range(20)}
    reports = {key: 100 * value for key, value in values.items() if value != 0.8}
    bench = benchmark(values, reports=reports, queries=6)
    run = run_one(scripted([*numbers, 19, 2]), bench)
    assert run.queries_to_best == 6
    assert run.curve == ((1, 0.3, 30.0), (2, 0.9, 90.0), (6, 1.9, 190.0))
    assert run.end == "queries"
    assert [run.report_after(queries) for queries in (0, 1, 5, 300)] == [None, 30.0, 90.0, 190.0]


def test_minimizing_finds_the_least() -> None:
    values = {key_of(number): float(number) for number in range(20)}
    run = run_one(scripted([7, 3, 5, 0]), benchmark(values, goal=Goal.MINIMIZE))
    assert run.queries_to_best == 4
    assert [point[1] for point in run.curve] == [7, 3, 0]


def test_a_thousand_repeats_in_a_row_end_a_seed() -> None:
    run = run_one(scripted([1, 2] + [1] * (REPEATS - 1) + [3] + [2] * (REPEATS + 50)), benchmark())
    assert (run.queries, run.repeats, run.end) == (3, 2 * REPEATS - 1, "repeats")


def test_what_the_table_lacks_is_refused_and_no_query() -> None:
    values = {key_of(number): 1.0 for number in (1, 2)}
    run = run_one(scripted([1, 7, 8, 2]), benchmark(values))
    assert (run.queries, run.repeats) == (2, 2)


def test_a_waiting_strategy_with_nothing_running_is_an_error() -> None:
    class Waiting(Strategy):
        name = "waiting"

        def propose(self, request: ProposeRequest) -> ProposeResult:
            return ProposeResult(waiting=True)

    with pytest.raises(InternalError, match="nothing is running"):
        run_one(StrategyRuntime(Waiting()), benchmark())


def test_proxies_are_free_and_counted() -> None:
    scores = {"synflow": {key_of(number): 1.0 for number in range(3)}, "nwot": {key_of(1): 2.0}}
    run = run_one(scripted([0, 1, 2, 1], ("synflow",)), benchmark(proxies=scores))
    assert (run.queries, run.proxy_evaluations, run.repeats) == (0, 3, 1)


def test_a_cell_without_a_row_has_no_score_and_an_unknown_proxy_is_refused() -> None:
    scores = {"synflow": {key_of(number): 1.0 for number in range(3)}, "nwot": {key_of(1): 2.0}}
    bench = benchmark(proxies=scores)
    run = run_one(scripted([0, 1, 5], ("synflow", "nwot")), bench)
    assert (run.proxy_evaluations, run.repeats) == (1 + 2 + 0, 0)
    assert run_one(scripted([0, 1], ("synflow", "zen")), bench).repeats == 2


@pytest.mark.parametrize("kind", [RandomSearch, Evolution])
def test_in_flight_trials_end_in_an_order_of_the_seed(kind: type[Strategy[Any, Any]]) -> None:
    bench = benchmark(parallel=8, queries=40)
    runs = [run_one(StrategyRuntime(kind()), bench, seed) for seed in (3, 3, 4)]
    assert runs[0] == runs[1] != runs[2]
    assert runs[0].queries == 40


def test_never_more_than_the_queries_are_asked() -> None:
    assert run_one(StrategyRuntime(RandomSearch()), benchmark(parallel=64, queries=10)).queries == 10


def test_settings_are_checked_first() -> None:
    with pytest.raises(InvalidInput, match="did you mean 'population'"):
        list(run_seeds(StrategyRuntime(Evolution()), benchmark(), {"populatoin": 3}, [1]))


def test_what_was_not_found_counts_as_one_more() -> None:
    def run(seed: int, found: int | None, report: float) -> Run:
        return Run(seed, 60, found, ((1, 0.5, report), (40, 0.6, report + 1)), 0, 0, "queries")

    runs = [run(0, None, 10.0), run(1, 7, 20.0), run(2, None, 30.0)]
    total = summary("mine", benchmark(queries=60), runs)
    assert total == {
        "strategy": "mine",
        "median_queries_to_best": 61,
        "least_queries_to_best": 7,
        "most_queries_to_best": 61,
        "found": 1,
        "mean_report": {"25": 20.0, "50": 21.0, "100": None, "150": None, "300": None},
    }


# The command.


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tables") / "cells.csv"
    rows = [f"{key[0]},{value:.6f},{value + 1:.6f}" for key, value in every_value().items()]
    path.write_text("\n".join(["arch,val,test", *rows]) + "\n")
    other = path.with_name("tests.csv")
    other.write_text(
        "\n".join(["arch,final", *(f"{key[0]},{2 * value:.6f}" for key, value in every_value().items())])
    )
    return path


def command(table: Path, *arguments: str) -> list[str]:
    return [
        "bench",
        "tabular",
        "--space",
        "nasbench201",
        "--table",
        str(table),
        "--metric",
        "val",
        *arguments,
    ]


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_one_line_a_seed_and_one_of_all(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = (
        "--strategy",
        "random",
        "--queries",
        "30",
        "--seeds",
        "3",
        "--first-seed",
        "5",
        "--report",
        "test",
        "--json",
    )
    assert main(command(table, *arguments)) == 0
    *seeds, total = lines(capsys)
    assert [line["seed"] for line in seeds] == [5, 6, 7]
    for line in seeds:
        assert line["queries_to_best"] is None
        assert all(report == pytest.approx(metric + 1) for _, metric, report in line["curve"])
    assert set(total) == {
        "strategy",
        "median_queries_to_best",
        "least_queries_to_best",
        "most_queries_to_best",
        "found",
        "mean_report",
    }
    assert (total["strategy"], total["median_queries_to_best"], total["found"]) == ("random", 31, 0)
    assert list(total["mean_report"]) == ["25", "50", "100", "150", "300"]
    assert main(command(table, *arguments)) == 0
    assert lines(capsys) == [*seeds, total]


def test_the_report_may_stand_in_another_file(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = str(table.with_name("tests.csv"))
    arguments = ("--strategy", "random", "--queries", "5", "--seeds", "1", "--json", "--report-table", other)
    assert main(command(table, *arguments, "--report", "final")) == 0
    assert all(
        report == pytest.approx(2 * metric, abs=1e-5) for _, metric, report in lines(capsys)[0]["curve"]
    )
    assert main(command(table, *arguments)) == 1
    assert "--report: name the column" in capsys.readouterr().err


def test_a_running_plugin_is_measured_at_its_address(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ("--queries", "12", "--seeds", "1", "--json", "--settings", '{"population": 4}')
    assert main(command(table, *arguments, "--strategy", "evolution")) == 0
    installed = lines(capsys)
    with StrategyServer(StrategyRuntime(Evolution())) as server:
        assert main(command(table, *arguments, "--strategy", server.address)) == 0
    assert lines(capsys) == installed


def test_a_space_of_ones_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from archloom.testing.probe import TINY_SPACE

    keys = decision_keys(Space.from_yaml(TINY_SPACE))
    rows = [
        ",".join([str(number), *keys.of(architecture)])
        for number, architecture in enumerate(Space.from_yaml(TINY_SPACE).enumerate())
    ]
    (tmp_path / "tiny.yaml").write_text(TINY_SPACE)
    (tmp_path / "tiny.csv").write_text("\n".join([",".join(["loss", *keys.columns]), *rows]))
    arguments = [
        "bench",
        "tabular",
        "--space",
        str(tmp_path / "tiny.yaml"),
        "--table",
        str(tmp_path / "tiny.csv"),
    ]
    arguments += [
        "--metric",
        "loss",
        "--goal",
        "minimize",
        "--strategy",
        "random",
        "--queries",
        "20",
        "--seeds",
        "2",
    ]
    assert main([*arguments, "--json"]) == 0
    *seeds, total = lines(capsys)
    assert [line["queries"] for line in seeds] == [8, 8]
    assert total["found"] == 2
    assert main(arguments) == 0
    shown = capsys.readouterr().out
    assert "Found the table's best (0) in 2 of 2 seeds" in shown


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--strategy", "radnom"), "did you mean 'random'?"),
        (("--strategy", "random", "--metric", "vla"), "has no column 'vla'; did you mean 'val'?"),
        (("--strategy", "random", "--metric", "arch"), "has no column 'arch'"),
        (("--strategy", "random", "--report", "tset"), "--report: "),
        (("--strategy", "random", "--table", "no.csv"), "there is no file no.csv"),
        (("--strategy", "random", "--space", "nasbench210"), "did you mean 'nasbench201'?"),
        (("--strategy", "random", "--goal", "maximize", "--goal", "minimize"), "--goal: 2 goals for 1"),
        (("--strategy", "random", "--metric", "val"), "--metric: val, val: two of them have one name"),
        (("--strategy", "random", "--proxy-table", "no.csv"), "--proxy-table: there is no file no.csv"),
        (("--strategy", "random", "--settings", "{"), "--settings: it is not JSON"),
        (("--strategy", "random", "--settings", "[]"), "--settings: give a JSON object"),
        (("--strategy", "random", "--settings", '{"sampling": "all"}'), "settings.sampling: "),
        (("--strategy", "127.0.0.1:1"), "no strategy answers at 127.0.0.1:1"),
    ],
)
def test_a_mistake_is_one_sentence(
    table: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], sentence: str
) -> None:
    assert main(command(table, *arguments)) == 1
    captured = capsys.readouterr()
    assert sentence in captured.err
    assert len(captured.err.strip().splitlines()) == 1
    assert captured.out == ""


def test_capabilities_hold_in_the_benchmark_too() -> None:
    class Many(Scripted):
        name = "many"
        capabilities = Capabilities(max_objectives=1)
        numbers = (1, 2, 3)

    assert run_one(StrategyRuntime(Many()), benchmark(queries=3)).queries == 3
    with pytest.raises(InvalidInput, match="at most one objective"):
        run_one(StrategyRuntime(Many()), two_metrics())


# Several metrics.


def two_metrics(**fields: Any) -> Benchmark:
    """Accuracies in percent and latencies of five architectures; the device does not support the last."""
    accuracies = [95.0, 90.0, 85.0, 50.0, 99.0]
    latencies = [10.0, 5.0, 1.0, 2.0, -1.0]
    latency = Metric("latency", Goal.MINIMIZE, {key_of(n): value for n, value in enumerate(latencies)})
    values = {key_of(number): value for number, value in enumerate(accuracies)}
    return benchmark(values, Goal.MAXIMIZE, latency, **fields)


def test_the_hypervolume_of_two_metrics() -> None:
    """Error over 20 points and latency over 10: (.25, 1), (.5, .5), (.75, .1); the fourth's error is clipped
    at 1 and covers nothing, and the first touches the reference. By hand: .25 * .5 + .25 * .9 = .35.
    """
    bench = two_metrics(queries=5)
    run = run_one(scripted([3, 4, 1, 2, 0]), bench)
    assert run.queries == 5
    assert run.queries_to_best is None
    assert [(at, pytest.approx(share)) for at, share, _ in run.curve] == [
        (1, 0.0),
        (3, 0.25 / 0.35),
        (4, 1.0),
    ]
    assert run.best_after(3) == pytest.approx(0.25 / 0.35)
    total = summary("mine", two_metrics(queries=50), [run])
    assert total["mean_hypervolume"] == {"25": 1.0, "50": 1.0, "100": None, "150": None, "300": None}


def test_what_the_device_does_not_support_is_infeasible_and_its_latency_is_not_told() -> None:
    told: list[tuple[str, dict[str, float]]] = []

    class Listening(Scripted):
        name = "listening"
        numbers = (4, 0)
        capabilities = Capabilities(max_objectives=0)

        def propose(self, request: ProposeRequest[Any, Listed]) -> ProposeResult[Listed]:
            told.extend(
                (event.kind.value, dict(event.metrics)) for event in request.observations if event.metrics
            )
            return super().propose(request)

    run_one(StrategyRuntime(Listening()), two_metrics(queries=5))
    assert told == [
        ("infeasible", {"accuracy": 99.0}),
        ("finished", {"accuracy": 95.0, "latency": 10.0}),
    ]


def test_a_column_of_negative_numbers_is_not_unsupported() -> None:
    values = {key_of(number): float(number) for number in range(3)}
    negative = Metric(
        "energy", Goal.MINIMIZE, {key_of(n): value for n, value in enumerate((-1.0, -2.0, 3.0))}
    )
    assert benchmark(values, Goal.MAXIMIZE, negative).feasible(key_of(0))


@pytest.mark.parametrize(("best", "whole"), [(0.9, 1.0), (90.0, 100.0), (700.0, 700.0)])
def test_the_error_is_clipped_at_a_fifth_of_the_whole(best: float, whole: float) -> None:
    values = {key_of(0): best, key_of(1): whole * 0.85, key_of(2): whole * 0.1}
    metric = Metric("score", Goal.MAXIMIZE, values)
    losses = [metric.loss(key_of(number)) for number in range(3)]
    assert losses == pytest.approx([(whole - best) / (0.2 * whole), 0.75, 1.0])


def test_several_metrics_from_several_tables_beside_random(
    table: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = table.with_name("latency.csv")
    rng = random.Random(2)
    rows = [f"{key[0]},{rng.random() + 1:.4f}" for key in every_value()]
    other.write_text("\n".join(["arch,latency_ms", *rows]) + "\n")
    arguments = ["--table", str(other), "--metric", "latency_ms", "--queries", "30", "--seeds", "2"]
    arguments += ["--strategy", "evolution"]
    assert main(command(table, *arguments, "--json")) == 0
    *seeds, total = lines(capsys)
    assert [line["seed"] for line in seeds] == [1000, 1001]
    assert all(0 < line["hypervolume"]["25"] < 1 for line in seeds)
    assert 0 < total["random"]["mean_hypervolume"]["25"] < 1
    assert total["mean_hypervolume"]["25"] == pytest.approx(
        sum(line["hypervolume"]["25"] for line in seeds) / 2
    )
    assert main(command(table, *arguments)) == 0
    assert "share of the true front's hypervolume" in " ".join(capsys.readouterr().out.split())
    assert main(command(table, *arguments, "--report", "test")) == 1
    assert "--report: several metrics" in capsys.readouterr().err


def test_the_hypervolume_of_three_losses_is_that_of_a_fine_grid() -> None:
    rng = random.Random(3)
    points = [(rng.randrange(10) / 10, rng.randrange(10) / 10, rng.randrange(10) / 10) for _ in range(12)]
    cells = [(x / 10, y / 10, z / 10) for x in range(10) for y in range(10) for z in range(10)]
    covered = sum(any(covers(point, cell) for point in points) for cell in cells)
    assert hypervolume(points, (1.0, 1.0, 1.0)) == pytest.approx(covered / 1000)
