"""The worker as a process of its own: a real Redis, Celery's pool, wake-ups, signals, metrics."""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from archloom.space import Space, load_preset, nasbench201
from archloom.v1 import common_pb2, evaluation_pb2
from archloom.wakeup import TASK, queue_of
from archloom_local.process import free_port
from archloom_local.redis import Redis
from celery import Celery
from kombu.connection import Connection
from prometheus_client.parser import text_string_to_metric_families

QUEUE = queue_of("cpu")


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    with Redis(tmp_path_factory.mktemp("redis")) as redis:
        yield redis


@pytest.fixture(scope="module")
def space() -> Space:
    return load_preset("nasbench201")


class WorkerCommand:
    """``python -m archloom_evaluators`` with its standard error kept."""

    def __init__(self, environment: dict[str, str], *arguments: str) -> None:
        self.lines: list[str] = []
        self.process = subprocess.Popen(
            [sys.executable, "-m", "archloom_evaluators", *arguments],
            env=os.environ | {"OMP_NUM_THREADS": "1"} | environment,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        self.lines.extend(iter(self.process.stderr.readline, ""))

    def said(self, words: str) -> bool:
        return any(words in line for line in list(self.lines))

    def wait(self, seconds: float = 60.0) -> int:
        code = self.process.wait(seconds)
        self._reader.join(10.0)
        return code

    def kill(self) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.wait()


@pytest.fixture
def start(served: Any, redis: Redis, tmp_path: Path) -> Iterator[Callable[..., WorkerCommand]]:
    commands: list[WorkerCommand] = []

    def start(*arguments: str, **environment: str) -> WorkerCommand:
        settings = {
            "ARCHLOOM_SERVER": served.address,
            "ARCHLOOM_BROKER_URL": redis.url,
            "ARCHLOOM_DATA_ROOTS": str(tmp_path),
            "ARCHLOOM_LEASE_WAIT_SECONDS": "0.1",
        }
        commands.append(WorkerCommand(settings | environment, *arguments))
        return commands[-1]

    yield start
    for command in commands:
        command.kill()
    with Connection(redis.url) as connection:
        connection.SimpleQueue(QUEUE).clear()


@pytest.fixture
def add_table(served: Any, kit: Any, space: Space, tmp_path: Path) -> Callable[..., list[str]]:
    """Trials of a table of 100 rows."""
    rng = random.Random(5)
    archs = {nasbench201.to_arch_string(space.sample(rng)): None for _ in range(200)}
    rows = [f"{arch},{number}" for number, arch in enumerate(archs)]
    (tmp_path / "t.csv").write_text("\n".join(["arch,score", *rows]))

    def add(first: int, count: int, **settings: Any) -> list[str]:
        context = kit.context(
            space, "table", {"path": "t.csv", "metrics": {"val_accuracy": "score"}, **settings}
        )
        chosen = list(archs)[first : first + count]
        return [
            served.controller.add(kit.trial(first + n + 1, nasbench201.from_arch_string(arch)), context)
            for n, arch in enumerate(chosen)
        ]

    return add


def wake(redis: Redis, *arguments: Any) -> None:
    app = Celery(broker=redis.url, set_as_current=False)
    app.conf.task_serializer = "json"
    app.send_task(TASK, args=arguments, queue=QUEUE, ignore_result=True)
    app.close()


WAKE_UP = {"device_class": "cpu", "hint": ""}


def samples(port: int) -> dict[str, float]:
    page = urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10).read().decode()
    return {
        sample.name + json.dumps(sample.labels, sort_keys=True): sample.value
        for family in text_string_to_metric_families(page)
        for sample in family.samples
    }


