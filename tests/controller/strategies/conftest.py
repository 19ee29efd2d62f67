"""A gateway of its own for each test, on a real store."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from archloom_controller.metrics import Metrics
from archloom_controller.registry import RegistryStore
from archloom_controller.rpc.rules import Rules
from archloom_controller.strategies.gateway import Gateway
from prometheus_client import CollectorRegistry
from pymongo.asynchronous.database import AsyncDatabase

MakeGateway = Callable[..., Awaitable[Gateway]]


@pytest.fixture
def figures() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
async def make_gateway(
    database: AsyncDatabase[dict[str, Any]], figures: CollectorRegistry
) -> AsyncIterator[MakeGateway]:
    """Gateways of several replicas on one store; they stop with the test."""
    made: list[Gateway] = []
    metrics = Metrics(figures)

    async def make(*allowed: str, propose_seconds: float = 30.0) -> Gateway:
        gateway = Gateway(RegistryStore(database), Rules(), metrics, time.monotonic, allowed, propose_seconds)
        await gateway.start()
        made.append(gateway)
        return gateway

    yield make
    for gateway in made:
        await gateway.stop()
