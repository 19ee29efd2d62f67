"""Artifacts: large bytes, named by their sha256. Lost connections cost only what was not yet there."""

from __future__ import annotations

import hashlib
import os
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from archloom.client.connection import Connection
from archloom.client.naming import digest_of, project_of
from archloom.client.values import Artifact
from archloom.errors import ArchloomError, Conflict, InternalError, Unavailable
from archloom.resources import ProjectName
from archloom.v1 import artifact_pb2 as pb
from archloom.v1 import artifact_pb2_grpc, evaluation_pb2

CHUNK_BYTES = 1024 * 1024


class Artifacts:
    """ArtifactService."""

    def __init__(self, connection: Connection, project: ProjectName) -> None:
        self._connection = connection
        self._project = project
        self._stub = artifact_pb2_grpc.ArtifactServiceStub(connection.channel)

    def get(self, name: str) -> Artifact:
        request = pb.GetArtifactRequest(name=name)
        return Artifact.from_proto(self._connection.call(self._stub.GetArtifact, request).artifact)

    def upload(
        self,
        path: Path,
        kind: str,
        media_type: str = "application/octet-stream",
        attempt: tuple[str, int] | None = None,
        project: str = "",
    ) -> Artifact:
        """Stores a file's bytes; nothing is sent when the project has them already.

        `attempt` is the trial's name and the attempt's number when a worker's evaluation made the file.
        """
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            request = pb.CreateUploadRequest(
                parent=str(project_of(project) if project else self._project),
                digest=digest,
                size_bytes=path.stat().st_size,
                kind=kind,
                media_type=media_type,
                file_name=path.name,
            )
            if attempt is not None:
                request.attempt.CopyFrom(evaluation_pb2.AttemptRef(trial=attempt[0], attempt=attempt[1]))
            opened = self._connection.call(self._stub.CreateUpload, request)
            if opened.HasField("artifact"):
                return Artifact.from_proto(opened.artifact)
            if opened.signed_url:
                _put(opened.signed_url, file, request.size_bytes)
            else:
                self._send(file, opened.upload_id, request.size_bytes, opened.chunk_bytes or CHUNK_BYTES)
        finish = pb.FinishUploadRequest(upload_id=opened.upload_id)
        return Artifact.from_proto(self._connection.call(self._stub.FinishUpload, finish, 120.0).artifact)

    def _send(self, file: BinaryIO, upload_id: str, size_bytes: int, chunk_bytes: int) -> None:
        offset = 0
        while offset < size_bytes:
            file.seek(offset)
            request = pb.UploadChunkRequest(upload_id=upload_id, offset=offset, data=file.read(chunk_bytes))
            try:
                received = self._connection.call(self._stub.UploadChunk, request).received_bytes
            except Conflict:
                # Another process of ours sent on meanwhile, or a lost answer did: the store says where it is.
                state = pb.GetUploadRequest(upload_id=upload_id)
                received = self._connection.call(self._stub.GetUpload, state).received_bytes
            if received <= offset:
                raise InternalError(f"The upload does not get on: the store still has {received} bytes.")
            offset = received

    def download(self, artifact: Artifact | str, path: Path) -> Path:
        """Writes an artifact to a file, whole or not at all. Goes on where an earlier download was cut off.

        Raises InternalError when the bytes do not have the digest they are named by.
        """
        name = artifact if isinstance(artifact, str) else artifact.name
        digest = digest_of(name)
        partial = path.with_name(f".{path.name}.{digest[:12]}.part")
        path.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("ab") as file:
            for data in self._read(name, file.tell()):
                file.write(data)
        with partial.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if found != digest:
            partial.unlink()
            raise InternalError(f"The bytes of {name} have another digest, {found}: download it again.")
        os.replace(partial, path)
        return path

    def read(self, artifact: Artifact | str) -> bytes:
        """A small artifact's bytes."""
        name = artifact if isinstance(artifact, str) else artifact.name
        data = b"".join(self._read(name, 0))
        if hashlib.sha256(data).hexdigest() != digest_of(name):
            raise InternalError(f"The bytes of {name} have another digest: read it again.")
        return data

    def _read(self, name: str, offset: int) -> Iterator[bytes]:
        failures = 0
        while True:
            request = pb.ReadArtifactRequest(name=name, offset=offset)
            try:
                for answer in self._connection.stream(self._stub.ReadArtifact, request):
                    failures = 0
                    offset += len(answer.data)
                    yield answer.data
                return
            except (Unavailable, InternalError) as error:
                failures += 1
                if failures >= self._connection.backoff.attempts:
                    raise
                self._pause(failures, error)

    def _pause(self, failures: int, error: ArchloomError) -> None:
        connection = self._connection
        connection.sleep(connection.backoff.pause(failures, connection.rng, error.retry_after_seconds))


def _put(url: str, file: BinaryIO, size_bytes: int) -> None:
    """Sends the bytes to an address that the store has signed."""
    file.seek(0)
    request = urllib.request.Request(
        url, data=file, method="PUT", headers={"Content-Length": str(size_bytes)}
    )
    try:
        with urllib.request.urlopen(request, timeout=300):
            return
    except OSError as error:
        raise Unavailable(f"The store did not take the upload: {error}.") from None
