"""What a controller needs before it can serve. What is missing is told in a sentence that says what to do."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import grpc
from kombu.connection import Connection
from prometheus_client import CollectorRegistry, start_http_server
from pymongo import AsyncMongoClient
from pymongo.errors import ConfigurationError, InvalidURI, OperationFailure, PyMongoError
from pymongo.uri_parser import parse_uri

from archloom_controller.artifacts.blobs import Blobs
from archloom_controller.settings import Settings, StartupError, split_address

_PATIENCE_SECONDS = 5.0
#: An election takes a few seconds; calls wait for the new primary rather than fail.
_SELECTION_MS = 10000
_TAKEN = "the port is taken, or the address is not this machine's"


async def open_database(settings: Settings) -> AsyncMongoClient[dict[str, Any]]:
    """A client of a MongoDB replica set that answers. Raises StartupError."""
    uri = settings.mongodb_uri
    try:
        hosts = ", ".join(f"{host}:{port}" for host, port in parse_uri(uri)["nodelist"])
        client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(
            uri, tz_aware=True, serverSelectionTimeoutMS=_SELECTION_MS, appname="archloom-controller"
        )
    except (InvalidURI, ConfigurationError, ValueError) as error:
        raise StartupError(f"ARCHLOOM_MONGODB_URI is not a MongoDB URI: {error}") from None
    try:
        async with asyncio.timeout(_PATIENCE_SECONDS):
            hello = await client.admin.command("hello")
            # Asks for what needs a user, where users are asked for.
            await client[settings.mongodb_database].list_collection_names()
    except OperationFailure as error:
        await client.close()
        why = (error.details or {}).get("errmsg", "no reason is given")
        raise StartupError(f"MongoDB at {hosts} refuses ARCHLOOM_MONGODB_URI: {why}") from None
    except (PyMongoError, TimeoutError):
        await client.close()
        raise StartupError(
            f"MongoDB does not answer at {hosts}: start mongod there, or set ARCHLOOM_MONGODB_URI"
        ) from None
    if "setName" not in hello:
        await client.close()
        raise StartupError(
            f"MongoDB at {hosts} is not a replica set, which transactions need: start mongod with --replSet"
            " and run rs.initiate() once"
        )
    return client


async def check_broker(settings: Settings) -> None:
    """Whether Celery's broker answers. Raises StartupError."""
    if not settings.broker_url:
        return
    await asyncio.to_thread(_check_broker, settings.broker_url)


def _check_broker(url: str) -> None:
    shown = "the address of ARCHLOOM_BROKER_URL"
    try:
        connection: Any = Connection(url, connect_timeout=_PATIENCE_SECONDS)  # type: ignore[no-untyped-call]
        shown = connection.as_uri()
        with connection:
            connection.ensure_connection(max_retries=1, interval_start=0, timeout=_PATIENCE_SECONDS)
    except Exception as error:
        raise StartupError(
            f"the broker does not answer at {shown}: start Redis or RabbitMQ there, or set"
            f" ARCHLOOM_BROKER_URL ({type(error).__name__}: {error})"
        ) from None


def open_blobs(settings: Settings) -> Blobs:
    """The place of artifacts. Raises StartupError."""
    try:
        return Blobs(settings.artifacts)
    except (OSError, ValueError, ImportError) as error:
        raise StartupError(f"ARCHLOOM_ARTIFACTS cannot be used: {error}") from None


def bind(server: grpc.aio.Server, settings: Settings) -> int:
    """Take the listening port; its number. Raises StartupError."""
    credentials = _credentials(settings)
    try:
        _probe(settings.listen)
        if credentials is None:
            return server.add_insecure_port(settings.listen)
        try:
            return server.add_secure_port(settings.listen, credentials)
        except RuntimeError:
            raise StartupError(
                "ARCHLOOM_TLS_CERTIFICATE and ARCHLOOM_TLS_KEY are not a certificate and its key, in PEM"
            ) from None
    except (RuntimeError, OSError):
        raise StartupError(
            f"cannot listen on {settings.listen}: {_TAKEN}; stop what listens there, or set ARCHLOOM_LISTEN"
        ) from None


def _probe(address: str) -> None:
    """Whether the port is free: gRPC would say so too, but in lines of its own. Raises OSError."""
    host, port = split_address(address)
    family, kind, protocol, _, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    with socket.socket(family, kind, protocol) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(place)


def _credentials(settings: Settings) -> grpc.ServerCredentials | None:
    if settings.tls_certificate is None or settings.tls_key is None:
        return None
    try:
        pair = (settings.tls_key.read_bytes(), settings.tls_certificate.read_bytes())
    except OSError as error:
        raise StartupError(f"a file of TLS cannot be read: {error}") from None
    return grpc.ssl_server_credentials([pair])


def serve_metrics(settings: Settings, registry: CollectorRegistry) -> Any:
    """The HTTP server that Prometheus reads, or None when it is off. Raises StartupError."""
    if not settings.metrics_listen:
        return None
    host, port = split_address(settings.metrics_listen)
    try:
        server, _ = start_http_server(port or 0, host, registry)
    except OSError:
        raise StartupError(
            f"cannot listen on {settings.metrics_listen}: {_TAKEN}; stop what listens there,"
            " or set ARCHLOOM_METRICS_LISTEN"
        ) from None
    return server
