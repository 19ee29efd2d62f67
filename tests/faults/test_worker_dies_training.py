"""A worker is killed while it trains: the trial goes on from its checkpoint on the other, to the same end."""

from __future__ import annotations

import os
import random
import re
from typing import Any

import pytest
from archloom.client import Client, Trial
from archloom.spec import ExperimentSpec
from archloom_local.process import Process
from archloom_local.stack import LocalStack
from searches import digits_space, ended
from waiting import wait_for

EPOCHS = 25


def training() -> ExperimentSpec:
    """One trial of many short epochs, with a checkpoint after each."""
    tree: dict[str, Any] = {
        "name": "killed while it trains",
        "task": {"kind": "classification", "dataset": "digits"},
        "space": digits_space(),
        "objectives": [{"maximize": "val_accuracy"}],
        "strategy": {"name": "random"},
        "evaluator": {
            "kind": "train",
            "cache": False,
            "settings": {"checkpoint_seconds": 0, "checkpoint_epochs": 1},
        },
        "budget": {"trials": 1},
        "parallelism": 1,
        "control": {"share": 0},
        "finalists": {"count": 0},
        "fidelity": {"epochs": EPOCHS},
        "seed": 11,
    }
    return ExperimentSpec.from_dict(tree)


def only_trial(client: Client, experiment: str) -> Trial | None:
    return next(client.trials.list(experiment), None)


def process_of(stack: LocalStack, trial: Trial) -> Process:
    """The worker that holds the trial; its id is HOST:PID:RANDOM."""
    group = os.getpgid(int(trial.worker.split(":")[1]))
    return next(worker for worker in stack.workers if worker.pid == group)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_it_goes_on_from_its_checkpoint_on_the_other(stack: LocalStack, client: Client, seed: int) -> None:
    epochs = random.Random(seed).randint(2, EPOCHS // 2)
    undisturbed = client.experiments.create(training()).name
    ended(client, undisturbed)
    wanted = only_trial(client, undisturbed)
    assert wanted is not None

    name = client.experiments.create(training()).name

    def under_way() -> Trial | None:
        trial = only_trial(client, name)
        return trial if trial is not None and len(trial.measurements) >= epochs else None

    running = wait_for(under_way, 60, f"{epochs} measured epochs")
    assert running.state == "leased"
    worker = process_of(stack, running)
    worker.kill()
    try:
        assert ended(client, name).state == "succeeded"
        trial = only_trial(client, name)
        assert trial is not None
        assert trial.attempt == 2
        assert trial.worker != running.worker
        (other,) = [each for each in stack.workers if each is not worker]
        (epoch,) = re.findall(
            rf"{re.escape(trial.name)} attempt 2: goes on after epoch (\d+)", other.log.read_text()
        )
        assert int(epoch) >= 1
        progress = [point.progress for point in trial.measurements]
        assert progress == [float(place) for place in range(1, EPOCHS + 1)]
        for metric in ("val_accuracy", "val_loss", "train_loss", "parameters"):
            assert trial.metrics[metric] == wanted.metrics[metric]
    finally:
        stack.start_again(worker)


def test_an_orderly_end_hands_the_trial_over_without_a_retry(stack: LocalStack, client: Client) -> None:
    """SIGTERM: the worker saves a checkpoint and gives its attempt back at once."""
    name = client.experiments.create(training()).name

    def under_way() -> Trial | None:
        trial = only_trial(client, name)
        return trial if trial is not None and len(trial.measurements) >= 3 else None

    running = wait_for(under_way, 60, "three measured epochs")
    worker = process_of(stack, running)
    worker.stop(grace_seconds=60)
    try:
        assert ended(client, name).state == "succeeded"
        trial = only_trial(client, name)
        assert trial is not None
        assert trial.worker != running.worker
        assert trial.state == "completed"
        assert "let go" in worker.log.read_text()
    finally:
        stack.start_again(worker)
