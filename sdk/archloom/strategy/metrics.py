"""Prometheus metrics of a plugin process."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from prometheus_client import CollectorRegistry, Counter, Histogram, start_http_server
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

from archloom.errors import ArchloomError, Unavailable
from archloom.strategy.plugin import Plugin
from archloom.v1 import strategy_pb2

Response = TypeVar("Response")


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

    def record(self, strategy: str, method: str, outcome: str, seconds: float) -> None:
        self._seconds.labels(strategy, method, outcome).observe(seconds)

    def count(self, strategy: str, *, proposals: int, observations: int) -> None:
        self._proposals.labels(strategy).inc(proposals)
        self._observations.labels(strategy).inc(observations)

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


class MeteredPlugin:
    """``plugin``, with its calls counted and timed."""

    def __init__(self, plugin: Plugin, metrics: StrategyMetrics) -> None:
        self._plugin = plugin
        self._metrics = metrics
        self._name = plugin.describe().name

    def describe(self) -> strategy_pb2.StrategyDescription:
        return self._timed("DescribeStrategy", self._plugin.describe)

    def validate(
        self, request: strategy_pb2.ValidateStrategyRequest
    ) -> strategy_pb2.ValidateStrategyResponse:
        return self._timed("ValidateStrategy", lambda: self._plugin.validate(request))

    def propose(self, request: strategy_pb2.ProposeRequest) -> strategy_pb2.ProposeResponse:
        response = self._timed("Propose", lambda: self._plugin.propose(request))
        if response.WhichOneof("answer") in ("proposals", "wait", "exhausted"):
            proposals, observations = len(response.proposals.proposals), len(request.observations)
            self._metrics.count(self._name, proposals=proposals, observations=observations)
        return response

    def _timed(self, method: str, call: Callable[[], Response]) -> Response:
        outcome, start = "INTERNAL", time.perf_counter()
        try:
            response = call()
            outcome = "OK"
            if isinstance(response, strategy_pb2.ProposeResponse):
                outcome = response.WhichOneof("answer") or outcome
            return response
        except ArchloomError as error:
            outcome = error.code
            raise
        finally:
            self._metrics.record(self._name, method, outcome, time.perf_counter() - start)
