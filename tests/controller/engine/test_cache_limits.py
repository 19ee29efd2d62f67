"""What the cache may not answer: results of files that may change, and what the hardware decides."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from archloom.v1 import common_pb2, experiment_pb2
from archloom_controller.settings_schema import names_file


async def hits(world: Any, change: Any) -> int:
    """How many trials of the second of two equal experiments the cache answers."""
    for name in ("one", "two"):
        spec = world.spec(trials=4, parallelism=2, cache=True)
        change(spec)
        request = experiment_pb2.CreateExperimentRequest(parent="projects/p", experiment_id=name, spec=spec)
        await world.experiments.CreateExperiment(request, None)
        while (experiment := await world.get(name)).state == experiment_pb2.EXPERIMENT_STATE_RUNNING:
            await world.complete(await world.lease(wait=0.1), latency_ms=2.0)
        assert experiment.trials.completed == 4
    return int(experiment.trials.cache_hits)


async def test_results_of_a_file_are_looked_up_again(world: Any) -> None:
    schema = {"type": "object", "properties": {"path": {"type": "string", "format": "path"}}}
    world.registry.table = replace(world.registry.table, settings_schema=schema)
    assert await hits(world, lambda spec: spec.evaluator.settings.update({"path": "table.csv"})) == 0


async def test_an_optional_file_that_is_not_named_leaves_the_cache_on(world: Any) -> None:
    schema = {"type": "object", "properties": {"path": {"type": "string", "format": "path"}}}
    world.registry.table = replace(world.registry.table, settings_schema=schema)
    assert await hits(world, lambda spec: None) == 4


async def test_what_the_hardware_decides_is_measured_again(world: Any) -> None:
    def objective(spec: experiment_pb2.ExperimentSpec) -> None:
        spec.objectives.add(metric="latency_ms", goal=common_pb2.GOAL_MINIMIZE)

    assert await hits(world, objective) == 0


async def test_a_limit_on_the_hardware_is_measured_again(world: Any) -> None:
    def limit(spec: experiment_pb2.ExperimentSpec) -> None:
        spec.constraints.add(metric="latency_ms", comparison=common_pb2.COMPARISON_AT_MOST, bound=5.0)

    assert await hits(world, limit) == 0


FILE = {"type": "string", "format": "path"}


@pytest.mark.parametrize(
    ("schema", "setting", "found"),
    [
        ({"properties": {"a": FILE}}, {"a": "x"}, True),
        ({"properties": {"a": FILE}}, {"b": "x"}, False),
        ({"properties": {"a": {"anyOf": [FILE, {"type": "null"}]}}}, {"a": "x"}, True),
        ({"properties": {"a": {"anyOf": [FILE, {"type": "null"}]}}}, {"a": None}, False),
        ({"properties": {"a": {"type": "array", "items": FILE}}}, {"a": ["x"]}, True),
        ({"properties": {"a": {"type": "array", "items": FILE}}}, {"a": []}, False),
        ({"properties": {"a": {"properties": {"b": FILE}}}}, {"a": {"b": "x"}}, True),
        ({"properties": {"a": {"type": "string"}}}, {"a": "x"}, False),
        ({}, {"a": "x"}, False),
    ],
)
def test_settings_that_name_files(schema: Any, setting: Any, found: bool) -> None:
    assert names_file(schema, setting) is found
