"""A controller process: its parts put together, started in order and stopped in order."""

from __future__ import annotations

import asyncio
import logging
from contextlib import AsyncExitStack
from functools import partial
from typing import Any

import grpc
from archloom.resources import ExperimentName
from archloom.v1 import (
    admin_pb2_grpc,
    artifact_pb2_grpc,
    evaluation_pb2_grpc,
    experiment_pb2,
    experiment_pb2_grpc,
    model_pb2_grpc,
    registry_pb2_grpc,
    space_pb2,
    space_service_pb2_grpc,
    strategy_pb2_grpc,
    trial_pb2_grpc,
)
from google.protobuf import descriptor_pool
from grpc_channelz.v1 import channelz
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2
from prometheus_client import CollectorRegistry, PlatformCollector, ProcessCollector

from archloom_controller import startup
from archloom_controller.artifacts import ArtifactStore
from archloom_controller.engine import Engine
from archloom_controller.engine.dispatch import CeleryWakeups
from archloom_controller.interfaces import Clock, EngineSettings, SystemClock, Wakeups
from archloom_controller.metrics import Metrics
from archloom_controller.registry import RegistryStore
from archloom_controller.rpc.caller import Gate
from archloom_controller.rpc.interceptor import Edge
from archloom_controller.rpc.rules import Rules, rules_pool
from archloom_controller.services.artifacts import ArtifactServicer
from archloom_controller.services.evaluation import EvaluationServicer
from archloom_controller.services.experiments import ExperimentServicer
from archloom_controller.services.health import Health
from archloom_controller.services.later import LaterServicer
from archloom_controller.services.registry import RegistryServicer
from archloom_controller.services.spaces import SpaceServicer
from archloom_controller.services.trials import TrialServicer
from archloom_controller.settings import Settings
from archloom_controller.store import Store
from archloom_controller.strategies.gateway import Gateway
from archloom_controller.strategies.host import StrategyHostServicer

_log = logging.getLogger(__name__)

_SERVICES = (
    "ExperimentService",
    "TrialService",
    "EvaluationService",
    "ArtifactService",
    "SpaceService",
    "RegistryService",
    "StrategyHostService",
    "AdminService",
    "ModelService",
)
_GRACE_SECONDS = 2.0
#: A chunk or a plugin's state of 3 MiB, and what stands around it.
_REQUEST_BYTES = 4 * 1024 * 1024
_OPTIONS = (
    # Without SO_REUSEPORT a taken port is an error, not a second listener that gets half the calls.
    ("grpc.so_reuseport", 0),
    ("grpc.max_receive_message_length", _REQUEST_BYTES),
    ("grpc.max_send_message_length", -1),
    # Finds out about plugins and watchers that vanished without a word.
    ("grpc.keepalive_time_ms", 20000),
    ("grpc.keepalive_timeout_ms", 10000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_ping_interval_without_data_ms", 5000),
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 5000),
    ("grpc.enable_channelz", 1),
)


