"""One worker process.

Its connection, its heartbeat and its loop. Made after the fork, for gRPC's threads do not survive one.
"""

from __future__ import annotations

import logging
import os
import random
import re
import socket
import threading

import grpc
from archloom.v1 import registry_pb2

from archloom_evaluators.registry import Registry, installed_registry
from archloom_evaluators.settings import WorkerSettings
from archloom_evaluators.worker.api import Api, open_channel
from archloom_evaluators.worker.convert import description_to_proto, proxies_to_proto
from archloom_evaluators.worker.heartbeat import Heartbeat
from archloom_evaluators.worker.load import BusyShare
from archloom_evaluators.worker.loop import WorkLoop

log = logging.getLogger("archloom.worker")


def worker_id() -> str:
    """Unique to this process: host, process id and a random part."""
    host = re.sub(r"[^A-Za-z0-9._-]", "-", socket.gethostname()).lstrip(".-_")[:60] or "host"
    return f"{host}:{os.getpid()}:{random.SystemRandom().getrandbits(32):08x}"


class WorkerProcess:
    """What a pool process keeps between wake-ups."""

    def __init__(
        self, settings: WorkerSettings, stop: threading.Event, registry: Registry | None = None
    ) -> None:
        self.settings = settings
        self.stop = stop
        self.registry = registry or installed_registry()
        self.channel = open_channel(settings.server)
        self.api = Api(self.channel, worker_id(), token=settings.token, stop=stop)
        labels = {
            "host": socket.gethostname()[:60],
            "process": str(os.getpid()),
            **settings.label_values,
        }
        self._registration = threading.Lock()
        self.heartbeat = Heartbeat(
            self.api,
            settings.device_class,
            labels,
            stop=stop,
            returned=self.register_soon,
            busy=BusyShare(settings.threads),
        )
        self.loop = WorkLoop(
            self.api,
            self.registry,
            self.heartbeat,
            settings.device_class,
            stop=stop,
            labels=labels,
            wait_seconds=settings.lease_wait_seconds,
            max_trials=settings.lease_trials,
        )

    def start(self) -> None:
        """Starts the heartbeat and tells the controller what this process offers."""
        self.heartbeat.start()
        self.register_soon()

    def register_soon(self) -> None:
        """Registers in a thread of its own.

        Reading data sets to describe them takes seconds, and leases must not wait for it.
        """
        threading.Thread(target=self._register, name="archloom-register", daemon=True).start()

    def drain(self) -> int:
        """Runs the work there is; a controller that is away leaves it for the next wake-up."""
        try:
            return self.loop.drain()
        except grpc.RpcError as error:
            log.warning("no work could be leased: %s: %s", error.code().name, error.details())
            return 0

    def close(self) -> None:
        """Ends the heartbeat and the connection."""
        self.heartbeat.end()
        self.channel.close()

    def _register(self) -> None:
        pause = 0.2
        with self._registration:
            request = self._registration_request()
            while not self.stop.is_set():
                try:
                    self.api.register(request)
                except grpc.RpcError as error:
                    if error.code() not in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED):
                        log.error(
                            "the controller refuses this worker: %s: %s", error.code().name, error.details()
                        )
                        return
                    self.stop.wait(pause)
                    pause = min(pause * 2, 5.0)
                else:
                    log.info(
                        "registered with %s for device class %s",
                        self.settings.server,
                        self.settings.device_class,
                    )
                    return

    def _registration_request(self) -> registry_pb2.RegisterEvaluatorRequest:
        from archloom_evaluators.data.registry import SCHEMES, described_datasets

        return registry_pb2.RegisterEvaluatorRequest(
            device_class=self.settings.device_class,
            evaluators=[
                description_to_proto(evaluator.describe(), self.registry.is_batched(kind))
                for kind, evaluator in self.registry.evaluators.items()
            ],
            datasets=described_datasets(),
            proxies=proxies_to_proto(each.describe() for each in self.registry.evaluators.values()),
            dataset_schemes=SCHEMES,
            dataset_roots=[str(folder.resolve()) for folder in self.settings.roots.folders],
        )
