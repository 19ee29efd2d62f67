"""The embedded servers: started, restarted, moved, and ended with whoever started them."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from archloom_local.errors import LocalError
from archloom_local.mongod import Mongod, find_mongod
from archloom_local.process import Process, free_port
from archloom_local.redis import Redis, find_redis
from archloom_local.stack import LocalStack, StackSettings
from pymongo import MongoClient


def wait_for(condition: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def is_gone(pid: int) -> bool:
    """Ended, whether or not somebody has collected it yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except FileNotFoundError:
        return True


def test_mongod_keeps_its_data_on_another_port(tmp_path: Path) -> None:
    with Mongod(tmp_path / "m") as first, MongoClient[dict[str, Any]](first.uri) as client:
        with client.start_session() as session, session.start_transaction():
            client.test.things.insert_one({"answer": 42}, session=session)
        first_port = first.port
    with (
        Mongod(tmp_path / "m") as second,
        MongoClient[dict[str, Any]](second.uri) as client,
        client.test.things.watch() as changes,
    ):
        assert second.port != first_port
        assert client.test.things.find_one({}, {"_id": 0}) == {"answer": 42}
        client.test.things.insert_one({"answer": 43})
        assert changes.next()["fullDocument"]["answer"] == 43


def test_a_client_that_hangs_in_a_transaction_does_not_lock_others_out(tmp_path: Path) -> None:
    """A replica is killed or suspended anywhere, and another takes its experiments over."""
    with (
        Mongod(tmp_path / "m") as mongod,
        MongoClient[dict[str, int]](mongod.uri) as hanging,
        MongoClient[dict[str, int]](mongod.uri, timeoutMS=30_000) as other,
    ):
        other.test.things.insert_one({"_id": 1, "owner": 1})
        with hanging.start_session() as session:
            session.start_transaction()
            hanging.test.things.update_one({"_id": 1}, {"$inc": {"owner": 10}}, session=session)
            other.test.things.update_one({"_id": 1}, {"$inc": {"owner": 1}})
        assert other.test.things.find_one({"_id": 1}) == {"_id": 1, "owner": 2}


def test_mongod_wants_a_password(tmp_path: Path) -> None:
    with Mongod(tmp_path / "m") as mongod:
        stranger = MongoClient[dict[str, int]]("127.0.0.1", mongod.port, directConnection=True)
        with stranger, pytest.raises(Exception, match="requires authentication"):
            stranger.test.things.insert_one({"answer": 42})


def test_redis_wants_a_password(tmp_path: Path) -> None:
    with Redis(tmp_path / "r") as redis, socket.create_connection(("127.0.0.1", redis.port)) as stranger:
        stranger.sendall(b"PING\r\n")
        assert stranger.recv(64).startswith(b"-NOAUTH")
    assert not redis.process.alive


@pytest.mark.parametrize("find", [find_mongod, find_redis])
def test_a_missing_server_is_one_sentence(find: Callable[[], str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr("archloom_local.mongod.find_spec", lambda name: None)
    monkeypatch.setattr("archloom_local.redis.find_spec", lambda name: None)
    with pytest.raises(LocalError, match=r"^There is no (mongod|redis-server): install .*\.$") as told:
        find()
    assert "\n" not in str(told.value)


def test_a_server_that_cannot_start_says_why(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(LocalError, match=r"redis ended with exit code 1 before accepting connections"):
            Redis(tmp_path / "r", port=taken.getsockname()[1]).start()


def test_a_taken_port_is_told_before_anything_starts(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(LocalError, match=f"Port {port} is taken: stop what listens there"):
            LocalStack(tmp_path, StackSettings(port=port))
    assert not list(tmp_path.iterdir())


CHILD = """
import os, sys, subprocess, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print(os.getpid(), child.pid, flush=True)
time.sleep(600)
"""

STARTER = """
import os, signal, sys, threading
from pathlib import Path
from archloom_local.process import Process
process = Process("child", [sys.executable, "-c", sys.argv[1]], Path(sys.argv[2]))
starter = threading.Thread(target=process.start)
starter.start()
starter.join()
process.wait_until(lambda: Path(sys.argv[2]).read_text().endswith("\\n"), 20, "printing its pid")
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_children_and_grandchildren_end_with_a_killed_starter(tmp_path: Path) -> None:
    log = tmp_path / "log"
    ended = subprocess.run([sys.executable, "-c", STARTER, CHILD, str(log)], check=False)
    assert ended.returncode == -signal.SIGKILL
    child, grandchild = map(int, log.read_text().split())
    wait_for(lambda: is_gone(child) and is_gone(grandchild))


def test_a_child_outlives_the_thread_that_started_it_and_ends_with_its_group(tmp_path: Path) -> None:
    process = Process("child", [sys.executable, "-c", CHILD], tmp_path / "log").start()
    try:
        process.wait_until(lambda: process.log.read_text().endswith("\n"), 20, "printing its pid")
        child, grandchild = map(int, process.log.read_text().split())
        assert child == process.pid
        process.suspend()
        wait_for(lambda: Path(f"/proc/{grandchild}/stat").read_text().rsplit(")", 1)[1].split()[0] == "T")
        process.stop(grace_seconds=5)
        assert not process.alive
        wait_for(lambda: is_gone(grandchild))
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child, signal.SIGKILL)


def test_a_free_port_can_be_listened_on() -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", free_port()))
        server.listen()


def test_free_ports_are_given_once() -> None:
    """A server listens a while after its port was chosen: neither the next server nor a client's connection,
    whose port the system chooses, may have it in between.
    """
    chosen = {free_port() for _ in range(200)}
    assert len(chosen) == 200
    connections = []
    with socket.socket() as listening, contextlib.ExitStack() as stack:
        listening.bind(("127.0.0.1", free_port()))
        listening.listen(200)
        for _ in range(200):
            connection = stack.enter_context(socket.create_connection(listening.getsockname()))
            connections.append(connection.getsockname()[1])
    assert not chosen & set(connections)
    assert all(max(chosen) < port for port in connections)
