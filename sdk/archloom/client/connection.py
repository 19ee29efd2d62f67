"""One channel to the server, with deadlines and safe retries. The services of the client share it."""

from __future__ import annotations

import os
import random
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

import grpc
from google.protobuf.message import Message

from archloom.client.failures import error_of
from archloom.errors import ArchloomError, InvalidInput, ResourceExhausted, Unavailable, Violation

DEFAULT_SERVER = "127.0.0.1:7461"
#: Largest message either side sends (an upload's chunk is at most 3 MiB).
MAX_MESSAGE_BYTES = 16 * 1024 * 1024

Request = TypeVar("Request", bound=Message)
Response = TypeVar("Response", bound=Message)


@dataclass(frozen=True)
class Backoff:
    """Full-jitter exponential pauses (Brooker, "Exponential Backoff And Jitter", 2015), in seconds."""

    first_seconds: float = 0.1
    longest_seconds: float = 5.0
    attempts: int = 5

    def pause(self, failures: int, rng: random.Random, at_least: float | None) -> float:
        """Seconds to wait after that many failures; never less than the server asked for."""
        # 2**failures leaves the float range after a thousand tries; the cap is long reached by then.
        ceiling = min(self.longest_seconds, self.first_seconds * 2.0 ** min(failures - 1, 30))
        return max(rng.uniform(ceiling / 10, ceiling), at_least or 0.0)


@dataclass
class Connection:
    """What every service of the client calls through.

    A call that fails for a passing reason is repeated: mutating requests carry a request id, so that the
    server gives a repeated one the answer of the first.
    """

    channel: grpc.Channel
    server: str
    token: str | None = None
    timeout_seconds: float = 30.0
    backoff: Backoff = Backoff()
    rng: random.Random = field(default_factory=random.SystemRandom)
    sleep: Callable[[float], None] = time.sleep
    monotonic: Callable[[], float] = time.monotonic

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        return (("authorization", f"Bearer {self.token}"),) if self.token else ()

    def call(
        self,
        method: grpc.UnaryUnaryMultiCallable[Request, Response],
        request: Request,
        timeout_seconds: float | None = None,
    ) -> Response:
        """One answer, or an error of `archloom.errors`. `timeout_seconds` bounds all tries together."""
        deadline = self.monotonic() + (timeout_seconds or self.timeout_seconds)
        failures = 0
        while True:
            try:
                left = max(deadline - self.monotonic(), 0.001)
                return method(request, timeout=left, metadata=self.metadata)
            except grpc.RpcError as failure:
                failures += 1
                error = error_of(failure, self.server)
                if not _passing(error) or failures >= self.backoff.attempts:
                    raise error from None
                pause = self.backoff.pause(failures, self.rng, error.retry_after_seconds)
                if self.monotonic() + pause >= deadline:
                    raise error from None
            self.sleep(pause)

    def stream(
        self, method: grpc.UnaryStreamMultiCallable[Request, Response], request: Request
    ) -> Iterator[Response]:
        """The answers of one stream as they come. Failures are raised; going on is the caller's matter."""
        try:
            yield from method(request, timeout=None, metadata=self.metadata)
        except grpc.RpcError as failure:
            raise error_of(failure, self.server) from None


def _passing(error: ArchloomError) -> bool:
    """Whether the same call may succeed a little later."""
    if isinstance(error, ResourceExhausted):
        return error.retry_after_seconds is not None
    return isinstance(error, Unavailable)


def new_request_id() -> str:
    """The id under which a mutating call may be repeated."""
    return uuid.uuid4().hex


def open_channel(server: str, further: Mapping[str, int] | None = None) -> grpc.Channel:
    """A channel to ``HOST:PORT`` in the clear, or to ``https://HOST:PORT`` over TLS.

    ARCHLOOM_TLS_CA names a file with the certificates to trust in place of the system's. ``further`` are more
    of gRPC's options. Raises InvalidInput.
    """
    options = {
        "grpc.max_receive_message_length": MAX_MESSAGE_BYTES,
        "grpc.max_send_message_length": MAX_MESSAGE_BYTES,
        # A watch may be silent for long: pings tell a dead peer from a quiet one.
        "grpc.keepalive_time_ms": 30_000,
        "grpc.keepalive_timeout_ms": 10_000,
        **(further or {}),
    }
    scheme, separator, address = server.rpartition("://")
    if not separator or scheme == "http":
        return grpc.insecure_channel(address, list(options.items()))
    if scheme != "https":
        raise InvalidInput([Violation("server", f"{server!r} must be HOST:PORT or https://HOST:PORT")])
    credentials = grpc.ssl_channel_credentials(trusted_certificates())
    return grpc.secure_channel(address, credentials, list(options.items()))


def trusted_certificates() -> bytes | None:
    """What ARCHLOOM_TLS_CA names; None, the system's, where it is not set. Raises InvalidInput."""
    authority = os.environ.get("ARCHLOOM_TLS_CA")
    if not authority:
        return None
    try:
        with open(authority, "rb") as file:
            return file.read()
    except OSError as error:
        raise InvalidInput([Violation("ARCHLOOM_TLS_CA", f"cannot be read: {error.strerror}")]) from None
