"""Plugins that do not keep to gRPC: they are complained of, and followed until they are mended."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc
import pytest
from archloom.v1 import strategy_pb2
from archloom_controller.interfaces import StrategyFailed
from archloom_controller.strategies.gateway import Gateway
from grpc_refusals import until


class Garbled:
    """Answers what it is given, byte for byte."""

    def __init__(self) -> None:
        description = strategy_pb2.StrategyDescription(name="garbled", version="1", build="b")
        self.good = strategy_pb2.DescribeStrategyResponse(description=description).SerializeToString()
        self.answers = {"DescribeStrategy": b"\xff\xff\xff", "ValidateStrategy": b"\xff\xff\xff"}
        self.asked = 0
        self._server = grpc.aio.server()
        handlers: dict[str, Any] = {
            name: grpc.unary_unary_rpc_method_handler(self._handler(name)) for name in self.answers
        }
        service = grpc.method_handlers_generic_handler("archloom.v1.StrategyService", handlers)
        self._server.add_generic_rpc_handlers((service,))
        self.address = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"

    def _handler(self, name: str) -> Callable[..., Awaitable[bytes]]:
        async def answer(request: bytes, context: Any) -> bytes:
            self.asked += 1
            return self.answers[name]

        return answer

    async def start(self) -> None:
        await self._server.start()

    async def stop(self) -> None:
        await self._server.stop(None)


@pytest.fixture
async def garbled() -> AsyncIterator[Garbled]:
    plugin = Garbled()
    await plugin.start()
    yield plugin
    await plugin.stop()


async def test_a_plugin_that_cannot_be_read_is_followed_until_it_is_mended(
    make_gateway: Callable[..., Awaitable[Gateway]], garbled: Garbled
) -> None:
    gateway = await make_gateway(garbled.address)
    plugin = gateway.plugins()[0]

    async def told() -> bool:
        return "cannot be read" in plugin.problem

    await until(told, "the plugin's answer to be complained of")
    garbled.answers["DescribeStrategy"] = garbled.good

    async def serves() -> bool:
        return gateway.reachable("garbled")

    await until(serves, "the mended plugin to serve")
    with pytest.raises(StrategyFailed, match="cannot be read"):
        await gateway.validate("garbled", strategy_pb2.SearchSpec())


async def test_any_trouble_with_a_plugin_is_complained_of_and_passes(
    make_gateway: Callable[..., Awaitable[Gateway]], garbled: Garbled, monkeypatch: pytest.MonkeyPatch
) -> None:
    garbled.answers["DescribeStrategy"] = garbled.good
    gateway = await make_gateway()
    described = gateway._described
    troubles = [ValueError("something nobody thought of")]

    async def troubled(plugin: Any) -> None:
        if troubles:
            raise troubles.pop()
        await described(plugin)

    monkeypatch.setattr(gateway, "_described", troubled)
    plugin = gateway._dial(garbled.address)

    async def serves() -> bool:
        return plugin.serving

    await until(serves, "the plugin to serve")
    assert not troubles
