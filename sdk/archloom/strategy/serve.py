"""A strategy as a process: ``archloom serve-strategy module:Class --listen HOST:PORT``."""

from __future__ import annotations

import logging
import queue
import signal
import sys
import threading
from typing import Any

from archloom.errors import ArchloomError, InvalidInput, Violation
from archloom.strategy.attach import Attachment
from archloom.strategy.base import Strategy
from archloom.strategy.load import load_strategy
from archloom.strategy.metrics import MeteredPlugin, StrategyMetrics
from archloom.strategy.plugin import Plugin
from archloom.strategy.runtime import StrategyRuntime
from archloom.strategy.server import StrategyServer

log = logging.getLogger("archloom.strategy")


def serve(
    strategy: str | Strategy[Any, Any],
    listen: str = "",
    attach: str = "",
    metrics_listen: str = "",
) -> None:
    """Serves ``strategy`` (``module:Class``, an installed strategy's name, or the object) until SIGTERM or
    SIGINT.

    It listens on ``listen``, calls out to the server ``attach``, or both. Raises an ArchloomError of one
    sentence when it cannot start, or when the server refuses the attachment.
    """
    if not listen and not attach:
        raise InvalidInput(
            [Violation("listen", "say where to serve: --listen HOST:PORT, --attach SERVER, or both")]
        )
    _log_to_stderr()
    found = load_strategy(strategy) if isinstance(strategy, str) else strategy
    plugin: Plugin = StrategyRuntime(found)
    if metrics_listen:
        metrics = StrategyMetrics()
        plugin = MeteredPlugin(plugin, metrics)
        metrics.listen(metrics_listen)
    # A queue, because an Event's lock may be held by the very thread that the signal interrupts.
    ended: queue.SimpleQueue[None] = queue.SimpleQueue()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.put(None))
    server = StrategyServer(plugin, listen) if listen else None
    refusals: list[ArchloomError] = []
    attachment = Attachment(plugin, attach) if attach else None
    if server is not None:
        server.start()
        log.info("strategy=%s version=%s listening on %s", found.name, found.version, server.address)
    if attachment is not None:
        threading.Thread(target=_attached, args=(attachment, refusals, ended), daemon=True).start()
    ended.get()
    log.info("strategy=%s stopping", found.name)
    if attachment is not None:
        attachment.stop()
    if server is not None:
        server.stop()
    if refusals:
        raise refusals[0]


def _attached(attachment: Attachment, refusals: list[ArchloomError], ended: queue.SimpleQueue[None]) -> None:
    try:
        attachment.run()
    except ArchloomError as error:
        refusals.append(error)
        ended.put(None)


def _log_to_stderr() -> None:
    logging.basicConfig(
        level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s %(message)s"
    )
