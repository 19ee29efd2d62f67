"""Attempts at trials: leased, kept alive, ended. Each method is a handful of conditional updates, whatever
the number of trials.

An attempt's number fences it: an update names the attempt and the worker, and finds nothing once another
attempt began or the trial ended.
"""

from __future__ import annotations

import datetime
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pymongo import ASCENDING, DESCENDING, UpdateOne
from pymongo.asynchronous.database import AsyncDatabase

from archloom_controller.store.layout import FAILED, LEASED, READY, Document, owner_of

#: Proxy trials in one lease: some seconds of work each, which other workers should not wait for.
MAX_SCORED = 16
#: Points kept of one trial's curve; later ones are dropped.
MAX_CURVE = 10_000
_QUEUE_ORDER = [("priority", DESCENDING), ("create_time", ASCENDING), ("_id", ASCENDING)]


@dataclass(frozen=True)
class Ending:
    """An attempt's result: the trial's fields to set, the rest of its curve, the attempt's device time."""

    trial: str
    attempt: int
    fields: Document
    curve: Sequence[Document] = ()
    device_seconds: float = 0.0


@dataclass(frozen=True)
class Failure:
    """An attempt that ended without a result. ``retries`` is how often this reason is tried again; None: to
    the trial's limit.
    """

    trial: str
    attempt: int
    reason: int
    message: str
    retries: int | None
    device_seconds: float = 0.0


@dataclass(frozen=True)
class Progress:
    """What a heartbeat tells of one attempt. Curve points are {p, m, t}: progress, metrics, elapsed
    seconds.
    """

    trial: str
    attempt: int
    curve: Sequence[Document] = ()
    fields: Document = field(default_factory=dict)


def label_texts(labels: Mapping[str, str]) -> list[str]:
    """Labels as the store compares them: a trial's needs with what a worker has."""
    return sorted(f"{name}={value}" for name, value in labels.items())


def append_curve(points: Sequence[Document]) -> Document:
    """Pipeline expressions that add the points beyond the stored curve."""
    beyond = {
        "$filter": {
            "input": {"$literal": list(points)},
            "cond": {"$gt": ["$$this.p", {"$ifNull": ["$curve_at", -1.0]}]},
        }
    }
    joined = {"$slice": [{"$concatArrays": [{"$ifNull": ["$curve", []]}, beyond]}, MAX_CURVE]}
    furthest = {"$max": ["$curve_at", max(point["p"] for point in points)]}
    return {"curve": joined, "curve_at": furthest}


def _assign(fields: Document, curve: Sequence[Document], device_seconds: float) -> Any:
    """An update that sets fields, adds to the curve and counts device time; a pipeline only where the curve
    asks for one.
    """
    if not curve:
        return {"$set": fields, "$inc": {"device_seconds": device_seconds, "rev": 1}}
    literal: Document = {name: {"$literal": value} for name, value in fields.items()}
    counts = {"device_seconds": {"$add": ["$device_seconds", device_seconds]}, "rev": {"$add": ["$rev", 1]}}
    return [{"$set": {**literal, **append_curve(curve), **counts}}]


