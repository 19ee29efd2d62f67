"""The Celery application.

A message says that a queue has work, and nothing more. LeaseTrials decides who does what.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import threading
from functools import lru_cache
from typing import Any

from archloom.wakeup import TASK, queue_of
from celery import Celery, signals

from archloom_evaluators.settings import WorkerSettings, worker_settings
from archloom_evaluators.worker.process import WorkerProcess

log = logging.getLogger("archloom.worker")

_fork = multiprocessing.get_context("fork")


class Stop(threading.Event):
    """Set when this worker is to end.

    By a signal to the process, by its parent, or when the parent is gone.
    """

    #: Made before the fork: the parent sets it, every pool process sees it.
    shared = _fork.Event()

    def __init__(self) -> None:
        super().__init__()
        self._parent = os.getppid()

    @property
    def is_orphan(self) -> bool:
        """Whether the pool's parent has died."""
        return os.getppid() != self._parent

    def is_set(self) -> bool:
        return super().is_set() or Stop.shared.is_set() or self.is_orphan


@lru_cache(maxsize=1)
def pool_process() -> tuple[WorkerProcess, Stop]:
    """What this pool process keeps between wake-ups; made once, after the fork."""
    stop = Stop()
    process = WorkerProcess(worker_settings(), stop)
    process.start()
    return process, stop


def build_app(settings: WorkerSettings | None = None) -> Celery:
    """The application, its one task included."""
    settings = settings or worker_settings()
    app = Celery("archloom", broker=settings.broker_url, set_as_current=False)
    app.conf.update(
        accept_content=["json"],
        task_serializer="json",
        result_backend=None,
        task_ignore_result=True,
        task_acks_late=False,
        task_default_queue=queue_of(settings.device_class),
        # A busy worker must not hoard wake-ups that an idle one could follow.
        worker_prefetch_multiplier=1,
        worker_disable_prefetch=settings.broker_url.startswith(("redis", "rediss", "sentinel")),
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        worker_proc_alive_timeout=60.0,
        worker_cancel_long_running_tasks_on_connection_loss=False,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
    )
    app.task(wake, name=TASK, ignore_result=True)
    return app


def wake(*arguments: Any, **named: Any) -> None:
    """Follows a wake-up.

    What the message carries is a hint; one that cannot be read is refused and the worker goes on.
    """
    payload = arguments[0] if len(arguments) == 1 and not named else None
    if not isinstance(payload, dict) or not isinstance(payload.get("device_class"), str):
        log.error("refused a task that is not a wake-up: %.200r %.200r", arguments, named)
        return
    process, stop = pool_process()
    # While attempts run, a termination signal asks them to yield; between tasks the pool's own handler ends
    # the process at once.
    previous = signal.signal(signal.SIGTERM, lambda *_: stop.set())
    try:
        process.drain()
    finally:
        signal.signal(signal.SIGTERM, previous)
    if process.loop.wants_fresh_process:
        log.warning("ran out of memory: this process ends, a fresh one takes its place")
    if process.loop.wants_fresh_process or stop.is_orphan:
        process.close()
        # What must be told has been told. The pool starts another process for one that ends.
        os._exit(0)


@signals.worker_process_init.connect(weak=False)  # type: ignore[untyped-decorator]
def _begin_process(**_: Any) -> None:
    pool_process()


@signals.worker_shutting_down.connect(weak=False)  # type: ignore[untyped-decorator]
def _stop_pool(**_: Any) -> None:
    Stop.shared.set()
