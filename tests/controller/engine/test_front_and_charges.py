"""What stays bounded while trials end: the front, and the budget that a user's own results do not touch."""

from __future__ import annotations

import random
from typing import Any

import pytest
from archloom.v1 import experiment_pb2, trial_pb2
from archloom_controller.engine.front import Entry, dominates, extend
from archloom_controller.rpc.rules import Rules

NAME = "projects/p/experiments/search"


def test_trials_of_equal_values_are_on_the_front_once() -> None:
    front: list[Entry] = []
    for number in range(1, 2001):
        front = extend(front, number, (1.0, -2.0))
    assert front == [(1, (1.0, -2.0))]


@pytest.mark.parametrize("seed", range(20))
def test_the_front_holds_every_value_that_nothing_dominates_once(seed: int) -> None:
    rng = random.Random(seed)
    values = [(float(rng.randrange(6)), float(rng.randrange(6))) for _ in range(60)]
    front: list[Entry] = []
    for number, value in enumerate(values):
        front = extend(front, number, value)
    best = sorted({value for value in values if not any(dominates(other, value) for other in values)})
    assert front == [(values.index(value), value) for value in best]


async def test_a_reported_result_takes_nothing_from_the_budget(world: Any) -> None:
    await world.create(trials=20, parallelism=2, device_seconds=20.0, max_seconds=3)
    await world.until(lambda e: e.trials.ready == 2)
    request = trial_pb2.EnqueueTrialsRequest(parent=NAME)
    reported = request.trials.add()
    reported.architecture.CopyFrom(world.gateway.space.sample(random.Random(5)).to_proto())
    reported.metrics.add(name="val_accuracy", value=0.5)
    reported.device_time.FromSeconds(4000)
    await world.trials.EnqueueTrials(request, None)
    experiment = await world.until(lambda e: e.trials.completed == 1)
    # What the two that wait have reserved, and nothing else.
    assert experiment.device_seconds_charged == 6.0
    experiment = await world.work()
    assert experiment.state == experiment_pb2.EXPERIMENT_STATE_SUCCEEDED
    assert experiment.trials.completed > 2
    assert (await world.listed(roles=[trial_pb2.TRIAL_ROLE_USER]))[0].device_seconds == 4000.0


def test_negative_device_time_is_refused_by_name() -> None:
    request = trial_pb2.EnqueueTrialsRequest(parent=NAME)
    request.trials.add().architecture.SetInParent()
    request.trials[0].device_time.FromSeconds(-1)
    assert [fault.field for fault in Rules().violations(request)] == ["trials[0].device_time"]
