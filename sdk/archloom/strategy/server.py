"""StrategyService over gRPC for one strategy. Propose, stop, start again: nothing is held that a request
does not bring back.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import TypeVar

import grpc
from google.protobuf import any_pb2
from google.protobuf.message import Message
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_status import rpc_status

from archloom.errors import ArchloomError, InvalidInput, Unavailable, Violation
from archloom.strategy.plugin import Plugin
from archloom.v1 import strategy_pb2

log = logging.getLogger("archloom.strategy")

SERVICE = "archloom.v1.StrategyService"
# An answer carries the state (3 MiB) and its proposals.
MAX_ANSWER_BYTES = 16 * 1024 * 1024
# A request carries a page of the log; all of it, where calls to one address reach several replicas in turn.
MAX_REQUEST_BYTES = 256 * 1024 * 1024

Request = TypeVar("Request", bound=Message)
Response = TypeVar("Response", bound=Message)


class StrategyServer:
    """Listens on ``HOST:PORT`` (port 0 takes a free one) from ``start`` to ``stop``; a context manager does
    both.

    Raises Unavailable when the port is taken. Without TLS (ARCHLOOM_TLS_CERTIFICATE, ARCHLOOM_TLS_KEY) only
    loopback is allowed.
    """

    def __init__(
        self,
        plugin: Plugin,
        listen: str = "127.0.0.1:0",
        *,
        threads: int = 8,
    ) -> None:
        self._plugin = plugin
        self._health = health.HealthServicer()
        # Without SO_REUSEPORT a taken port is an error, not a second listener that steals half the calls.
        self._server = grpc.server(
            ThreadPoolExecutor(max_workers=threads, thread_name_prefix="strategy"),
            options=[
                ("grpc.so_reuseport", 0),
                ("grpc.max_receive_message_length", MAX_REQUEST_BYTES),
                ("grpc.max_send_message_length", MAX_ANSWER_BYTES),
                # The controller pings while it waits for a slow answer; by default that would cut it off.
                ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
            ],
        )
        self._server.add_generic_rpc_handlers((self._handlers(),))
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        self.address = self._bind(listen)

    def start(self) -> None:
        self._server.start()
        for service in ("", SERVICE):
            self._health.set(service, health_pb2.HealthCheckResponse.SERVING)

    def stop(self, grace_seconds: float = 5.0) -> None:
        self._health.enter_graceful_shutdown()
        self._server.stop(grace_seconds).wait()

    def __enter__(self) -> StrategyServer:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop(grace_seconds=0.5)

    def _bind(self, listen: str) -> str:
        host, colon, port = listen.rpartition(":")
        if not colon or not host or not port.isdecimal():
            raise InvalidInput([Violation("listen", f"{listen!r} is not of the form HOST:PORT")])
        credentials = _credentials()
        if credentials is None and host not in ("127.0.0.1", "localhost", "[::1]"):
            raise InvalidInput(
                [
                    Violation(
                        "listen",
                        f"{host} can be reached from other machines: listen on 127.0.0.1, "
                        "or set ARCHLOOM_TLS_CERTIFICATE and ARCHLOOM_TLS_KEY",
                    )
                ]
            )
        try:
            if credentials is None:
                bound = self._server.add_insecure_port(listen)
            else:
                bound = self._server.add_secure_port(listen, credentials)
        except RuntimeError:
            raise Unavailable(
                f"cannot listen on {listen}: the port is taken, or the address is not this machine's"
            ) from None
        return f"{host}:{bound}"

    def _handlers(self) -> grpc.GenericRpcHandler:
        return grpc.method_handlers_generic_handler(
            SERVICE,
            {
                "DescribeStrategy": _handler(strategy_pb2.DescribeStrategyRequest, self._describe),
                "ValidateStrategy": _handler(strategy_pb2.ValidateStrategyRequest, self._plugin.validate),
                "Propose": _handler(strategy_pb2.ProposeRequest, self._plugin.propose),
            },
        )

    def _describe(
        self, request: strategy_pb2.DescribeStrategyRequest
    ) -> strategy_pb2.DescribeStrategyResponse:
        return strategy_pb2.DescribeStrategyResponse(description=self._plugin.describe())


def _handler(
    kind: type[Request], call: Callable[[Request], Response]
) -> grpc.RpcMethodHandler[Request, Response]:
    def handle(request: Request, context: grpc.ServicerContext) -> Response:
        try:
            return call(request)
        except ArchloomError as error:
            context.abort_with_status(rpc_status.to_status(_status(error)))

    # Deterministic bytes: equal answers are equal on the wire, maps included.
    return grpc.unary_unary_rpc_method_handler(
        handle,
        request_deserializer=kind.FromString,
        response_serializer=lambda response: response.SerializeToString(deterministic=True),
    )


def _status(error: ArchloomError) -> status_pb2.Status:
    details: list[Message] = [error_details_pb2.ErrorInfo(reason=error.reason, domain="archloom")]
    if isinstance(error, InvalidInput):
        details.append(
            error_details_pb2.BadRequest(
                field_violations=[
                    error_details_pb2.BadRequest.FieldViolation(field=each.field, description=each.message)
                    for each in error.violations
                ]
            )
        )
    status = status_pb2.Status(code=code_pb2.Code.Value(error.code), message=error.message)
    for detail in details:
        packed = any_pb2.Any()
        packed.Pack(detail)
        status.details.append(packed)
    return status


def _credentials() -> grpc.ServerCredentials | None:
    certificate, key = os.environ.get("ARCHLOOM_TLS_CERTIFICATE"), os.environ.get("ARCHLOOM_TLS_KEY")
    if not certificate and not key:
        return None
    if not certificate or not key:
        raise InvalidInput(
            [Violation("", "set both ARCHLOOM_TLS_CERTIFICATE and ARCHLOOM_TLS_KEY, or neither")]
        )
    try:
        return grpc.ssl_server_credentials([(Path(key).read_bytes(), Path(certificate).read_bytes())])
    except OSError as error:
        raise InvalidInput([Violation("", f"cannot read the TLS files: {error}")]) from None
