"""Attempts: retries, lost workers, late answers, curves."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from archloom.errors import InvalidInput
from archloom.v1 import common_pb2, evaluation_pb2, experiment_pb2, strategy_pb2, trial_pb2

RECORDED = evaluation_pb2.ATTEMPT_OUTCOME_RECORDED
STALE = evaluation_pb2.ATTEMPT_OUTCOME_STALE
DIGEST = "projects/p/artifacts/" + "a" * 64


@pytest.mark.parametrize(
    ("reason", "attempts"),
    [
        (common_pb2.FAILURE_REASON_OUT_OF_MEMORY, 2),
        (common_pb2.FAILURE_REASON_DIVERGED, 1),
        (common_pb2.FAILURE_REASON_CANNOT_BUILD, 1),
        (common_pb2.FAILURE_REASON_DATA, 2),
        (common_pb2.FAILURE_REASON_LOST, 3),
        (common_pb2.FAILURE_REASON_TIMEOUT, 1),
        (common_pb2.FAILURE_REASON_INTERNAL, 2),
    ],
)
async def test_each_reason_has_its_retries(world: Any, reason: Any, attempts: int) -> None:
    await world.create(trials=1, parallelism=1)
    tried = 0
    while (await world.get()).state == experiment_pb2.EXPERIMENT_STATE_RUNNING:
        leased = await world.lease(wait=0.2)
        if leased:
            tried += 1
            assert leased[0].attempt == tried
            assert await world.fail(leased, reason, seconds=1.0) == [RECORDED]
            assert await world.fail(leased, reason, seconds=1.0) == [RECORDED]
    assert tried == attempts
    trial = (await world.listed())[0]
    assert trial.state == trial_pb2.TRIAL_STATE_FAILED
    assert trial.failure.reason == reason
    assert trial.device_seconds == float(attempts)


async def test_a_silent_worker_loses_its_lease_and_its_late_answer_changes_nothing(world: Any) -> None:
    await world.create(trials=1, parallelism=1)
    lost = await world.lease("dead", wait=5)
    assert lost
    again: list[Any] = []
    async with asyncio.timeout(20):
        while not again:
            again = await world.lease("alive", wait=1.0)
    assert again[0].attempt == 2
    assert await world.complete(lost, "dead", val_accuracy=0.1) == [STALE]
    assert await world.complete(again, "alive", val_accuracy=0.9) == [RECORDED]
    assert await world.complete(lost, "dead", val_accuracy=0.1) == [STALE]
    experiment = await world.until(lambda e: e.state != experiment_pb2.EXPERIMENT_STATE_RUNNING)
    assert experiment.trials.completed == 1
    assert (await world.listed())[0].metrics[0].value == 0.9


async def test_heartbeats_keep_a_lease_and_a_forgotten_attempt_is_lost(world: Any) -> None:
    await world.create(trials=2, parallelism=2)
    await world.until(lambda e: e.trials.ready == 2)
    kept, forgotten = await world.lease(count=2)
    lost = False
    async with asyncio.timeout(20):
        while not lost:
            beats = await world.heartbeat([kept])
            assert beats == [evaluation_pb2.DIRECTIVE_CONTINUE]
            number = int(forgotten.trial.rsplit("/", 1)[1])
            trial = (await world.listed())[number - 1]
            lost = trial.state == trial_pb2.TRIAL_STATE_READY
            await asyncio.sleep(0.2)
    assert await world.heartbeat([kept, forgotten]) == [
        evaluation_pb2.DIRECTIVE_CONTINUE,
        evaluation_pb2.DIRECTIVE_STOP,
    ]


async def test_a_worker_that_gets_nowhere_loses_its_attempt(replicas: Any) -> None:
    world = await replicas(stall_seconds=1.0)
    await world.create(trials=1, parallelism=1)
    stuck = await world.lease("stuck", wait=5)
    async with asyncio.timeout(20):
        while (await world.heartbeat(stuck, "stuck", progress=5)) == [evaluation_pb2.DIRECTIVE_CONTINUE]:  # noqa: ASYNC110
            await asyncio.sleep(0.2)
    assert (await world.listed())[0].state == trial_pb2.TRIAL_STATE_READY


async def test_a_trial_goes_on_from_its_newest_checkpoint(world: Any) -> None:
    await world.create(trials=1, parallelism=1)
    first = await world.lease(wait=5)
    request = evaluation_pb2.HeartbeatRequest(worker="w", device_class="cpu")
    told = request.attempts.add(progress=1)
    told.attempt.trial, told.attempt.attempt = first[0].trial, 1
    told.checkpoint.name = DIGEST
    await world.evaluation.Heartbeat(request, None)
    await world.fail(first, common_pb2.FAILURE_REASON_LOST, seconds=4.0)
    again = await world.lease(wait=5)
    assert again[0].checkpoint.name == DIGEST
    assert again[0].elapsed.seconds == 4
    told.checkpoint.name = DIGEST[:-1] + "0"
    with pytest.raises(InvalidInput, match="upload it first"):
        await world.evaluation.Heartbeat(request, None)


async def test_max_duration_is_shared_by_all_attempts(world: Any) -> None:
    await world.create(trials=1, parallelism=1, max_seconds=10)
    first = await world.lease(wait=5)
    assert first[0].max_duration.seconds == 10
    await world.fail(first, common_pb2.FAILURE_REASON_LOST, seconds=4.0)
    again = await world.lease(wait=5)
    assert again[0].max_duration.seconds == 6
    await world.fail(again, common_pb2.FAILURE_REASON_LOST, seconds=6.0)
    experiment = await world.until(lambda e: e.state != experiment_pb2.EXPERIMENT_STATE_RUNNING)
    assert experiment.trials.failed == 1
    assert experiment.device_seconds_charged == 10.0


async def test_a_curve_grows_strictly_and_is_told_once(world: Any) -> None:
    world.gateway.capabilities.curves = True
    await world.create(trials=1, parallelism=1)
    leased = await world.lease(wait=5)
    await world.heartbeat(leased, progress=1, points=(1.0, 2.0))
    await world.heartbeat(leased, progress=2, points=(2.0, 1.5, 3.0))
    measured = strategy_pb2.OBSERVATION_KIND_MEASURED

    def told() -> list[float]:
        seen = [s for r in world.gateway.requests for s in r.observations if s.kind == measured]
        return [point.progress for s in seen for point in s.measurements]

    async with asyncio.timeout(10):
        while told() != [1.0, 2.0, 3.0]:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    await world.complete(leased)
    await world.until(lambda e: e.trials.completed == 1)
    assert told() == [1.0, 2.0, 3.0]
    trial = (await world.listed())[0]
    assert [point.progress for point in trial.measurements] == [1.0, 2.0, 3.0]


async def test_a_strategy_stops_a_running_trial(world: Any) -> None:
    world.gateway.capabilities.multi_fidelity = True

    def answer(request: strategy_pb2.ProposeRequest) -> strategy_pb2.ProposeResponse:
        response = world.gateway.random(request)
        seen = [s for s in request.observations if s.kind == strategy_pb2.OBSERVATION_KIND_MEASURED]
        response.stop.extend(s.trial for s in seen)
        return response

    world.gateway.answer = answer
    await world.create(trials=2, parallelism=1)
    leased = await world.lease(wait=5)
    async with asyncio.timeout(10):
        while await world.heartbeat(leased, progress=1, points=(1.0,)) != [evaluation_pb2.DIRECTIVE_STOP]:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    assert await world.complete(leased) == [STALE]
    experiment = await world.work()
    assert (experiment.trials.cancelled, experiment.trials.completed) == (1, 1)


async def test_a_lost_lease_answer_comes_again(world: Any) -> None:
    await world.create(trials=6, parallelism=6)
    await world.until(lambda e: e.trials.ready == 6)
    first = await world.lease(count=3, request_id="r1")
    again = await world.lease(count=3, request_id="r1")
    assert [t.trial for t in first] == [t.trial for t in again]
    assert [t.attempt for t in again] == [1, 1, 1]
    other = await world.lease(count=3, request_id="r2")
    assert {t.trial for t in other}.isdisjoint(t.trial for t in first)


async def test_the_number_alone_fences_an_attempt_of_the_same_worker(world: Any) -> None:
    await world.create(trials=1, parallelism=1)
    first = await world.lease(wait=5)
    assert await world.fail(first, common_pb2.FAILURE_REASON_INTERNAL) == [RECORDED]
    second = await world.lease(wait=5)
    assert second[0].attempt == first[0].attempt + 1
    assert await world.complete(first, val_accuracy=0.1) == [STALE]
    assert await world.heartbeat(first) == [evaluation_pb2.DIRECTIVE_STOP]
    assert await world.complete(second, val_accuracy=0.9) == [RECORDED]
    assert (await world.listed())[0].metrics[0].value == 0.9


async def test_trials_that_need_labels_go_to_workers_that_have_them(world: Any) -> None:
    await world.create(trials=1, parallelism=1, worker_labels={"memory": "80gb", "zone": "b"})
    await world.until(lambda e: e.trials.ready == 1)
    for short in ({}, {"memory": "80gb"}, {"memory": "80gb", "zone": "a"}):
        assert await world.lease(labels=short) == []
    assert await world.lease(labels={"zone": "b", "memory": "80gb", "host": "h"})
