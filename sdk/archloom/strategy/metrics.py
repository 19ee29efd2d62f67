"""Prometheus metrics of a plugin process."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, Counter, Histogram, start_http_server
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

from archloom.errors import Unavailable
from archloom.v1 import strategy_pb2


class StrategyMetrics:
    """Counts and times the calls of one process. ``outcome`` is the answer's kind, or the error's code."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry or CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        self._seconds = Histogram(
            "archloom_strategy_call_seconds",
            "Time a call took, by method and outcome.",
            ["strategy", "method", "outcome"],
            buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
            registry=self.registry,
        )
        self._proposals = Counter(
            "archloom_strategy_proposals_total",
            "Architectures proposed.",
            ["strategy"],
            registry=self.registry,
        )
        self._observations = Counter(
            "archloom_strategy_observations_total",
            "Observations told by the controller.",
            ["strategy"],
            registry=self.registry,
        )

    @contextmanager
    def timed(self, strategy: str, method: str) -> Iterator[list[str]]:
        """Times a call; its outcome is the last word put into the list, INTERNAL when the call raised
        before.
        """
        outcome = ["INTERNAL"]
        start = time.perf_counter()
        try:
            yield outcome
        finally:
            self._seconds.labels(strategy, method, outcome[-1]).observe(time.perf_counter() - start)

    def proposed(
        self, strategy: str, request: strategy_pb2.ProposeRequest, response: strategy_pb2.ProposeResponse
    ) -> None:
        self._proposals.labels(strategy).inc(len(response.proposals.proposals))
        if response.WhichOneof("answer") in ("proposals", "wait", "exhausted"):
            self._observations.labels(strategy).inc(len(request.observations))

    def listen(self, address: str) -> int:
        """Serves /metrics on ``HOST:PORT`` and answers the port. Raises Unavailable when it cannot."""
        host, _, port = address.rpartition(":")
        try:
            server, _ = start_http_server(int(port), addr=host or "127.0.0.1", registry=self.registry)
        except (OSError, ValueError, OverflowError) as error:
            raise Unavailable(
                f"cannot serve metrics on {address!r} ({error}): choose another HOST:PORT"
            ) from None
        return int(server.server_port)
