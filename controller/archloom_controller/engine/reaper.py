"""Finds attempts whose worker died, hangs or was cut off.

Every replica runs one. What it keeps is when it saw something change, on its own monotonic clock; what it
does is conditional on the attempt, so that two reapers, or a reaper and a late answer, cannot both win.
"""

from __future__ import annotations

import datetime
import logging
from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from archloom.v1.common_pb2 import FailureReason
from archloom.v1.experiment_pb2 import ExperimentState

from archloom_controller.engine.parts import Parts
from archloom_controller.engine.signals import owner_key, queue_key
from archloom_controller.store import Store
from archloom_controller.store.layout import Document, owner_of
from archloom_controller.store.leases import Failure

log = logging.getLogger(__name__)

#: Beyond a trial's max_duration before the reaper ends what its worker should have ended.
_GRACE_SECONDS = 30.0
_STALLED = "no progress"


@dataclass
class _Seen:
    """A number and when it was first seen to have this value."""

    value: int
    since: float


class Watchlist:
    """Numbers that should change, by name; forgets the names that are gone."""

    def __init__(self) -> None:
        self._seen: dict[str, _Seen] = {}
        self._looked = 0.0

    def look(self, now: float, patience: float) -> None:
        """Begin a round. Who did not look for longer than ``patience`` cannot tell others' silence from its
        own absence, and watches afresh.
        """
        if now - self._looked > patience:
            self._seen.clear()
        self._looked = now

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


@dataclass(frozen=True)
class _Told:
    """What the newest heartbeats told of one attempt."""

    attempt: int
    progress: int
    time: datetime.datetime


@dataclass(frozen=True)
class _Lost:
    lease: Document
    why: str
    #: Between lease and the last heartbeat that named the attempt. What passed since then nobody used.
    device_seconds: float


