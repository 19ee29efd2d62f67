"""Training-free scores with every part real: asked for by a strategy, computed by workers, never results."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import pytest
from archloom.client import Client
from archloom.spec import ExperimentSpec
from archloom_evaluators.scores import NAMES
from archloom_local.process import Process
from archloom_local.stack import LocalStack
from command_line import archloom
from searches import digits_space, ended


@pytest.fixture(scope="module")
def scripted(stack: LocalStack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The strategy proxies-first, attached."""
    plugin = Process(
        "proxies-first",
        [
            sys.executable, "-m", "archloom.cli", "serve-strategy", "proxies_first:ProxiesFirst",
            "--attach", stack.addresses[0],
        ],
        tmp_path_factory.mktemp("plugin") / "proxies_first.log",
        stack.environment,
    )  # fmt: skip

    def serving() -> bool:
        with Client(stack.addresses[0]) as client:
            return any(each.name == "proxies-first" for each in client.registry.strategies() if each.serving)

    plugin.start()
    try:
        plugin.wait_until(serving, 60, "being attached")
        yield
    finally:
        plugin.stop()


def search(**settings: Any) -> ExperimentSpec:
    tree: dict[str, Any] = {
        "name": "scores first",
        "task": {"kind": "classification", "dataset": "digits"},
        "space": digits_space(),
        "objectives": [{"maximize": "val_accuracy"}],
        "strategy": {"name": "proxies-first", "settings": settings},
        "evaluator": {"kind": "train", "cache": False, "settings": {"proxy_batch_size": 16}},
        "budget": {"trials": 4, "proxy_trials": 50},
        "parallelism": 4,
        "control": {"share": 0.25},
        "finalists": {"count": 1, "fidelity": {"epochs": 1}},
        "fidelity": {"epochs": 1},
    }
    return ExperimentSpec.from_dict(tree)


@pytest.mark.usefixtures("scripted")
def test_a_strategy_has_its_candidates_scored_and_evaluates_the_best(stack: LocalStack) -> None:
    with Client(stack.addresses[0]) as client:
        assert [each.name for each in client.registry.proxies()] == sorted(NAMES)
        name = client.experiments.create(search(proxies=["synflow", "naswot", "zen"], candidates=8)).name
        experiment = ended(client, name)
        assert experiment.state == "succeeded"
        assert (experiment.trials.proxies_completed, experiment.proxy_trials_charged) == (8, 8)
        trials = list(client.trials.list(name))
        scored = [trial for trial in trials if trial.fidelity.proxies]
        assert {tuple(trial.metrics) for trial in scored} == {("naswot", "synflow", "zen")}
        searched = [trial for trial in trials if trial.role == "search" and not trial.fidelity.proxies]
        ranked = sorted(scored, key=lambda trial: -trial.metrics["synflow"])
        assert {trial.architecture for trial in searched} == {trial.architecture for trial in ranked[:2]}
        # What was scored is charged to no trial, and its controls are those of the evaluated.
        assert experiment.trials_charged == len(searched) + sum(trial.role == "control" for trial in trials)
        report = client.experiments.report(name)
        results = {trial.name for trial in trials if not trial.fidelity.proxies}
        assert {trial.name for trial in report.front} | {each.trial for each in report.finalists} <= results
        assert report.winner_metrics["val_accuracy"] > 0
    ran = archloom("replay", name, environment=stack.environment)
    assert ran.returncode == 0, ran.stderr + ran.stdout
    shown = archloom("experiments", "get", name, environment=stack.environment)
    assert "8 completed, 0 without a score; 8 of 50 charged" in shown.stdout
    listed = archloom("proxies", "list", environment=stack.environment)
    assert all(proxy in listed.stdout for proxy in NAMES), listed.stdout + listed.stderr


@pytest.mark.usefixtures("scripted")
def test_a_strategy_goes_on_without_what_no_worker_offers(stack: LocalStack) -> None:
    with Client(stack.addresses[0]) as client:
        name = client.experiments.create(search(proxies=["synflow", "oracle"], candidates=3)).name
        experiment = ended(client, name)
        assert experiment.state == "succeeded"
        assert experiment.proxy_trials_charged == 0
        events = [event for update in client.experiments.watch(name) for event in update.events]
        reasons = [event.message for event in events if event.kind == "proposal_refused"]
        assert len(reasons) == 3
        assert all("offers no proxy 'oracle'; it offers flops, grad_norm" in reason for reason in reasons)
