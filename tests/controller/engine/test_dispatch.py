"""Wake-ups: how many, how often, and as Celery messages on a real Redis."""

from __future__ import annotations

import asyncio
import base64
import datetime
import json
from typing import Any

import redis as redis_client
from archloom.wakeup import TASK, queue_of
from archloom_controller.engine.dispatch import CeleryWakeups, Dispatcher
from archloom_local.process import free_port

NOW = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)


class Clock:
    def __init__(self) -> None:
        self.time = 0.0

    def monotonic(self) -> float:
        return self.time

    def now(self) -> datetime.datetime:
        return NOW + datetime.timedelta(seconds=self.time)


class Sent:
    def __init__(self) -> None:
        self.counts: list[int] = []

    async def send(self, device_class: str, hint: str, count: int) -> None:
        self.counts.append(count)
        await asyncio.sleep(0)

    async def close(self) -> None:
        return None


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_long_trials_get_a_message_each_and_short_ones_share() -> None:
    sent = Sent()
    dispatcher = Dispatcher(sent, Clock())
    dispatcher.announce("cpu", "t", 3, batched=False)
    await settle()
    dispatcher.announce("cpu", "t", 100, batched=True)
    await settle()
    dispatcher.announce("cpu", "t", 100_000, batched=True)
    await settle()
    assert sent.counts == [3, 4, 8]


async def test_what_becomes_ready_while_one_is_sent_travels_with_the_next() -> None:
    sent = Sent()
    dispatcher = Dispatcher(sent, Clock())
    for _ in range(40):
        dispatcher.announce("cpu", "t", 1, batched=True)
    await settle()
    assert sum(sent.counts) <= 2


async def test_aged_work_is_announced_again_but_ever_less_often() -> None:
    sent, clock = Sent(), Clock()
    dispatcher = Dispatcher(sent, clock)
    row = {"_id": "cpu", "hint": "t1", "ready": 1, "oldest": NOW, "batched": False}
    for second in range(1, 121):
        clock.time = float(second)
        dispatcher.announce_aged([row], 1.0, clock.now())
        await settle()
    assert 5 <= len(sent.counts) <= 10


async def test_messages_are_json_tasks_on_the_device_classes_queue(redis: Any) -> None:
    outcomes: list[tuple[str, int]] = []
    wakeups = CeleryWakeups(redis.url, lambda outcome, count: outcomes.append((outcome, count)))
    await wakeups.send("gpu-a100", "projects/p/experiments/e/trials/1", 2)
    await wakeups.close()
    assert outcomes == [("sent", 2)]
    with redis_client.Redis.from_url(redis.url) as client:
        message = json.loads(client.lpop(queue_of("gpu-a100")))
        assert client.llen(queue_of("gpu-a100")) == 1
    assert message["headers"]["task"] == TASK
    assert message["content-type"] == "application/json"
    arguments = json.loads(base64.b64decode(message["body"]))[0]
    assert arguments == [{"device_class": "gpu-a100", "hint": "projects/p/experiments/e/trials/1"}]


async def test_a_broker_that_is_away_is_no_error() -> None:
    outcomes: list[tuple[str, int]] = []
    url = f"redis://127.0.0.1:{free_port()}/0"
    wakeups = CeleryWakeups(url, lambda outcome, count: outcomes.append((outcome, count)))
    await wakeups.send("cpu", "t", 1)
    await wakeups.close()
    assert outcomes == [("failed", 1)]
