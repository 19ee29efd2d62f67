"""Finds attempts whose worker died, hangs or was cut off.

Every replica runs one. What it keeps is when it saw something change, on its own monotonic clock; what it
does is conditional on the attempt, so that two reapers, or a reaper and a late answer, cannot both win.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass

from archloom.v1.common_pb2 import FailureReason
from archloom.v1.experiment_pb2 import ExperimentState

from archloom_controller.engine.parts import Parts
from archloom_controller.engine.signals import owner_key, queue_key
from archloom_controller.store.layout import Document, owner_of
from archloom_controller.store.leases import Failure

log = logging.getLogger(__name__)

#: Beyond a trial's max_duration before the reaper ends what its worker should have ended.
_GRACE_SECONDS = 30.0


@dataclass
class _Seen:
    """A number and when it was first seen to have this value."""

    value: int
    since: float


class Watchlist:
    """Numbers that should change, by name; forgets the names that are gone."""

    def __init__(self) -> None:
        self._seen: dict[str, _Seen] = {}

    def still_for(self, name: str, value: int, now: float) -> float:
        """Seconds since the number was first seen to have this value."""
        seen = self._seen.get(name)
        if seen is None or seen.value != value:
            seen = self._seen[name] = _Seen(value, now)
        return now - seen.since

    def keep(self, names: Iterable[str]) -> None:
        kept = set(names)
        for name in self._seen.keys() - kept:
            del self._seen[name]


class Reaper:
    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._renewals = Watchlist()
        self._attempts = Watchlist()
        self._missing = Watchlist()
        self._progress = Watchlist()

    async def sweep(self) -> int:
        """Look once; how many attempts were found lost."""
        leases = await self._parts.store.leases.all()
        if not leases:
            return 0
        workers = {row["_id"]: row for row in await self._parts.store.presence.workers()}
        lost = [
            (lease, why) for lease in leases if (why := self._verdict(lease, workers.get(lease["worker"])))
        ]
        live = {lease["_id"] for lease in leases}
        self._renewals.keep(lease["worker"] for lease in leases)
        for watchlist in (self._attempts, self._missing, self._progress):
            watchlist.keep(live)
        if lost:
            await self._lose(lost)
        return len(lost)

    def _verdict(self, lease: Document, worker: Document | None) -> str:
        """Why the attempt is lost; empty while it is not."""
        now = self._parts.clock.monotonic()
        limit = self._parts.settings.lease_seconds
        trial, attempt = lease["_id"], lease["attempt"]
        age = self._attempts.still_for(trial, attempt, now)
        renewal = worker["renewal"] if worker is not None else 0
        silent = self._renewals.still_for(lease["worker"], renewal, now)
        # A worker may have been silent for long before it leased: the attempt has its own full length.
        if min(silent, age) >= limit:
            return f"worker {lease['worker']} was not heard of for {limit:g} s"
        told = (
            next((row for row in worker["attempts"] if row[:2] == [trial, attempt]), None) if worker else None
        )
        if (
            self._missing.still_for(trial, attempt if told is None else -attempt, now) >= limit
            and told is None
        ):
            return f"worker {lease['worker']} does not know of the attempt"
        progress = told[2] if told is not None else -1
        stall = lease["stall_seconds"]
        if min(self._progress.still_for(trial, progress, now), age) >= stall:
            return f"no progress for {stall:g} s"
        if lease["max_seconds"]:
            left = lease["max_seconds"] - lease["device_seconds"] + _GRACE_SECONDS
            if age >= left:
                return f"it ran beyond its max_duration of {lease['max_seconds']:g} s"
        return ""

    async def _lose(self, lost: list[tuple[Document, str]]) -> None:
        now = self._parts.clock.now()
        states = await self._parts.store.experiments.states({owner_of(lease["_id"]) for lease, _ in lost})
        paused = paused_of(states)
        for lease, why in lost:
            log.warning("attempt %d at %s is lost: %s", lease["attempt"], lease["_id"], why)
            elapsed = max(0.0, (now - lease["lease_time"]).total_seconds())
            if lease["max_seconds"]:
                elapsed = min(elapsed, max(0.0, lease["max_seconds"] - lease["device_seconds"]))
            failure = Failure(
                lease["_id"],
                lease["attempt"],
                FailureReason.FAILURE_REASON_LOST,
                why,
                None,
                elapsed,
            )
            await self._parts.store.leases.fail(lease["worker"], [failure], paused, now, "lose")
            self._parts.metrics.leases_lost()
            self._parts.metrics.attempts_failed("lost")
            self._parts.signals.notify(owner_key(owner_of(lease["_id"])))
        for device_class in {lease.get("device_class", "") for lease, _ in lost}:
            self._parts.signals.notify(queue_key(device_class))


def paused_of(states: dict[str, Document]) -> set[str]:
    """Experiments whose ready trials are set aside: every one that does not run."""
    running = ExperimentState.EXPERIMENT_STATE_RUNNING
    return {uid for uid, row in states.items() if row["state"] != running}
