"""A stack that lives on after the command that started it, and how later commands find it."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

from archloom_local import guard
from archloom_local.errors import LocalError
from archloom_local.process import Process
from archloom_local.stack import LocalStack, StackSettings

_START_SECONDS = 180.0
_GONE_SECONDS = 5.0
_STOP_SECONDS = 60.0
_WATCH_SECONDS = 0.5


def home() -> Path:
    """The folder of the local stack: ARCHLOOM_HOME, or `archloom` in the user's state folder."""
    given = os.environ.get("ARCHLOOM_HOME")
    if given:
        return Path(given).expanduser()
    state = os.environ.get("XDG_STATE_HOME")
    return (Path(state) if state else Path.home() / ".local" / "state") / "archloom"


@dataclass(frozen=True)
class Part:
    """One process of a running stack. Addresses are HOST:PORT, empty where there is none."""

    name: str
    pid: int
    address: str
    metrics: str
    log: str


@dataclass(frozen=True)
class Running:
    """A running stack as its state file tells."""

    pid: int
    server: str
    broker: str
    monitor: str
    parts: tuple[Part, ...]

    @classmethod
    def of(cls, stack: LocalStack) -> Running:
        addresses = dict(stack.strategy_addresses)
        listens = {f"strategy-{name}": address for name, address in addresses.items()}
        listens |= {f"controller-{place + 1}": address for place, address in enumerate(stack.addresses)}
        listens |= {"mongod": f"127.0.0.1:{stack.mongod.port}", "redis": f"127.0.0.1:{stack.redis.port}"}
        parts = tuple(
            Part(
                process.name,
                process.pid,
                listens.get(process.name, ""),
                stack.metrics.get(process.name, ""),
                str(process.log),
            )
            for process in stack.processes()
        )
        return cls(os.getpid(), stack.server, stack.redis.url, stack.monitor_address, parts)

    @classmethod
    def read(cls, folder: Path) -> Running | None:
        """The stack that runs in ``folder``; None when there is none. What a killed one left is ignored."""
        path = folder / "stack.json"
        if not path.exists() or not _is_locked(folder):
            return None
        try:
            data: dict[str, Any] = json.loads(path.read_text())
            parts = tuple(Part(**part) for part in data.pop("parts"))
            return cls(parts=parts, **data)
        except (ValueError, TypeError, KeyError) as error:
            raise LocalError(f"{path} cannot be read ({error}): remove it and start again.") from error

    def write(self, folder: Path) -> None:
        path = folder / "stack.json"
        path.unlink(missing_ok=True)
        path.touch(mode=0o600)
        path.write_text(json.dumps(asdict(self), indent=1))


def _lock(folder: Path) -> IO[str] | None:
    """Hold the folder until the file is closed or the process ends; None when somebody else holds it."""
    folder.mkdir(parents=True, exist_ok=True)
    file = (folder / "lock").open("a+")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    return file


def _is_locked(folder: Path) -> bool:
    lock = _lock(folder)
    if lock is not None:
        lock.close()
    return lock is None


def run(folder: Path, settings: StackSettings, tell: Callable[[str], None]) -> None:
    """Run a stack in this process until SIGTERM or SIGINT; parts that die meanwhile are started again."""
    lock = _lock(folder)
    if lock is None:
        raise LocalError(f"A stack runs in {folder} already: `archloom local status` shows it.")
    ended = threading.Event()
    with lock:
        state = folder / "stack.json"
        state.unlink(missing_ok=True)
        stack = LocalStack(folder, settings)
        try:
            _on_end(lambda: sys.exit(1))
            stack.start(tell)
            _on_end(ended.set)
            Running.of(stack).write(folder)
            tell(f"ready: {stack.server}")
            while not ended.wait(_WATCH_SECONDS):
                if _revive(stack, tell):
                    Running.of(stack).write(folder)
        finally:
            tell("stopping")
            state.unlink(missing_ok=True)
            stack.stop()
            guard.close()


def _on_end(act: Callable[[], object]) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: act())


def _revive(stack: LocalStack, tell: Callable[[str], None]) -> bool:
    """Start what has died; whether there was any. A part that dies again is tried again at the next look."""
    dead: list[Process] = [process for process in stack.processes() if not process.alive]
    for process in dead:
        tell(
            f"{process.name} ended with exit code {process.exit_code}: {process.last_words()}; it starts anew"
        )
        process.start()
    return bool(dead)


def start(folder: Path, arguments: list[str], tell: Callable[[str], None]) -> Running:
    """Run `archloom local up --foreground` in the background and wait until it is ready."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "stack.json").unlink(missing_ok=True)
    log = folder / "stack.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "archloom_local", "up", "--foreground", *arguments],
            env={**os.environ, "ARCHLOOM_HOME": str(folder)},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    deadline = time.monotonic() + _START_SECONDS
    told = 0
    try:
        while True:
            lines = log.read_text(errors="replace").splitlines()
            ended = process.poll() is not None
            running = None if ended else Running.read(folder)
            if ended:
                raise LocalError(lines[-1] if lines else f"The stack ended at once; see {log}.")
            for line in lines[told:]:
                tell(line)
            told = len(lines)
            if running is not None:
                return running
            if time.monotonic() > deadline:
                raise LocalError(f"The stack was not ready in {_START_SECONDS:g} s; see {log}.")
            time.sleep(0.1)
    except BaseException:
        if process.poll() is None:
            process.terminate()
            process.wait()
        raise


def stop(folder: Path) -> bool:
    """End the stack that runs in ``folder`` and wait for it; False when there is none."""
    running = Running.read(folder)
    if running is None:
        return False
    os.kill(running.pid, signal.SIGTERM)
    deadline = time.monotonic() + _STOP_SECONDS
    while _is_locked(folder):
        if time.monotonic() > deadline:
            raise LocalError(f"The stack (process {running.pid}) does not end; see {folder / 'stack.log'}.")
        time.sleep(0.05)
    # It lets go of the lock a little before it is gone.
    deadline = time.monotonic() + _GONE_SECONDS
    while guard.exists(running.pid) and time.monotonic() < deadline:
        time.sleep(0.01)
    return True
