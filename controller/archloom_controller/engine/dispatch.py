"""Wake-ups for workers: how many, how often, and over Celery."""

from __future__ import annotations

import asyncio
import datetime
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from archloom.wakeup import TASK, queue_of
from celery import Celery

from archloom_controller.interfaces import Clock, Wakeups
from archloom_controller.store.layout import Document

log = logging.getLogger(__name__)

#: Short trials that one wake-up stands for: the worker it wakes leases on while there is work.
_BATCH = 32
_MOST_MESSAGES = 64
_MOST_BATCHED = 8
_LONGEST_SILENCE_SECONDS = 30.0


class CeleryWakeups:
    """Sends the wake-up task to the queue of the device class, from a thread of its own."""

    def __init__(
        self, broker_url: str, report: Callable[[str, int], None] = lambda outcome, count: None
    ) -> None:
        """``report`` is told "sent" or "failed", and how many."""
        self._app = Celery("archloom", broker=broker_url, set_as_current=False)
        self._app.conf.update(
            task_serializer="json",
            accept_content=["json"],
            task_ignore_result=True,
            broker_transport_options={"socket_connect_timeout": 2, "socket_timeout": 5},
        )
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="wakeups")
        self._report = report
        self._away = False

    async def send(self, device_class: str, hint: str, count: int) -> None:
        loop = asyncio.get_running_loop()
        try:
            await loop.run_in_executor(self._thread, self._send, device_class, hint, count)
        except Exception as error:  # Whatever the broker's client raises: a lost wake-up costs time only.
            self._report("failed", count)
            if not self._away:
                log.warning("the broker does not take wake-ups (%s); they are sent again", error)
            self._away = True
        else:
            self._report("sent", count)
            if self._away:
                log.info("the broker takes wake-ups again")
            self._away = False

    def _send(self, device_class: str, hint: str, count: int) -> None:
        payload = {"device_class": device_class, "hint": hint}
        with self._app.producer_pool.acquire(block=True, timeout=5) as producer:
            for _ in range(count):
                self._app.send_task(
                    TASK, args=[payload], queue=queue_of(device_class), producer=producer, retry=False
                )

    async def close(self) -> None:
        self._thread.shutdown(wait=False, cancel_futures=True)
        await asyncio.to_thread(self._app.close)


@dataclass
class _Queue:
    """What was announced of one device class, and when."""

    sending: asyncio.Task[None] | None = None
    ready: int = 0
    hint: str = ""
    batched: bool = True
    oldest: str = ""
    silence_seconds: float = 0.0
    sent_at: float = -1e9


class Dispatcher:
    """Turns "so many trials became ready" into wake-ups: what becomes ready while one is being sent travels
    with the next.
    """

    def __init__(self, wakeups: Wakeups, clock: Clock) -> None:
        self._wakeups = wakeups
        self._clock = clock
        self._queues: dict[str, _Queue] = {}

    def announce(self, device_class: str, hint: str, ready: int, *, batched: bool) -> None:
        queue = self._queues.setdefault(device_class, _Queue())
        queue.ready += ready
        queue.hint = hint
        queue.batched = batched
        queue.sent_at = self._clock.monotonic()
        if queue.sending is None or queue.sending.done():
            queue.sending = asyncio.create_task(self._send(device_class, queue))

    async def _send(self, device_class: str, queue: _Queue) -> None:
        while queue.ready:
            ready, queue.ready = queue.ready, 0
            count = min(ready, _MOST_MESSAGES)
            if queue.batched:
                count = min(-(-ready // _BATCH), _MOST_BATCHED)
            await self._wakeups.send(device_class, queue.hint, count)

    def announce_aged(self, queues: list[Document], age_seconds: float, now: datetime.datetime) -> None:
        """Announce again what has waited for long; less and less often while the same trial stays the
        oldest.
        """
        for row in queues:
            queue = self._queues.setdefault(row["_id"], _Queue())
            if row["hint"] != queue.oldest:
                queue.oldest = row["hint"]
                queue.silence_seconds = age_seconds
            aged = (now - row["oldest"]).total_seconds() >= age_seconds
            if aged and self._clock.monotonic() - queue.sent_at >= queue.silence_seconds:
                queue.silence_seconds = min(_LONGEST_SILENCE_SECONDS, 2 * queue.silence_seconds)
                self.announce(row["_id"], row["hint"], row["ready"], batched=bool(row["batched"]))

    async def close(self) -> None:
        for queue in self._queues.values():
            if queue.sending is not None:
                queue.sending.cancel()
        await asyncio.gather(*(q.sending for q in self._queues.values() if q.sending), return_exceptions=True)
        await self._wakeups.close()
