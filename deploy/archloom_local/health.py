"""Whether a part of the stack serves."""

from __future__ import annotations

import http.client

import grpc
from archloom.v1 import registry_pb2, registry_pb2_grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

_CALL_SECONDS = 2.0


def _metadata(token: str) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {token}"),) if token else ()


def serves(address: str) -> bool:
    """Whether the gRPC server at HOST:PORT says that it is healthy."""
    with grpc.insecure_channel(address) as channel:
        try:
            answer = health_pb2_grpc.HealthStub(channel).Check(
                health_pb2.HealthCheckRequest(), timeout=_CALL_SECONDS
            )
        except grpc.RpcError:
            return False
    return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


def devices(address: str, token: str = "") -> dict[str, int]:
    """Workers by device class, as the controller at HOST:PORT knows them; empty when it cannot be reached."""
    with grpc.insecure_channel(address) as channel:
        try:
            answer = registry_pb2_grpc.RegistryServiceStub(channel).ListDevices(
                registry_pb2.ListDevicesRequest(page_size=1000),
                timeout=_CALL_SECONDS,
                metadata=_metadata(token),
            )
        except grpc.RpcError:
            return {}
    return {device.name.removeprefix("devices/"): device.workers for device in answer.devices}


def offers_evaluators(address: str, token: str = "") -> bool:
    """Whether a worker has told the controller at HOST:PORT what it evaluates."""
    with grpc.insecure_channel(address) as channel:
        try:
            answer = registry_pb2_grpc.RegistryServiceStub(channel).ListDatasets(
                registry_pb2.ListDatasetsRequest(page_size=1),
                timeout=_CALL_SECONDS,
                metadata=_metadata(token),
            )
        except grpc.RpcError:
            return False
    return len(answer.datasets) > 0


def page(address: str, path: str) -> str | None:
    """The text at http://HOST:PORT/path; None unless it is answered with 200."""
    connection = http.client.HTTPConnection(address, timeout=_CALL_SECONDS)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        text = answer.read().decode(errors="replace")
    except OSError:
        return None
    finally:
        connection.close()
    return text if answer.status == 200 else None
