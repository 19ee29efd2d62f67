"""Strategies that fail, are away, or never come back."""

from __future__ import annotations

from typing import Any

from archloom.v1 import experiment_pb2, strategy_pb2
from archloom_controller.engine.asking import EMPTY_ANSWERS
from archloom_controller.interfaces import StrategyFailed, StrategyUnreachable


async def test_a_dead_strategy_degrades_its_experiment_which_recovers_by_itself(world: Any) -> None:
    world.gateway.trouble = StrategyUnreachable("nobody listens at 127.0.0.1:1")
    await world.create(trials=6, parallelism=2)
    experiment = await world.until(lambda e: e.degraded_reason != "")
    assert "nobody listens" in experiment.degraded_reason
    assert experiment.degraded_time.seconds > 0
    world.gateway.trouble = None
    experiment = await world.work()
    assert experiment.trials.completed == 6
    assert experiment.degraded_reason == ""
    kinds = [event.kind for event in await world.events()]
    assert kinds.count(experiment_pb2.EVENT_KIND_DEGRADED) == 1
    assert kinds.count(experiment_pb2.EVENT_KIND_RECOVERED) == 1


async def test_a_strategy_that_fails_on_many_is_asked_for_fewer(world: Any) -> None:
    world.gateway.most = 5
    await world.create(trials=16, parallelism=16)
    experiment = await world.work()
    assert experiment.trials.completed == 16
    counts = [request.count for request in world.gateway.requests]
    assert counts[:7] == [16, 16, 16, 8, 8, 8, 4]
    assert experiment_pb2.EVENT_KIND_DEGRADED not in [event.kind for event in await world.events()]


async def test_a_fallback_takes_over_with_the_whole_log(replicas: Any) -> None:
    world = await replicas(fallback_seconds=0.5, degraded_pause_seconds=0.2)
    await world.create(trials=12, parallelism=2, fallback="other")
    await world.until(lambda e: e.trials.ready == 2)
    await world.complete(await world.lease())
    world.gateway.trouble = StrategyFailed("it raised ZeroDivisionError")
    before = len(world.gateway.requests)
    experiment = await world.work()
    assert experiment.trials.completed == 12
    steps = await world.experiments.ListSteps(experiment_pb2.ListStepsRequest(parent=experiment.name), None)
    names = [step.strategy for step in steps.steps]
    assert names[0] == "random"
    assert names[-1] == "other"
    first = next(r for r in world.gateway.requests[before:] if r.history_sequence == 0)
    assert first.state.digest == ""
    assert {o.trial for o in first.observations} >= {1, 2}
    assert any("went on in its place" in note for note in (await world.report()).notes)


def wait(request: strategy_pb2.ProposeRequest) -> strategy_pb2.ProposeResponse:
    response = strategy_pb2.ProposeResponse(experiment=request.experiment, step=request.step)
    response.wait.SetInParent()
    return response


def nothing(request: strategy_pb2.ProposeRequest) -> strategy_pb2.ProposeResponse:
    response = strategy_pb2.ProposeResponse(experiment=request.experiment, step=request.step)
    response.proposals.SetInParent()
    return response


async def test_a_fallback_is_told_what_the_strategy_was_told(replicas: Any) -> None:
    world = await replicas(fallback_seconds=0.2, degraded_pause_seconds=0.2)
    await world.create(trials=12, parallelism=2, fallback="other")
    while (await world.get()).trials.completed < 6:
        await world.complete(await world.lease(wait=0.1))
    world.gateway.trouble = StrategyFailed("it raised ZeroDivisionError")
    before = len(world.gateway.requests)
    experiment = await world.work()
    assert experiment.trials.completed == 12
    asked = [request for request in world.gateway.requests[before:] if request.history_sequence == 0]
    told = {seen.sequence: seen for seen in asked[0].observations}
    logged = {
        event.sequence: event
        for event in await world.events()
        if event.HasField("trial") and event.sequence <= max(told)
    }
    assert told.keys() == logged.keys()


async def test_a_strategy_that_waits_for_ever_is_degraded_until_its_fallback_comes(replicas: Any) -> None:
    world = await replicas(fallback_seconds=1.0, degraded_pause_seconds=0.1)
    world.gateway.answer = wait
    await world.create(trials=8, parallelism=2, share=0.5, fallback="other")
    await world.until(lambda e: e.degraded_reason != "")
    before = len(world.gateway.requests)
    await world.until(lambda e: "takes over" in e.degraded_reason)
    assert len(world.gateway.requests) > before, "it is asked again meanwhile"
    kinds = [event.kind for event in await world.events()]
    assert experiment_pb2.EVENT_KIND_RECOVERED not in kinds
    world.gateway.answer = None
    assert (await world.work()).trials.completed == 8


