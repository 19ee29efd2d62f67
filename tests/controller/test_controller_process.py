"""The process as an operator meets it: starting, failing to start, stopping, being probed and scraped."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from archloom.v1 import registry_pb2, registry_pb2_grpc
from archloom_controller.server import Controller
from archloom_controller.settings import Settings, StartupError
from archloom_local.mongod import Mongod
from archloom_local.process import Process, free_port
from archloom_local.redis import Redis
from grpc_channelz.v1 import channelz_pb2, channelz_pb2_grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from grpc_refusals import refusal_of, until

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


@pytest.fixture
def environment(mongod: Mongod, redis: Redis, tmp_path: Path) -> dict[str, str]:
    """That of a controller which starts."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("ARCHLOOM_")}
    return {
        **clean,
        "ARCHLOOM_LISTEN": f"127.0.0.1:{free_port()}",
        "ARCHLOOM_MONGODB_URI": mongod.uri,
        "ARCHLOOM_MONGODB_DATABASE": "controller-process",
        "ARCHLOOM_BROKER_URL": redis.url,
        "ARCHLOOM_ARTIFACTS": str(tmp_path / "artifacts"),
    }


def failing(environment: dict[str, str], **change: str) -> str:
    """The one line on standard error of a controller that cannot start."""
    ran = subprocess.run(
        [sys.executable, "-m", "archloom_controller"],
        env={**environment, **change},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ran.returncode == 1, ran.stderr
    lines = ran.stderr.strip().splitlines()
    assert len(lines) == 1, ran.stderr
    assert lines[0].startswith("archloom controller: ")
    return lines[0]


def test_a_taken_port_is_told(environment: dict[str, str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        said = failing(environment, ARCHLOOM_LISTEN=address)
        assert address in said
        assert "set ARCHLOOM_LISTEN" in said
        said = failing(environment, ARCHLOOM_METRICS_LISTEN=address)
        assert "set ARCHLOOM_METRICS_LISTEN" in said


def test_a_missing_mongod_is_told_without_the_password(environment: dict[str, str]) -> None:
    address = f"127.0.0.1:{free_port()}"
    said = failing(environment, ARCHLOOM_MONGODB_URI=f"mongodb://me:swordfish@{address}/?replicaSet=rs0")
    assert address in said
    assert "start mongod" in said
    assert "swordfish" not in said


def test_a_missing_broker_is_told_without_the_password(environment: dict[str, str]) -> None:
    port = free_port()
    said = failing(environment, ARCHLOOM_BROKER_URL=f"redis://:swordfish@127.0.0.1:{port}/0")
    assert str(port) in said
    assert "start Redis" in said
    assert "swordfish" not in said


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("ARCHLOOM_MONGODB_URI", "http://x", "ARCHLOOM_MONGODB_URI is not a MongoDB URI"),
        ("ARCHLOOM_LISTEN", "7461", "is not HOST:PORT"),
        ("ARCHLOOM_LISTEN", "0.0.0.0:7461", "loopback only"),
        ("ARCHLOOM_LEASE_SECONDS", "soon", "ARCHLOOM_LEASE_SECONDS"),
        ("ARCHLOOM_STRATEGIES", "somewhere", "is not HOST:PORT"),
        ("ARCHLOOM_ARTIFACTS", "nosuchscheme://x", "ARCHLOOM_ARTIFACTS cannot be used"),
        ("ARCHLOOM_TLS_KEY", "key.pem", "together"),
    ],
)
def test_a_bad_setting_is_told(environment: dict[str, str], name: str, value: str, said: str) -> None:
    assert said in failing(environment, **{name: value})


def test_files_of_tls_that_are_none_are_told(environment: dict[str, str], tmp_path: Path) -> None:
    missing = {"ARCHLOOM_TLS_CERTIFICATE": str(tmp_path / "c"), "ARCHLOOM_TLS_KEY": str(tmp_path / "k")}
    assert str(tmp_path / "k") in failing(environment, **missing)


def test_it_stops_cleanly_when_asked(environment: dict[str, str]) -> None:
    running = subprocess.Popen(
        [sys.executable, "-m", "archloom_controller"], env=environment, stderr=subprocess.PIPE, text=True
    )
    assert running.stderr is not None
    first = running.stderr.readline()
    assert "serves on" in first
    running.send_signal(signal.SIGTERM)
    _, rest = running.communicate(timeout=60)
    assert running.returncode == 0
    assert "Traceback" not in rest


async def test_a_mongod_that_is_no_replica_set_is_told(settings: Settings, tmp_path: Path) -> None:
    from archloom_local.mongod import find_mongod

    port, folder = free_port(), tmp_path / "alone"
    folder.mkdir()
    alone = Process(
        "mongod",
        [find_mongod(), f"--dbpath={folder}", f"--port={port}", "--bind_ip=127.0.0.1", "--nounixsocket"],
        tmp_path / "alone.log",
    )
    alone.start()
    try:
        alone.wait_until(lambda: "Waiting for connections" in alone.log.read_text(), 60, "listening")
        uri = f"mongodb://127.0.0.1:{port}"
        with pytest.raises(StartupError, match="is not a replica set"):
            await Controller(settings.model_copy(update={"mongodb_uri": uri})).start()
    finally:
        alone.stop()


def test_settings_are_read_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARCHLOOM_STRATEGIES", "127.0.0.1:1, host:2,")
    monkeypatch.setenv("ARCHLOOM_DATA_ROOTS", "/a:/b")
    monkeypatch.setenv("ARCHLOOM_TOKEN", "secret")
    settings = Settings.load()
    assert settings.strategies == ("127.0.0.1:1", "host:2")
    assert settings.data_roots == (Path("/a"), Path("/b"))
    assert "secret" not in repr(settings)


async def test_each_service_and_the_whole_are_serving(channel: grpc.aio.Channel) -> None:
    stub: Any = health_pb2_grpc.HealthStub(channel)
    for service in ("", "archloom.v1.ExperimentService", "archloom.v1.SpaceService"):
        told = await stub.Check(health_pb2.HealthCheckRequest(service=service))
        assert told.status == SERVING


async def test_reflection_serves_the_rules_and_channelz_answers(channel: grpc.aio.Channel) -> None:
    reflection: Any = reflection_pb2_grpc.ServerReflectionStub(channel)
    call = reflection.ServerReflectionInfo()
    await call.write(reflection_pb2.ServerReflectionRequest(list_services=""))
    names = [each.name for each in (await call.read()).list_services_response.service]
    assert "archloom.v1.EvaluationService" in names
    assert "grpc.health.v1.Health" in names
    for symbol in ("archloom.v1.ExperimentSpec", "grpc.health.v1.Health"):
        await call.write(reflection_pb2.ServerReflectionRequest(file_containing_symbol=symbol))
        answer = await call.read()
        assert answer.file_descriptor_response.file_descriptor_proto, answer
    await call.write(reflection_pb2.ServerReflectionRequest(file_by_filename="buf/validate/validate.proto"))
    assert (await call.read()).file_descriptor_response.file_descriptor_proto
    await call.done_writing()
    channelz: Any = channelz_pb2_grpc.ChannelzStub(channel)
    told = await channelz.GetServers(channelz_pb2.GetServersRequest())
    assert told.server


async def test_a_token_guards_all_but_health(settings: Settings) -> None:
    controller = Controller(settings.model_copy(update={"token": "secret"}))
    await controller.start()
    async with grpc.aio.insecure_channel(controller.address) as channel:
        registry: Any = registry_pb2_grpc.RegistryServiceStub(channel)
        request = registry_pb2.ListSpacesRequest()
        assert (await refusal_of(registry.ListSpaces(request))).code is grpc.StatusCode.UNAUTHENTICATED
        bearer = (("authorization", "Bearer secret"),)
        await registry.ListSpaces(request, metadata=bearer)
        channelz: Any = channelz_pb2_grpc.ChannelzStub(channel)
        servers = channelz_pb2.GetServersRequest()
        assert (await refusal_of(channelz.GetServers(servers))).code is grpc.StatusCode.UNAUTHENTICATED
        await channelz.GetServers(servers, metadata=bearer)
        reflection: Any = reflection_pb2_grpc.ServerReflectionStub(channel)
        call = reflection.ServerReflectionInfo()
        await call.write(reflection_pb2.ServerReflectionRequest(list_services=""))
        assert (await refusal_of(call.read())).code is grpc.StatusCode.UNAUTHENTICATED
        health: Any = health_pb2_grpc.HealthStub(channel)
        assert (await health.Check(health_pb2.HealthCheckRequest())).status == SERVING
    await controller.stop()


async def test_metrics_are_scraped(settings: Settings) -> None:
    address = f"127.0.0.1:{free_port()}"
    controller = Controller(settings.model_copy(update={"metrics_listen": address}))
    await controller.start()
    async with grpc.aio.insecure_channel(controller.address) as channel:
        registry: Any = registry_pb2_grpc.RegistryServiceStub(channel)
        await registry.ListSpaces(registry_pb2.ListSpacesRequest())

    def scrape() -> str:
        with urllib.request.urlopen(f"http://{address}/metrics", timeout=30) as answer:
            return str(answer.read().decode())

    text = await asyncio.to_thread(scrape)
    assert 'archloom_rpc_seconds_count{code="OK",method="RegistryService/ListSpaces"} 1.0' in text
    assert "archloom_leases_lost_total 0.0" in text
    assert "process_cpu_seconds_total" in text
    await controller.stop()


@pytest.fixture
async def own_mongod(tmp_path: Path) -> AsyncIterator[Mongod]:
    with Mongod(tmp_path / "own") as running:
        yield running


async def test_it_is_not_serving_while_mongod_is_away(settings: Settings, own_mongod: Mongod) -> None:
    controller = Controller(settings.model_copy(update={"mongodb_uri": own_mongod.uri}))
    await controller.start()
    async with grpc.aio.insecure_channel(controller.address) as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)

        async def status() -> int:
            return int((await stub.Check(health_pb2.HealthCheckRequest())).status)

        async def away() -> bool:
            return await status() == NOT_SERVING

        async def back() -> bool:
            return await status() == SERVING

        await asyncio.to_thread(own_mongod.stop)
        await until(away, "NOT_SERVING", seconds=60)
        await asyncio.to_thread(own_mongod.start)
        await until(back, "SERVING", seconds=60)
    await controller.stop()
