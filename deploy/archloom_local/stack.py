"""The suite as child processes: servers, controllers, strategies, workers."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

from archloom.strategy.load import installed_strategies

from archloom_local import health
from archloom_local.errors import LocalError
from archloom_local.mongod import Mongod
from archloom_local.process import Process, free_port, port_is_taken
from archloom_local.prometheus import find_prometheus, prometheus
from archloom_local.redis import Redis

_HOST = "127.0.0.1"


@dataclass(frozen=True)
class StackSettings:
    """What runs, and how.

    ``port`` is the first controller's, 0 for any free one. ``strategies`` maps a process's name to its
    ``module:Class``, or to the name of an installed one; by default all that are installed. ``data_roots``
    are the folders that data sets and tables may be read from.
    """

    replicas: int = 1
    workers: int = 2
    port: int = 0
    strategies: Mapping[str, str] = field(
        default_factory=lambda: {name: name for name in installed_strategies()}
    )
    lease_seconds: float = 30.0
    data_roots: Sequence[Path] = ()
    device_class: str = "cpu"
    threads: int = 1
    monitor: bool = False
    environment: Mapping[str, str] = field(default_factory=dict)


class LocalStack:
    """The whole suite in ``folder``, whose data outlive it. A context manager; not thread-safe.

    ``controllers``, ``workers`` and ``strategies`` are the processes, to kill, suspend and start again.

    >>> with LocalStack(Path("/tmp/stack"), StackSettings(replicas=2)) as stack:
    ...     client = Client(stack.server)
    ...     stack.controllers[0].kill()
    """

    def __init__(self, folder: Path, settings: StackSettings | None = None) -> None:
        self.folder = folder.resolve()
        self.settings = settings = settings or StackSettings()
        if settings.port and port_is_taken(settings.port):
            raise LocalError(
                f"Port {settings.port} is taken: stop what listens there, or choose another with --port."
            )
        self.mongod = Mongod(self.folder / "mongo")
        self.redis = Redis(self.folder / "redis")
        ports = [settings.port or free_port(), *(free_port() for _ in range(settings.replicas - 1))]
        self.addresses = [f"{_HOST}:{port}" for port in ports]
        self.strategy_addresses = {name: f"{_HOST}:{free_port()}" for name in settings.strategies}
        self.metrics: dict[str, str] = {}
        self.strategies = {name: self._strategy(name) for name in settings.strategies}
        self.controllers: list[Process] = []
        self.workers: list[Process] = []
        self.monitor: Process | None = None
        self.monitor_address = ""

    @property
    def server(self) -> str:
        """The first controller's HOST:PORT."""
        return self.addresses[0]

    def target(self, first: int = 0) -> str:
        """All controllers as one gRPC target, tried in turn from the ``first`` on."""
        if len(self.addresses) == 1:
            return self.server
        return "ipv4:" + ",".join(self.addresses[first:] + self.addresses[:first])

    @property
    def token(self) -> str:
        return self.settings.environment.get("ARCHLOOM_TOKEN", os.environ.get("ARCHLOOM_TOKEN", ""))

    @property
    def environment(self) -> dict[str, str]:
        """What a client, or one more worker, needs to find this stack."""
        return {
            "ARCHLOOM_SERVER": self.target(),
            "ARCHLOOM_BROKER_URL": self.redis.url,
            "ARCHLOOM_DATA_ROOTS": os.pathsep.join(str(root.resolve()) for root in self.settings.data_roots),
            **self.settings.environment,
        }

    def processes(self) -> Iterator[Process]:
        """All of them, in the order in which they start."""
        yield self.mongod.process
        yield self.redis.process
        yield from self.strategies.values()
        yield from self.controllers
        yield from self.workers
        if self.monitor is not None:
            yield self.monitor

    def start(self, tell: Callable[[str], None] = lambda line: None) -> LocalStack:
        """Start everything and wait until a search could run. LocalError when a part does not start."""
        try:
            self._start(tell)
        except BaseException:
            self.stop()
            raise
        return self

    def _start(self, tell: Callable[[str], None]) -> None:
        for process in self.strategies.values():
            process.start()
        self.redis.start()
        self.mongod.start()
        tell(f"mongod on port {self.mongod.port}, Redis on port {self.redis.port}")
        for name, process in self.strategies.items():
            self.wait_serving(process, self.strategy_addresses[name])
            tell(f"strategy {name} at {self.strategy_addresses[name]}")
        self.controllers = [self._controller(place) for place in range(self.settings.replicas)]
        for process in self.controllers:
            process.start()
        for process, address in zip(self.controllers, self.addresses, strict=True):
            self.wait_serving(process, address)
            tell(f"{process.name} at {address}")
        self.workers = [self._worker(place).start() for place in range(self.settings.workers)]
        if self.workers:
            self.workers[0].wait_until(
                lambda: health.offers_evaluators(self.server, self.token), 120, "being registered"
            )
            workers = "1 worker" if len(self.workers) == 1 else f"{len(self.workers)} workers"
            tell(f"{workers} for device class {self.settings.device_class}")
        binary = find_prometheus() if self.settings.monitor else None
        if binary is not None:
            port = free_port()
            self.monitor_address = f"{_HOST}:{port}"
            self.monitor = prometheus(binary, self.folder / "prometheus", port, self.metrics).start()
            tell(f"Prometheus at http://{self.monitor_address}")

    def stop(self) -> None:
        """End everything in order: those who ask before those who answer."""
        first = [process for process in (self.monitor, *self.workers) if process is not None]
        for group in (first, [*self.controllers, *self.strategies.values()]):
            for process in group:
                process.terminate()
            for process in group:
                process.stop(grace_seconds=20)
        self.redis.stop()
        self.mongod.stop()

    def wait_serving(self, process: Process, address: str, seconds: float = 60) -> None:
        process.wait_until(lambda: health.serves(address), seconds, f"serving at {address}")

    def start_again(self, process: Process) -> None:
        """Start a process that was killed, under its old name and address, and wait until it serves."""
        process.start()
        if process in self.controllers:
            self.wait_serving(process, self.addresses[self.controllers.index(process)])
        for name, strategy in self.strategies.items():
            if strategy is process:
                self.wait_serving(process, self.strategy_addresses[name])

    def _strategy(self, name: str) -> Process:
        return self._process(
            f"strategy-{name}",
            [
                sys.executable, "-m", "archloom.cli", "serve-strategy", self.settings.strategies[name],
                "--listen", self.strategy_addresses[name],
                "--metrics-listen", self._metrics_address(f"strategy-{name}"),
            ],
            {},
        )  # fmt: skip

    def _controller(self, place: int) -> Process:
        name = f"controller-{place + 1}"
        return self._process(
            name,
            [sys.executable, "-m", "archloom_controller"],
            {
                "ARCHLOOM_LISTEN": self.addresses[place],
                "ARCHLOOM_MONGODB_URI": self.mongod.uri,
                "ARCHLOOM_STRATEGIES": ",".join(self.strategy_addresses.values()),
                "ARCHLOOM_ARTIFACTS": str(self.folder / "artifacts"),
                "ARCHLOOM_METRICS_LISTEN": self._metrics_address(name),
                "ARCHLOOM_LEASE_SECONDS": f"{self.settings.lease_seconds:g}",
                "ARCHLOOM_REPLICA": name,
            },
        )

    def _worker(self, place: int) -> Process:
        name = f"worker-{place + 1}"
        return self._process(
            name,
            [sys.executable, "-m", "archloom_evaluators"],
            {
                "ARCHLOOM_DEVICE_CLASS": self.settings.device_class,
                "ARCHLOOM_METRICS_LISTEN": self._metrics_address(name),
                "ARCHLOOM_SERVER": self.target(place % len(self.addresses)),
                "OMP_NUM_THREADS": str(self.settings.threads),
            },
        )

    def _process(self, name: str, command: list[str], more: Mapping[str, str]) -> Process:
        environment = {**self.environment, "PYTHONUNBUFFERED": "1", **more}
        return Process(name, command, self.folder / "logs" / f"{name}.log", environment)

    def _metrics_address(self, name: str) -> str:
        return self.metrics.setdefault(name, f"{_HOST}:{free_port()}")

    def __enter__(self) -> LocalStack:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def wait_until(ready: Callable[[], bool], seconds: float, what: str) -> None:
    """Wait for a condition of the whole stack. LocalError when the time is over."""
    deadline = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > deadline:
            raise LocalError(f"Waited {seconds:g} s for {what} in vain.")
        time.sleep(0.05)
