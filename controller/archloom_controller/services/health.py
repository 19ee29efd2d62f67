"""Whether each service serves: not while the database is away."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence

from grpc_health.v1 import health_pb2
from grpc_health.v1.health import aio
from pymongo.errors import PyMongoError

from archloom_controller.tasks import end_tasks

_log = logging.getLogger(__name__)

_PERIOD_SECONDS = 1.0
_PATIENCE_SECONDS = 2.0


class Health:
    """Keeps the standard health service true. ``ping`` raises when the database does not answer."""

    def __init__(self, services: Sequence[str], ping: Callable[[], Awaitable[object]]) -> None:
        self.servicer = aio.HealthServicer()
        self._services = ("", *services)
        self._ping = ping
        self._serving: bool | None = None
        self._follower: asyncio.Task[None] | None = None

    async def start(self) -> None:
        await self._set(True)
        self._follower = asyncio.create_task(self._follow(), name="health")

    async def stop(self) -> None:
        await end_tasks([self._follower])
        await self.servicer.enter_graceful_shutdown()

    async def _follow(self) -> None:
        while True:
            try:
                async with asyncio.timeout(_PATIENCE_SECONDS):
                    await self._ping()
                serving = True
            except (PyMongoError, TimeoutError):
                serving = False
            if serving is not self._serving:
                _log.log(*_NEWS[serving])
                await self._set(serving)
            await asyncio.sleep(_PERIOD_SECONDS)

    async def _set(self, serving: bool) -> None:
        self._serving = serving
        status = health_pb2.HealthCheckResponse.ServingStatus
        for service in self._services:
            await self.servicer.set(service, status.SERVING if serving else status.NOT_SERVING)


_NEWS = {
    True: (logging.INFO, "the database answers again"),
    False: (logging.WARNING, "the database does not answer: calls will fail until it does"),
}