async def test_a_strategy_that_waits_while_only_controls_run_is_degraded_when_they_end(world: Any) -> None:
    def answer(request: strategy_pb2.ProposeRequest) -> strategy_pb2.ProposeResponse:
        return wait(request) if request.step > 1 else world.gateway.random(request)

    world.gateway.answer = answer
    await world.create(trials=8, parallelism=4, share=0.5)
    await world.until(lambda e: e.trials.ready > 0)
    while not (experiment := await world.get()).degraded_reason:
        await world.complete(await world.lease(count=1, wait=0.1))
    assert "waits" in experiment.degraded_reason
    world.gateway.answer = None
    assert (await world.work()).trials.completed == 8


async def test_a_strategy_that_waits_for_nothing_is_degraded(world: Any) -> None:
    world.gateway.answer = wait
    await world.create(trials=4, parallelism=2)
    experiment = await world.until(lambda e: e.degraded_reason != "")
    assert "waits" in experiment.degraded_reason
    world.gateway.answer = None
    assert (await world.work()).trials.completed == 4


async def test_a_strategy_that_finds_nothing_now_and_then_is_asked_again(world: Any) -> None:
    """Fewer proposals than wanted are normal, none too: its next step draws others."""

    def answer(request: strategy_pb2.ProposeRequest) -> strategy_pb2.ProposeResponse:
        if request.step % 4:
            return nothing(request)
        request.count = min(request.count, 1)
        found: strategy_pb2.ProposeResponse = world.gateway.random(request)
        return found

    world.gateway.answer = answer
    await world.create(trials=4, parallelism=2, share=0)
    assert (await world.work()).trials.completed == 4
    kinds = [event.kind for event in await world.events()]
    assert experiment_pb2.EVENT_KIND_DEGRADED not in kinds


async def test_a_strategy_that_never_finds_anything_is_degraded(world: Any) -> None:
    world.gateway.answer = nothing
    await world.create(trials=4, parallelism=2)
    experiment = await world.until(lambda e: e.degraded_reason != "")
    assert "proposed nothing 20 times in a row" in experiment.degraded_reason
    world.gateway.answer = None
    assert (await world.work()).trials.completed == 4


async def test_a_fallback_has_as_many_steps_to_find_something(replicas: Any) -> None:
    def answer(request: strategy_pb2.ProposeRequest) -> strategy_pb2.ProposeResponse:
        found: strategy_pb2.ProposeResponse = world.gateway.random(request)
        return nothing(request) if request.step <= EMPTY_ANSWERS + 5 else found

    world = await replicas(fallback_seconds=0.2, degraded_pause_seconds=0.1)
    world.gateway.answer = answer
    await world.create(trials=4, parallelism=2, fallback="other")
    assert (await world.work()).trials.completed == 4
    # It answers at once, so the state says for a moment only who took over.
    assert any("takes over" in event.message for event in await world.events())


async def test_an_experiment_whose_steps_fail_says_so_and_goes_on_by_itself(world: Any) -> None:
    """Whatever the reason: here an answer that no document of the store can hold."""

    def answer(request: strategy_pb2.ProposeRequest) -> strategy_pb2.ProposeResponse:
        response: strategy_pb2.ProposeResponse = world.gateway.random(request)
        if request.count:
            response.proposals.proposals[0].note = "x" * (17 * 1024 * 1024)
        return response

    world.gateway.answer = answer
    await world.create(trials=4, parallelism=2)
    experiment = await world.until(lambda e: e.degraded_reason != "")
    assert "its steps fail" in experiment.degraded_reason
    world.gateway.answer = None
    experiment = await world.work()
    assert (experiment.trials.completed, experiment.degraded_reason) == (4, "")
    kinds = [event.kind for event in await world.events()]
    assert kinds.count(experiment_pb2.EVENT_KIND_DEGRADED) == 1
    assert kinds.count(experiment_pb2.EVENT_KIND_RECOVERED) == 1


async def test_an_exhausted_strategy_ends_the_search(world: Any) -> None:
    def answer(request: strategy_pb2.ProposeRequest) -> strategy_pb2.ProposeResponse:
        response: strategy_pb2.ProposeResponse = world.gateway.random(request)
        if request.step > 1:
            response.exhausted.reason = "all of it was tried"
        return response

    world.gateway.answer = answer
    await world.create(trials=100, parallelism=3, share=0.3)
    experiment = await world.work()
    assert experiment.state == experiment_pb2.EXPERIMENT_STATE_SUCCEEDED
    assert 3 <= experiment.trials.completed <= 6


async def test_a_cold_replica_reads_the_log_it_was_told(world: Any) -> None:
    world.gateway.asks_history = True
    await world.create(trials=12, parallelism=3)
    await world.work()
    told: list[strategy_pb2.Observation] = []
    asked = list(world.gateway.requests)
    for request, history in zip(asked, world.gateway.histories, strict=True):
        assert history == told
        told += request.observations
