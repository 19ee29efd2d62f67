"""Ends process groups when their starter is gone, however it went.

A guard is a process that reads lines ``+PGID`` and ``-PGID`` from its standard input. When the input ends,
because the starter closed it or was killed, every group still listed gets SIGTERM, and SIGKILL after a grace.
The kernel closes a pipe in any case, and a group takes a worker's own children along; a parent-death signal
reaches no grandchildren, and comes too early for children that a thread has started.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time

GRACE_SECONDS = 8.0


class Guard:
    """The starter's end. One guard serves any number of groups; it can be used from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )

    def add(self, group: int) -> None:
        self._tell(f"+{group}\n")

    def remove(self, group: int) -> None:
        self._tell(f"-{group}\n")

    def _tell(self, line: str) -> None:
        assert self._process.stdin is not None
        with self._lock:
            self._process.stdin.write(line.encode())
            self._process.stdin.flush()

    def close(self) -> None:
        """Let the guard end what is still listed, and wait for it."""
        assert self._process.stdin is not None
        with self._lock:
            self._process.stdin.close()
        self._process.wait()


_shared: Guard | None = None
_shared_owner = 0
_shared_lock = threading.Lock()


def shared() -> Guard:
    """This process's guard, started when it is first needed (a forked child gets one of its own)."""
    global _shared, _shared_owner
    with _shared_lock:
        if _shared is None or _shared_owner != os.getpid():
            _shared, _shared_owner = Guard(), os.getpid()
        return _shared


def close() -> None:
    """End this process's guard and wait for it, so that an orderly end leaves nothing behind."""
    global _shared
    with _shared_lock:
        if _shared is not None and _shared_owner == os.getpid():
            _shared.close()
        _shared = None


def _send(groups: set[int], number: signal.Signals) -> None:
    for group in groups:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(group, number)


def exists(group: int) -> bool:
    """Whether a process of the group is left."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def _watch() -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    groups: set[int] = set()
    for line in sys.stdin:
        change = groups.add if line[0] == "+" else groups.discard
        change(int(line[1:]))
    _send(groups, signal.SIGTERM)
    _send(groups, signal.SIGCONT)
    deadline = time.monotonic() + GRACE_SECONDS
    while groups and time.monotonic() < deadline:
        groups = {group for group in groups if exists(group)}
        time.sleep(0.05)
    _send(groups, signal.SIGKILL)


if __name__ == "__main__":
    _watch()
