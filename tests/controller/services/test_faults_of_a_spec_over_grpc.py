"""Broken rules of the protos and what the registry does not know are told together, and nothing is stored."""

from __future__ import annotations

from typing import Any

import grpc
import pytest
from archloom.v1 import experiment_pb2, experiment_pb2_grpc
from grpc_refusals import refusal_of


@pytest.fixture
def stub(channel: grpc.aio.Channel) -> Any:
    return experiment_pb2_grpc.ExperimentServiceStub(channel)


@pytest.fixture
def spec() -> experiment_pb2.ExperimentSpec:
    made = experiment_pb2.ExperimentSpec(parallelism=1)
    made.task.kind, made.task.dataset = "classification", "digits"
    made.space.preset = "nasbench2001"
    made.objectives.add(metric="val_accuracy", goal="GOAL_MAXIMIZE")
    made.constraints.add(metric="flops", comparison="COMPARISON_AT_MOST", bound=float("nan"))
    made.strategy.name = "nobody"
    made.strategy.settings["rate"] = float("inf")
    made.evaluator.kind, made.evaluator.device_class = "train", "cpu"
    made.budget.trials = 0
    return made


FAULTS = {
    "budget.trials",
    "constraints[0].bound",
    "evaluator.kind",
    "space.preset",
    "strategy.name",
    "strategy.settings.rate",
    "task.dataset",
}


async def test_create_refuses_with_all_of_them(stub: Any, spec: experiment_pb2.ExperimentSpec) -> None:
    request = experiment_pb2.CreateExperimentRequest(parent="projects/p", experiment_id="Bad Id", spec=spec)
    refused = await refusal_of(stub.CreateExperiment(request))
    assert refused.code is grpc.StatusCode.INVALID_ARGUMENT
    assert set(refused.violations) == {"experiment_id", *(f"spec.{field}" for field in FAULTS)}
    listed = await stub.ListExperiments(experiment_pb2.ListExperimentsRequest(parent="projects/p"))
    assert not listed.experiments


async def test_validate_answers_all_of_them(stub: Any, spec: experiment_pb2.ExperimentSpec) -> None:
    request = experiment_pb2.ValidateExperimentRequest(parent="projects/p", spec=spec)
    answer = await stub.ValidateExperiment(request)
    found = [each.field for each in answer.violations]
    assert set(found) == FAULTS
    assert len(found) == len(FAULTS)
    assert not answer.HasField("resolved_spec")


async def test_validate_is_refused_where_more_than_the_spec_is_wrong(stub: Any) -> None:
    refused = await refusal_of(
        stub.ValidateExperiment(experiment_pb2.ValidateExperimentRequest(parent="nonsense"))
    )
    assert "parent" in refused.violations
