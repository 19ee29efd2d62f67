"""Lost attempts: what is charged for them, and what a reaper that was away may not conclude."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from typing import Any

import pytest
from archloom.v1 import evaluation_pb2, experiment_pb2, trial_pb2
from archloom_controller.engine.reaper import Reaper

NAME = "projects/p/experiments/search"
LEASE = 30.0


class SetClock:
    """Stands still until it is told to go on."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def monotonic(self) -> float:
        return self.seconds

    def now(self) -> datetime.datetime:
        return datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC) + datetime.timedelta(seconds=self.seconds)


class Scene:
    """A world whose clock the test moves, and a reaper that looks when the test says so."""

    def __init__(self, world: Any, clock: SetClock) -> None:
        self.world = world
        self.clock = clock
        self.reaper = Reaper(world.engine.parts)

    async def start(self, trials: int = 1, **changes: Any) -> list[Any]:
        """An experiment with all its trials leased by worker "w"."""
        await self.world.create(trials=trials, parallelism=trials, **changes)
        await self.world.until(lambda e: e.trials.ready == trials)
        leased: list[Any] = await self.world.lease(count=trials)
        assert len(leased) == trials
        await self.reaper.sweep()
        return leased

    async def wait(self, seconds: float, beat: Callable[[], Any] | None = None) -> int:
        """Let time pass with the reaper looking every quarter of a lease; how many were lost."""
        lost = 0
        until = self.clock.seconds + seconds
        while self.clock.seconds < until:
            self.clock.seconds = min(until, self.clock.seconds + LEASE / 4)
            if beat is not None:
                await beat()
            lost += await self.reaper.sweep()
        return lost


@pytest.fixture
async def scene(replicas: Any) -> Scene:
    clock = SetClock()
    return Scene(await replicas(lease_seconds=LEASE, stall_seconds=1e6, clock=clock), clock)


async def test_the_time_until_a_dead_worker_is_missed_is_not_charged(scene: Scene) -> None:
    leased = await scene.start(max_seconds=20, kind="train")
    await scene.wait(7.5, lambda: scene.world.heartbeat(leased, progress=1))
    assert await scene.wait(LEASE) == 1
    trial = (await scene.world.listed())[0]
    assert trial.state == trial_pb2.TRIAL_STATE_READY
    assert trial.device_seconds == 7.5


async def test_a_batch_is_not_charged_for_each_of_its_trials(scene: Scene) -> None:
    leased = await scene.start(trials=8, max_seconds=20)
    assert await scene.wait(60, lambda: scene.world.heartbeat(leased, progress=1)) == 0
    assert await scene.wait(LEASE) == 8
    trials = await scene.world.listed()
    assert {trial.state for trial in trials} == {trial_pb2.TRIAL_STATE_READY}
    assert sum(trial.device_seconds for trial in trials) == 0.0


async def test_trials_wait_for_their_turn_in_a_batch_beyond_their_max_duration(scene: Scene) -> None:
    leased = await scene.start(trials=8, max_seconds=10)
    assert await scene.wait(300, lambda: scene.world.heartbeat(leased, progress=1)) == 0


async def test_trials_behind_one_that_hangs_are_lost_with_it(replicas: Any) -> None:
    clock = SetClock()
    scene = Scene(await replicas(lease_seconds=LEASE, stall_seconds=100.0, clock=clock), clock)
    leased = await scene.start(trials=4)
    beats = 0

    async def beat() -> None:
        nonlocal beats
        beats += 1
        await tell(scene.world, leased, [0, beats, beats, beats])

    assert await scene.wait(90, beat) == 0
    assert await scene.wait(30, beat) == 4


async def test_a_single_trial_beyond_its_max_duration_is_ended(scene: Scene) -> None:
    leased = await scene.start(max_seconds=10, kind="train")
    assert await scene.wait(37.5, lambda: scene.world.heartbeat(leased, progress=1)) == 0
    assert await scene.wait(7.5, lambda: scene.world.heartbeat(leased, progress=1)) == 1
    trial = (await scene.world.listed())[0]
    assert (trial.state, trial.device_seconds) == (trial_pb2.TRIAL_STATE_FAILED, 10.0)


async def test_after_an_outage_of_its_own_the_reaper_hears_the_workers_first(scene: Scene) -> None:
    leased = await scene.start()
    await scene.wait(15, lambda: scene.world.heartbeat(leased, progress=1))
    # The store, or this replica, is away: no heartbeat is recorded, and no sweep comes to an end.
    scene.clock.seconds += 2 * LEASE
    assert await scene.reaper.sweep() == 0
    assert await scene.wait(LEASE - 7.5) == 0
    await scene.world.heartbeat(leased, progress=2)
    assert await scene.wait(LEASE - 7.5) == 0
    # A worker that stays silent after it is lost as ever.
    assert await scene.wait(15) == 1


@pytest.mark.parametrize("way", ["release", "fail", "lose", "put back"])
async def test_a_trial_that_comes_back_while_its_experiment_is_resumed_is_leased_again(
    scene: Scene, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = scene.world
    leased = await scene.start()
    experiments = world.store.experiments
    real = experiments.states

    async def pause() -> None:
        await world.experiments.PauseExperiment(experiment_pb2.PauseExperimentRequest(name=NAME), None)

    async def overtaken(uids: Any) -> Any:
        """The states as they are read, and a resumption before anything is done with them."""
        found = await real(uids)
        monkeypatch.setattr(experiments, "states", real)
        await world.experiments.ResumeExperiment(experiment_pb2.ResumeExperimentRequest(name=NAME), None)
        return found

    if way == "put back":
        await release(world, leased)
        take = world.store.leases.take

        async def take_and_pause(**request: Any) -> Any:
            rows = await take(**request)
            await pause()
            monkeypatch.setattr(world.store.leases, "take", take)
            return rows

        monkeypatch.setattr(world.store.leases, "take", take_and_pause)
    else:
        await pause()
    monkeypatch.setattr(experiments, "states", overtaken)
    if way == "release":
        await release(world, leased)
    elif way == "fail":
        await world.fail(leased, 7)
    elif way == "lose":
        assert await scene.wait(LEASE + 7.5) == 1
    else:
        assert await world.lease() == []
    assert len(await world.lease()) == 1


async def tell(world: Any, trials: list[Any], progress: list[int]) -> None:
    request = evaluation_pb2.HeartbeatRequest(worker="w", device_class="cpu")
    for trial, counter in zip(trials, progress, strict=True):
        told = request.attempts.add(progress=counter)
        told.attempt.trial, told.attempt.attempt = trial.trial, trial.attempt
    await world.evaluation.Heartbeat(request, None)


async def release(world: Any, trials: list[Any]) -> None:
    request = evaluation_pb2.ReleaseTrialsRequest(worker="w")
    for trial in trials:
        released = request.trials.add()
        released.attempt.trial, released.attempt.attempt = trial.trial, trial.attempt
    await world.evaluation.ReleaseTrials(request, None)
