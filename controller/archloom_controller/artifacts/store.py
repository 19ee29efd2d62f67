"""Artifacts and uploads: the bytes lie with ``Blobs``, what is known of them in the store.

Collections ``artifacts`` (``_id`` is the artifact's name) and ``uploads``. An upload's document says how many
bytes have arrived without a gap, and is changed by one conditional update for each chunk, so that any replica
can take the next one. Uploads that nobody finishes are forgotten after a week.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from archloom.errors import InvalidInput, NotFound, Violation, WrongState
from archloom.resources import ArtifactName, TrialName
from archloom.v1 import common_pb2
from pymongo import ASCENDING, IndexModel
from pymongo.asynchronous.database import AsyncDatabase

from archloom_controller.artifacts.blobs import Blobs
from archloom_controller.interfaces import Clock

PIECE_BYTES = 256 * 1024
CHUNK_BYTES = 2 * 1024 * 1024
_FORGOTTEN_SECONDS = 7 * 86400

#: Whether an attempt holds its lease now.
IsCurrent = Callable[[TrialName, int], Awaitable[bool]]


@dataclass(frozen=True)
class Upload:
    """What a caller says of the bytes it is about to send."""

    project: str
    digest: str
    size: int
    kind: str
    media_type: str
    file_name: str
    #: The attempt they come from; None for a user's own.
    trial: TrialName | None
    attempt: int


class ArtifactStore:
    """Implements ``interfaces.Artifacts``. Every check is repeated where it matters: at the end."""

    def __init__(
        self, database: AsyncDatabase[dict[str, Any]], blobs: Blobs, is_current: IsCurrent, clock: Clock
    ) -> None:
        self._artifacts = database["artifacts"]
        self._uploads = database["uploads"]
        self._blobs = blobs
        self._is_current = is_current
        self._clock = clock

    async def prepare(self) -> None:
        """Make the index; safe to repeat."""
        age = IndexModel([("create_time", ASCENDING)], name="age", expireAfterSeconds=_FORGOTTEN_SECONDS)
        await self._uploads.create_indexes([age])

    async def ref(self, name: str) -> common_pb2.ArtifactRef | None:
        found = await self._artifacts.find_one({"_id": name})
        return None if found is None else _ref(found)

    async def begin(self, upload: Upload) -> tuple[str, common_pb2.ArtifactRef | None]:
        """An upload's id, or the artifact when the bytes are there. Raises WrongState (stale attempt)."""
        await self._require_current(upload.trial, upload.attempt)
        name = str(ArtifactName(upload.project, upload.digest))
        known = await self.ref(name)
        if known is not None:
            # The bytes are shared; what they are called is the uploader's.
            known.kind, known.media_type, known.file_name = upload.kind, upload.media_type, upload.file_name
            return "", known
        identifier = secrets.token_hex(16)
        await self._uploads.insert_one(
            {
                "_id": identifier,
                "project": upload.project,
                "digest": upload.digest,
                "size": upload.size,
                "kind": upload.kind,
                "media_type": upload.media_type,
                "file_name": upload.file_name,
                "trial": "" if upload.trial is None else str(upload.trial),
                "attempt": upload.attempt,
                "received": 0,
                "lengths": [],
                "create_time": self._clock.now(),
            }
        )
        return identifier, None

    async def received(self, identifier: str) -> int:
        """Bytes that have arrived without a gap."""
        return int((await self._upload(identifier))["received"])

    async def add(self, identifier: str, offset: int, data: bytes) -> int:
        """Add a chunk; how many bytes have arrived now. One that is there already changes nothing."""
        upload = await self._upload(identifier)
        received = int(upload["received"])
        if offset > received:
            message = f"leaves a gap: {received} bytes have arrived; go on from there"
            raise InvalidInput([Violation("offset", message)])
        if offset + len(data) > upload["size"]:
            message = f"goes beyond the {upload['size']} bytes that CreateUpload announced"
            raise InvalidInput([Violation("data", message)])
        if offset < received:
            return received
        await asyncio.to_thread(self._blobs.put_chunk, upload["project"], identifier, offset, data)
        await self._uploads.update_one(
            {"_id": identifier, "received": offset},
            {"$set": {"received": offset + len(data)}, "$push": {"lengths": len(data)}},
        )
        return await self.received(identifier)

    async def finish(self, identifier: str) -> common_pb2.ArtifactRef:
        """Verify and publish. Repeating it answers the same."""
        upload = await self._upload(identifier)
        received, size = upload["received"], upload["size"]
        if received != size:
            raise WrongState(f"{received} of {size} bytes have arrived: send the rest first")
        trial = TrialName.parse(upload["trial"]) if upload["trial"] else None
        await self._require_current(trial, upload["attempt"])
        name = str(ArtifactName(upload["project"], upload["digest"]))
        if await self.ref(name) is None:
            await self._publish(identifier, name, upload)
        await asyncio.to_thread(self._blobs.drop, upload["project"], identifier)
        return _ref({**upload, "_id": name})

    async def _publish(self, identifier: str, name: str, upload: dict[str, Any]) -> None:
        project, announced = upload["project"], upload["digest"]
        try:
            whole, digest = await asyncio.to_thread(
                self._blobs.assemble, project, identifier, upload["lengths"]
            )
            if digest == announced:
                await asyncio.to_thread(self._blobs.publish, project, whole, digest)
        except FileNotFoundError:
            # Another call that finishes the same upload was faster, and took the chunks away.
            if await self.ref(name) is not None:
                return
            raise
        if digest != announced:
            await asyncio.to_thread(self._blobs.drop, project, identifier)
            await self._uploads.delete_one({"_id": identifier})
            message = f"the bytes have the sha256 {digest}, not the announced one; upload them again"
            raise InvalidInput([Violation("digest", message)])
        kept = {key: upload[key] for key in ("size", "kind", "media_type", "file_name")}
        await self._artifacts.update_one(
            {"_id": name}, {"$setOnInsert": {**kept, "create_time": self._clock.now()}}, upsert=True
        )

    async def read(self, name: ArtifactName, offset: int) -> AsyncIterator[bytes]:
        """The bytes from ``offset`` on, in pieces."""
        found = await self.ref(str(name))
        if found is None:
            raise NotFound(f"there is no artifact {name}")
        if offset > found.size_bytes:
            raise InvalidInput([Violation("offset", f"lies beyond the end at {found.size_bytes}")])
        file = await asyncio.to_thread(self._blobs.open, name.project, name.digest, offset)
        try:
            while piece := await asyncio.to_thread(file.read, PIECE_BYTES):
                yield piece
        finally:
            file.close()

    async def _upload(self, identifier: str) -> dict[str, Any]:
        found: dict[str, Any] | None = await self._uploads.find_one({"_id": identifier})
        if found is None:
            raise NotFound(f"there is no upload {identifier!r}: it was refused or is too old; create another")
        return found

    async def _require_current(self, trial: TrialName | None, attempt: int) -> None:
        if trial is not None and not await self._is_current(trial, attempt):
            message = f"attempt {attempt} of {trial} has lost its lease: drop it"
            raise WrongState(message, reason="STALE_ATTEMPT")


def _ref(found: dict[str, Any]) -> common_pb2.ArtifactRef:
    return common_pb2.ArtifactRef(
        name=found["_id"],
        size_bytes=found["size"],
        kind=found["kind"],
        media_type=found["media_type"],
        file_name=found["file_name"],
    )
