"""The plugin that a benchmark measures, always over a socket, as the controller would meet it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from archloom.strategy.load import load_strategy
from archloom.strategy.runtime import StrategyRuntime
from archloom.strategy.server import StrategyServer
from archloom.testing.session import RemotePlugin


@contextmanager
def open_plugin(target: str) -> Iterator[RemotePlugin]:
    """``HOST:PORT`` of a running plugin; or an installed strategy's name or ``module:Class``, served on a
    free port of loopback.
    """
    if target.rpartition(":")[2].isdecimal():
        with RemotePlugin(target) as plugin:
            yield plugin
        return
    with (
        StrategyServer(StrategyRuntime(load_strategy(target))) as server,
        RemotePlugin(server.address) as plugin,
    ):
        yield plugin
