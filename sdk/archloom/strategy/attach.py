"""A plugin that calls out: StrategyHostService.Attach, for a notebook or a machine that cannot be dialled."""

from __future__ import annotations

import logging
import os
import queue
import random
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc

from archloom.client.connection import Backoff, open_channel
from archloom.client.failures import error_of
from archloom.errors import (
    ArchloomError,
    InvalidInput,
    PermissionDenied,
    Unauthenticated,
    Unimplemented,
    WrongState,
)
from archloom.strategy.base import Strategy
from archloom.strategy.plugin import Plugin
from archloom.strategy.runtime import StrategyRuntime
from archloom.v1 import strategy_pb2, strategy_pb2_grpc

log = logging.getLogger("archloom.strategy")

#: Errors that another try would meet again.
_FINAL = (InvalidInput, PermissionDenied, Unauthenticated, Unimplemented, WrongState)


def attach(strategy: Strategy[Any, Any], server: str, token: str | None = None) -> Attachment:
    """Serves ``strategy`` to ``server`` from this process, on a thread of its own, until ``stop()``; for
    notebooks.

    It is registered under its name when ``wait_attached`` says so.
    """
    return Attachment(StrategyRuntime(strategy), server, token=token).start()


class Attachment:
    """One strategy attached to one server, attached again after each loss of the stream, until ``stop``.

    ``run`` blocks; ``start`` does the same on a thread of its own, which is what a notebook wants. The
    token is ARCHLOOM_TOKEN unless given.
    """

    def __init__(
        self,
        plugin: Plugin,
        server: str,
        *,
        token: str | None = None,
        threads: int = 4,
        backoff: Backoff | None = None,
    ) -> None:
        self._plugin = plugin
        self._server = server
        self._token = token if token is not None else os.environ.get("ARCHLOOM_TOKEN", "")
        self._threads = threads
        self._backoff = backoff or Backoff(first_seconds=0.2, longest_seconds=15.0)
        self._rng = random.SystemRandom()
        self._stopping = threading.Event()
        self._attached = threading.Event()
        self._stream: grpc.Call | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> Attachment:
        self._thread = threading.Thread(target=self._run_logged, name="attach", daemon=True)
        self._thread.start()
        return self

    def wait_attached(self, timeout_seconds: float = 10.0) -> bool:
        """Whether the server has registered the plugin, within that time."""
        return self._attached.wait(timeout_seconds)

    def stop(self) -> None:
        """Ends the stream; calls that are being answered are dropped, and the server asks them elsewhere or
        later.
        """
        self._stopping.set()
        stream = self._stream
        if stream is not None:
            stream.cancel()
        if self._thread is not None:
            self._thread.join(timeout=10)

    def run(self) -> None:
        """Serves until ``stop``. Raises the server's refusal when trying again is useless (token, name,
        settings).
        """
        failures = 0
        while not self._stopping.is_set():
            try:
                self._serve_stream()
                failures = 0
            except ArchloomError as error:
                if self._stopping.is_set():
                    return
                if isinstance(error, _FINAL):
                    raise
                failures = 1 if self._attached.is_set() else failures + 1
                pause = self._backoff.pause(failures, self._rng, error.retry_after_seconds)
                log.warning("server=%s detached: %s; again in %.1f s", self._server, error, pause)
                self._attached.clear()
                self._stopping.wait(pause)

    def _run_logged(self) -> None:
        try:
            self.run()
        except ArchloomError as error:
            log.error("server=%s refused the plugin: %s", self._server, error)

    def _serve_stream(self) -> None:
        """One stream from its hello to its end."""
        outbox: queue.SimpleQueue[strategy_pb2.AttachRequest | None] = queue.SimpleQueue()
        outbox.put(strategy_pb2.AttachRequest(hello=self._plugin.describe()))
        metadata = (("authorization", f"Bearer {self._token}"),) if self._token else ()
        # Not a context manager: its end would wait for a call that hangs, and no stream would follow.
        pool = ThreadPoolExecutor(self._threads, thread_name_prefix="attached")
        with open_channel(self._server) as channel:
            stub = strategy_pb2_grpc.StrategyHostServiceStub(channel)
            stream = stub.Attach(_sent(outbox), metadata=metadata)
            self._stream = stream
            try:
                for message in stream:
                    if message.WhichOneof("request") == "attached":
                        self._attached.set()
                        log.info("server=%s attached=%s", self._server, message.attached)
                    else:
                        pool.submit(self._answer, message, outbox)
            except grpc.RpcError as failure:
                raise error_of(failure, self._server) from None
            finally:
                outbox.put(None)
                pool.shutdown(wait=False, cancel_futures=True)
        if not self._stopping.is_set():
            raise ArchloomError("the server ended the stream")

    def _answer(
        self,
        message: strategy_pb2.AttachResponse,
        outbox: queue.SimpleQueue[strategy_pb2.AttachRequest | None],
    ) -> None:
        answer = strategy_pb2.AttachAnswer(call=message.call)
        try:
            if message.HasField("validate"):
                answer.validate.CopyFrom(self._plugin.validate(message.validate))
            else:
                answer.propose.CopyFrom(self._plugin.propose(message.propose))
        except ArchloomError as error:
            answer.error = error.message
        except Exception as error:
            log.exception("call=%d failed", message.call)
            answer.error = f"the plugin failed: {type(error).__name__}: {error}"
        outbox.put(strategy_pb2.AttachRequest(answer=answer))


def _sent(
    outbox: queue.SimpleQueue[strategy_pb2.AttachRequest | None],
) -> Iterator[strategy_pb2.AttachRequest]:
    while (message := outbox.get()) is not None:
        yield message
