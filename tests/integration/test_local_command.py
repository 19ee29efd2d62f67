"""`archloom local up|status|down`: it starts, revives what dies, keeps its data, leaves nothing behind."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from archloom.client import Client
from archloom_local.process import free_port
from command_line import archloom
from searches import ended, table_search
from synthetic_table import write_table
from waiting import wait_for


def processes_of(home: Path) -> list[int]:
    """Living processes whose environment or command line names the folder, this one left out."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            words = (entry / "environ").read_bytes() + (entry / "cmdline").read_bytes()
            state = (entry / "stat").read_text().rsplit(")", 1)[1].split()[0]
        except OSError:
            continue
        if str(home).encode() in words and state != "Z" and int(entry.name) != os.getpid():
            found.append(int(entry.name))
    return found


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


def test_up_and_down(home: Path, tmp_path: Path) -> None:
    table = write_table(tmp_path / "nasbench201.csv")
    environment = {"ARCHLOOM_HOME": str(home)}
    port = free_port()
    up = ["local", "up", "--workers", "1", "--port", str(port), "--data-root", str(tmp_path)]
    try:
        started = archloom(*up, environment=environment)
        assert started.returncode == 0, started.stderr
        assert started.stdout == f"ARCHLOOM_SERVER=127.0.0.1:{port}\n"
        again = archloom(*up, environment=environment)
        assert (again.returncode, again.stdout) == (0, started.stdout)
        with Client(f"127.0.0.1:{port}") as client:
            name = client.experiments.create(table_search(table, budget={"trials": 20})).name
            assert ended(client, name).state == "succeeded"

        told = json.loads(archloom("local", "status", "--json", environment=environment).stdout)
        assert told["serving"]
        parts = {part["name"]: part for part in told["parts"]}
        assert {"mongod", "redis", "controller-1", "worker-1", "strategy-random"} <= set(parts)

        # A part that dies is started again.
        os.kill(parts["controller-1"]["pid"], signal.SIGKILL)

        def revived() -> bool:
            status = archloom("local", "status", "--json", environment=environment)
            if status.returncode != 0:
                return False
            fresh = {part["name"]: part["pid"] for part in json.loads(status.stdout)["parts"]}
            return bool(fresh["controller-1"] != parts["controller-1"]["pid"])

        wait_for(revived, 60, "the controller to be started again")

        assert archloom("local", "down", environment=environment).returncode == 0
        assert processes_of(home) == []
        assert archloom("local", "status", environment=environment).returncode == 1

        started = archloom(*up, environment=environment)
        assert started.returncode == 0, started.stderr
        with Client(f"127.0.0.1:{port}") as client:
            assert client.experiments.get(name).state == "succeeded"

        # Killed, it cannot end its parts itself.
        told = json.loads(archloom("local", "status", "--json", environment=environment).stdout)
        os.kill(told["pid"], signal.SIGKILL)
        wait_for(lambda: processes_of(home) == [], 30, "the parts of a killed stack to end")
        assert archloom("local", "status", environment=environment).returncode == 1
    finally:
        archloom("local", "down", environment=environment)


def test_a_taken_port_is_one_sentence(home: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        ran = archloom("local", "up", "--port", str(port), environment={"ARCHLOOM_HOME": str(home)})
    assert ran.returncode == 1
    assert ran.stderr.strip().splitlines()[-1].startswith(f"Port {port} is taken:")
    assert "Traceback" not in ran.stderr
    assert processes_of(home) == []


def test_a_missing_server_is_one_sentence(home: Path) -> None:
    """An installation without the packages that carry mongod and Redis, on a system without its own."""
    environment = {"ARCHLOOM_HOME": str(home), "PATH": ""}
    hide = "import sys; sys.modules['fiftyone'] = None; sys.argv = ['local', 'up', '--foreground']; "
    ran = subprocess.run(
        [sys.executable, "-c", hide + "from archloom_local.cli import app; app()"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 1
    assert ran.stderr.startswith("There is no mongod: install MongoDB 6")
    assert len(ran.stderr.strip().splitlines()) <= 2
