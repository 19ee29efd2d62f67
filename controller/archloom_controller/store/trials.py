"""Trials as they are read: by the owner, by users, by the report."""

from __future__ import annotations

import datetime
from collections.abc import AsyncIterator, Collection, Sequence

from pymongo import ASCENDING, DESCENDING
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.database import AsyncDatabase

from archloom_controller.store.layout import (
    CANCELLED,
    COMPLETED,
    ENDED,
    LEASED,
    LIVE,
    READY,
    Document,
    of_experiment,
    trial_id,
)

_ALL_STATES = (*LIVE, *ENDED)
_ALL_ROLES = (1, 2, 3, 4, 5, 6)


class Trials:
    def __init__(self, database: AsyncDatabase[Document]) -> None:
        self._trials = database["trials"]

    async def get(self, uid: str, number: int) -> Document | None:
        return await self._trials.find_one({"_id": trial_id(uid, number)})

    async def many(self, uid: str, numbers: Sequence[int]) -> dict[int, Document]:
        found = self._trials.find({"_id": {"$in": [trial_id(uid, number) for number in numbers]}})
        return {row["n"]: row async for row in found}

    async def dirty(self, uid: str, limit: int) -> list[Document]:
        """Trials with changes that the owner has not sequenced, by number."""
        found = self._trials.find({"e": uid, "dirty": True}).sort([("n", ASCENDING)]).limit(limit)
        return [row async for row in found]

    async def followers(self, leaders: Sequence[str]) -> list[Document]:
        """Trials that wait for one of these."""
        if not leaders:
            return []
        found = self._trials.find({"leader": {"$in": list(leaders)}})
        return [row async for row in found]

    async def repeated(self, keys: Sequence[str]) -> dict[str, int]:
        """Which of these repeat keys exist, and the number of the trial that has each."""
        if not keys:
            return {}
        found = self._trials.find({"dup_key": {"$in": list(keys)}}, {"dup_key": 1, "n": 1})
        return {row["dup_key"]: row["n"] async for row in found}

    async def cached(self, keys: Sequence[str]) -> dict[str, Document]:
        """For each cache key a trial that has a result, or else one that is being evaluated."""
        if not keys:
            return {}
        states = [COMPLETED, LEASED, READY]
        found = self._trials.find({"cache_key": {"$in": list(keys)}, "state": {"$in": states}})
        best: dict[str, Document] = {}
        async for row in found:
            known = best.get(row["cache_key"])
            if known is None or states.index(row["state"]) < states.index(known["state"]):
                best[row["cache_key"]] = row
        return best

    async def best(self, uid: str, limit: int, after: tuple[float, int] | None = None) -> list[Document]:
        """Completed full-fidelity trials by the first objective, best first; ``after`` is (score, number)."""
        where: Document = {"e": uid, "score": {"$exists": True}}
        if after is not None:
            score, number = after
            where["score"] = {"$exists": True, "$gte": score}
            where["$or"] = [{"score": {"$gt": score}}, {"n": {"$gt": number}}]
        found = self._trials.find(where).sort([("score", ASCENDING), ("n", ASCENDING)])
        return [row async for row in found.limit(limit)]

    async def page(
        self,
        uid: str,
        *,
        states: Collection[int],
        roles: Collection[int],
        descending: bool,
        after: int | None,
        limit: int,
    ) -> list[Document]:
        """By number; ``after`` is the last number of the page before."""
        where: Document = {"_id": of_experiment(uid)}
        if after is not None:
            where["_id"] = {**where["_id"], "$lt" if descending else "$gt": trial_id(uid, after)}
        if states or roles:
            where["e"] = uid
            where["state"] = {"$in": sorted(states or _ALL_STATES)}
            where["role"] = {"$in": sorted(roles or _ALL_ROLES)}
        found = self._trials.find(where).sort([("_id", DESCENDING if descending else ASCENDING)])
        if states or roles:
            found = found.hint("listing")
        return [row async for row in found.limit(limit)]

    async def each(self, uid: str, roles: Sequence[int], fields: Sequence[str]) -> AsyncIterator[Document]:
        """Every trial of these roles by number, some fields of each; for reports."""
        where = {"e": uid, "state": {"$in": list(_ALL_STATES)}, "role": {"$in": list(roles)}}
        found = self._trials.find(where, dict.fromkeys(fields, 1)).hint("listing")
        async for row in found.sort([("_id", ASCENDING)]):
            yield row

    async def count(self, uid: str, state: int) -> int:
        where = {"e": uid, "state": state, "role": {"$in": list(_ALL_ROLES)}}
        return await self._trials.count_documents(where, hint="listing")

    async def cancel_live(self, uid: str, limit: int, now: datetime.datetime) -> int:
        """Cancel trials that have not ended, ``limit`` at most; how many were."""
        where = {"e": uid, "state": {"$in": list(LIVE)}, "role": {"$in": list(_ALL_ROLES)}}
        rows = self._trials.find(where, {"_id": 1}).hint("listing").limit(limit)
        ids = [row["_id"] async for row in rows]
        if not ids:
            return 0
        outcome = await self._trials.update_many(
            {"_id": {"$in": ids}, "state": {"$in": list(LIVE)}}, cancelling(now)
        )
        return int(outcome.modified_count)

    async def cancel(
        self, uid: str, number: int, now: datetime.datetime, session: AsyncClientSession
    ) -> Document | None:
        """Cancel one; None when it has ended or does not exist."""
        where = {"_id": trial_id(uid, number), "state": {"$in": list(LIVE)}}
        return await self._trials.find_one_and_update(
            where, cancelling(now), return_document=True, session=session
        )

    async def queues(self) -> list[Document]:
        """Of each device class: {_id, ready, oldest, hint}, held trials left out. ``oldest`` is a time,
        ``hint`` a trial's id.
        """
        pipeline: list[Document] = [
            {"$match": {"state": READY, "held": False, "device_class": {"$gt": ""}}},
            {
                "$group": {
                    "_id": "$device_class",
                    "ready": {"$sum": 1},
                    "oldest": {"$min": "$ready_time"},
                    "hint": {"$first": "$_id"},
                    "batched": {"$min": "$batched"},
                }
            },
        ]
        cursor = await self._trials.aggregate(pipeline, hint="queue")
        return [row async for row in cursor]


def cancelling(now: datetime.datetime) -> Document:
    return {"$set": {"state": CANCELLED, "end_time": now, "dirty": True}, "$inc": {"rev": 1}}
