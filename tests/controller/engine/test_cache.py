"""The project's cache: results that answer equal trials, and equal trials in flight."""

from __future__ import annotations

from typing import Any

import pytest
from archloom.v1 import common_pb2, experiment_pb2, strategy_pb2, trial_pb2
from archloom_controller.engine.seeds import generator


async def test_an_equal_result_of_the_project_answers_from_the_cache(world: Any) -> None:
    await world.create("one", trials=8, parallelism=4, cache=True)
    await world.work(name="one")
    await world.create("two", trials=8, parallelism=4, cache=True)
    experiment = await world.until(lambda e: e.state == experiment_pb2.EXPERIMENT_STATE_SUCCEEDED, "two")
    assert experiment.trials.cache_hits == experiment.trials_charged == 8
    assert experiment.device_seconds_charged == 0.0
    one, two = await world.listed("one"), await world.listed("two")
    assert [t.metrics for t in one] == [t.metrics for t in two]
    assert all(t.cache_hit and t.device_seconds == 1.0 for t in two)


@pytest.mark.parametrize("parallelism", [8, 6])
async def test_answers_from_the_cache_can_become_finalists(world: Any, parallelism: int) -> None:
    """Those of the last step too, be it the only one or not."""
    wanted = {"trials": 8, "kind": "train", "cache": True, "finalists": (8, 1)}
    for name in ("one", "two"):
        propose_what_the_controls_are(world)
        await world.create(name, parallelism=parallelism, **wanted)
        experiment = await world.work(name=name)
        assert experiment.state == experiment_pb2.EXPERIMENT_STATE_SUCCEEDED
    assert experiment.trials.cache_hits == 8
    searched = [t for t in await world.listed("two") if t.cache_hit]
    best = sorted(searched, key=lambda trial: -trial.metrics[0].value)
    report = await world.report("two")
    assert [finalist.trial for finalist in report.finalists] == [trial.name for trial in best]


def propose_what_the_controls_are(world: Any) -> None:
    """The strategy's k-th trial is the k-th control's equal, so that one waits for the other."""
    made = [0]

    def answer(request: strategy_pb2.ProposeRequest) -> strategy_pb2.ProposeResponse:
        response = strategy_pb2.ProposeResponse(experiment=request.experiment, step=request.step)
        response.proposals.SetInParent()
        for _ in range(request.count):
            rng = generator(1, "control", made[0])
            response.proposals.proposals.add().architecture.CopyFrom(
                world.gateway.space.sample(rng).to_proto()
            )
            made[0] += 1
        return response

    world.gateway.answer = answer


async def test_equal_trials_in_flight_are_joined(world: Any) -> None:
    propose_what_the_controls_are(world)
    await world.create(trials=8, parallelism=8, share=0.5, cache=True)
    await world.until(lambda e: e.trials_charged == 8)
    assert len(await world.listed(states=[trial_pb2.TRIAL_STATE_JOINED])) == 4
    leased = await world.lease()
    assert len(leased) == 4
    await world.complete(leased)
    experiment = await world.until(lambda e: e.state == experiment_pb2.EXPERIMENT_STATE_SUCCEEDED)
    assert (experiment.trials.completed, experiment.trials.cache_hits) == (8, 4)
    assert experiment.device_seconds_charged == 4.0
    trials = await world.listed()
    values = {t.number: t.metrics[0].value for t in trials}
    joined = [t for t in trials if t.cache_hit]
    equal = {t.architecture.SerializeToString(deterministic=True): t for t in trials if not t.cache_hit}
    for trial in joined:
        leader = equal[trial.architecture.SerializeToString(deterministic=True)]
        assert values[trial.number] == values[leader.number]


async def test_a_joined_trial_is_evaluated_itself_when_its_leader_fails(world: Any) -> None:
    propose_what_the_controls_are(world)
    await world.create(trials=2, parallelism=2, share=0.5, cache=True)
    await world.until(lambda e: e.trials_charged == 2)
    leader = await world.lease()
    assert len(leader) == 1
    await world.fail(leader, common_pb2.FAILURE_REASON_CANNOT_BUILD)
    follower = await world.lease(wait=10)
    assert follower[0].trial != leader[0].trial
    await world.complete(follower)
    experiment = await world.until(lambda e: e.state == experiment_pb2.EXPERIMENT_STATE_SUCCEEDED)
    assert (experiment.trials.completed, experiment.trials.failed) == (1, 1)
