"""A strategy plugin that answers as a test says, and remembers what it was asked."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import grpc
from archloom.v1 import strategy_pb2, strategy_pb2_grpc
from archloom_controller.strategies.plugin import HISTORY_BYTES

Answer = Callable[[strategy_pb2.ProposeRequest], Awaitable[strategy_pb2.ProposeResponse]]


def answering(request: strategy_pb2.ProposeRequest, **fields: Any) -> strategy_pb2.ProposeResponse:
    """An answer to the request; ``wait`` unless the fields say otherwise."""
    response = strategy_pb2.ProposeResponse(experiment=request.experiment, step=request.step, **fields)
    if response.WhichOneof("answer") is None:
        response.wait.SetInParent()
    return response


class ScriptedStrategy(strategy_pb2_grpc.StrategyServiceServicer):
    """Start it on a port of its own or a given one, stop it, start it again."""

    def __init__(self, name: str = "scripted", version: str = "1") -> None:
        self.description = strategy_pb2.StrategyDescription(name=name, version=version, build="b")
        self.asked: list[strategy_pb2.ProposeRequest] = []
        self.answer: Answer = self._wait
        self.faults: list[strategy_pb2.SettingViolation] = []
        self.port = 0
        self._server: grpc.aio.Server | None = None

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    async def start(self) -> ScriptedStrategy:
        options = [("grpc.so_reuseport", 0), ("grpc.max_receive_message_length", HISTORY_BYTES)]
        self._server = grpc.aio.server(options=options)
        strategy_pb2_grpc.add_StrategyServiceServicer_to_server(self, self._server)
        self.port = self._server.add_insecure_port(f"127.0.0.1:{self.port}")
        await self._server.start()
        return self

    async def stop(self) -> None:
        if self._server is not None:
            await self._server.stop(None)

    async def _wait(self, request: strategy_pb2.ProposeRequest) -> strategy_pb2.ProposeResponse:
        return answering(request)

    async def DescribeStrategy(self, request: Any, context: Any) -> strategy_pb2.DescribeStrategyResponse:
        return strategy_pb2.DescribeStrategyResponse(description=self.description)

    async def ValidateStrategy(self, request: Any, context: Any) -> strategy_pb2.ValidateStrategyResponse:
        return strategy_pb2.ValidateStrategyResponse(violations=self.faults)

    async def Propose(self, request: Any, context: Any) -> strategy_pb2.ProposeResponse:
        self.asked.append(request)
        return await self.answer(request)
