"""The engine's steps, and the log they write."""

from __future__ import annotations

import datetime
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from pymongo import ASCENDING, InsertOne, UpdateOne
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.database import AsyncDatabase

from archloom_controller.store.layout import (
    JOINED,
    LIVE,
    Document,
    event_id,
    of_experiment,
    state_id,
    step_id,
)
from archloom_controller.store.trials import cancelling


class StepLost(Exception):
    """Another replica owns the experiment now, or it is gone. Nothing was written; drop it."""


class StepChanged(Exception):
    """A user changed the experiment meanwhile. Nothing was written; read it again and make the step anew."""


@dataclass
class StepWrite:
    """Everything one step changes: written whole, or not at all."""

    uid: str
    replica: str
    epoch: int
    #: The step's number; the stored one is one less.
    step: int
    #: The user-change counter that the step was made from.
    change: int
    now: datetime.datetime
    #: The experiment's own fields.
    fields: Document = field(default_factory=dict)
    events: list[Document] = field(default_factory=list)
    created: list[Document] = field(default_factory=list)
    #: Ended trials whose end is sequenced.
    ended: list[str] = field(default_factory=list)
    #: Running trials with sequenced measurements: id, the revision that was read, points sequenced.
    measured: list[tuple[str, int, int]] = field(default_factory=list)
    #: Joined trials whose leader ended, with the update of each.
    joined: list[tuple[str, Document]] = field(default_factory=list)
    #: Trials to cancel, whatever they do.
    stopped: list[str] = field(default_factory=list)
    inbox: list[Any] = field(default_factory=list)
    #: Set by a step that closes the experiment: how often users had enqueued when its inbox was read.
    enqueued: int | None = None
    record: Document | None = None


class Steps:
    def __init__(
        self,
        database: AsyncDatabase[Document],
        transaction: Callable[[Callable[[AsyncClientSession], Awaitable[None]]], Awaitable[None]],
    ) -> None:
        self._experiments = database["experiments"]
        self._trials = database["trials"]
        self._events = database["events"]
        self._steps = database["steps"]
        self._states = database["states"]
        self._inbox = database["inbox"]
        self._transaction = transaction

    async def commit(self, write: StepWrite) -> None:
        """Write a step in one transaction. Raises StepLost or StepChanged, and has written nothing then."""

        async def body(session: AsyncClientSession) -> None:
            where: Document = {
                "_id": write.uid,
                "engine.replica": write.replica,
                "engine.epoch": write.epoch,
                "step": write.step - 1,
                "change": write.change,
            }
            if write.enqueued is not None:
                where["enqueued"] = write.enqueued
            outcome = await self._experiments.update_one(
                where,
                {"$set": {**write.fields, "step": write.step, "update_time": write.now}},
                session=session,
            )
            if outcome.matched_count != 1:
                await self._explain(write, session)
            await self._write_trials(write, session)
            if write.events:
                await self._events.insert_many(write.events, session=session)
            if write.inbox:
                await self._inbox.delete_many({"_id": {"$in": write.inbox}}, session=session)
            if write.record is not None:
                await self._steps.insert_one(write.record, session=session)

        await self._transaction(body)

    async def _explain(self, write: StepWrite, session: AsyncClientSession) -> None:
        found = await self._experiments.find_one({"_id": write.uid}, {"engine": 1}, session=session)
        if found is None or found["engine"] != {"replica": write.replica, "epoch": write.epoch}:
            raise StepLost(write.uid)
        # A user's change; or this step was written by an earlier try whose answer was lost.
        raise StepChanged(write.uid)

    async def _write_trials(self, write: StepWrite, session: AsyncClientSession) -> None:
        # Ended trials change no more, so one update clears all; a running one stays dirty if it moved on.
        updates: list[InsertOne[Document] | UpdateOne] = [InsertOne(trial) for trial in write.created]
        for trial, revision, told in write.measured:
            still = {"$cond": [{"$eq": ["$rev", revision]}, "$$REMOVE", True]}
            updates.append(UpdateOne({"_id": trial}, [{"$set": {"told": told, "dirty": still}}]))
        if updates:
            await self._trials.bulk_write(updates, ordered=True, session=session)
        if write.joined:
            joined = [UpdateOne({"_id": trial, "state": JOINED}, fields) for trial, fields in write.joined]
            outcome = await self._trials.bulk_write(joined, ordered=False, session=session)
            if outcome.matched_count != len(joined):
                raise StepChanged(f"{write.uid}: a joined trial was cancelled")
        if write.ended:
            await self._trials.update_many(
                {"_id": {"$in": write.ended}}, {"$unset": {"dirty": ""}}, session=session
            )
        if write.stopped:
            where = {"_id": {"$in": write.stopped}, "state": {"$in": list(LIVE)}}
            await self._trials.update_many(where, cancelling(write.now), session=session)

    async def keep_state(self, uid: str, digest: str, data: bytes) -> None:
        """Keep a strategy's state, before the step that names it."""
        await self._states.update_one(
            {"_id": state_id(uid, digest)}, {"$setOnInsert": {"data": data}}, upsert=True
        )

    async def state(self, uid: str, digest: str) -> bytes:
        """Raises KeyError when there is none."""
        found = await self._states.find_one({"_id": state_id(uid, digest)})
        if found is None:
            raise KeyError(digest)
        return bytes(found["data"])

    async def events(
        self,
        uid: str,
        after: int,
        limit: int,
        *,
        kinds: Sequence[int] = (),
        until: int | None = None,
    ) -> list[Document]:
        """Events with a sequence number beyond ``after`` and up to ``until``, oldest first."""
        where: Document = {"_id": {**of_experiment(uid), "$gt": event_id(uid, after)}}
        if until is not None:
            where["_id"]["$lte"] = event_id(uid, until)
        if kinds:
            where["kind"] = {"$in": list(kinds)}
        found = self._events.find(where).sort([("_id", ASCENDING)]).limit(limit)
        return [row async for row in found]

    async def page(self, uid: str, after: int, limit: int) -> list[Document]:
        """Records of steps beyond number ``after``, oldest first."""
        where = {"_id": {**of_experiment(uid), "$gt": step_id(uid, after)}}
        found = self._steps.find(where).sort([("_id", ASCENDING)]).limit(limit)
        return [row async for row in found]
