"""Every process of the stack has a Prometheus page, and the pages count what happened."""

from __future__ import annotations

from pathlib import Path

from archloom.client import Client
from archloom_local.stack import LocalStack
from metric_pages import total
from searches import ended, table_search
from waiting import wait_for


def test_the_pages_count_a_search(stack: LocalStack, client: Client, table: Path) -> None:
    assert set(stack.metrics) == {
        process.name for process in stack.processes() if process.name not in ("mongod", "redis")
    }
    made = total(stack, "controller", "archloom_trials_proposed_total")
    finished = total(stack, "controller", "archloom_trials_finished_total")
    evaluated = total(stack, "worker", "archloom_evaluator_trials_finished_total", evaluator="table")
    proposed = total(stack, "strategy", "archloom_strategy_proposals_total", strategy="evolution")
    spec = table_search(table, budget={"trials": 50}, control={"share": 0.2}, seed=6)
    name = client.experiments.create(spec).name
    ended(client, name)
    trials = list(client.trials.list(name))
    evaluations = sum(not trial.cache_hit for trial in trials)
    assert total(stack, "controller", "archloom_trials_proposed_total") - made == len(trials)
    assert total(stack, "controller", "archloom_trials_finished_total") - finished == len(trials)
    assert total(stack, "strategy", "archloom_strategy_proposals_total") - proposed >= 40
    # Multi-process workers count in files of their own; the page adds them up.
    wait_for(
        lambda: (
            total(stack, "worker", "archloom_evaluator_trials_finished_total", evaluator="table") - evaluated
            == evaluations
        ),
        20,
        "the workers' pages to count every evaluation",
    )
    assert total(stack, "controller", "archloom_rpc_seconds_count") > 0
    assert total(stack, "controller", "archloom_propose_seconds_count") > 0
    assert total(stack, "controller", "archloom_dispatch_seconds_count") >= evaluations
