"""What Prometheus reads of a worker.

Celery forks: every process writes its own files, the parent adds them up and serves them.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from wsgiref.simple_server import WSGIServer

if TYPE_CHECKING:
    from prometheus_client import Metric

FOLDER = "PROMETHEUS_MULTIPROC_DIR"
_LIVE_FILE = re.compile(r"gauge_live[a-z]*_(\d+)\.db")
_made: list[Path] = []


def prepare_folder() -> Path:
    """The folder of this worker's metric files.

    Call it before prometheus_client is imported: it looks once, at import.
    """
    if FOLDER not in os.environ:
        folder = Path(tempfile.mkdtemp(prefix="archloom-metrics-"))
        _made.append(folder)
        os.environ[FOLDER] = str(folder)
    return Path(os.environ[FOLDER])


def clean_folder() -> None:
    """Removes the folder if this process made it."""
    while _made:
        shutil.rmtree(_made.pop(), ignore_errors=True)


class CannotServe(Exception):
    """The page of metrics cannot be served where the settings say; the message says what to do."""


@dataclass(frozen=True)
class MetricsServer:
    """The page of metrics; ``address`` is where it listens."""

    address: tuple[str, int]
    server: WSGIServer
    thread: threading.Thread

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join(5.0)


class AllProcesses:
    """A Prometheus collector.

    The sum over all processes of this worker, dead ones included where they count.
    """

    def __init__(self, folder: Path) -> None:
        from prometheus_client import CollectorRegistry, multiprocess

        self._folder = folder
        self._collector = multiprocess.MultiProcessCollector(CollectorRegistry(), path=str(folder))  # type: ignore[no-untyped-call]

    def collect(self) -> Iterable[Metric]:
        self._forget_dead()
        metrics: Iterable[Metric] = self._collector.collect()  # type: ignore[no-untyped-call]
        return metrics

    def _forget_dead(self) -> None:
        """A killed process cannot take its gauges down itself. Its counters stay: what it did was done."""
        from prometheus_client import multiprocess

        for file in self._folder.glob("gauge_live*.db"):
            found = _LIVE_FILE.fullmatch(file.name)
            if found and not _is_alive(int(found[1])):
                multiprocess.mark_process_dead(int(found[1]), str(self._folder))  # type: ignore[no-untyped-call]


def serve(listen: str) -> MetricsServer:
    """Serves the metrics of all processes at HOST:PORT. Raises CannotServe."""
    from prometheus_client import CollectorRegistry, start_http_server

    registry = CollectorRegistry()
    registry.register(AllProcesses(prepare_folder()))
    host, _, port = listen.rpartition(":")
    try:
        server, thread = start_http_server(int(port), host.strip("[]") or "127.0.0.1", registry)
    except (OSError, ValueError) as error:
        raise CannotServe(
            f"metrics cannot be served at {listen!r} ({error}); set ARCHLOOM_METRICS_LISTEN to a free one"
        ) from error
    return MetricsServer(server.server_address[:2], server, thread)  # type: ignore[arg-type]


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
