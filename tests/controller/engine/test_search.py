"""Whole searches on one replica."""

from __future__ import annotations

from typing import Any

from archloom.v1 import experiment_pb2, trial_pb2


async def test_a_search_ends_with_every_trial_counted(world: Any) -> None:
    await world.create(trials=20, parallelism=4)
    experiment = await world.work()
    assert experiment.state == experiment_pb2.EXPERIMENT_STATE_SUCCEEDED
    assert experiment.phase == experiment_pb2.EXPERIMENT_PHASE_DONE
    trials = await world.listed()
    assert [trial.number for trial in trials] == list(range(1, 21))
    assert {trial.state for trial in trials} == {trial_pb2.TRIAL_STATE_COMPLETED}
    assert experiment.trials.completed == experiment.trials_charged == 20
    assert experiment.device_seconds_charged == 20.0
    assert len({trial.architecture.SerializeToString(deterministic=True) for trial in trials}) == 20
    events = await world.events()
    assert [event.sequence for event in events] == list(range(1, experiment.sequence + 1))
