"""How documents are named and indexed.

Trials, events and steps carry their experiment's uid and their number in ``_id``, zero-padded: the index
every collection has anyway answers "this experiment's, in order, from here on".
"""

from __future__ import annotations

from typing import Any

from archloom.v1.trial_pb2 import TrialState
from pymongo import ASCENDING, DESCENDING, IndexModel

#: A document as MongoDB has it. It is copied at the border: nobody keeps a reference into the store.
Document = dict[str, Any]

READY = int(TrialState.TRIAL_STATE_READY)
LEASED = int(TrialState.TRIAL_STATE_LEASED)
JOINED = int(TrialState.TRIAL_STATE_JOINED)
COMPLETED = int(TrialState.TRIAL_STATE_COMPLETED)
INFEASIBLE = int(TrialState.TRIAL_STATE_INFEASIBLE)
FAILED = int(TrialState.TRIAL_STATE_FAILED)
CANCELLED = int(TrialState.TRIAL_STATE_CANCELLED)
LIVE = (READY, LEASED, JOINED)
ENDED = (COMPLETED, INFEASIBLE, FAILED, CANCELLED)


def trial_id(uid: str, number: int) -> str:
    return f"{uid}.{number:010d}"


def event_id(uid: str, sequence: int) -> str:
    return f"{uid}.{sequence:012d}"


def step_id(uid: str, step: int) -> str:
    return f"{uid}.{step:012d}"


def state_id(uid: str, digest: str) -> str:
    return f"{uid}.{digest}"


def revision_id(uid: str, revision: int) -> str:
    return f"{uid}.{revision:08d}"


def of_experiment(uid: str) -> Document:
    """A range of ``_id`` that holds everything of one experiment."""
    return {"$gt": f"{uid}.", "$lt": f"{uid}/"}


def owner_of(identifier: str) -> str:
    """The uid in the ``_id`` of a trial, an event or a step."""
    return identifier.partition(".")[0]


def number_of(identifier: str) -> int:
    return int(identifier.rpartition(".")[2])


def _only(**where: Any) -> Document:
    return {"partialFilterExpression": where}


#: Every index, by collection. ``_id`` comes on top.
INDEXES: dict[str, list[IndexModel]] = {
    "experiments": [
        IndexModel([("project", ASCENDING), ("id", ASCENDING)], name="name", unique=True),
        IndexModel([("project", ASCENDING), ("create_time", DESCENDING), ("_id", ASCENDING)], name="newest"),
        IndexModel([("engine.replica", ASCENDING)], name="owner", **_only(open=True)),
        IndexModel([("state", ASCENDING)], name="state"),
        IndexModel([("deleting", ASCENDING)], name="deleting", **_only(deleting=True)),
    ],
    "trials": [
        IndexModel(
            [
                ("device_class", ASCENDING),
                ("kind", ASCENDING),
                ("priority", DESCENDING),
                ("create_time", ASCENDING),
                ("_id", ASCENDING),
            ],
            name="queue",
            **_only(state=READY, held=False),
        ),
        IndexModel([("worker", ASCENDING), ("lease_id", ASCENDING)], name="leases", **_only(state=LEASED)),
        IndexModel([("e", ASCENDING), ("n", ASCENDING)], name="dirty", **_only(dirty=True)),
        IndexModel(
            [("e", ASCENDING), ("state", ASCENDING), ("role", ASCENDING), ("_id", ASCENDING)], name="listing"
        ),
        IndexModel(
            [("e", ASCENDING), ("score", ASCENDING), ("n", ASCENDING)],
            name="best",
            **_only(score={"$exists": True}),
        ),
        IndexModel([("dup_key", ASCENDING)], name="repeats", unique=True, **_only(dup_key={"$exists": True})),
        IndexModel(
            [("cache_key", ASCENDING), ("state", ASCENDING)],
            name="cache",
            **_only(cache_key={"$exists": True}),
        ),
        IndexModel([("leader", ASCENDING)], name="joined", **_only(leader={"$exists": True})),
    ],
    "inbox": [IndexModel([("e", ASCENDING), ("_id", ASCENDING)], name="experiment")],
    "workers": [IndexModel([("heartbeat_time", ASCENDING)], name="age", expireAfterSeconds=3600)],
    "replicas": [IndexModel([("renewal_time", ASCENDING)], name="age", expireAfterSeconds=86400)],
    "request_log": [IndexModel([("time", ASCENDING)], name="age", expireAfterSeconds=86400)],
    "events": [],
    "steps": [],
    "states": [],
    "revisions": [],
    "wakes": [],
}
