"""Real servers for the controller's suites: one mongod and one Redis, a database of its own for each test."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from archloom_controller.server import Controller
from archloom_controller.settings import Settings
from archloom_local.mongod import Mongod
from archloom_local.redis import Redis
from pymongo import AsyncMongoClient
from pymongo.asynchronous.database import AsyncDatabase


@pytest.fixture(scope="session")
def mongod(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mongod]:
    with Mongod(tmp_path_factory.mktemp("mongod")) as running:
        yield running


@pytest.fixture(scope="session")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    with Redis(tmp_path_factory.mktemp("redis")) as running:
        yield running


@pytest.fixture
async def database(mongod: Mongod) -> AsyncIterator[AsyncDatabase[dict[str, Any]]]:
    """Empty, and gone after the test."""
    client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(mongod.uri, tz_aware=True)
    name = f"test-{secrets.token_hex(6)}"
    yield client[name]
    await client.drop_database(name)
    await client.close()


@pytest.fixture
def settings(
    mongod: Mongod, redis: Redis, database: AsyncDatabase[dict[str, Any]], tmp_path: Path
) -> Settings:
    """Of a controller on a free port; leases of two seconds."""
    return Settings(
        listen="127.0.0.1:0",
        mongodb_uri=mongod.uri,
        mongodb_database=database.name,
        broker_url=redis.url,
        artifacts=str(tmp_path / "artifacts"),
        lease_seconds=2.0,
        replica="tested",
    )


@pytest.fixture
async def controller(settings: Settings) -> AsyncIterator[Controller]:
    running = Controller(settings)
    await running.start()
    yield running
    await running.stop()


@pytest.fixture
async def channel(controller: Controller) -> AsyncIterator[grpc.aio.Channel]:
    async with grpc.aio.insecure_channel(controller.address) as opened:
        yield opened