class Leases:
    def __init__(self, database: AsyncDatabase[Document]) -> None:
        self._trials = database["trials"]

    async def take(
        self,
        *,
        worker: str,
        device_class: str,
        kinds: Collection[str],
        limit: int,
        lease_id: str,
        now: datetime.datetime,
        labels: Mapping[str, str] | None = None,
    ) -> list[Document]:
        """Lease up to ``limit`` ready trials, by priority and then age; the whole documents, as leased.

        A trial that needs labels goes only to a worker that has all of them.

        Trials that are not marked batched come one at a time, proxy trials up to MAX_SCORED at once. Racing
        callers share the queue's head between them; one may get fewer than there are.
        """
        queue: Document = {"device_class": device_class, "state": READY, "held": False}
        wanted = sorted(kinds) or await self._trials.distinct("kind", queue)
        if not wanted:
            return []
        unmet = {"$elemMatch": {"$nin": label_texts(labels or {})}}
        suits = {"kind": {"$in": wanted}, "needs": {"$not": unmet}}
        found = self._trials.find({**queue, **suits}, {"batched": 1, "scored": 1})
        chosen = _together([row async for row in found.sort(_QUEUE_ORDER).limit(limit)])
        if not chosen:
            return []
        outcome = await self._trials.update_many(
            {"_id": {"$in": chosen}, "state": READY, "held": False},
            {
                "$set": {"state": LEASED, "worker": worker, "lease_id": lease_id, "lease_time": now},
                "$inc": {"attempt": 1, "rev": 1},
            },
        )
        if outcome.matched_count == 0:
            return []
        leased = self._trials.find({"_id": {"$in": chosen}, "lease_id": lease_id, "state": LEASED})
        return sorted([row async for row in leased], key=lambda row: chosen.index(row["_id"]))

    async def taken(self, worker: str, lease_id: str) -> list[Document]:
        """What an earlier call of the same id leased and the worker still holds."""
        found = self._trials.find({"worker": worker, "lease_id": lease_id, "state": LEASED})
        return [row async for row in found.sort([("_id", ASCENDING)])]

    async def put_back(self, trials: Sequence[Document]) -> None:
        """Undo leases that should not have been made (the experiment was paused meanwhile); the attempt's
        number is spent.
        """
        await self._trials.bulk_write(
            [
                UpdateOne(
                    {"_id": row["_id"], "attempt": row["attempt"], "state": LEASED},
                    {"$set": {"state": READY, "held": True}, "$inc": {"rev": 1}},
                )
                for row in trials
            ],
            ordered=False,
        )

    async def free(self, trials: Sequence[str]) -> None:
        """Of these trials, let those that were set aside be leased."""
        where = {"_id": {"$in": list(trials)}, "state": READY, "held": True}
        await self._trials.update_many(where, {"$set": {"held": False}})

    async def complete(self, worker: str, endings: Sequence[Ending]) -> list[bool]:
        """Record results; each answer says whether the attempt's result stands (now, or by an earlier
        call).
        """
        updates = [
            UpdateOne(
                {"_id": ending.trial, "attempt": ending.attempt, "worker": worker, "state": LEASED},
                _assign(
                    {**ending.fields, "answered": _answer("complete", ending.attempt), "dirty": True},
                    ending.curve,
                    ending.device_seconds,
                ),
            )
            for ending in endings
        ]
        outcome = await self._trials.bulk_write(updates, ordered=False)
        attempts = [(ending.trial, ending.attempt) for ending in endings]
        return await self._recorded(worker, "complete", attempts, outcome.matched_count)

    async def fail(
        self,
        worker: str,
        failures: Sequence[Failure],
        paused: Collection[str],
        now: datetime.datetime,
        call: str = "fail",
    ) -> list[bool]:
        """End attempts without a result: ready again where the rules try once more, failed otherwise.

        ``call`` tells who ended them, so that only that call's repetition counts as recorded.
        """
        updates = [update for failure in failures for update in _failing(worker, failure, call, paused, now)]
        # Ordered: the second update of a failure takes what the first left.
        outcome = await self._trials.bulk_write(updates, ordered=True)
        attempts = [(failure.trial, failure.attempt) for failure in failures]
        return await self._recorded(worker, call, attempts, outcome.matched_count)

    async def release(
        self, worker: str, endings: Sequence[Ending], paused: Collection[str], now: datetime.datetime
    ) -> list[bool]:
        """Give attempts back with their checkpoints; no retry is spent."""
        updates = []
        for ending in endings:
            again = {"state": READY, "held": owner_of(ending.trial) in paused, "ready_time": now}
            update = _assign(
                {**ending.fields, **again, "answered": _answer("release", ending.attempt)},
                (),
                ending.device_seconds,
            )
            where = {"_id": ending.trial, "attempt": ending.attempt, "worker": worker, "state": LEASED}
            updates.append(UpdateOne(where, update))
        outcome = await self._trials.bulk_write(updates, ordered=False)
        attempts = [(ending.trial, ending.attempt) for ending in endings]
        return await self._recorded(worker, "release", attempts, outcome.matched_count)

    async def _recorded(
        self, worker: str, call: str, attempts: Sequence[tuple[str, int]], matched: int
    ) -> list[bool]:
        if matched == len(attempts):
            return [True] * len(attempts)
        found = self._trials.find(
            {"_id": {"$in": [trial for trial, _ in attempts]}}, {"answered": 1, "worker": 1}
        )
        ended = {row["_id"]: (row.get("worker"), row.get("answered")) async for row in found}
        return [ended.get(trial) == (worker, _answer(call, attempt)) for trial, attempt in attempts]

    async def report(self, worker: str, progress: Sequence[Progress]) -> None:
        """Add measurements and checkpoints of attempts that hold their lease; the others change nothing."""
        updates = []
        for attempt in progress:
            fields = dict(attempt.fields)
            if attempt.curve:
                fields["dirty"] = True
            if fields:
                where = {"_id": attempt.trial, "attempt": attempt.attempt, "worker": worker, "state": LEASED}
                updates.append(UpdateOne(where, _assign(fields, attempt.curve, 0.0)))
        if updates:
            await self._trials.bulk_write(updates, ordered=False)

    async def holders(self, trials: Sequence[str]) -> dict[str, tuple[int, str]]:
        """Attempt and worker of each of these trials that is leased."""
        found = self._trials.find(
            {"_id": {"$in": list(trials)}, "state": LEASED}, {"attempt": 1, "worker": 1}
        )
        return {row["_id"]: (row["attempt"], row["worker"]) async for row in found}

    async def being_evaluated(self, trials: Sequence[str]) -> dict[str, Document]:
        """What a result is judged by: {role, fidelity, device_class, kind, lease_time} of each of these
        trials.
        """
        fields = {"role": 1, "fidelity": 1, "device_class": 1, "kind": 1, "lease_time": 1}
        found = self._trials.find({"_id": {"$in": list(trials)}}, fields)
        return {row["_id"]: row async for row in found}

    async def device_classes(self, trials: Sequence[str]) -> set[str]:
        """Those of these trials that are ready."""
        if not trials:
            return set()
        found = self._trials.find({"_id": {"$in": list(trials)}, "state": READY}, {"device_class": 1})
        return {row["device_class"] async for row in found}

    async def all(self) -> list[Document]:
        """Every lease there is, for the reaper: {_id, attempt, worker, device_class, batched, lease_time,
        stall_seconds, max_seconds, device_seconds}.
        """
        fields = {
            "attempt": 1,
            "worker": 1,
            "device_class": 1,
            "batched": 1,
            "lease_time": 1,
            "stall_seconds": 1,
            "max_seconds": 1,
            "device_seconds": 1,
        }
        found = self._trials.find({"state": LEASED, "worker": {"$gt": ""}}, fields, hint="leases")
        return [row async for row in found]

    async def is_current(self, trial: str, attempt: int) -> bool:
        found = await self._trials.find_one({"_id": trial, "attempt": attempt, "state": LEASED}, {"_id": 1})
        return found is not None


