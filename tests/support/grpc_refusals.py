"""What a refused call was sent, taken apart."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import grpc
from google.rpc import error_details_pb2, status_pb2


class Refused:
    """Code, sentence and details of a call that ended in an error."""

    def __init__(self, error: grpc.aio.AioRpcError) -> None:
        self.code = error.code()
        self.sentence = error.details() or ""
        self.violations: dict[str, str] = {}
        self.reason = self.domain = ""
        self.retry_after_seconds: float | None = None
        for key, value in error.trailing_metadata() or ():
            if key == "grpc-status-details-bin":
                self._read(status_pb2.Status.FromString(value))

    def _read(self, status: status_pb2.Status) -> None:
        assert status.code == self.code.value[0]
        for detail in status.details:
            info, faults = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
            retry = error_details_pb2.RetryInfo()
            if detail.Unpack(info):
                self.reason, self.domain = info.reason, info.domain
            elif detail.Unpack(faults):
                self.violations = {fault.field: fault.description for fault in faults.field_violations}
            elif detail.Unpack(retry):
                self.retry_after_seconds = retry.retry_delay.ToNanoseconds() / 1e9


async def refusal_of(call: Awaitable[Any]) -> Refused:
    """The refusal that the call must end in."""
    try:
        answer = await call
    except grpc.aio.AioRpcError as error:
        return Refused(error)
    raise AssertionError(f"was not refused: {answer}")


async def until(
    condition: Callable[[], Coroutine[Any, Any, Any]], what: str = "a condition", seconds: float = 30.0
) -> Any:
    """The condition's first true value; the deadline is far beyond what it should take."""
    deadline = time.monotonic() + seconds
    while not (value := await condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {seconds:g} s for {what} in vain")
        await asyncio.sleep(0.02)
    return value
