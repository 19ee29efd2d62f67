"""A plugin that listens: one channel, followed through its losses."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
from archloom.v1 import strategy_pb2, strategy_pb2_grpc

from archloom_controller.interfaces import StrategyFailed, StrategyUnreachable
from archloom_controller.rpc.rules import Rules
from archloom_controller.strategies.plugin import HISTORY_BYTES, MESSAGE_BYTES
from archloom_controller.tasks import end_tasks

_log = logging.getLogger(__name__)

_DESCRIBE_SECONDS = 10.0
_DESCRIBE_PAUSE_SECONDS = 1.0
_OPTIONS = (
    ("grpc.max_receive_message_length", MESSAGE_BYTES),
    ("grpc.max_send_message_length", HISTORY_BYTES),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 2000),
    ("grpc.keepalive_time_ms", 20000),
    ("grpc.keepalive_timeout_ms", 5000),
    # Behind one name may stand several replicas; a strategy holds nothing, so any of them will do.
    ("grpc.lb_policy_name", "round_robin"),
)


class DialledPlugin:
    """Describes the plugin whenever the channel becomes ready, since another version may have come up."""

    def __init__(
        self, address: str, rules: Rules, described: Callable[[DialledPlugin], Awaitable[None]]
    ) -> None:
        self.address = address
        self.description: strategy_pb2.StrategyDescription | None = None
        self.serving = False
        self.problem = "it was not reached yet"
        self._rules = rules
        self._described = described
        self._channel = grpc.aio.insecure_channel(address, options=_OPTIONS)
        self._stub: Any = strategy_pb2_grpc.StrategyServiceStub(self._channel)
        self._propose: Any = self._channel.unary_unary(
            "/archloom.v1.StrategyService/Propose",
            request_serializer=strategy_pb2.ProposeRequest.SerializeToString,
            response_deserializer=None,
        )
        self._follower = asyncio.create_task(self._follow(), name=f"strategy {address}")

    @property
    def name(self) -> str:
        return self.description.name if self.description is not None else ""

    async def validate(
        self, request: strategy_pb2.ValidateStrategyRequest, seconds: float
    ) -> strategy_pb2.ValidateStrategyResponse:
        return await self._call(self._stub.ValidateStrategy(request, timeout=seconds), seconds)  # type: ignore[no-any-return]

    async def propose(self, request: strategy_pb2.ProposeRequest, seconds: float) -> bytes:
        return await self._call(self._propose(request, timeout=seconds), seconds)  # type: ignore[no-any-return]

    async def close(self) -> None:
        await end_tasks([self._follower])
        await self._channel.close(grace=None)

    async def refresh(self) -> None:
        """Ask who the plugin is. Raises StrategyUnreachable, StrategyFailed."""
        request = strategy_pb2.DescribeStrategyRequest()
        call = self._stub.DescribeStrategy(request, timeout=_DESCRIBE_SECONDS)
        answer = await self._call(call, _DESCRIBE_SECONDS)
        faults = self._rules.violations(answer.description)
        if faults:
            raise StrategyFailed(f"the plugin at {self.address} describes itself wrongly: {faults[0]}")
        self.description = answer.description
        await self._described(self)
        self.serving, self.problem = True, ""
        _log.info("strategy %s %s serves at %s", self.name, answer.description.version, self.address)

    async def _follow(self) -> None:
        ready = grpc.ChannelConnectivity.READY
        while True:
            state = self._channel.get_state(try_to_connect=True)
            if state is not ready:
                if self.serving:
                    _log.warning("strategy %s at %s is gone", self.name, self.address)
                self.serving = False
                if self.description is not None or state is grpc.ChannelConnectivity.TRANSIENT_FAILURE:
                    self.problem = f"nothing answers at {self.address}"
            elif not self.serving:
                try:
                    await self.refresh()
                except (StrategyUnreachable, StrategyFailed) as error:
                    self._complain(str(error))
                    await asyncio.sleep(_DESCRIBE_PAUSE_SECONDS)
                except Exception as error:
                    # Whatever it is: nobody else follows this plugin.
                    self._complain(f"the plugin at {self.address}: {type(error).__name__}: {error}")
                    await asyncio.sleep(_DESCRIBE_PAUSE_SECONDS)
                continue
            await self._channel.wait_for_state_change(state)

    def _complain(self, problem: str) -> None:
        if problem != self.problem:
            _log.warning("%s", problem)
        self.problem = problem

    async def _call(self, call: Awaitable[Any], seconds: float) -> Any:
        who = f"strategy {self.name}" if self.name else f"the plugin at {self.address}"
        try:
            answer = await call
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.UNAVAILABLE:
                raise StrategyUnreachable(f"{who} cannot be reached: {error.details()}") from None
            if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
                raise StrategyFailed(f"{who} did not answer within {seconds:g} s") from None
            raise StrategyFailed(f"{who} failed: {error.code().name}: {error.details()}") from None
        if answer is None:
            # grpc.aio's way to say that the bytes are no message of the kind.
            raise StrategyFailed(f"{who} gave an answer that cannot be read")
        return answer
