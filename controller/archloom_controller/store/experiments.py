"""Experiments: what users ask for, and who runs them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from archloom.resources import ExperimentName
from pymongo import DESCENDING
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.database import AsyncDatabase

from archloom_controller.store.layout import INDEXES, READY, Document, of_experiment, revision_id

#: Left out where the spec is known already: it is the large part of the document.
WITHOUT_SPEC = {"spec": 0}


class Experiments:
    def __init__(self, database: AsyncDatabase[Document]) -> None:
        self._experiments = database["experiments"]
        self._revisions = database["revisions"]
        self._trials = database["trials"]
        self._database = database

    async def insert(self, experiment: Document, session: AsyncClientSession) -> None:
        """Raises pymongo's DuplicateKeyError when the name is taken."""
        await self._experiments.insert_one(experiment, session=session)
        await self.keep_revision(experiment["_id"], experiment["revision"], experiment["spec"], session)

    async def keep_revision(self, uid: str, revision: int, spec: bytes, session: AsyncClientSession) -> None:
        """Earlier revisions stay: replay asks the strategy with the spec of the time."""
        document = {"_id": revision_id(uid, revision), "spec": spec}
        await self._revisions.insert_one(document, session=session)

    async def revision(self, uid: str, revision: int) -> bytes:
        """The serialised spec of a revision. Raises KeyError when there is none."""
        found = await self._revisions.find_one({"_id": revision_id(uid, revision)})
        if found is None:
            raise KeyError(f"revision {revision}")
        return bytes(found["spec"])

    async def uid(self, name: ExperimentName) -> str | None:
        found = await self._experiments.find_one(
            {"project": name.project, "id": name.experiment, "deleting": {"$ne": True}}, {"_id": 1}
        )
        return None if found is None else str(found["_id"])

    async def by_name(
        self, name: ExperimentName, session: AsyncClientSession | None = None
    ) -> Document | None:
        where = {"project": name.project, "id": name.experiment, "deleting": {"$ne": True}}
        return await self._experiments.find_one(where, session=session)

    async def by_uid(self, uid: str, *, with_spec: bool = True) -> Document | None:
        return await self._experiments.find_one({"_id": uid}, None if with_spec else WITHOUT_SPEC)

    async def states(self, uids: Iterable[str]) -> dict[str, Document]:
        """State, revision and priority of experiments, by uid."""
        fields = {"state": 1, "revision": 1, "priority": 1, "deleting": 1}
        found = self._experiments.find({"_id": {"$in": sorted(set(uids))}}, fields)
        return {document["_id"]: document async for document in found}

    async def page(
        self, project: str, states: Sequence[int], after: tuple[Any, str] | None, limit: int
    ) -> list[Document]:
        """Newest first; ``after`` is (create_time, uid) of the last one of the page before."""
        where: Document = {"project": project, "deleting": {"$ne": True}}
        if states:
            where["state"] = {"$in": list(states)}
        if after is not None:
            time, uid = after
            where["$or"] = [{"create_time": {"$lt": time}}, {"create_time": time, "_id": {"$gt": uid}}]
            where["create_time"] = {"$lte": time}
        found = self._experiments.find(where).sort([("create_time", DESCENDING), ("_id", 1)])
        return [document async for document in found.limit(limit)]

    async def change(self, uid: str, change: int, update: Document, session: AsyncClientSession) -> bool:
        """A user's change: applied if ``change`` still is the document's; the owner's step in progress is
        then void.
        """
        update = {**update, "$inc": {**update.get("$inc", {}), "change": 1}}
        outcome = await self._experiments.update_one({"_id": uid, "change": change}, update, session=session)
        return outcome.matched_count == 1

    async def count_enqueue(self, uid: str, session: AsyncClientSession) -> None:
        """A step that would close the experiment without having read this is void."""
        await self._experiments.update_one({"_id": uid}, {"$inc": {"enqueued": 1}}, session=session)

    async def hold(self, uid: str, held: bool, session: AsyncClientSession | None = None) -> None:
        """Set the experiment's ready trials aside, or back."""
        await self._trials.update_many(
            {"e": uid, "state": READY, "role": {"$in": [1, 2, 3, 4, 5, 6]}, "held": not held},
            {"$set": {"held": held}},
            session=session,
        )

    async def reprioritise(self, uid: str, priority: int, session: AsyncClientSession) -> None:
        """Move the experiment's waiting trials in their queue."""
        where = {"e": uid, "state": READY, "role": {"$in": [1, 2, 3, 4, 5, 6]}}
        await self._trials.update_many(where, {"$set": {"priority": priority}}, session=session)

    async def claim(self, uid: str, epoch: int, replica: str) -> int | None:
        """Become the owner if nobody did since ``epoch``; answers the new epoch."""
        outcome = await self._experiments.update_one(
            {"_id": uid, "engine.epoch": epoch, "open": True},
            {"$set": {"engine.replica": replica, "engine.epoch": epoch + 1}},
        )
        return epoch + 1 if outcome.matched_count == 1 else None

    async def release(self, uid: str, epoch: int) -> None:
        await self._experiments.update_one(
            {"_id": uid, "engine.epoch": epoch, "open": True}, {"$set": {"engine.replica": ""}}
        )

    async def owned_by(self, replicas: Sequence[str], limit: int) -> list[Document]:
        """Open experiments whose owner is one of these ("" is nobody)."""
        found = self._experiments.find(
            {"open": True, "engine.replica": {"$in": list(replicas)}},
            {"engine": 1, "strategy": 1, "phase": 1},
        )
        return [document async for document in found.limit(limit)]

    async def owners(self) -> list[str]:
        """Every replica that owns an open experiment."""
        where = {"open": True, "engine.replica": {"$gte": ""}}
        return [str(name) for name in await self._experiments.distinct("engine.replica", where)]

    async def count_by_state(self) -> dict[int, int]:
        pipeline: list[Document] = [
            {"$match": {"state": {"$gt": 0}}},
            {"$group": {"_id": "$state", "n": {"$sum": 1}}},
        ]
        cursor = await self._experiments.aggregate(pipeline)
        return {int(row["_id"]): int(row["n"]) async for row in cursor}

    async def deleting(self) -> list[str]:
        """Experiments whose deletion began and did not end."""
        return [document["_id"] async for document in self._experiments.find({"deleting": True}, {"_id": 1})]

    async def delete(self, uid: str) -> None:
        """Delete what is of the experiment, then the experiment; may be repeated after a crash."""
        for name in ("trials", "events", "steps", "states", "revisions"):
            if name in INDEXES:
                await self._database[name].delete_many({"_id": of_experiment(uid)})
        await self._database["inbox"].delete_many({"e": uid})
        await self._experiments.delete_one({"_id": uid})
