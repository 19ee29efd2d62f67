"""What every call of the public API goes through: who calls, is the request sound, the handler, its errors.

One interceptor does it all, in this order, because each layer of interceptors costs every call. Handlers
only raise; they see requests that keep the protos' rules.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from typing import Any, TypeAlias

import grpc
from archloom.errors import InvalidInput, Unauthenticated
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message import DecodeError

from archloom_controller.metrics import Metrics
from archloom_controller.rpc.caller import Caller, Gate, set_broken_rules, set_caller
from archloom_controller.rpc.errors import refusal
from archloom_controller.rpc.rules import Rules, rules_pool

_log = logging.getLogger(__name__)

# Which of its four callables a handler has depends on its shape; the stubs cannot say.
Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"

_OURS = "/archloom.v1."
#: Services that answer without a token: probes carry none.
_OPEN = ("/grpc.health.v1.",)
#: Their handlers check the rules: because the answer lists every fault, because only the fields of an update
#: mask count, or because one bad message of a plugin voids a step and not its stream.
_CHECK_THEMSELVES = frozenset(
    {"CreateExperiment", "ValidateExperiment", "UpdateExperiment", "ValidateSpace", "Attach"}
)
#: Calls that change nothing may simply be dropped when the caller leaves. So may the wait for a lease: a
#: lease whose answer is lost comes back with its request_id, or to the reaper; and none may go to a worker
#: that has left.
_DROPPED = (
    "Get",
    "List",
    "Validate",
    "Describe",
    "Sample",
    "Mutate",
    "Cross",
    "Encode",
    "Enumerate",
    "LeaseTrials",
)


class Edge(grpc.aio.ServerInterceptor):
    """Authenticates, validates, shields, measures, and turns errors into statuses."""

    def __init__(self, gate: Gate, rules: Rules, metrics: Metrics, clock: Callable[[], float]) -> None:
        self._gate = gate
        self._rules = rules
        self._metrics = metrics
        self._clock = clock
        self._handlers: dict[str, Handler] = {}
        self._running: set[asyncio.Task[Any]] = set()

    async def drain(self, seconds: float) -> None:
        """Wait until handlers whose callers left have come to their end, for at most that long."""
        if self._running:
            await asyncio.wait(set(self._running), timeout=seconds)

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler | None:
        path = handler_call_details.method
        known = self._handlers.get(path)
        if known is not None:
            return known
        handler = await continuation(handler_call_details)
        if handler is None:
            return handler
        if path.startswith(_OURS):
            handler = self._wrap(path, handler)
        elif not path.startswith(_OPEN):
            handler = self._guard(path, handler)
        self._handlers[path] = handler
        return handler

    def _wrap(self, path: str, handler: Any) -> Handler:
        method = _method(path)
        call = _Call(self, method, handler)
        answer = handler.response_serializer
        if handler.request_streaming:
            converse: Any = call.converse
            return grpc.stream_stream_rpc_method_handler(converse, None, answer)
        if handler.response_streaming:
            stream: Any = call.stream
            return grpc.unary_stream_rpc_method_handler(stream, None, answer)
        return grpc.unary_unary_rpc_method_handler(call.unary, None, answer)

    def _guard(self, path: str, handler: Any) -> Handler:
        """A service of others (reflection, channelz): only the token is looked at."""
        if handler.request_streaming and handler.response_streaming:

            async def converse(requests: Any, context: Any) -> Any:
                await self._admit(path, context)
                async for answer in handler.stream_stream(requests, context):
                    yield answer

            return grpc.stream_stream_rpc_method_handler(
                converse, handler.request_deserializer, handler.response_serializer
            )

        async def unary(request: Any, context: Any) -> Any:
            await self._admit(path, context)
            answer = handler.unary_unary(request, context)
            return await answer if asyncio.iscoroutine(answer) else answer

        return grpc.unary_unary_rpc_method_handler(
            unary, handler.request_deserializer, handler.response_serializer
        )

    async def _admit(self, path: str, context: Any) -> None:
        try:
            self._gate.principal(context.invocation_metadata() or ())
        except Unauthenticated as error:
            end = refusal(error, path)
            await context.abort(end.code, end.sentence, end.metadata)

    def admit(self, context: Any) -> Caller:
        """Who calls, made current for the handler. Raises Unauthenticated."""
        caller = Caller(self._gate.principal(context.invocation_metadata() or ()))
        set_caller(caller)
        return caller

    def parse(self, method: MethodDescriptor, handler: Any, data: bytes) -> Any:
        """The request, if it keeps the rules or its handler reports them. Raises InvalidInput."""
        faults = self._rules.parse(method.input_type.full_name, data)
        if faults and (method.name not in _CHECK_THEMSELVES or not _readable(handler, data)):
            raise InvalidInput(faults)
        set_broken_rules(faults)
        return handler.request_deserializer(data)

    async def shielded(self, caller: Caller, name: str, work: Awaitable[Any]) -> Any:
        """Run to a known outcome even when the caller leaves: it may have the effect in hand already."""
        task = asyncio.ensure_future(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            caller.gone.set()
            task.add_done_callback(lambda ended: _log_outcome(name, ended))
            raise

    def measure(self, name: str, code: str, started: float) -> None:
        self._metrics.rpc(name, code, self._clock() - started)

    def now(self) -> float:
        return self._clock()


class _Ending:
    """Sees a call's end: measures it, and sends its error as a status."""

    def __init__(self, edge: Edge, name: str, context: Any) -> None:
        self._edge = edge
        self._name = name
        self._context = context
        self._started = 0.0

    async def __aenter__(self) -> None:
        self._started = self._edge.now()

    async def __aexit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        code, end = "OK", None
        if isinstance(error, grpc.aio.AbortError):
            code = "ABORTED_BY_HANDLER"
        elif isinstance(error, Exception):
            end = refusal(error, self._name)
            code = end.code.name
        elif error is not None:
            code = "CANCELLED"
        self._edge.measure(self._name, code, self._started)
        if end is not None:
            await self._context.abort(end.code, end.sentence, end.metadata)


