"""Each installed strategy in a search with every part real, as `archloom local up` serves it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from archloom.client import Client
from archloom.strategy.load import installed_strategies, load_strategy
from archloom_local.stack import LocalStack, StackSettings
from command_line import archloom
from searches import ended, table_search, table_settings

TRIALS = 24
#: Nine in ten architectures are quicker.
SLOWEST_MS = 0.75


@pytest.fixture(scope="module")
def everything(
    tmp_path_factory: pytest.TempPathFactory, data_root: Path, table: Path
) -> Iterator[LocalStack]:
    settings = StackSettings(workers=2, data_roots=[data_root])
    with LocalStack(tmp_path_factory.mktemp("everything"), settings) as running:
        yield running


def evaluator(table: Path) -> dict[str, Any]:
    """Columns of the table stand for a latency that rises with the accuracy, and for a score."""
    told = table_settings(table)
    metrics = {**told["metrics"], "latency_ms": "test"}
    return {"kind": "table", "settings": {**told, "metrics": metrics, "proxies": {"synflow": "val"}}}


# A table has no shorter trainings: test_rungs has multi-fidelity.
@pytest.mark.parametrize("name", sorted(set(installed_strategies()) - {"multi-fidelity"}))
def test_a_search_with_two_objectives_and_a_limit(everything: LocalStack, table: Path, name: str) -> None:
    """Where the strategy takes them: all that were asked for are trained once, the limit holds on the front,
    and a replay gives the same proposals.
    """
    can = load_strategy(name).capabilities
    objectives: list[dict[str, str]] = [{"maximize": "val_accuracy"}]
    if can.max_objectives != 1:
        objectives.append({"minimize": "latency_ms"})
    with Client(everything.server) as client:
        spec = table_search(
            table,
            name=f"all of {name}",
            objectives=objectives,
            constraints=[f"latency_ms <= {SLOWEST_MS}"] if can.constraints else [],
            strategy={"name": name},
            evaluator=evaluator(table),
            budget={"trials": TRIALS},
            parallelism=4,
        )
        experiment = ended(client, client.experiments.create(spec).name, 300.0)
        assert experiment.state == "succeeded", experiment.state_reason
        trials = list(client.trials.list(experiment.name))
        ours = [trial for trial in trials if trial.role == "search" and not trial.fidelity.proxies]
        # A fifth of the budget is the controls'.
        assert len(ours) >= 0.75 * TRIALS
        assert {trial.state for trial in ours} <= {"completed", "infeasible"}
        asked = [trial.architecture for trial in ours]
        assert len(set(asked)) == len(asked)
        assert not experiment.degraded_reason
        report = client.experiments.report(experiment.name)
        assert report.front
        if can.constraints:
            assert all(trial.metrics["latency_ms"] <= SLOWEST_MS for trial in report.front)
    ran = archloom("replay", experiment.name, environment=everything.environment)
    assert ran.returncode == 0, ran.stderr + ran.stdout