def test_wake_ups_are_followed_and_junk_is_refused(
    served: Any, kit: Any, redis: Redis, start: Any, add_table: Any
) -> None:
    command = start()
    first = add_table(0, 20)
    wake(redis, WAKE_UP)
    kit.wait_until(lambda: all(served.controller.ended(name) for name in first))

    with Connection(redis.url) as connection:
        producer = connection.Producer(serializer="json")
        headers = {"id": "1", "task": TASK, "lang": "py"}
        producer.publish("this is not a task", routing_key=QUEUE)
        producer.publish(
            b"\x80\x04}q.", routing_key=QUEUE, content_type="application/x-python-serialize", headers=headers
        )
        producer.publish([[], {}, {}], routing_key=QUEUE, headers=headers | {"task": "other.task"})
        producer.publish(b"{not json", routing_key=QUEUE, content_type="application/json", headers=headers)
    wake(redis, "junk", 7)
    wake(redis, {"device_class": 5})
    second = add_table(20, 20)
    wake(redis, WAKE_UP)
    kit.wait_until(lambda: all(served.controller.ended(name) for name in second))
    kit.wait_until(lambda: command.said("refused a task that is not a wake-up"))
    assert not command.said("Traceback")
    assert command.process.poll() is None

    command.process.terminate()
    assert command.wait() == 0
    assert sorted(served.controller.metrics(name)["val_accuracy"] for name in first + second) == list(
        range(40)
    )


def test_it_tells_what_it_offers_and_again_after_the_controller_was_away(
    served: Any, kit: Any, start: Any, tmp_path: Path
) -> None:
    start()
    request = kit.wait_until(lambda: served.controller.registrations and served.controller.registrations[-1])
    assert request.device_class == "cpu"
    kinds = {description.kind: description for description in request.evaluators}
    assert kinds["table"].batched
    assert not kinds["train"].batched
    assert "val_accuracy" in kinds["train"].metrics
    assert "lr" in kinds["train"].settings_schema["properties"]
    assert {dataset.name for dataset in request.datasets} == {"datasets/digits", "datasets/mnist5k"}
    assert list(request.dataset_schemes) == ["npz", "folder"]
    assert list(request.dataset_roots) == [str(tmp_path)]

    served.stop()
    served.controller.broken["Heartbeat"] = 1
    served.start()
    known = len(served.controller.registrations)
    kit.wait_until(lambda: len(served.controller.registrations) > known, 60.0)


@pytest.mark.parametrize("whole_group", [False, True], ids=["worker", "group"])
def test_sigterm_lets_go_of_what_runs(
    served: Any, kit: Any, redis: Redis, start: Any, add_table: Any, whole_group: bool
) -> None:
    names = add_table(0, 30, duration_seconds=0.3)
    command = start()
    wake(redis, WAKE_UP)
    kit.wait_until(lambda: served.controller.results)
    if whole_group:
        os.killpg(command.process.pid, signal.SIGTERM)
    else:
        command.process.terminate()
    assert command.wait() == 0
    assert served.controller.released
    assert set(served.controller.results) | set(served.controller.released) == set(names)
    assert not served.controller.failures


def test_metrics_count_all_processes_dead_ones_too(
    served: Any, kit: Any, redis: Redis, start: Any, add_table: Any
) -> None:
    port = free_port()
    command = start("--concurrency", "2", ARCHLOOM_METRICS_LISTEN=f"127.0.0.1:{port}")
    finished = 'archloom_evaluator_trials_finished_total{"evaluator": "table", "role": "search"}'

    def children() -> set[int]:
        text = Path(f"/proc/{command.process.pid}/task/{command.process.pid}/children").read_text()
        return {int(pid) for pid in text.split()}

    kit.wait_until(lambda: len({beat.worker for beat in served.controller.heartbeats}) == 2)
    first = add_table(0, 40, duration_seconds=0.02)
    for _ in range(4):
        wake(redis, WAKE_UP)
    kit.wait_until(lambda: all(served.controller.ended(name) for name in first))
    kit.wait_until(lambda: samples(port).get(finished) == 40)
    before = children()
    busy = {name for name in samples(port) if name.startswith("archloom_evaluator_busy_share")}
    assert len(busy) == 2

    victim = min(before)
    os.kill(victim, signal.SIGKILL)
    kit.wait_until(lambda: victim not in children() and len(children()) == len(before))
    second = add_table(40, 20)
    wake(redis, WAKE_UP)
    kit.wait_until(lambda: all(served.controller.ended(name) for name in second))
    kit.wait_until(lambda: samples(port).get(finished) == 60)
    assert not any(f'"pid": "{victim}"' in name for name in samples(port))

    command.process.terminate()
    assert command.wait() == 0


