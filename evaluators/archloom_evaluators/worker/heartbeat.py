"""The heartbeat of a worker process.

One thread that renews every lease, carries news and brings directives.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping

import grpc
from archloom.v1 import evaluation_pb2

from archloom_evaluators.worker import counters
from archloom_evaluators.worker.api import Api
from archloom_evaluators.worker.attempt import Attempt
from archloom_evaluators.worker.load import BusyShare

log = logging.getLogger("archloom.worker")

IDLE_SECONDS = 10.0
#: An idle process looks this often for a controller that is away.
AWAY_SECONDS = 2.0
#: News travel early, but no more often than this.
NEWS_SECONDS = 0.5


class Heartbeat(threading.Thread):
    """Renews the leases of the attempts it holds every third of the lease's length."""

    def __init__(
        self,
        api: Api,
        device_class: str,
        labels: Mapping[str, str],
        *,
        stop: threading.Event,
        returned: Callable[[], None] = lambda: None,
        busy: BusyShare | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """``stop``.

        When set, attempts are told to yield. ``returned`` is called when a controller that was away answers
        again.
        """
        super().__init__(name="archloom-heartbeat", daemon=True)
        self._api = api
        self._device_class = device_class
        self._labels = dict(labels)
        self._stopping = stop
        self._returned = returned
        self._busy = busy or BusyShare()
        self._monotonic = monotonic
        self._attempts: dict[tuple[str, int], Attempt] = {}
        self._condition = threading.Condition()
        self._has_news = False
        self._ended = False
        self._lease_seconds: float | None = None
        self._away = False

    # -- the worker's side ----------------------------------------------------

    def hold(self, attempts: Iterable[Attempt], lease_seconds: float) -> None:
        """From now on the heartbeat names these attempts."""
        with self._condition:
            for attempt in attempts:
                self._attempts[attempt.ref.trial, attempt.ref.attempt] = attempt
            if lease_seconds > 0 and lease_seconds != self._lease_seconds:
                self._lease_seconds = lease_seconds
                self._condition.notify()

    def drop(self, attempts: Iterable[Attempt]) -> None:
        """These attempts have ended."""
        with self._condition:
            for attempt in attempts:
                self._attempts.pop((attempt.ref.trial, attempt.ref.attempt), None)

    def news(self) -> None:
        """Something is worth telling before the next heartbeat is due."""
        with self._condition:
            self._has_news = True
            self._condition.notify()

    def end(self) -> None:
        """Ends the thread."""
        with self._condition:
            self._ended = True
            self._condition.notify()

    # -- the thread -----------------------------------------------------------

    def run(self) -> None:
        due = True
        while due:
            last = self._monotonic()
            try:
                self._beat()
            except Exception:
                # Whatever it is, the leases must be renewed: without this thread every attempt would be lost.
                log.exception("a heartbeat failed")
            due = self._wait(last)

    def _wait(self, last: float) -> bool:
        """Until the next heartbeat is due; False when the thread is to end."""
        with self._condition:
            while not self._ended:
                if self._stopping.is_set():
                    self._yield_all()
                interval = self._interval()
                if self._has_news:
                    interval = min(interval, NEWS_SECONDS)
                remaining = last + interval - self._monotonic()
                if remaining <= 0:
                    self._has_news = False
                    return True
                # Looks up now and then, so that a stop set by another process is seen.
                self._condition.wait(min(remaining, 0.2))
            return False

    def _interval(self) -> float:
        if not self._attempts:
            return AWAY_SECONDS if self._away else IDLE_SECONDS
        return max((self._lease_seconds or 30.0) / 3.0, 0.1)

    def _yield_all(self) -> None:
        for attempt in self._attempts.values():
            attempt.direct(evaluation_pb2.DIRECTIVE_YIELD)

    def _beat(self) -> None:
        with self._condition:
            attempts = list(self._attempts.values())[:1000]
            timeout = max(self._interval(), 1.0)
        reports = [attempt.report() for attempt in attempts]
        request = evaluation_pb2.HeartbeatRequest(
            worker=self._api.worker,
            device_class=self._device_class,
            attempts=reports,
            busy_share=self._busy.read(working=bool(attempts)),
            labels=self._labels,
        )
        try:
            response = self._api.heartbeat(request, timeout)
        except grpc.RpcError as error:
            counters.HEARTBEATS_FAILED.inc()
            if not self._away:
                log.warning("the controller does not answer heartbeats: %s", error.code().name)
            self._away = True
            return
        if self._away:
            self._away = False
            log.info("the controller answers again")
            self._returned()
        lease_seconds = response.lease_duration.ToTimedelta().total_seconds()
        if lease_seconds > 0:
            self._lease_seconds = lease_seconds
        for attempt, report, answer in zip(attempts, reports, response.directives, strict=False):
            attempt.answered(report, answer.directive)
