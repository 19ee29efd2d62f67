"""A benchmark on a table of one metric: what a query costs, what counts as found, when it ends."""

from __future__ import annotations

from typing import Any

import pytest
from archloom.bench.tabular import REPEATS, Run, run_seeds, summary
from archloom.errors import InternalError, InvalidInput
from archloom.strategy import (
    Goal,
    ProposeRequest,
    ProposeResult,
    Strategy,
)
from archloom.strategy.runtime import StrategyRuntime
from archloom_strategies.evolution.strategy import Evolution
from archloom_strategies.random_search import RandomSearch
from scripted_bench import Listed, Scripted, benchmark, key_of, run_one, scripted


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
        "mean_report": {"25": 20.0, "50": 21.0, "60": 21.0, "100": None, "150": None, "300": None},
    }