HUGE = """
input:
  x: {kind: image, shape: [1, 8, 8]}
body:
  sequence:
    - {name: wide, layer: conv, k: 1, out: {choice: [1000000]}}
    - {name: huge, layer: conv, k: 1, out: 1000000}
"""


def test_after_running_out_of_memory_a_fresh_process_goes_on(
    served: Any, kit: Any, redis: Redis, start: Any, add_table: Any
) -> None:
    command = start()
    space = Space.from_yaml(HUGE)
    context = kit.context(space, "train", {"epochs": 1})
    huge = served.controller.add(kit.trial(500, space.sample(random.Random(1))), context)
    wake(redis, WAKE_UP)
    kit.wait_until(lambda: served.controller.ended(huge), 60.0)
    failure = served.controller.failures[huge].failure
    assert failure.reason == common_pb2.FAILURE_REASON_OUT_OF_MEMORY
    kit.wait_until(lambda: command.said("a fresh one takes its place"))

    after = add_table(0, 5)
    wake(redis, WAKE_UP)
    kit.wait_until(lambda: all(served.controller.ended(name) for name in after), 60.0)
    workers = {beat.worker for beat in served.controller.heartbeats}
    assert len(workers) == 2
    assert command.process.poll() is None


def test_a_killed_worker_leaves_no_process_behind(
    served: Any, kit: Any, redis: Redis, start: Any, add_table: Any
) -> None:
    add_table(0, 50, duration_seconds=0.2)
    command = start()
    wake(redis, WAKE_UP)
    kit.wait_until(lambda: served.controller.results)
    pid = int(Path(f"/proc/{command.process.pid}/task/{command.process.pid}/children").read_text().split()[0])
    command.process.kill()
    command.wait()
    kit.wait_until(lambda: not Path(f"/proc/{pid}").exists())
    assert len(served.controller.results) < 50


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({"ARCHLOOM_SERVER": "127.0.0.1:1"}, "no controller answers at 127.0.0.1:1"),
        ({"ARCHLOOM_SERVER": "nonsense"}, "set ARCHLOOM_SERVER"),
        (
            {"ARCHLOOM_BROKER_URL": "redis://:secret@127.0.0.1:1/0"},
            "no broker answers at redis://127.0.0.1:1/0",
        ),
        ({"ARCHLOOM_THREADS": "0"}, "threads"),
        ({"ARCHLOOM_TLS_CA": "/no/such/file"}, "ARCHLOOM_TLS_CA"),
        ({"ARCHLOOM_METRICS_LISTEN": "nonsense"}, "ARCHLOOM_METRICS_LISTEN"),
    ],
)
def test_a_start_that_cannot_be_is_one_sentence(start: Any, environment: dict[str, str], words: str) -> None:
    command = start(**environment)
    assert command.wait() == 1
    text = "".join(command.lines)
    assert words in text
    assert "Traceback" not in text
    assert "secret" not in text
    assert len(text.splitlines()) == 1


def test_a_taken_metrics_port_is_one_sentence(start: Any) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        command = start(ARCHLOOM_METRICS_LISTEN=f"127.0.0.1:{taken.getsockname()[1]}")
        assert command.wait() == 1
    assert len(command.lines) == 1
    assert "ARCHLOOM_METRICS_LISTEN" in command.lines[0]


def test_directives_are_known_to_this_version() -> None:
    """A new directive needs an answer in the heartbeat: this fails until somebody has thought about it."""
    assert set(evaluation_pb2.Directive.values()) == {0, 1, 2, 3}
