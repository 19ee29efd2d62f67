"""Whole searches on one replica."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest
from archloom.errors import AlreadyExists, InvalidInput, Unavailable, Violation, WrongState
from archloom.space import Architecture
from archloom.v1 import common_pb2, evaluation_pb2, experiment_pb2, strategy_pb2, trial_pb2
from archloom_controller.engine.draft import Draft
from archloom_controller.engine.frame import Frame
from archloom_controller.interfaces import StrategyUnreachable
from archloom_controller.store import StepChanged
from google.protobuf.field_mask_pb2 import FieldMask

NAME = "projects/p/experiments/search"


def request_of(
    world: Any, name: str, request_id: str = "", **changes: Any
) -> experiment_pb2.CreateExperimentRequest:
    return experiment_pb2.CreateExperimentRequest(
        parent="projects/p", experiment_id=name, spec=world.spec(**changes), request_id=request_id
    )


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


async def test_at_most_parallelism_trials_are_ready_or_leased(world: Any) -> None:
    await world.create(trials=30, parallelism=5, share=0.2)
    held: list[evaluation_pb2.LeasedTrial] = []
    await world.until(lambda e: e.trials.ready == 5)
    while (experiment := await world.get()).state == experiment_pb2.EXPERIMENT_STATE_RUNNING:
        assert experiment.trials.ready + experiment.trials.leased <= 5
        assert experiment.trials_charged <= 30
        held += await world.lease(count=2, wait=0.1)
        if len(held) >= 5 or (held and not experiment.trials.ready):
            await world.complete([held.pop()])


async def test_the_strategy_is_told_everything_of_its_own_once_and_in_order(world: Any) -> None:
    await world.create(trials=24, parallelism=4, share=0.25)
    await world.work()
    told = [seen for request in world.gateway.requests for seen in request.observations]
    sequences = [seen.sequence for seen in told]
    assert sequences == sorted(set(sequences))
    trials = await world.listed()
    controls = {t.number for t in trials if t.role == trial_pb2.TRIAL_ROLE_CONTROL}
    assert len(controls) == 6
    assert controls.isdisjoint(seen.trial for seen in told)
    for request in world.gateway.requests:
        assert all(seen.sequence > request.history_sequence for seen in request.observations)
    accepted = [s for s in told if s.kind == strategy_pb2.OBSERVATION_KIND_ACCEPTED]
    by_number = {trial.number: trial for trial in trials}
    for seen in accepted:
        assert seen.architecture == by_number[seen.trial].architecture
        assert (seen.step, seen.ordinal) == (by_number[seen.trial].step, by_number[seen.trial].ordinal)


async def test_a_repeat_is_refused_singly_and_told(world: Any) -> None:
    first = world.gateway.space.sample(random.Random(0)).to_proto()

    def answer(request: strategy_pb2.ProposeRequest) -> strategy_pb2.ProposeResponse:
        response = world.gateway.random(request)
        if request.count > 1:
            response.proposals.proposals[0].architecture.CopyFrom(first)
            response.proposals.proposals[1].architecture.CopyFrom(first)
        return response

    world.gateway.answer = answer
    await world.create(trials=6, parallelism=3)
    await world.work()
    refused = [e for e in await world.events() if e.kind == experiment_pb2.EVENT_KIND_PROPOSAL_REFUSED]
    assert refused
    assert "equal architecture" in refused[0].message
    told = [s for request in world.gateway.requests for s in request.observations]
    assert any(s.kind == strategy_pb2.OBSERVATION_KIND_REFUSED and s.architecture == first for s in told)
    same = [t for t in await world.listed() if t.architecture == first]
    assert len(same) == 1


async def test_what_lies_outside_the_space_is_refused_with_the_decision(world: Any) -> None:
    bad = Architecture({"nowhere": 3}).to_proto()

    def answer(request: strategy_pb2.ProposeRequest) -> strategy_pb2.ProposeResponse:
        response = world.gateway.random(request)
        if request.step == 1:
            response.proposals.proposals[0].architecture.CopyFrom(bad)
        return response

    world.gateway.answer = answer
    await world.create(trials=4, parallelism=2)
    experiment = await world.work()
    assert experiment.trials.completed == 4
    refused = [e for e in await world.events() if e.kind == experiment_pb2.EVENT_KIND_PROPOSAL_REFUSED]
    assert len(refused) == 1
    assert "nowhere" in refused[0].message


async def test_a_constraint_that_the_graph_breaks_refuses_the_proposal_with_the_numbers(world: Any) -> None:
    await world.create(trials=6, parallelism=2, kind="train", most_parameters=2000.0, share=0.34)
    done: list[evaluation_pb2.LeasedTrial] = []
    while (await world.get()).state == experiment_pb2.EXPERIMENT_STATE_RUNNING:
        done += (leased := await world.lease(wait=0.1))
        for trial in leased:
            graph = world.gateway.space.graph(Architecture.from_proto(trial.architecture), classes=10)
            assert graph.parameters <= 2000
            await world.complete([trial], parameters=float(graph.parameters))
    refused = [e for e in await world.events() if e.kind == experiment_pb2.EVENT_KIND_PROPOSAL_REFUSED]
    assert refused
    assert "allowed is at most 2000" in refused[0].message


async def test_a_space_that_is_used_up_ends_the_search(world: Any) -> None:
    only = world.gateway.space.sample(random.Random(0)).to_proto()

    def answer(request: strategy_pb2.ProposeRequest) -> strategy_pb2.ProposeResponse:
        response = strategy_pb2.ProposeResponse(experiment=request.experiment, step=request.step)
        for _ in range(request.count):
            response.proposals.proposals.add().architecture.CopyFrom(only)
        return response

    world.gateway.answer = answer
    await world.create(trials=1000, parallelism=200)
    experiment = await world.work()
    assert experiment.trials.completed == 1
    assert experiment.state == experiment_pb2.EXPERIMENT_STATE_SUCCEEDED


async def test_the_budget_of_device_seconds_is_never_exceeded(world: Any) -> None:
    await world.create(trials=100, parallelism=8, device_seconds=20.0, max_seconds=3, share=0.2)
    while (experiment := await world.get()).state == experiment_pb2.EXPERIMENT_STATE_RUNNING:
        assert experiment.device_seconds_charged <= 20.0 + 1e-9
        await world.complete(await world.lease(wait=0.1))
    # Each was one second long and reserved three: the last begins while three are left.
    assert experiment.device_seconds_charged <= 20.0
    assert experiment.trials.completed >= 17


async def test_a_user_and_the_strategy_want_the_same_in_one_step(world: Any) -> None:
    first = world.gateway.space.sample(random.Random(0)).to_proto()

    def answer(request: strategy_pb2.ProposeRequest) -> strategy_pb2.ProposeResponse:
        response = world.gateway.random(request)
        enqueued = strategy_pb2.OBSERVATION_KIND_ENQUEUED
        if any(seen.architecture == first and seen.kind == enqueued for seen in request.observations):
            response.proposals.proposals[0].architecture.CopyFrom(first)
        return response

    world.gateway.answer = answer
    await world.create(trials=6, parallelism=3)
    await world.until(lambda e: e.trials.ready == 3)
    leased = await world.lease()
    request = trial_pb2.EnqueueTrialsRequest(parent=NAME)
    request.trials.add().architecture.CopyFrom(first)
    await world.trials.EnqueueTrials(request, None)
    await world.complete(leased)
    experiment = await world.work()
    refused = [e for e in await world.events() if e.kind == experiment_pb2.EVENT_KIND_PROPOSAL_REFUSED]
    assert [e.trial.architecture for e in refused] == [first]
    assert experiment.trials.completed == 6
    assert len([t for t in await world.listed() if t.architecture == first]) == 1


async def test_controls_of_one_step_repeat_none_of_it(world: Any) -> None:
    """Of 256 architectures 120 are drawn, some twice a step: equal draws are sure to come."""
    await world.create(trials=240, parallelism=240, share=0.5)
    experiment = await world.work(count=256)
    assert experiment.trials.completed == 240
    controls = await world.listed(roles=[trial_pb2.TRIAL_ROLE_CONTROL])
    drawn = {t.architecture.SerializeToString(deterministic=True) for t in controls}
    assert len(controls) == len(drawn) == 120


async def test_a_lowered_budget_is_not_exceeded_by_controls_that_are_due(world: Any) -> None:
    await world.create(trials=400, parallelism=200, share=0.5)
    made = await world.until(lambda e: e.trials_charged >= 150)
    lowered = made.trials_charged + 20
    request = experiment_pb2.UpdateExperimentRequest(name=made.name, update_mask=FieldMask(paths=["budget"]))
    request.spec.budget.trials = lowered
    await world.experiments.UpdateExperiment(request, None)
    experiment = await world.work(count=256)
    assert experiment.state == experiment_pb2.EXPERIMENT_STATE_SUCCEEDED
    assert experiment.trials.completed == experiment.trials_charged == lowered


async def test_pause_sets_ready_trials_aside_and_yields_running_ones(world: Any) -> None:
    await world.create(trials=10, parallelism=4)
    await world.until(lambda e: e.trials.ready == 4)
    running = await world.lease(count=1)
    await world.experiments.PauseExperiment(experiment_pb2.PauseExperimentRequest(name=NAME), None)
    assert await world.lease() == []
    assert await world.heartbeat(running) == [evaluation_pb2.DIRECTIVE_YIELD]
    release = evaluation_pb2.ReleaseTrialsRequest(worker="w")
    released = release.trials.add()
    released.attempt.trial, released.attempt.attempt = running[0].trial, running[0].attempt
    await world.evaluation.ReleaseTrials(release, None)
    assert await world.lease() == []
    assert (await world.get()).trials.ready == 4
    await world.experiments.ResumeExperiment(experiment_pb2.ResumeExperimentRequest(name=NAME), None)
    experiment = await world.work()
    assert experiment.trials.completed == 10
    again = (await world.listed())[0]
    assert again.attempt == 2


async def test_cancel_ends_everything_and_stops_the_workers(world: Any) -> None:
    await world.create(trials=50, parallelism=6)
    await world.until(lambda e: e.trials.ready == 6)
    running = await world.lease(count=2)
    request = experiment_pb2.CancelExperimentRequest(name=NAME, reason="enough")
    await world.experiments.CancelExperiment(request, None)
    assert await world.heartbeat(running) == [evaluation_pb2.DIRECTIVE_STOP] * 2
    experiment = await world.until(lambda e: e.trials.cancelled == 6)
    assert experiment.state == experiment_pb2.EXPERIMENT_STATE_CANCELLED
    assert experiment.state_reason == "enough"
    assert await world.complete(running) == [evaluation_pb2.ATTEMPT_OUTCOME_STALE] * 2
    await world.experiments.DeleteExperiment(experiment_pb2.DeleteExperimentRequest(name=NAME), None)
    for collection in ("trials", "events", "steps", "experiments", "states"):
        assert await world.store.database[collection].count_documents({}) == 0


async def test_one_trial_can_be_cancelled(world: Any) -> None:
    await world.create(trials=3, parallelism=3)
    await world.until(lambda e: e.trials.ready == 3)
    trial = (await world.listed())[0]
    request = trial_pb2.CancelTrialRequest(name=trial.name)
    assert (await world.trials.CancelTrial(request, None)).trial.state == trial_pb2.TRIAL_STATE_CANCELLED
    with pytest.raises(WrongState):
        await world.trials.CancelTrial(request, None)
    experiment = await world.work()
    assert (experiment.trials.completed, experiment.trials.cancelled) == (2, 1)


async def test_update_raises_the_budget_in_a_new_revision(world: Any) -> None:
    await world.create(trials=6, parallelism=2)
    await world.until(lambda e: e.trials.ready == 2)
    request = experiment_pb2.UpdateExperimentRequest(
        name=NAME, update_mask=FieldMask(paths=["budget.trials"])
    )
    request.spec.budget.trials = 12
    updated = (await world.experiments.UpdateExperiment(request, None)).experiment
    assert updated.spec_revision == 2
    assert (await world.work()).trials.completed == 12
    revisions = {request.spec.revision for request in world.gateway.requests}
    assert 2 in revisions
    request.update_mask.paths[:] = ["seed"]
    with pytest.raises(InvalidInput, match="update_mask"):
        await world.experiments.UpdateExperiment(request, None)


async def test_users_bring_architectures_and_results(world: Any) -> None:
    await world.create(trials=6, parallelism=2)
    rng = random.Random(5)
    mine = [world.gateway.space.sample(rng).to_proto() for _ in range(2)]
    request = trial_pb2.EnqueueTrialsRequest(parent=NAME)
    request.trials.add(architecture=mine[1]).metrics.add(name="val_accuracy", value=0.999)
    request.trials.add(architecture=mine[0], note="from a paper")
    assert len((await world.trials.EnqueueTrials(request, None)).inbox_ids) == 2
    await world.until(lambda e: e.trials.completed == 1)
    experiment = await world.work()
    brought = await world.listed(roles=[trial_pb2.TRIAL_ROLE_USER])
    assert [t.reported for t in sorted(brought, key=lambda t: t.reported)] == [False, True]
    assert experiment.trials_charged == 6
    assert experiment.trials.completed == 7
    front = await world.experiments.GetFront(experiment_pb2.GetFrontRequest(name=NAME), None)
    assert not any(trial.reported for trial in front.trials)
    kinds = [s.kind for r in world.gateway.requests for s in r.observations if s.step == 0]
    assert strategy_pb2.OBSERVATION_KIND_ENQUEUED in kinds
    with pytest.raises(WrongState):
        await world.trials.EnqueueTrials(request, None)


async def test_a_creation_is_repeated_without_its_strategy(
    world: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = request_of(world, "once", request_id="r-1", trials=3)
    first = await world.experiments.CreateExperiment(request, None)

    async def away(name: str, spec: strategy_pb2.SearchSpec) -> list[Violation]:
        raise StrategyUnreachable("strategy random was not reached yet")

    monkeypatch.setattr(world.gateway, "validate", away)
    assert await world.experiments.CreateExperiment(request, None) == first
    with pytest.raises(Unavailable, match="not reached yet"):
        await world.experiments.CreateExperiment(request_of(world, "other", trials=3), None)
    with pytest.raises(InvalidInput) as found:
        await world.experiments.CreateExperiment(request_of(world, "other", trials=0), None)
    assert [fault.field for fault in found.value.violations] == ["spec.budget.trials"]


async def test_a_call_repeated_with_its_request_id_has_one_effect(world: Any) -> None:
    request = request_of(world, "once", request_id="r-1", trials=3)
    first = await world.experiments.CreateExperiment(request, None)
    again = await asyncio.gather(*(world.experiments.CreateExperiment(request, None) for _ in range(3)))
    assert {a.experiment.uid for a in again} == {first.experiment.uid}
    other = request_of(world, "once", request_id="r-1", trials=4)
    with pytest.raises(InvalidInput, match="another request"):
        await world.experiments.CreateExperiment(other, None)
    with pytest.raises(AlreadyExists):
        await world.experiments.CreateExperiment(request_of(world, "once", trials=3), None)


async def test_two_objectives_make_a_front_that_nothing_dominates(world: Any) -> None:
    request = request_of(world, "search", trials=30, parallelism=5)
    request.spec.objectives.add(metric="cost", goal=common_pb2.GOAL_MINIMIZE)
    await world.experiments.CreateExperiment(request, None)
    while (await world.get()).state == experiment_pb2.EXPERIMENT_STATE_RUNNING:
        for trial in await world.lease(wait=0.1):
            widths = [d.integer for d in trial.architecture.decisions]
            await world.complete([trial], cost=float(sum(widths)))
    trials = await world.listed()
    values = {
        t.number: (
            -next(m.value for m in t.metrics if m.name == "val_accuracy"),
            next(m.value for m in t.metrics if m.name == "cost"),
        )
        for t in trials
    }
    best = {
        n
        for n, v in values.items()
        if not any(w != v and w[0] <= v[0] and w[1] <= v[1] for w in values.values())
    }
    front = (await world.experiments.GetFront(experiment_pb2.GetFrontRequest(name=NAME), None)).trials
    assert {t.number for t in front} == best
    assert [values[t.number] for t in front] == sorted(values[t.number] for t in front)


async def test_an_experiment_is_closed_by_the_step_that_ends_it(world: Any) -> None:
    await world.create(trials=3, parallelism=3)
    experiment = await world.work()
    stored = await world.store.experiments.by_uid(experiment.uid)
    assert not stored["open"]
    last = (await world.events())[-1]
    assert last.step == stored["step"] == experiment.step


async def test_a_step_that_would_close_the_experiment_over_a_full_inbox_is_void(world: Any) -> None:
    await world.create(trials=1, parallelism=1)
    experiment = await world.until(lambda e: e.trials.ready == 1)
    _, task = world.engine._owners[experiment.uid]
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    stored = await world.store.experiments.by_uid(experiment.uid)
    late = Draft(Frame.of(stored), stored, 3, 60.0)
    late.begin(stored["update_time"])
    late.inbox_read = True
    late.counters["live"] = 0
    late.change_state(experiment_pb2.EXPERIMENT_STATE_SUCCEEDED)
    request = trial_pb2.EnqueueTrialsRequest(parent=NAME)
    request.trials.add(architecture=world.gateway.space.sample(random.Random(3)).to_proto())
    await world.trials.EnqueueTrials(request, None)
    with pytest.raises(StepChanged):
        await world.store.steps.commit(late.finish())
    assert (await world.get()).state == experiment_pb2.EXPERIMENT_STATE_RUNNING