class Controller:
    """One replica. Raises StartupError from ``start``; ``stop`` gives back what it owns."""

    def __init__(self, settings: Settings, clock: Clock | None = None) -> None:
        self.settings = settings
        self.clock = clock or SystemClock()
        #: The port that calls come in at, once started.
        self.port = 0
        self._parts = AsyncExitStack()

    async def start(self) -> None:
        try:
            await self._start()
        except BaseException:
            await self._parts.aclose()
            raise

    async def stop(self) -> None:
        """Ends in some seconds, whatever callers do."""
        await self._parts.aclose()

    async def _start(self) -> None:
        settings, later = self.settings, self._parts
        figures = CollectorRegistry()
        ProcessCollector(registry=figures)
        PlatformCollector(registry=figures)
        metrics, rules = Metrics(figures), Rules()
        edge = Edge(Gate(settings.token), rules, metrics, self.clock.monotonic)
        server = grpc.aio.server(interceptors=[edge], options=_OPTIONS)
        self.port = startup.bind(server, settings)
        later.push_async_callback(server.stop, None)
        scraped = startup.serve_metrics(settings, figures)
        if scraped is not None:
            later.push_async_callback(asyncio.to_thread, scraped.shutdown)
        blobs = startup.open_blobs(settings)
        await startup.check_broker(settings)
        client = await startup.open_database(settings)
        later.push_async_callback(client.close)
        store = Store(client[settings.mongodb_database])
        await store.prepare()

        registry = RegistryStore(store.database, settings.data_roots)
        artifacts = ArtifactStore(store.database, blobs, store.attempt_is_current, self.clock)
        await artifacts.prepare()
        gateway = Gateway(
            registry,
            rules,
            metrics,
            self.clock.monotonic,
            settings.strategies,
            settings.propose_seconds,
        )
        await gateway.start()
        later.push_async_callback(gateway.stop)
        engine = self._engine(store, gateway, registry, artifacts, metrics)
        await engine.start()
        later.push_async_callback(engine.stop)

        host = StrategyHostServicer(gateway, rules)
        self._add_services(server, engine, store, registry, gateway, artifacts, host, rules)
        health = Health([f"archloom.v1.{name}" for name in _SERVICES], lambda: client.admin.command("ping"))
        health_pb2_grpc.add_HealthServicer_to_server(health.servicer, server)
        await server.start()
        later.push_async_callback(self._end_calls, server, edge, host)
        await health.start()
        later.push_async_callback(health.stop)
        _log.info("replica %s serves on %s", settings.replica, self.address)

    @property
    def address(self) -> str:
        """HOST:PORT, the port as it was given by the system where 0 was asked for."""
        return f"{self.settings.listen.rpartition(':')[0]}:{self.port}"

    def _engine(
        self,
        store: Store,
        gateway: Gateway,
        registry: RegistryStore,
        artifacts: ArtifactStore,
        metrics: Metrics,
    ) -> Engine:
        settings = self.settings
        wakeups: Wakeups = NoWakeups()
        if settings.broker_url:
            wakeups = CeleryWakeups(settings.broker_url, metrics.wakeups)
        numbers = EngineSettings(
            replica=settings.replica,
            lease_seconds=settings.lease_seconds,
            stall_seconds=settings.stall_seconds,
            clock=self.clock,
        )
        return Engine(store, gateway, registry, artifacts, wakeups, numbers, metrics)

    def _add_services(
        self,
        server: grpc.aio.Server,
        engine: Engine,
        store: Store,
        registry: RegistryStore,
        gateway: Gateway,
        artifacts: ArtifactStore,
        host: StrategyHostServicer,
        rules: Rules,
    ) -> None:
        experiment_pb2_grpc.add_ExperimentServiceServicer_to_server(ExperimentServicer(engine), server)
        trial_pb2_grpc.add_TrialServiceServicer_to_server(TrialServicer(engine), server)
        evaluation_pb2_grpc.add_EvaluationServiceServicer_to_server(EvaluationServicer(engine), server)
        artifact_pb2_grpc.add_ArtifactServiceServicer_to_server(ArtifactServicer(artifacts), server)
        spaces = SpaceServicer(partial(_space_of, store), rules)
        space_service_pb2_grpc.add_SpaceServiceServicer_to_server(spaces, server)
        kinds = RegistryServicer(registry, gateway, store, self.clock)
        registry_pb2_grpc.add_RegistryServiceServicer_to_server(kinds, server)
        strategy_pb2_grpc.add_StrategyHostServiceServicer_to_server(host, server)
        later: Any = LaterServicer("AdminService")
        admin_pb2_grpc.add_AdminServiceServicer_to_server(later, server)
        later = LaterServicer("ModelService")
        model_pb2_grpc.add_ModelServiceServicer_to_server(later, server)
        names = [*(f"archloom.v1.{name}" for name in _SERVICES), "grpc.health.v1.Health"]
        reflection.enable_server_reflection((*names, reflection.SERVICE_NAME), server, pool=_reflected())
        channelz.add_channelz_servicer(server)

    async def _end_calls(self, server: grpc.aio.Server, edge: Edge, host: StrategyHostServicer) -> None:
        """No new calls; those that run get a little time, and what they began is finished."""
        host.close()
        await server.stop(_GRACE_SECONDS)
        await edge.drain(_GRACE_SECONDS)


class NoWakeups:
    """Without a broker: evaluators ask by themselves."""

    async def send(self, device_class: str, hint: str, count: int) -> None:
        return None

    async def close(self) -> None:
        return None


async def _space_of(store: Store, name: ExperimentName) -> space_pb2.Space | None:
    found = await store.experiments.by_name(name)
    return None if found is None else experiment_pb2.ExperimentSpec.FromString(found["spec"]).space.space


def _reflected() -> descriptor_pool.DescriptorPool:
    """What reflection serves: the API with its rules, and the standard services."""
    pool = rules_pool()
    for file in (health_pb2.DESCRIPTOR, reflection_pb2.DESCRIPTOR):
        pool.AddSerializedFile(file.serialized_pb)
    return pool
