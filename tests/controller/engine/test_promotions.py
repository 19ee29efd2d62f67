"""Rungs: trials of fewer epochs, and those that go on from their checkpoints."""

from __future__ import annotations

import random
from typing import Any

from archloom.v1 import common_pb2, evaluation_pb2, experiment_pb2, strategy_pb2, trial_pb2

WHOLE = 6
DIGEST = "projects/p/artifacts/" + "a" * 64
SUCCEEDED = experiment_pb2.EXPERIMENT_STATE_SUCCEEDED


def climb(world: Any, resumes: bool = True, rung: int = 2) -> None:
    """One architecture, first for ``rung`` epochs; once it has ended, for all; then the same again."""
    architecture = world.gateway.space.sample(random.Random(0)).to_proto()

    def answer(request: strategy_pb2.ProposeRequest) -> strategy_pb2.ProposeResponse:
        response = strategy_pb2.ProposeResponse(experiment=request.experiment, step=request.step)
        ended = [s for s in request.observations if s.kind == strategy_pb2.OBSERVATION_KIND_FINISHED]
        if request.step == 1:
            response.proposals.proposals.add(
                architecture=architecture, fidelity=common_pb2.Fidelity(epochs=rung)
            )
        elif ended and ended[0].fidelity.epochs == rung:
            for _ in range(request.count):
                source = ended[0].trial if resumes else 0
                response.proposals.proposals.add(architecture=architecture, resume_from=source)
        elif any(s.kind == strategy_pb2.OBSERVATION_KIND_REFUSED for s in request.observations):
            response.exhausted.reason = "it was told of the refusal"
        else:
            response.wait.SetInParent()
        return response

    world.gateway.answer = answer


async def create(world: Any, name: str = "search", epochs: int = WHOLE, cache: bool = False) -> None:
    spec = world.spec(kind="train", trials=8, parallelism=2, cache=cache)
    spec.fidelity.epochs = epochs
    request = experiment_pb2.CreateExperimentRequest(parent="projects/p", experiment_id=name, spec=spec)
    await world.experiments.CreateExperiment(request, None)


async def complete(world: Any, leased: list[Any], checkpoint: str = "") -> None:
    request = evaluation_pb2.CompleteTrialsRequest(worker="w")
    for trial in leased:
        result = request.results.add()
        result.attempt.trial, result.attempt.attempt = trial.trial, trial.attempt
        result.metrics.add(name="val_accuracy", value=0.5)
        if checkpoint:
            result.checkpoint.name = checkpoint
    await world.evaluation.CompleteTrials(request, None)


async def told(world: Any, kind: Any) -> list[strategy_pb2.Observation]:
    return [s for request in world.gateway.requests for s in request.observations if s.kind == kind]


async def test_a_promotion_is_leased_with_the_checkpoint_and_only_it_is_on_the_front(world: Any) -> None:
    climb(world)
    await create(world)
    first = await world.lease(wait=5)
    assert [trial.fidelity.epochs for trial in first] == [2]
    assert not first[0].HasField("checkpoint")
    await complete(world, first, DIGEST)
    second = await world.lease(wait=5)
    assert [trial.fidelity.epochs for trial in second] == [WHOLE]
    assert second[0].checkpoint.name == DIGEST
    await complete(world, second, DIGEST[:-1] + "b")
    experiment = await world.until(lambda e: e.state == SUCCEEDED)
    assert experiment.trials_charged == 2
    trials = await world.listed()
    assert [trial.resume_from for trial in trials] == [0, 1]
    assert [note for note in (await world.report()).notes if "fidelity" in note] == [
        "1 trial was of a lower fidelity; the comparison is over those of the full fidelity and their cost."
    ]
    front = (await world.report()).front
    assert [trial.number for trial in front] == [2]