class Reaper:
    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._renewals = Watchlist()
        self._attempts = Watchlist()
        self._missing = Watchlist()
        self._progress = Watchlist()
        #: Of leased trials, by id; stays when a worker no longer names the attempt.
        self._told: dict[str, _Told] = {}

    async def sweep(self) -> int:
        """Look once; how many attempts were found lost."""
        leases = await self._parts.store.leases.all()
        workers = {row["_id"]: row for row in await self._parts.store.presence.workers()} if leases else {}
        now, limit = self._parts.clock.monotonic(), self._parts.settings.lease_seconds
        watchlists = (self._renewals, self._attempts, self._missing, self._progress)
        for watchlist in watchlists:
            # Workers heartbeat three times a lease: in half a lease unseen theirs may have been lost, too.
            watchlist.look(now, limit / 2)
        named = {
            (name, trial, attempt): _Told(attempt, progress, row["heartbeat_time"])
            for name, row in workers.items()
            for trial, attempt, progress in row["attempts"]
        }
        found = [(lease, self._verdict(lease, workers.get(lease["worker"]), named, now)) for lease in leases]
        lost = [_Lost(lease, why, self._used(lease)) for lease, why in _with_their_batch(found) if why]
        live = {lease["_id"] for lease in leases}
        self._renewals.keep(lease["worker"] for lease in leases)
        for watchlist in watchlists[1:]:
            watchlist.keep(live)
        for trial in self._told.keys() - live:
            del self._told[trial]
        if lost:
            await self._lose(lost)
        return len(lost)

    def _verdict(
        self, lease: Document, worker: Document | None, named: dict[tuple[str, str, int], _Told], now: float
    ) -> str:
        """Why the attempt is lost; empty while it is not."""
        limit = self._parts.settings.lease_seconds
        trial, attempt = lease["_id"], lease["attempt"]
        told = named.get((lease["worker"], trial, attempt))
        if told is not None:
            self._told[trial] = told
        age = self._attempts.still_for(trial, attempt, now)
        renewal = worker["renewal"] if worker is not None else 0
        silent = self._renewals.still_for(lease["worker"], renewal, now)
        missing = self._missing.still_for(trial, attempt if told is None else -attempt, now)
        still = self._progress.still_for(trial, told.progress if told is not None else -1, now)
        # A worker may have been silent for long before it leased: the attempt has its own full length.
        if min(silent, age) >= limit:
            return f"worker {lease['worker']} was not heard of for {limit:g} s"
        if told is None and missing >= limit:
            return f"worker {lease['worker']} does not know of the attempt"
        if min(still, age) >= lease["stall_seconds"]:
            return f"{_STALLED} for {lease['stall_seconds']:g} s"
        # The trials of a batch wait for their turns: only their worker knows how long each has run.
        if lease["max_seconds"] and not lease["batched"]:
            left = lease["max_seconds"] - lease["device_seconds"] + _GRACE_SECONDS
            if age >= left:
                return f"it ran beyond its max_duration of {lease['max_seconds']:g} s"
        return ""

    def _used(self, lease: Document) -> float:
        """Device seconds of a lost attempt. Those of a batch, one lease for all, are nobody's in particular:
        none is charged, rather than all of them for the same seconds.
        """
        told = self._told.get(lease["_id"])
        if lease["batched"] or told is None or told.attempt != lease["attempt"]:
            return 0.0
        leased: datetime.datetime = lease["lease_time"]
        used = max(0.0, (told.time - leased).total_seconds())
        if lease["max_seconds"]:
            used = min(used, max(0.0, float(lease["max_seconds"] - lease["device_seconds"])))
        return used

    async def _lose(self, lost: list[_Lost]) -> None:
        now, store = self._parts.clock.now(), self._parts.store
        trials = [each.lease["_id"] for each in lost]
        owners = {owner_of(trial) for trial in trials}
        paused = paused_of(await store.experiments.states(owners))
        by_worker: defaultdict[str, list[Failure]] = defaultdict(list)
        for each in lost:
            trial, attempt, reason = (
                each.lease["_id"],
                each.lease["attempt"],
                FailureReason.FAILURE_REASON_LOST,
            )
            log.warning("attempt %d at %s is lost: %s", attempt, trial, each.why)
            failure = Failure(trial, attempt, reason, each.why, None, each.device_seconds)
            by_worker[each.lease["worker"]].append(failure)
        for worker, failures in by_worker.items():
            # Other replicas find the same attempts lost: each counts those that its own update ended.
            call = f"lose by {self._parts.replica}"
            ended = sum(await store.leases.fail(worker, failures, paused, now, call))
            self._parts.metrics.leases_lost(ended)
            self._parts.metrics.attempts_failed("lost", ended)
        await free_resumed(store, trials, paused)
        for uid in owners:
            self._parts.signals.notify(owner_key(uid))
        for device_class in {each.lease.get("device_class", "") for each in lost}:
            self._parts.signals.notify(queue_key(device_class))


def _with_their_batch(found: list[tuple[Document, str]]) -> list[tuple[Document, str]]:
    """When one trial of a batch hangs, those behind it in the batch have no turn to come."""
    hanging = {
        (lease["worker"], lease["lease_time"]): why
        for lease, why in found
        if lease["batched"] and why.startswith(_STALLED)
    }
    return [
        (lease, why or (hanging.get((lease["worker"], lease["lease_time"]), "") if lease["batched"] else ""))
        for lease, why in found
    ]


def paused_of(states: dict[str, Document]) -> set[str]:
    """Experiments whose ready trials are set aside: every one that does not run."""
    running = ExperimentState.EXPERIMENT_STATE_RUNNING
    return {uid for uid, row in states.items() if row["state"] != running}


async def free_resumed(store: Store, trials: Collection[str], paused: Collection[str]) -> None:
    """After trials were set aside for these experiments: free those of experiments that run again by now,
    whose resumption may have come before the trials were there to be freed.
    """
    owners = {owner_of(trial) for trial in trials} & set(paused)
    if not owners:
        return
    states = await store.experiments.states(owners)
    resumed = states.keys() - paused_of(states)
    if resumed:
        await store.leases.free([trial for trial in trials if owner_of(trial) in resumed])
