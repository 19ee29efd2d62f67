"""Who is alive: replicas of the controller, workers, and the notes by which replicas wake each other.

Times stored here are for people. Whether somebody is alive is judged by renewal numbers alone, each reader
by its own monotonic clock.
"""

from __future__ import annotations

import datetime
from collections.abc import AsyncIterator, Collection, Mapping

from pymongo import UpdateOne
from pymongo.asynchronous.database import AsyncDatabase

from archloom_controller.store.layout import Document


class Presence:
    def __init__(self, database: AsyncDatabase[Document]) -> None:
        self._replicas = database["replicas"]
        self._workers = database["workers"]
        self._wakes = database["wakes"]

    async def renew_replica(
        self, replica: str, now: datetime.datetime, strategies: Collection[str] = ()
    ) -> None:
        """``strategies`` are those that the replica reaches."""
        news = {"renewal_time": now, "strategies": sorted(strategies)}
        await self._replicas.update_one({"_id": replica}, {"$inc": {"renewal": 1}, "$set": news}, upsert=True)

    async def drop_replica(self, replica: str) -> None:
        await self._replicas.delete_one({"_id": replica})

    async def replicas(self) -> dict[str, Document]:
        """{renewal, strategies, ...} of each."""
        return {row["_id"]: row async for row in self._replicas.find({"_id": {"$gt": ""}})}

    async def renew_worker(
        self,
        worker: str,
        *,
        device_class: str,
        labels: Mapping[str, str],
        busy_share: float,
        progress: Mapping[str, tuple[int, int]],
        now: datetime.datetime,
    ) -> None:
        """``progress`` has attempt and progress counter of each trial the worker holds."""
        attempts = [[trial, attempt, counter] for trial, (attempt, counter) in progress.items()]
        await self._workers.update_one(
            {"_id": worker},
            {
                "$inc": {"renewal": 1},
                "$set": {
                    "device_class": device_class,
                    "labels": [[key, value] for key, value in sorted(labels.items())],
                    "busy_share": busy_share,
                    "attempts": attempts,
                    "heartbeat_time": now,
                },
            },
            upsert=True,
        )

    async def workers(self) -> list[Document]:
        """{_id, device_class, labels, busy_share, renewal, attempts: [[trial, attempt, progress]],
        heartbeat_time}.
        """
        return [row async for row in self._workers.find({"_id": {"$gt": ""}})]

    async def wake(self, keys: Collection[str]) -> None:
        """Note for the other replicas that something happened under these keys."""
        if keys:
            updates = [UpdateOne({"_id": key}, {"$inc": {"n": 1}}, upsert=True) for key in sorted(keys)]
            await self._wakes.bulk_write(updates, ordered=False)

    async def woken(self) -> AsyncIterator[str]:
        """Keys as replicas note them, for ever. A break of the stream is raised; what was noted meanwhile
        is lost.
        """
        async with await self._wakes.watch(
            [{"$project": {"documentKey": 1}}], max_await_time_ms=1000
        ) as stream:
            async for change in stream:
                yield str(change["documentKey"]["_id"])