def _together(head: Sequence[Document]) -> list[str]:
    """Ids of the queue's head that one lease takes, with what the first of it is alike."""
    if not head or not head[0]["batched"]:
        return [row["_id"] for row in head[:1]]
    scored = head[0]["scored"]
    alike = [row["_id"] for row in head if row["batched"] and row["scored"] == scored]
    return alike[:MAX_SCORED] if scored else alike


def _answer(call: str, attempt: int) -> str:
    """The mark of the call that ended an attempt: the same call repeated is recorded, any other is stale."""
    return f"{call} {attempt}"


def _failing(
    worker: str, failure: Failure, call: str, paused: Collection[str], now: datetime.datetime
) -> list[UpdateOne]:
    """Two updates of which at most one finds the attempt: try again, else fail for good."""
    held = {"_id": failure.trial, "attempt": failure.attempt, "worker": worker, "state": LEASED}
    counts = {"device_seconds": failure.device_seconds, "rev": 1, "spent": 1}
    for_good = UpdateOne(
        held,
        {
            "$set": {
                "state": FAILED,
                "failure": {"reason": failure.reason, "message": failure.message},
                "answered": _answer(call, failure.attempt),
                "end_time": now,
                "dirty": True,
            },
            "$inc": counts,
        },
    )
    if failure.retries == 0:
        return [for_good]
    tally = f"retries.{failure.reason}"
    spent = {"$add": ["$device_seconds", failure.device_seconds]}
    rules: list[Document] = [
        {"$lt": [{"$add": ["$spent", 1]}, "$max_attempts"]},
        {"$or": [{"$eq": ["$max_seconds", 0.0]}, {"$lt": [spent, "$max_seconds"]}]},
    ]
    if failure.retries is not None:
        rules.append({"$lt": [{"$ifNull": [f"${tally}", 0]}, failure.retries]})
    again = UpdateOne(
        {**held, "$expr": {"$and": rules}},
        {
            "$set": {
                "state": READY,
                "held": owner_of(failure.trial) in paused,
                "answered": _answer(call, failure.attempt),
                "ready_time": now,
            },
            "$inc": {**counts, tally: 1},
        },
    )
    return [again, for_good]
