"""Several metrics: hypervolumes, what a device does not support, where errors are clipped."""

from __future__ import annotations

import random
from typing import Any

import pytest
from archloom.bench.benchmark import Benchmark, Metric
from archloom.bench.hypervolume import covers, hypervolume
from archloom.bench.tabular import summary
from archloom.errors import InvalidInput
from archloom.strategy import (
    Capabilities,
    Goal,
    ProposeRequest,
    ProposeResult,
)
from archloom.strategy.runtime import StrategyRuntime
from scripted_bench import Listed, Scripted, benchmark, key_of, run_one, scripted


def test_capabilities_hold_in_the_benchmark_too() -> None:
    class Many(Scripted):
        name = "many"
        capabilities = Capabilities(max_objectives=1)
        numbers = (1, 2, 3)

    assert run_one(StrategyRuntime(Many()), benchmark(queries=3)).queries == 3
    with pytest.raises(InvalidInput, match="at most one objective"):
        run_one(StrategyRuntime(Many()), two_metrics())


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


def test_the_hypervolume_of_three_losses_is_that_of_a_fine_grid() -> None:
    rng = random.Random(3)
    points = [(rng.randrange(10) / 10, rng.randrange(10) / 10, rng.randrange(10) / 10) for _ in range(12)]
    cells = [(x / 10, y / 10, z / 10) for x in range(10) for y in range(10) for z in range(10)]
    covered = sum(any(covers(point, cell) for point in points) for cell in cells)
    assert hypervolume(points, (1.0, 1.0, 1.0)) == pytest.approx(covered / 1000)
