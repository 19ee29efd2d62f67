"""Two replicas on one store: takeovers, stale owners, wakes, watches, replay."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from archloom.v1 import experiment_pb2
from archloom_controller.interfaces import StrategyUnreachable
from archloom_controller.store import StepLost

NAME = "projects/p/experiments/search"
DONE = experiment_pb2.EXPERIMENT_STATE_SUCCEEDED


async def test_a_dead_owners_experiment_goes_on_elsewhere(replicas: Any) -> None:
    one, two = await replicas(), await replicas()
    await one.create(trials=30, parallelism=4)
    await one.until(lambda e: e.trials.ready == 4)
    # As a SIGKILL leaves it: no renewal, no release.
    for task in [*one.engine._tasks, *(task for _, task in one.engine._owners.values())]:
        task.cancel()
    experiment = await two.work("w2")
    assert experiment.state == DONE
    assert experiment.trials.completed == experiment.trials_charged == 30
    owner = await two.store.experiments.by_uid(experiment.uid)
    assert owner is not None
    assert owner["engine"]["epoch"] == 2


async def test_a_stale_owner_changes_nothing(replicas: Any) -> None:
    one, two = await replicas(), await replicas()
    await one.create(trials=10, parallelism=2)
    experiment = await one.until(lambda e: e.trials.ready == 2)
    _, task = one.engine._owners[experiment.uid]
    task.cancel()
    stored = await one.store.experiments.by_uid(experiment.uid)
    assert stored is not None
    epoch = await two.store.experiments.claim(experiment.uid, stored["engine"]["epoch"], two.engine.replica)
    assert epoch == 2
    before = await one.events()
    await one.complete(await one.lease())
    # The old owner went on from what it had read: its step finds another epoch.
    from archloom_controller.engine.draft import Draft
    from archloom_controller.engine.frame import Frame

    draft = Draft(Frame.of(stored), stored, 3, 60.0)
    draft.begin(stored["update_time"])
    draft.take_changes(await one.store.trials.dirty(experiment.uid, 10), [])
    with pytest.raises(StepLost):
        await one.store.steps.commit(draft.finish())
    assert await one.events() == before
    two.engine.adopt(experiment.uid, epoch)
    assert (await two.work()).trials.completed == 10


async def test_a_replica_that_stops_hands_over_at_once(replicas: Any) -> None:
    one, two = await replicas(lease_seconds=60.0), await replicas(lease_seconds=60.0)
    await one.create(trials=10, parallelism=2)
    await one.until(lambda e: e.trials.ready == 2)
    await one.engine.stop()
    experiment = await two.work("w2")
    assert experiment.trials.completed == 10


def another_gateway(world: Any) -> Any:
    return type(world.gateway)()


async def test_an_experiment_goes_to_the_replica_that_its_strategy_is_attached_to(replicas: Any) -> None:
    one = await replicas(lease_seconds=0.8)
    two = await replicas(another_gateway(one), lease_seconds=0.8)
    await one.create(trials=10, parallelism=2)
    await one.until(lambda e: e.trials.ready == 2)
    # Its plugin calls in elsewhere: this replica lives on, and would keep the experiment.
    one.gateway.trouble = StrategyUnreachable("no plugin of that name is connected to this replica")
    experiment = await two.work("w2")
    assert experiment.trials.completed == experiment.trials_charged == 10
    assert experiment.degraded_reason == ""
    stored = await two.store.experiments.by_uid(experiment.uid)
    assert stored["engine"] == {"replica": two.engine.replica, "epoch": 2}


async def test_what_a_dead_replica_ran_goes_to_one_that_reaches_its_strategy(replicas: Any) -> None:
    one = await replicas(lease_seconds=0.8)
    cut_off = await replicas(another_gateway(one), lease_seconds=0.8)
    able = await replicas(lease_seconds=0.8)
    cut_off.gateway.trouble = StrategyUnreachable("no plugin of that name is connected to this replica")
    await one.create(trials=10, parallelism=2)
    await one.until(lambda e: e.trials.ready == 2)
    for task in [*one.engine._tasks, *(task for _, task in one.engine._owners.values())]:
        task.cancel()
    experiment = await able.work("w2")
    assert experiment.trials.completed == 10
    stored = await able.store.experiments.by_uid(experiment.uid)
    assert stored["engine"]["replica"] == able.engine.replica


async def test_a_strategy_that_no_replica_reaches_moves_no_experiment(replicas: Any) -> None:
    one = await replicas(lease_seconds=0.4, poll_seconds=0.1)
    await replicas(lease_seconds=0.4, poll_seconds=0.1)
    one.gateway.trouble = StrategyUnreachable("it restarts")
    created = await one.create(trials=4, parallelism=2)
    await one.until(lambda e: e.degraded_reason != "")
    started = (await one.store.presence.replicas())[one.engine.replica]["renewal"]
    async with asyncio.timeout(20):
        # Three leases of presence: longer than any replica waits before it gives up or claims.
        while (await one.store.presence.replicas())[one.engine.replica]["renewal"] < started + 12:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    stored = await one.store.experiments.by_uid(created.uid)
    assert stored["engine"] == {"replica": one.engine.replica, "epoch": 1}
    one.gateway.trouble = None
    assert (await one.work()).trials.completed == 4


async def test_a_completion_on_one_replica_wakes_the_owner_on_the_other(replicas: Any) -> None:
    """With polls an hour apart only the wakes between replicas are left."""
    one, two = await replicas(poll_seconds=0.3), await replicas(poll_seconds=0.3)
    async with asyncio.timeout(10):
        while not (one.engine.parts.signals.broadcasting and two.engine.parts.signals.broadcasting):  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    await one.create(trials=12, parallelism=2)
    experiment = await two.work("w2")
    assert experiment.trials.completed == 12


async def collect(world: Any, token: str = "", stop_after: int = 10**9, **filters: Any) -> Any:
    request = experiment_pb2.WatchExperimentRequest(name=NAME, resume_token=token, **filters)
    responses = []
    async for response in world.experiments.WatchExperiment(request, None):
        responses.append(response)
        if sum(len(each.events) for each in responses) >= stop_after:
            break
    return responses


async def test_a_watch_resumed_from_any_token_misses_nothing(replicas: Any) -> None:
    one, two = await replicas(), await replicas()
    await one.create(trials=16, parallelism=4)
    watching = asyncio.create_task(collect(two))
    await one.work()
    live = await asyncio.wait_for(watching, 30)
    sequences = [event.sequence for response in live for event in response.events]
    last = (await one.get()).sequence
    assert sequences == list(range(1, last + 1))
    assert live[0].HasField("experiment")
    assert live[-1].experiment.state == DONE or any(r.experiment.state == DONE for r in live)
    for response in live[:: max(1, len(live) // 4)]:
        seen = [e.sequence for r in live[: live.index(response) + 1] for e in r.events]
        rest = await collect(one, response.resume_token)
        assert seen + [e.sequence for r in rest for e in r.events] == sequences
        assert not any(r.reset for r in rest)


async def test_a_filtered_watch_moves_its_token_over_what_it_leaves_out(world: Any) -> None:
    await world.create(trials=6, parallelism=2)
    await world.work()
    kinds = [experiment_pb2.EVENT_KIND_PHASE_CHANGED]
    found = await collect(world, kinds=kinds)
    assert [e.kind for r in found for e in r.events] == kinds
    rest = await collect(world, found[-1].resume_token)
    assert [e for r in rest for e in r.events] == []


async def test_a_token_of_a_deleted_experiment_is_told_to_start_over(world: Any) -> None:
    await world.create(trials=2, parallelism=2)
    await world.work()
    token = (await collect(world))[-1].resume_token
    await world.experiments.DeleteExperiment(experiment_pb2.DeleteExperimentRequest(name=NAME), None)
    await world.create(trials=2, parallelism=2)
    await world.work()
    responses = await collect(world, token)
    assert responses[0].reset
    assert next(e.sequence for r in responses for e in r.events) == 1


async def test_every_step_replays_to_the_stored_answer(world: Any) -> None:
    await world.create(trials=20, parallelism=4, share=0.2)
    await world.work()
    request = experiment_pb2.ReplayExperimentRequest(name=NAME)
    answers = [a async for a in world.experiments.ReplayExperiment(request, None)]
    assert answers
    assert all(answer.equal for answer in answers)

    def other(asked: Any) -> Any:
        response = world.gateway.random(asked)
        if asked.step >= 3 and response.proposals.proposals:
            response.proposals.proposals[0].note = "changed"
        return response

    world.gateway.answer = other
    answers = [a async for a in world.experiments.ReplayExperiment(request, None)]
    assert not answers[-1].equal
    told = "proposals.proposals[0].note: stored None, now 'changed'"
    assert answers[-1].difference == f"{told} (by the same build, test)"
    world.gateway.build = "newer"
    answers = [a async for a in world.experiments.ReplayExperiment(request, None)]
    assert answers[-1].difference == f"{told} (by another build: test then, newer now)"
