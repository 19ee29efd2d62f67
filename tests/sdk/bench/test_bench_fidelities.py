"""Lower fidelities of a table: what they cost, and that only whole trainings are reported."""

from __future__ import annotations

import json
import random
import statistics
from pathlib import Path
from typing import Any

import pytest
from archloom.bench.benchmark import Benchmark, Metric
from archloom.bench.tabular import Run, run_seeds
from archloom.cli import main
from archloom.space import load_preset
from archloom.strategy import Fidelity, Goal, Proposal, ProposeRequest, ProposeResult, Strategy
from archloom.strategy.runtime import StrategyRuntime
from archloom.tables import arch_keys
from archloom_strategies.multi_fidelity.strategy import MultiFidelity
from archloom_strategies.random_search import RandomSearch
from pydantic import BaseModel
from synthetic_table import write_table

SPACE = load_preset("nasbench201")
KEYS = arch_keys()


def benchmark(queries: int) -> Benchmark:
    """Made-up accuracies after 100 epochs, and after 10 the same with noise."""
    rng = random.Random(1)
    full = {KEYS.of(architecture): rng.random() for architecture in SPACE.enumerate()}
    early = {key: value + rng.gauss(0, 0.2) for key, value in full.items()}
    metric = Metric("accuracy", Goal.MAXIMIZE, full)
    return Benchmark(SPACE, KEYS, (metric,), queries, full, epochs=100, lower={10: (early,)})


class Place(BaseModel):
    place: int = 0


class Scripted(Strategy[Any, Place]):
    name = "scripted"
    epochs: tuple[int, ...] = ()

    def propose(self, request: ProposeRequest[Any, Place]) -> ProposeResult[Place]:
        place = (request.state or Place()).place
        if place == len(self.epochs):
            return ProposeResult(exhausted="the end of the list")
        architecture = request.space.at(place // 2)
        assert architecture is not None
        proposal = Proposal(architecture, fidelity=Fidelity(epochs=self.epochs[place]))
        return ProposeResult([proposal], state=Place(place=place + 1))


def run_of(epochs: tuple[int, ...], queries: int = 5) -> Run:
    strategy = Scripted()
    strategy.epochs = epochs
    (run,) = run_seeds(StrategyRuntime(strategy), benchmark(queries), {}, [0])
    return run


def test_a_trial_costs_its_share_and_whole_ones_alone_are_on_the_curve() -> None:
    run = run_of((10, 100, 10, 100, 10))
    # .1, then 1, .1, 1 and .1: the second and the fourth are on the curve at 2 and 3 queries.
    assert run.queries == 3
    assert {at for at, _, _ in run.curve} <= {2, 3}
    assert run.curve[0][0] == 2
    assert dict(run.trials) == {10: 3, 100: 2}


def test_an_unknown_fidelity_is_refused_and_an_equal_trial_is_free() -> None:
    run = run_of((10, 10, 50, 0))
    # The first two are one architecture at one fidelity; 0 means the full one.
    assert (run.queries, run.repeats) == (2, 2)
    assert dict(run.trials) == {10: 1, 100: 1}


def test_the_budget_is_in_whole_trainings() -> None:
    (run,) = run_seeds(StrategyRuntime(RandomSearch()), benchmark(7), {}, [0])
    assert (run.queries, dict(run.trials)) == (7, {100: 7})


def test_rungs_find_better_ones_than_random_at_equal_epochs() -> None:
    bench = benchmark(20)
    found = {
        kind.name: statistics.fmean(
            run.best_after(20) or 0.0
            for run in run_seeds(
                StrategyRuntime(kind()),
                bench,
                {"rungs": [10]} if kind is MultiFidelity else {},
                range(1000, 1003),
            )
        )
        for kind in (MultiFidelity, RandomSearch)
    }
    assert found["multi-fidelity"] > found["random"]


def test_the_command_takes_columns_of_lower_fidelities(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = write_table(tmp_path / "table.csv")
    asked = ["bench", "tabular", "--space", "nasbench201", "--table", str(table), "--metric", "test"]
    settings = json.dumps({"rungs": [4]})
    wanted = [
        *("--fidelity", "4=val", "--epochs", "40", "--strategy", "multi-fidelity", "--settings", settings),
        *("--queries", "4", "--seeds", "1", "--json"),
    ]
    assert main([*asked, *wanted]) == 0
    line, total = map(json.loads, capsys.readouterr().out.splitlines())
    assert line["trials"]["4"] > line["trials"]["40"] > 0
    assert total["strategy"] == "multi-fidelity"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--fidelity", "4=val"], "--epochs"),
        (["--fidelity", "val", "--epochs", "40"], "EPOCHS=COLUMN"),
        (["--fidelity", "40=val", "--epochs", "40"], "from 1 to 39"),
        (["--fidelity", "4=val,test", "--epochs", "40"], "one column"),
        (["--fidelity", "4=vol", "--epochs", "40"], "no column 'vol'"),
    ],
)
def test_a_wrong_fidelity_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], said: str
) -> None:
    table = write_table(tmp_path / "table.csv")
    asked = ["bench", "tabular", "--space", "nasbench201", "--table", str(table), "--metric", "test"]
    assert main([*asked, "--strategy", "random", *options]) != 0
    assert said in capsys.readouterr().err