class _Call:
    """One method's way through the edge, in its three shapes."""

    def __init__(self, edge: Edge, method: MethodDescriptor, handler: Any) -> None:
        self._edge = edge
        self._method = method
        self._handler = handler
        self._name = f"{method.containing_service.name}/{method.name}"
        self._dropped = method.name.startswith(_DROPPED)

    async def unary(self, data: bytes, context: Any) -> Any:
        edge = self._edge
        async with _Ending(edge, self._name, context):
            caller = edge.admit(context)
            request = edge.parse(self._method, self._handler, data)
            work = self._handler.unary_unary(request, context)
            return await (work if self._dropped else edge.shielded(caller, self._name, work))

    async def stream(self, data: bytes, context: Any) -> AsyncIterator[Any]:
        edge = self._edge
        async with _Ending(edge, self._name, context):
            edge.admit(context)
            request = edge.parse(self._method, self._handler, data)
            async with aclosing(self._handler.unary_stream(request, context)) as answers:
                async for answer in answers:
                    yield answer

    async def converse(self, requests: AsyncIterator[bytes], context: Any) -> AsyncIterator[Any]:
        edge = self._edge
        async with _Ending(edge, self._name, context):
            edge.admit(context)
            parsed = self._parsed(requests)
            async with aclosing(self._handler.stream_stream(parsed, context)) as answers:
                async for answer in answers:
                    yield answer

    async def _parsed(self, requests: AsyncIterator[bytes]) -> AsyncIterator[Any]:
        async for data in requests:
            yield self._edge.parse(self._method, self._handler, data)


def _method(path: str) -> MethodDescriptor:
    service, _, name = path[1:].partition("/")
    descriptor: ServiceDescriptor = rules_pool().FindServiceByName(service)
    return descriptor.methods_by_name[name]


def _readable(handler: Any, data: bytes) -> bool:
    try:
        handler.request_deserializer(data)
    except DecodeError:
        return False
    return True


def _log_outcome(name: str, ended: asyncio.Task[Any]) -> None:
    if ended.cancelled():
        _log.warning("%s was stopped after its caller had left", name)
    elif ended.exception() is not None:
        _log.warning("%s failed after its caller had left: %s", name, ended.exception())
    else:
        _log.info("%s came to its end after its caller had left", name)
