"""Users' changes of an experiment through the real edge: rules, request ids and all."""

from __future__ import annotations

from typing import Any

import grpc
import pytest
from archloom.space import load_preset
from archloom.v1 import (
    common_pb2,
    experiment_pb2,
    experiment_pb2_grpc,
    registry_pb2,
    registry_pb2_grpc,
    trial_pb2,
    trial_pb2_grpc,
)
from archloom_controller.settings import Settings
from google.protobuf.field_mask_pb2 import FieldMask
from grpc_refusals import refusal_of
from scripted_strategy import ScriptedStrategy

NAME = "projects/p/experiments/e"


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"strategies": ("127.0.0.1:*",)})


@pytest.fixture
async def experiments(channel: grpc.aio.Channel) -> Any:
    """ExperimentService with one experiment, whose trials nobody leases."""
    plugin = await ScriptedStrategy().start()
    try:
        registry = registry_pb2_grpc.RegistryServiceStub(channel)
        await registry.RegisterStrategy(registry_pb2.RegisterStrategyRequest(address=plugin.address))
        table = registry_pb2.EvaluatorDescription(kind="table", version="1", batched=True)
        await registry.RegisterEvaluator(
            registry_pb2.RegisterEvaluatorRequest(device_class="cpu", evaluators=[table])
        )
        stub = experiment_pb2_grpc.ExperimentServiceStub(channel)
        spec = experiment_pb2.ExperimentSpec(
            task=experiment_pb2.Task(kind="classification", dataset="table"),
            space=experiment_pb2.SpaceSource(preset="nasbench201"),
            objectives=[common_pb2.Objective(metric="val_accuracy", goal=common_pb2.GOAL_MAXIMIZE)],
            strategy=experiment_pb2.StrategySpec(name="scripted"),
            evaluator=experiment_pb2.EvaluatorSpec(kind="table", device_class="cpu"),
            budget=experiment_pb2.Budget(trials=10),
            parallelism=2,
        )
        await stub.CreateExperiment(
            experiment_pb2.CreateExperimentRequest(parent="projects/p", experiment_id="e", spec=spec)
        )
        yield stub
    finally:
        await plugin.stop()


def update(*paths: str, **fields: Any) -> experiment_pb2.UpdateExperimentRequest:
    spec = experiment_pb2.ExperimentSpec(**fields)
    return experiment_pb2.UpdateExperimentRequest(
        name=NAME, spec=spec, update_mask=FieldMask(paths=list(paths))
    )


async def test_an_update_brings_only_what_its_mask_names(experiments: Any) -> None:
    answer = await experiments.UpdateExperiment(update("priority", priority=7))
    assert (answer.experiment.spec.priority, answer.experiment.spec_revision) == (7, 2)
    assert answer.experiment.spec.budget.trials == 10
    budget = experiment_pb2.Budget(trials=20)
    answer = await experiments.UpdateExperiment(update("budget.trials", budget=budget))
    assert answer.experiment.spec.budget.trials == 20


async def test_broken_rules_of_named_fields_are_told(experiments: Any) -> None:
    for request, field in (
        (update("priority", priority=1_000_000), "spec.priority"),
        (update("display_name", display_name="x" * 201), "spec.display_name"),
        (update("parallelism"), "spec.parallelism"),
    ):
        refusal = await refusal_of(experiments.UpdateExperiment(request))
        assert refusal.code == grpc.StatusCode.INVALID_ARGUMENT
        assert field in refusal.violations
    got = await experiments.GetExperiment(experiment_pb2.GetExperimentRequest(name=NAME))
    assert got.experiment.spec_revision == 1


async def test_users_trials_and_the_end_of_an_experiment(experiments: Any, channel: grpc.aio.Channel) -> None:
    trials = trial_pb2_grpc.TrialServiceStub(channel)
    own = next(load_preset("nasbench201").enumerate()).to_proto()
    request = trial_pb2.EnqueueTrialsRequest(
        parent=NAME, trials=[trial_pb2.EnqueuedTrial(architecture=own)], request_id="once"
    )
    first = await trials.EnqueueTrials(request)
    assert (await trials.EnqueueTrials(request)).inbox_ids == first.inbox_ids
    refusal = await refusal_of(
        experiments.DeleteExperiment(experiment_pb2.DeleteExperimentRequest(name=NAME))
    )
    assert refusal.code == grpc.StatusCode.FAILED_PRECONDITION
    cancelled = await experiments.CancelExperiment(
        experiment_pb2.CancelExperimentRequest(name=NAME, reason="enough")
    )
    assert cancelled.experiment.state_reason == "enough"
    await experiments.DeleteExperiment(experiment_pb2.DeleteExperimentRequest(name=NAME))
    refusal = await refusal_of(experiments.GetExperiment(experiment_pb2.GetExperimentRequest(name=NAME)))
    assert refusal.code == grpc.StatusCode.NOT_FOUND
