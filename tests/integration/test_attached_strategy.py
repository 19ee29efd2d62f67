"""A strategy that calls out, as from a notebook, beside those that are dialled."""

from __future__ import annotations

import sys
from pathlib import Path

from archloom.client import Client
from archloom_local.process import Process
from archloom_local.stack import LocalStack
from promises import Observer, check
from searches import ended, table_search
from waiting import wait_for


def test_an_attached_strategy_serves_until_it_goes(
    stack: LocalStack, client: Client, table: Path, tmp_path: Path
) -> None:
    plugin = Process(
        "attached",
        [
            sys.executable, "-m", "archloom.cli", "serve-strategy", "attached_search:AttachedSearch",
            "--attach", stack.addresses[1],
        ],
        tmp_path / "attached.log",
        stack.environment,
    )  # fmt: skip

    def serving() -> bool:
        with Client(stack.addresses[1]) as second:
            return any(
                each.name == "attached-search" and each.serving for each in second.registry.strategies()
            )

    plugin.start()
    try:
        plugin.wait_until(serving, 60, "being attached")
        spec = table_search(table, strategy={"name": "attached-search"}, budget={"trials": 40}, seed=5)
        with Client(stack.addresses[1]) as second:
            name = second.experiments.create(spec).name
        with Observer(stack.mongod.uri, name) as observer:
            ended(client, name)
        with Client(stack.addresses[1]) as second:
            check(second, observer, table)
    finally:
        plugin.stop()
    wait_for(lambda: not serving(), 30, "the strategy to be told gone")
