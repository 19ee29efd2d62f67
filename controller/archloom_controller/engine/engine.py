"""The engine of one replica: owns experiments, takes over those of dead replicas, reaps lost attempts."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
from collections.abc import Awaitable, Callable, Collection, Mapping

from archloom.v1.experiment_pb2 import ExperimentState

from archloom_controller.engine.dispatch import Dispatcher
from archloom_controller.engine.owner import Owner, strategy_needed
from archloom_controller.engine.parts import Parts
from archloom_controller.engine.reaper import Reaper, Watchlist
from archloom_controller.interfaces import Artifacts, EngineSettings, Registry, StrategyGateway, Wakeups
from archloom_controller.metrics import Metrics
from archloom_controller.store import Store
from archloom_controller.store.layout import Document
from archloom_controller.tasks import end_tasks

log = logging.getLogger(__name__)

_CLAIMS_AT_ONCE = 100
_WAKE_INTERVAL_SECONDS = 0.02


class Engine:
    """Start it once the store is prepared; stop it before the store's client closes. One a process."""

    def __init__(
        self,
        store: Store,
        gateway: StrategyGateway,
        registry: Registry,
        artifacts: Artifacts,
        wakeups: Wakeups,
        settings: EngineSettings,
        metrics: Metrics,
    ) -> None:
        replica = f"{settings.replica}:{secrets.token_hex(6)}"
        self.parts = Parts(store, gateway, registry, artifacts, wakeups, settings, metrics, replica)
        self.dispatcher = Dispatcher(wakeups, settings.clock)
        self._reaper = Reaper(self.parts)
        self._owners: dict[str, tuple[Owner, asyncio.Task[None]]] = {}
        self._replicas = Watchlist()
        self._unclaimed = Watchlist()
        self._cut_off = Watchlist()
        self._tasks: list[asyncio.Task[None]] = []
        self._stopping = False

    @property
    def replica(self) -> str:
        return self.parts.replica

    async def start(self) -> None:
        settings = self.parts.settings
        await self.parts.store.presence.renew_replica(self.replica, self.parts.clock.now())
        often = min(settings.poll_seconds, settings.lease_seconds / 4)
        loops: list[tuple[str, float, Callable[[], Awaitable[object]]]] = [
            ("presence", often, self._keep_presence),
            ("reaper", settings.lease_seconds / 4, self._reaper.sweep),
            ("queues", 2 * settings.poll_seconds, self._look_after_queues),
            ("deletion", 30.0, self._finish_deletions),
            ("wakes to others", _WAKE_INTERVAL_SECONDS, self._wake_others),
            ("wakes from others", settings.poll_seconds, self._listen),
        ]
        self._tasks = [asyncio.create_task(self._forever(*loop), name=loop[0]) for loop in loops]

    async def stop(self) -> None:
        """Let go of everything; experiments go to other replicas at once."""
        self._stopping = True
        owners = list(self._owners.items())
        await end_tasks([*self._tasks, *(task for _, (_, task) in owners)])
        for uid, (owner, _) in owners:
            with contextlib.suppress(Exception):  # Without it the others take over after one lease.
                await self.parts.store.experiments.release(uid, owner.epoch)
        with contextlib.suppress(Exception):
            await self.parts.store.presence.drop_replica(self.replica)
        await self.dispatcher.close()

    def adopt(self, uid: str, epoch: int) -> None:
        """Run an experiment that this replica owns."""
        known = self._owners.get(uid)
        if self._stopping or (known is not None and known[0].epoch >= epoch):
            return
        if known is not None:
            known[1].cancel()
        owner = Owner(self.parts, self.dispatcher, uid, epoch)
        task = asyncio.create_task(owner.run(), name=f"owner of {uid}")
        self._owners[uid] = (owner, task)
        task.add_done_callback(lambda done: self._let_go(uid, done))

    def _let_go(self, uid: str, task: asyncio.Task[None]) -> None:
        known = self._owners.get(uid)
        if known is not None and known[1] is task:
            del self._owners[uid]
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("the engine of experiment %s broke", uid, exc_info=error)

    async def _forever(self, name: str, pause_seconds: float, body: Callable[[], Awaitable[object]]) -> None:
        """Run ``body`` again and again; an error is logged, and is no reason to stop."""
        broken = False
        while True:
            try:
                await body()
                broken = False
            except Exception as error:
                if not broken:
                    log.warning("%s: %s; it is tried again", name, error)
                broken = True
            await asyncio.sleep(max(pause_seconds, 0.5) if broken else pause_seconds)

    async def _keep_presence(self) -> None:
        """Say that this replica is alive, see who is not, and take over what is theirs."""
        store, clock = self.parts.store, self.parts.clock
        gateway = self.parts.gateway
        here = {name for name in gateway.names() if gateway.reachable(name)}
        await store.presence.renew_replica(self.replica, clock.now(), here)
        replicas = await store.presence.replicas()
        now, limit = clock.monotonic(), self.parts.settings.lease_seconds
        self._replicas.look(now, limit / 2)
        owners = set(await store.experiments.owners()) - {"", self.replica}
        dead = {
            name
            for name in owners | replicas.keys()
            if name != self.replica and self._replicas.still_for(name, _renewal(replicas, name), now) >= limit
        }
        self._replicas.keep(owners | replicas.keys())
        others = replicas.keys() - dead - {self.replica}
        self.parts.signals.broadcasting = bool(others)
        elsewhere = {name for other in others for name in replicas[other].get("strategies", ())} - here
        await self._hand_over(elsewhere)
        unclaimed = await store.experiments.owned_by(["", *(dead & owners)], _CLAIMS_AT_ONCE)
        self._unclaimed.keep(row["_id"] for row in unclaimed)
        for row in unclaimed:
            waited = self._unclaimed.still_for(row["_id"], row["engine"]["epoch"], now)
            if strategy_needed(row) in elsewhere and waited < limit:
                # A replica that reaches its strategy takes it.
                continue
            epoch = await store.experiments.claim(row["_id"], row["engine"]["epoch"], self.replica)
            if epoch is not None:
                log.info("took over experiment %s from %s", row["_id"], row["engine"]["replica"] or "nobody")
                self.adopt(row["_id"], epoch)
        await self._mind_own()
        degraded = sum(owner.degraded for owner, _ in self._owners.values())
        self.parts.metrics.owned(len(self._owners), degraded)

    async def _hand_over(self, elsewhere: Collection[str]) -> None:
        """Give up what only others can run: a strategy that is attached to one replica is out of reach of
        the rest. It must have been so for a lease, for strategies come and go.
        """
        now, limit = self.parts.clock.monotonic(), self.parts.settings.lease_seconds
        self._cut_off.keep(self._owners)
        for uid, (owner, task) in list(self._owners.items()):
            away = owner.strategy in elsewhere
            if self._cut_off.still_for(uid, away, now) >= limit and away:
                log.info("experiment %s goes to a replica that reaches strategy %s", uid, owner.strategy)
                await end_tasks([task])
                await self.parts.store.experiments.release(uid, owner.epoch)

    async def _mind_own(self) -> None:
        """Run what is ours in the store and has no task: one that broke, or a creation whose caller went
        away.
        """
        for row in await self.parts.store.experiments.owned_by([self.replica], 10 * _CLAIMS_AT_ONCE):
            if row["_id"] not in self._owners:
                self.adopt(row["_id"], row["engine"]["epoch"])

    async def _look_after_queues(self) -> None:
        """Announce ready work that ages; refresh the gauges."""
        now = self.parts.clock.now()
        queues = await self.parts.store.trials.queues()
        self.dispatcher.announce_aged(queues, self.parts.settings.poll_seconds, now)
        ages = {row["_id"]: (row["ready"], (now - row["oldest"]).total_seconds()) for row in queues}
        self.parts.metrics.queues(ages)
        counts = await self.parts.store.experiments.count_by_state()
        self.parts.metrics.experiments(
            {
                ExperimentState.Name(ExperimentState.ValueType(state))
                .removeprefix("EXPERIMENT_STATE_")
                .lower(): count
                for state, count in counts.items()
            }
        )

    async def _finish_deletions(self) -> None:
        for uid in await self.parts.store.experiments.deleting():
            await self.parts.store.experiments.delete(uid)

    async def _wake_others(self) -> None:
        await self.parts.store.presence.wake(self.parts.signals.take_outgoing())

    async def _listen(self) -> None:
        async for key in self.parts.store.presence.woken():
            self.parts.signals.notify_here(key)


def _renewal(replicas: Mapping[str, Document], name: str) -> int:
    return int(replicas[name]["renewal"]) if name in replicas else -1
