"""A plugin that called in: requests go down its stream by number, answers come back in any order."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

from archloom.v1 import strategy_pb2

from archloom_controller.interfaces import StrategyFailed, StrategyUnreachable


class AttachedPlugin:
    """Lives as long as its stream; ``lose`` ends every call that still waits."""

    address = ""

    def __init__(self, description: strategy_pb2.StrategyDescription) -> None:
        self.description: strategy_pb2.StrategyDescription = description
        self.serving = True
        self.problem = ""
        self.outgoing: asyncio.Queue[strategy_pb2.AttachResponse | None] = asyncio.Queue()
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[strategy_pb2.AttachAnswer]] = {}

    @property
    def name(self) -> str:
        return self.description.name

    async def validate(
        self, request: strategy_pb2.ValidateStrategyRequest, seconds: float
    ) -> strategy_pb2.ValidateStrategyResponse:
        answer = await self._ask("validate", seconds, validate=request)
        return answer.validate

    async def propose(self, request: strategy_pb2.ProposeRequest, seconds: float) -> bytes:
        answer = await self._ask("propose", seconds, propose=request)
        return answer.propose.SerializeToString()

    async def close(self) -> None:
        self.lose("it was unregistered")

    def take(self, answer: strategy_pb2.AttachAnswer) -> None:
        """An answer came. One that nobody waits for any more is dropped."""
        waiting = self._waiting.pop(answer.call, None)
        if waiting is not None and not waiting.done():
            waiting.set_result(answer)

    def lose(self, why: str) -> None:
        """The stream is gone, and with it the plugin."""
        if not self.serving:
            return
        self.serving, self.problem = False, why
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(StrategyUnreachable(f"strategy {self.name} cannot be reached: {why}"))
        self._waiting.clear()
        self.outgoing.put_nowait(None)

    async def _ask(self, outcome: str, seconds: float, **request: Any) -> strategy_pb2.AttachAnswer:
        if not self.serving:
            raise StrategyUnreachable(f"strategy {self.name} cannot be reached: {self.problem}")
        number = next(self._numbers)
        waiting: asyncio.Future[strategy_pb2.AttachAnswer] = asyncio.get_running_loop().create_future()
        self._waiting[number] = waiting
        self.outgoing.put_nowait(strategy_pb2.AttachResponse(call=number, **request))
        try:
            async with asyncio.timeout(seconds):
                answer = await waiting
        except TimeoutError:
            raise StrategyFailed(f"strategy {self.name} did not answer within {seconds:g} s") from None
        finally:
            self._waiting.pop(number, None)
        given = answer.WhichOneof("outcome")
        if given == "error":
            raise StrategyFailed(f"strategy {self.name} failed: {answer.error}")
        if given != outcome:
            raise StrategyFailed(
                f"strategy {self.name} answered {given or 'nothing'} where {outcome} was asked"
            )
        return answer
