"""Every query the controller makes has an index: so says the profiler over a whole life of experiments."""

from __future__ import annotations

from typing import Any

from archloom.v1 import common_pb2, evaluation_pb2, experiment_pb2, trial_pb2
from google.protobuf.field_mask_pb2 import FieldMask

NAME = "projects/p/experiments/search"


async def scans(database: Any) -> list[tuple[str, str]]:
    """(collection, command) of every operation that read a whole collection."""
    found = database["system.profile"].find({"planSummary": {"$regex": "COLLSCAN"}})
    return sorted(
        {
            (row["ns"], str({k: v for k, v in row["command"].items() if k not in ("lsid", "$clusterTime")}))
            async for row in found
            if "system.profile" not in row["ns"] and not tails(row)
        }
    )


def tails(row: dict[str, Any]) -> bool:
    """Whether it is a change stream's wait for news: that follows the oplog, which has no index to use."""
    command = row.get("originatingCommand", row["command"])
    # The last wait of a stream that was closed meanwhile comes without its originating command.
    closed = "getMore" in command and command.get("collection") == "wakes"
    pipeline = command.get("pipeline") or [{}]
    return closed or "$changeStream" in pipeline[0]


async def test_no_query_scans_a_collection(world: Any, database: Any) -> None:
    await database.command("profile", 2)
    await world.create(trials=12, parallelism=4, kind="train", share=0.25, finalists=(2, 1), cache=True)
    first = await world.lease(wait=5, request_id="r")
    await world.lease(wait=0, request_id="r")
    await world.heartbeat(first, progress=1, points=(1.0,))
    await world.fail(first, common_pb2.FAILURE_REASON_LOST)
    await world.experiments.PauseExperiment(experiment_pb2.PauseExperimentRequest(name=NAME), None)
    await world.experiments.ResumeExperiment(experiment_pb2.ResumeExperimentRequest(name=NAME), None)
    update = experiment_pb2.UpdateExperimentRequest(name=NAME, update_mask=FieldMask(paths=["priority"]))
    update.spec.priority = 3
    await world.experiments.UpdateExperiment(update, None)
    enqueue = trial_pb2.EnqueueTrialsRequest(parent=NAME, request_id="q")
    enqueue.trials.add(architecture=first[0].architecture)
    await world.trials.EnqueueTrials(enqueue, None)
    mine = evaluation_pb2.LeaseTrialsRequest(
        worker="w", device_class="cpu", evaluator_kinds=["table", "train"], max_trials=1
    )
    response = await world.evaluation.LeaseTrials(mine, None)
    release = evaluation_pb2.ReleaseTrialsRequest(worker="w")
    for trial in response.trials:
        told = release.trials.add()
        told.attempt.trial, told.attempt.attempt = trial.trial, trial.attempt
    await world.evaluation.ReleaseTrials(release, None)
    await world.work()
    await world.listed(states=[trial_pb2.TRIAL_STATE_COMPLETED], roles=[trial_pb2.TRIAL_ROLE_SEARCH])
    await world.listed(order=trial_pb2.TRIAL_ORDER_BEST)
    await world.listed(order=trial_pb2.TRIAL_ORDER_NUMBER_DESCENDING)
    listing = experiment_pb2.ListExperimentsRequest(
        parent="projects/p", states=[experiment_pb2.EXPERIMENT_STATE_SUCCEEDED], page_size=1
    )
    await world.experiments.ListExperiments(listing, None)
    await world.events()
    await world.report()
    replay = experiment_pb2.ReplayExperimentRequest(name=NAME)
    assert [a async for a in world.experiments.ReplayExperiment(replay, None)]
    await world.engine._look_after_queues()
    await world.engine._keep_presence()
    await world.engine._finish_deletions()
    await world.engine._reaper.sweep()
    await world.experiments.DeleteExperiment(experiment_pb2.DeleteExperimentRequest(name=NAME), None)
    assert await database["system.profile"].count_documents({}) > 100
    await database.command("profile", 0)
    assert await scans(database) == []
