"""StrategyHostService: where plugins that cannot be dialled call in."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any

import grpc
from archloom.errors import InvalidInput, Violation
from archloom.v1 import strategy_pb2, strategy_pb2_grpc

from archloom_controller.rpc.rules import Rules
from archloom_controller.strategies.attached import AttachedPlugin
from archloom_controller.strategies.gateway import Gateway

_log = logging.getLogger(__name__)

_HELLO_SECONDS = 10.0


class StrategyHostServicer(strategy_pb2_grpc.StrategyHostServiceServicer):
    """One stream is one plugin, from its hello to the stream's end."""

    def __init__(self, gateway: Gateway, rules: Rules) -> None:
        self._gateway = gateway
        self._rules = rules
        self._here: set[AttachedPlugin] = set()

    async def Attach(
        self, requests: AsyncIterator[strategy_pb2.AttachRequest], context: Any
    ) -> AsyncIterator[strategy_pb2.AttachResponse]:
        plugin = AttachedPlugin(await self._hello(requests))
        await self._gateway.attach(plugin)
        self._here.add(plugin)
        reader = asyncio.create_task(self._read(requests, plugin))
        _log.info("strategy %s is attached", plugin.name)
        try:
            yield strategy_pb2.AttachResponse(attached=f"strategies/{plugin.name}")
            while (request := await plugin.outgoing.get()) is not None:
                yield request
        finally:
            reader.cancel()
            plugin.lose("its stream ended")
            self._gateway.detach(plugin)
            self._here.discard(plugin)
            _log.info("strategy %s is detached: %s", plugin.name, plugin.problem)

    def close(self) -> None:
        """End all streams, so that the server can stop; the plugins attach again elsewhere."""
        for plugin in tuple(self._here):
            plugin.lose("the controller stops")

    async def _hello(
        self, requests: AsyncIterator[strategy_pb2.AttachRequest]
    ) -> strategy_pb2.StrategyDescription:
        try:
            async with asyncio.timeout(_HELLO_SECONDS):
                first = await anext(aiter(requests), None)
        except TimeoutError:
            first = None
        if first is None or first.WhichOneof("message") != "hello":
            raise InvalidInput([Violation("hello", "must come first: the plugin's description")])
        self._rules.require(first)
        return first.hello

    async def _read(
        self, requests: AsyncIterator[strategy_pb2.AttachRequest], plugin: AttachedPlugin
    ) -> None:
        try:
            async for message in requests:
                if message.WhichOneof("message") == "answer":
                    plugin.take(message.answer)
                else:
                    plugin.lose("it said hello twice")
        except grpc.aio.BaseError as error:
            plugin.lose(f"its stream broke: {error}")
        except InvalidInput as error:
            plugin.lose(f"its stream cannot be read: {error}")
        else:
            plugin.lose("it hung up")
