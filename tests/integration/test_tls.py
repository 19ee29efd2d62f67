"""Over TLS: controller, worker, a strategy that calls out, client and command line."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme
from archloom.client import Client
from archloom.errors import Unavailable
from archloom_local.process import Process, free_port
from archloom_local.stack import LocalStack
from command_line import archloom
from searches import ended, table_search
from waiting import wait_for


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ca.pem, and server.pem and server.key for 127.0.0.1."""
    folder = tmp_path_factory.mktemp("certificates")
    made = trustme.CA()
    made.cert_pem.write_to_path(folder / "ca.pem")
    server = made.issue_cert("127.0.0.1")
    server.private_key_pem.write_to_path(folder / "server.key")
    for number, part in enumerate(server.cert_chain_pems):
        part.write_to_path(folder / "server.pem", append=number > 0)
    return folder


@pytest.fixture(scope="module")
def environment(
    stack: LocalStack, authority: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, str]]:
    """Of a client of a controller and a worker of their own, that speak TLS."""
    folder = tmp_path_factory.mktemp("tls")
    address = f"127.0.0.1:{free_port()}"
    told = {
        **stack.environment,
        "ARCHLOOM_SERVER": f"https://{address}",
        "ARCHLOOM_TLS_CA": str(authority / "ca.pem"),
    }
    controller = Process(
        "controller",
        [sys.executable, "-m", "archloom_controller"],
        folder / "controller.log",
        {
            **told,
            "ARCHLOOM_LISTEN": address,
            "ARCHLOOM_MONGODB_URI": stack.mongod.uri,
            "ARCHLOOM_MONGODB_DATABASE": "tls",
            "ARCHLOOM_ARTIFACTS": str(folder / "artifacts"),
            "ARCHLOOM_REPLICA": "tls",
            "ARCHLOOM_TLS_CERTIFICATE": str(authority / "server.pem"),
            "ARCHLOOM_TLS_KEY": str(authority / "server.key"),
        },
    )
    worker = Process(
        "worker",
        [sys.executable, "-m", "archloom_evaluators"],
        folder / "worker.log",
        {**told, "ARCHLOOM_DEVICE_CLASS": "encrypted"},
    )
    strategy = Process(
        "strategy",
        [
            sys.executable, "-m", "archloom.cli", "serve-strategy",
            "archloom_strategies.random_search:RandomSearch", "--attach", f"https://{address}",
        ],
        folder / "strategy.log",
        told,
    )  # fmt: skip
    processes = [controller, worker, strategy]
    try:
        controller.start()
        wait_for(
            lambda: archloom("experiments", "list", environment=told).returncode == 0, 60, "the controller"
        )
        worker.start()
        strategy.start()
        yield told
    finally:
        for process in reversed(processes):
            process.stop()


@pytest.fixture
def encrypted(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    monkeypatch.setenv("ARCHLOOM_TLS_CA", environment["ARCHLOOM_TLS_CA"])
    with Client(environment["ARCHLOOM_SERVER"]) as client:
        yield client


def test_a_whole_search(encrypted: Client, table: Path) -> None:
    spec = table_search(
        table,
        strategy={"name": "random"},
        budget={"trials": 10},
        control="none",
        finalists={"count": 1, "seeds": 1},
        evaluator={
            "kind": "table",
            "device_class": "encrypted",
            "settings": table_search(table).to_dict()["evaluator"]["settings"],
        },
    )
    wait_for(lambda: not encrypted.experiments.validate(spec), 60, "worker and strategy to be connected")
    name = encrypted.experiments.create(spec).name
    assert ended(encrypted, name).state == "succeeded"
    assert encrypted.experiments.report(name).winner


@pytest.mark.parametrize("scheme", ["https://", ""])
def test_who_does_not_trust_or_does_not_encrypt_gets_no_answer(
    environment: dict[str, str], monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    """Without the authority's certificate, and in the clear."""
    monkeypatch.delenv("ARCHLOOM_TLS_CA", raising=False)
    address = environment["ARCHLOOM_SERVER"].removeprefix("https://")
    with Client(f"{scheme}{address}") as stranger, pytest.raises(Unavailable):
        list(stranger.experiments.list())
