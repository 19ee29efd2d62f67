"""Multi-fidelity searches with every part real: promotions go on from checkpoints, and repeat no epoch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from archloom.client import Client, Trial
from archloom.spec import ExperimentSpec
from archloom_local.stack import LocalStack
from command_line import archloom
from searches import digits_space, ended

EPOCHS = 4


def rungs(name: str, settings: Mapping[str, Any]) -> ExperimentSpec:
    """Eight trials of one, two or four epochs."""
    tree: dict[str, Any] = {
        "name": name,
        "task": {"kind": "classification", "dataset": "digits"},
        "space": digits_space(),
        "objectives": [{"maximize": "val_accuracy"}],
        "strategy": {"name": "multi-fidelity", "settings": settings},
        "evaluator": {"kind": "train", "cache": False},
        "budget": {"trials": 8},
        "parallelism": 2,
        "control": {"share": 0},
        "finalists": {"count": 0},
        "fidelity": {"epochs": EPOCHS},
        "seed": 5,
    }
    return ExperimentSpec.from_dict(tree)


def epochs_of(trial: Trial) -> list[float]:
    return [point.progress for point in trial.measurements]


def test_promotions_repeat_no_epoch_and_only_whole_trainings_are_on_the_front(
    stack: LocalStack, client: Client
) -> None:
    name = client.experiments.create(rungs("asha on digits", {"eta": 2})).name
    assert ended(client, name).state == "succeeded"
    trials = {trial.number: trial for trial in client.trials.list(name)}
    assert {trial.state for trial in trials.values()} == {"completed"}
    promoted = [trial for trial in trials.values() if trial.parents]
    assert {trial.fidelity.epochs for trial in trials.values()} >= {1, EPOCHS}
    assert promoted
    for trial in promoted:
        (parent,) = (trials[number] for number in trial.parents)
        assert trial.architecture == parent.architecture
        assert epochs_of(trial) == list(range(parent.fidelity.epochs + 1, trial.fidelity.epochs + 1))
        # What an architecture's training took in all goes on counting.
        assert trial.metrics["train_seconds"] > parent.metrics["train_seconds"]
    whole = [trial for trial in trials.values() if trial.fidelity.epochs == EPOCHS]
    # The root of the budget, rounded up.
    assert len(whole) >= 3
    front = client.experiments.report(name).front
    assert {trial.number for trial in front} <= {trial.number for trial in whole}
    assert front

    ran = archloom("replay", name, environment=stack.environment)
    assert ran.returncode == 0, ran.stderr + ran.stdout