async def test_what_an_attempt_of_a_promotion_saved_is_gone_on_from(world: Any) -> None:
    """A worker dies in a promotion: the next one begins where it had come to, not at the rung below."""
    climb(world)
    await create(world)
    await complete(world, await world.lease(wait=5), DIGEST)
    second = await world.lease(wait=5)
    further = DIGEST[:-1] + "c"
    beat = evaluation_pb2.HeartbeatRequest(worker="w", device_class="cpu")
    progress = beat.attempts.add(progress=1)
    progress.attempt.trial, progress.attempt.attempt = second[0].trial, second[0].attempt
    progress.checkpoint.name = further
    await world.evaluation.Heartbeat(beat, None)
    await world.fail(second, common_pb2.FAILURE_REASON_LOST)
    again = await world.lease(wait=5)
    assert (again[0].attempt, again[0].checkpoint.name) == (2, further)


async def test_a_search_that_never_reached_the_full_fidelity_says_so(world: Any) -> None:
    climb(world)
    await create(world)
    await complete(world, await world.lease(wait=5))
    promoted = await world.lease(wait=5)
    world.gateway.answer = exhausted
    await world.fail(promoted, common_pb2.FAILURE_REASON_CANNOT_BUILD)
    experiment = await world.until(lambda e: e.state == experiment_pb2.EXPERIMENT_STATE_FAILED)
    assert experiment.state_reason == "no trial of the search was completed at the full fidelity"


def exhausted(request: strategy_pb2.ProposeRequest) -> strategy_pb2.ProposeResponse:
    response = strategy_pb2.ProposeResponse(experiment=request.experiment, step=request.step)
    response.exhausted.reason = "there is no more"
    return response


async def test_a_refusal_is_told_with_its_fidelity(world: Any) -> None:
    """Without a checkpoint there is nothing to go on from: that is said of the rung that was asked for."""
    climb(world)
    await create(world)
    await complete(world, await world.lease(wait=5))
    await world.until(lambda e: e.state == SUCCEEDED or e.trials_charged > 1 or e.state_reason)
    refused = await told(world, strategy_pb2.OBSERVATION_KIND_REFUSED)
    assert "trial 1 has no checkpoint" in refused[0].reason
    assert refused[0].fidelity.epochs == WHOLE


async def test_a_cached_result_brings_its_checkpoint(world: Any) -> None:
    for name in ("one", "two"):
        climb(world)
        await create(world, name, cache=True)
        if name == "one":
            await complete(world, await world.lease(wait=5), DIGEST)
        promoted = await world.lease(wait=5)
        assert promoted[0].checkpoint.name == DIGEST
        await complete(world, promoted)
        await world.until(lambda e: e.state == SUCCEEDED, name)
    hits = [trial.cache_hit for trial in await world.listed("two")]
    # A promotion answers for itself: what it began with may be another's.
    assert hits == [True, False]


async def test_the_first_epochs_of_another_length_are_another_result(world: Any) -> None:
    """The learning rate of a rung follows the full fidelity, so two epochs of six are not two of eight."""
    for name, epochs, cached in (("one", 6, False), ("two", 8, False), ("three", 8, True)):
        climb(world)
        await create(world, name, epochs=epochs, cache=True)
        if not cached:
            await complete(world, await world.lease(wait=5), DIGEST)
        await complete(world, await world.lease(wait=5))
        await world.until(lambda e: e.state == SUCCEEDED, name)
        assert [trial.cache_hit for trial in await world.listed(name)] == [cached, False]


async def test_a_full_search_from_a_fresh_start_is_answered_by_the_cache(world: Any) -> None:
    for name in ("one", "two"):
        climb(world, resumes=False)
        await create(world, name, cache=True)
        for _ in range(0 if name == "two" else 2):
            await complete(world, await world.lease(wait=5))
        experiment = await world.until(lambda e: e.state == SUCCEEDED, name)
    assert experiment.trials.cache_hits == 2
    assert {trial.state for trial in await world.listed("two")} == {trial_pb2.TRIAL_STATE_COMPLETED}
