"""ArtifactService: large bytes in resumable chunks, out in pieces."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from archloom.errors import InvalidInput, NotFound, Violation
from archloom.resources import ArtifactName, ProjectName, TrialName
from archloom.v1 import artifact_pb2, artifact_pb2_grpc

from archloom_controller.artifacts import ArtifactStore, Upload
from archloom_controller.artifacts.store import CHUNK_BYTES


class ArtifactServicer(artifact_pb2_grpc.ArtifactServiceServicer):
    def __init__(self, artifacts: ArtifactStore) -> None:
        self._artifacts = artifacts

    async def CreateUpload(
        self, request: artifact_pb2.CreateUploadRequest, context: Any
    ) -> artifact_pb2.CreateUploadResponse:
        project = ProjectName.parse(request.parent).project
        trial = None
        if request.HasField("attempt"):
            trial = TrialName.parse(request.attempt.trial, "attempt.trial")
            if trial.project != project:
                raise InvalidInput([Violation("attempt.trial", f"is not of {request.parent}")])
        upload = Upload(
            project=project,
            digest=request.digest,
            size=request.size_bytes,
            kind=request.kind,
            media_type=request.media_type,
            file_name=request.file_name,
            trial=trial,
            attempt=request.attempt.attempt,
        )
        identifier, known = await self._artifacts.begin(upload)
        return artifact_pb2.CreateUploadResponse(
            artifact=known, upload_id=identifier, chunk_bytes=CHUNK_BYTES
        )

    async def UploadChunk(
        self, request: artifact_pb2.UploadChunkRequest, context: Any
    ) -> artifact_pb2.UploadChunkResponse:
        received = await self._artifacts.add(request.upload_id, request.offset, request.data)
        return artifact_pb2.UploadChunkResponse(received_bytes=received)

    async def GetUpload(
        self, request: artifact_pb2.GetUploadRequest, context: Any
    ) -> artifact_pb2.GetUploadResponse:
        received = await self._artifacts.received(request.upload_id)
        return artifact_pb2.GetUploadResponse(received_bytes=received)

    async def FinishUpload(
        self, request: artifact_pb2.FinishUploadRequest, context: Any
    ) -> artifact_pb2.FinishUploadResponse:
        return artifact_pb2.FinishUploadResponse(artifact=await self._artifacts.finish(request.upload_id))

    async def GetArtifact(
        self, request: artifact_pb2.GetArtifactRequest, context: Any
    ) -> artifact_pb2.GetArtifactResponse:
        name = ArtifactName.parse(request.name)
        found = await self._artifacts.ref(str(name))
        if found is None:
            raise NotFound(f"there is no artifact {name}")
        return artifact_pb2.GetArtifactResponse(artifact=found)

    async def ReadArtifact(
        self, request: artifact_pb2.ReadArtifactRequest, context: Any
    ) -> AsyncIterator[artifact_pb2.ReadArtifactResponse]:
        async for piece in self._artifacts.read(ArtifactName.parse(request.name), request.offset):
            yield artifact_pb2.ReadArtifactResponse(data=piece)
