"""One child process: its own session, a log file, and an end that is certain."""

from __future__ import annotations

import contextlib
import itertools
import os
import secrets
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from archloom_local import guard
from archloom_local.errors import LocalError

#: Below the ports that systems give to outgoing connections (Linux from 32768, others from 49152), one of
#: which would else be handed to some client between our choice and the server's listening.
_PORTS = range(20_000, 30_000)
_order = itertools.count(secrets.randbelow(len(_PORTS)))


def free_port() -> int:
    """A TCP port on loopback that nobody listens on now, and that this process was not given before.
    LocalError when all are taken.
    """
    for place in itertools.islice(_order, len(_PORTS)):
        port = _PORTS[place % len(_PORTS)]
        if not port_is_taken(port):
            return port
    raise LocalError(f"No port from {_PORTS.start} to {_PORTS.stop - 1} is free on loopback.")


def port_is_taken(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return True
    return False


_GONE_SECONDS = 5.0


@dataclass
class Process:
    """A command that runs in a session of its own, so that signals reach it with all its children.

    ``environment`` is added to this process's own. Output goes to ``log``, appended. Not thread-safe.
    """

    name: str
    command: Sequence[str]
    log: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    _running: subprocess.Popen[bytes] | None = field(default=None, init=False, repr=False)

    def start(self) -> Process:
        if self.alive:
            return self
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as output:
            self._running = subprocess.Popen(
                list(self.command),
                env={**os.environ, **self.environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        guard.shared().add(self._running.pid)
        return self

    @property
    def alive(self) -> bool:
        return self._running is not None and self._running.poll() is None

    @property
    def pid(self) -> int:
        if self._running is None:
            raise LocalError(f"{self.name} was never started.")
        return self._running.pid

    @property
    def exit_code(self) -> int | None:
        return None if self._running is None else self._running.poll()

    def send(self, number: signal.Signals) -> None:
        """Signal the whole group; a group that is gone is no error."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, number)

    def terminate(self) -> None:
        """Ask it to end in order, also when it is suspended; do not wait."""
        if self.alive:
            os.kill(self.pid, signal.SIGTERM)
            self.send(signal.SIGCONT)

    def stop(self, grace_seconds: float = 10.0) -> None:
        """End it in order, and by force after the grace. What it left of its group is ended too."""
        if self._running is None:
            return
        if self.alive:
            self.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._running.wait(grace_seconds)
        self.kill()

    def kill(self) -> None:
        """SIGKILL the whole group and wait until it is gone."""
        if self._running is None:
            return
        self.send(signal.SIGKILL)
        self._running.wait()
        # The kernel may still be taking the leader's children apart, a worker's with all its memory.
        deadline = time.monotonic() + _GONE_SECONDS
        while guard.exists(self.pid) and time.monotonic() < deadline:
            time.sleep(0.01)
        guard.shared().remove(self.pid)
        self._running = None

    def suspend(self) -> None:
        self.send(signal.SIGSTOP)

    def resume(self) -> None:
        self.send(signal.SIGCONT)

    def wait_until(self, ready: Callable[[], bool], seconds: float, what: str) -> None:
        """Wait for a condition. LocalError when the process ends before it, or the time is over."""
        deadline = time.monotonic() + seconds
        while not ready():
            if not self.alive:
                raise LocalError(
                    f"{self.name} ended with exit code {self.exit_code} before {what}: {self.last_words()} "
                    f"The whole log is {self.log}."
                )
            if time.monotonic() > deadline:
                raise LocalError(f"{self.name} did not get to {what} in {seconds:g} s; see {self.log}.")
            time.sleep(0.02)

    def last_words(self) -> str:
        """The last line of the log, for messages."""
        if not self.log.exists():
            return ""
        lines = self.log.read_text(errors="replace").strip().splitlines()
        return lines[-1][:500] if lines else ""
