"""Artifacts over gRPC: chunks, cuts, resumption, fences and what never gets in."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path
from typing import Any

import grpc
import pytest
from archloom.resources import TrialName
from archloom.v1 import artifact_pb2, artifact_pb2_grpc, evaluation_pb2
from archloom_controller.artifacts import ArtifactStore
from archloom_controller.artifacts.blobs import Blobs
from archloom_controller.interfaces import SystemClock
from archloom_controller.server import Controller
from archloom_controller.services.artifacts import ArtifactServicer
from archloom_controller.settings import Settings
from grpc_refusals import refusal_of
from pymongo.asynchronous.database import AsyncDatabase

DATA = bytes(range(256)) * 4096  # 1 MiB
DIGEST = hashlib.sha256(DATA).hexdigest()
NAME = f"projects/p/artifacts/{DIGEST}"
ATTEMPT = evaluation_pb2.AttemptRef(trial="projects/p/experiments/e/trials/1", attempt=2)


def asking(data: bytes = DATA, **fields: Any) -> artifact_pb2.CreateUploadRequest:
    given = {
        "parent": "projects/p",
        "digest": hashlib.sha256(data).hexdigest(),
        "size_bytes": len(data),
        "kind": "weights",
        "file_name": "weights.safetensors",
        **fields,
    }
    return artifact_pb2.CreateUploadRequest(**given)


@pytest.fixture
async def stub(channel: grpc.aio.Channel) -> Any:
    return artifact_pb2_grpc.ArtifactServiceStub(channel)


async def send(stub: Any, upload: str, data: bytes, offset: int = 0, chunk: int = 300_000) -> int:
    received = offset
    for start in range(offset, len(data), chunk):
        piece = data[start : start + chunk]
        request = artifact_pb2.UploadChunkRequest(upload_id=upload, offset=start, data=piece)
        received = (await stub.UploadChunk(request)).received_bytes
    return received


def files_of(settings: Settings) -> list[str]:
    return [path.name for path in Path(settings.artifacts).rglob("*") if path.is_file()]


async def read(stub: Any, offset: int = 0) -> list[bytes]:
    request = artifact_pb2.ReadArtifactRequest(name=NAME, offset=offset)
    return [answer.data async for answer in stub.ReadArtifact(request)]


async def store(stub: Any, data: bytes = DATA) -> artifact_pb2.FinishUploadResponse:
    upload = (await stub.CreateUpload(asking(data))).upload_id
    await send(stub, upload, data)
    return await stub.FinishUpload(artifact_pb2.FinishUploadRequest(upload_id=upload))


async def test_what_went_in_comes_out_in_pieces(stub: Any, settings: Settings) -> None:
    artifact = (await store(stub)).artifact
    assert (artifact.name, artifact.size_bytes) == (NAME, len(DATA))
    assert (artifact.kind, artifact.file_name) == ("weights", "weights.safetensors")
    told = await stub.GetArtifact(artifact_pb2.GetArtifactRequest(name=NAME))
    assert told.artifact == artifact
    pieces = await read(stub)
    assert b"".join(pieces) == DATA
    assert max(map(len, pieces)) <= 256 * 1024
    assert b"".join(await read(stub, offset=1_000_000)) == DATA[1_000_000:]
    assert await read(stub, offset=len(DATA)) == []
    # Nothing else is left behind: names are digests, chunks are gone.
    assert files_of(settings) == [DIGEST]


async def test_known_bytes_need_no_upload_within_their_project(stub: Any) -> None:
    await store(stub)
    again = await stub.CreateUpload(asking(kind="checkpoint", file_name="c"))
    assert (again.artifact.name, again.artifact.kind, again.upload_id) == (NAME, "checkpoint", "")
    elsewhere = await stub.CreateUpload(asking(parent="projects/other"))
    assert elsewhere.upload_id
    assert not elsewhere.HasField("artifact")
    name = f"projects/other/artifacts/{DIGEST}"
    refused = await refusal_of(stub.GetArtifact(artifact_pb2.GetArtifactRequest(name=name)))
    assert refused.code is grpc.StatusCode.NOT_FOUND


async def test_an_upload_goes_on_after_a_lost_connection_at_another_replica(
    stub: Any, settings: Settings
) -> None:
    upload = (await stub.CreateUpload(asking())).upload_id
    await send(stub, upload, DATA[:600_000])
    other = Controller(settings.model_copy(update={"replica": "other"}))
    await other.start()
    async with grpc.aio.insecure_channel(other.address) as channel:
        second = artifact_pb2_grpc.ArtifactServiceStub(channel)
        progress = await second.GetUpload(artifact_pb2.GetUploadRequest(upload_id=upload))
        assert progress.received_bytes == 600_000
        assert await send(second, upload, DATA, offset=600_000, chunk=500_000) == len(DATA)
        await second.FinishUpload(artifact_pb2.FinishUploadRequest(upload_id=upload))
    await other.stop()
    assert b"".join(await read(stub)) == DATA


async def test_repeated_chunks_and_a_repeated_finish_change_nothing(stub: Any) -> None:
    upload = (await stub.CreateUpload(asking())).upload_id
    first = artifact_pb2.UploadChunkRequest(upload_id=upload, offset=0, data=DATA[:300_000])
    answers = await asyncio.gather(*(stub.UploadChunk(first) for _ in range(5)))
    assert {answer.received_bytes for answer in answers} == {300_000}
    await send(stub, upload, DATA, offset=300_000)
    late = await stub.UploadChunk(first)
    assert late.received_bytes == len(DATA)
    finish = artifact_pb2.FinishUploadRequest(upload_id=upload)
    answers = await asyncio.gather(*(stub.FinishUpload(finish) for _ in range(4)))
    assert {answer.artifact.name for answer in answers} == {NAME}
    assert (await stub.FinishUpload(finish)).artifact.name == NAME
    assert b"".join(await read(stub)) == DATA


async def test_bytes_of_another_digest_never_become_an_artifact(stub: Any, settings: Settings) -> None:
    upload = (await stub.CreateUpload(asking())).upload_id
    await send(stub, upload, DATA[:-1] + b"!")
    finish = artifact_pb2.FinishUploadRequest(upload_id=upload)
    refused = await refusal_of(stub.FinishUpload(finish))
    assert refused.code is grpc.StatusCode.INVALID_ARGUMENT
    assert "sha256" in refused.violations["digest"]
    assert (await refusal_of(stub.FinishUpload(finish))).code is grpc.StatusCode.NOT_FOUND
    assert (await refusal_of(stub.GetArtifact(artifact_pb2.GetArtifactRequest(name=NAME)))).code is (
        grpc.StatusCode.NOT_FOUND
    )
    assert files_of(settings) == []


async def test_gaps_overruns_and_early_ends_are_refused(stub: Any) -> None:
    upload = (await stub.CreateUpload(asking(b"0123456789"))).upload_id
    gap = artifact_pb2.UploadChunkRequest(upload_id=upload, offset=5, data=b"56789")
    assert "0 bytes have arrived" in (await refusal_of(stub.UploadChunk(gap))).violations["offset"]
    long = artifact_pb2.UploadChunkRequest(upload_id=upload, offset=0, data=b"01234567890")
    assert "10 bytes" in (await refusal_of(stub.UploadChunk(long))).violations["data"]
    early = await refusal_of(stub.FinishUpload(artifact_pb2.FinishUploadRequest(upload_id=upload)))
    assert early.code is grpc.StatusCode.FAILED_PRECONDITION


async def test_nothing_is_an_artifact_too(stub: Any) -> None:
    assert (await store(stub, b"")).artifact.size_bytes == 0


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"digest": "../../etc/passwd"}, "digest"),
        ({"parent": "projects/.."}, "parent"),
        ({"file_name": "../x"}, "file_name"),
        ({"size_bytes": -1}, "size_bytes"),
    ],
)
async def test_names_that_are_paths_are_refused(stub: Any, change: dict[str, Any], field: str) -> None:
    refused = await refusal_of(stub.CreateUpload(asking(**change)))
    assert refused.code is grpc.StatusCode.INVALID_ARGUMENT
    assert field in refused.violations


async def test_an_attempt_that_does_not_exist_is_stale(stub: Any) -> None:
    refused = await refusal_of(stub.CreateUpload(asking(attempt=ATTEMPT)))
    assert (refused.code, refused.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "STALE_ATTEMPT")
    foreign = await refusal_of(stub.CreateUpload(asking(parent="projects/q", attempt=ATTEMPT)))
    assert "attempt.trial" in foreign.violations


class Fence:
    """Which attempt is current, as the test says."""

    def __init__(self) -> None:
        self.current = 2

    async def __call__(self, trial: TrialName, attempt: int) -> bool:
        return attempt == self.current


@pytest.fixture
async def fenced(database: AsyncDatabase[dict[str, Any]], tmp_path: Path) -> tuple[ArtifactServicer, Fence]:
    fence = Fence()
    kept = ArtifactStore(database, Blobs(str(tmp_path / "blobs")), fence, SystemClock())
    await kept.prepare()
    return ArtifactServicer(kept), fence


async def test_an_attempt_that_lost_its_lease_meanwhile_publishes_nothing(
    fenced: tuple[ArtifactServicer, Fence],
) -> None:
    servicer, fence = fenced
    upload = (await servicer.CreateUpload(asking(b"abc", attempt=ATTEMPT), None)).upload_id
    chunk = artifact_pb2.UploadChunkRequest(upload_id=upload, offset=0, data=b"abc")
    await servicer.UploadChunk(chunk, None)
    fence.current = 3
    with pytest.raises(Exception, match="has lost its lease") as caught:
        await servicer.FinishUpload(artifact_pb2.FinishUploadRequest(upload_id=upload), None)
    assert caught.value.reason == "STALE_ATTEMPT"  # type: ignore[attr-defined]
    name = f"projects/p/artifacts/{hashlib.sha256(b'abc').hexdigest()}"
    with pytest.raises(Exception, match="there is no artifact"):
        await servicer.GetArtifact(artifact_pb2.GetArtifactRequest(name=name), None)


async def test_artifacts_lie_on_any_filesystem_that_fsspec_knows(
    database: AsyncDatabase[dict[str, Any]],
) -> None:
    servicer = ArtifactServicer(
        ArtifactStore(database, Blobs("memory://archloom-artifacts"), Fence(), SystemClock())
    )
    upload = (await servicer.CreateUpload(asking(b"abc"), None)).upload_id
    chunk = artifact_pb2.UploadChunkRequest(upload_id=upload, offset=0, data=b"abc")
    await servicer.UploadChunk(chunk, None)
    done = await servicer.FinishUpload(artifact_pb2.FinishUploadRequest(upload_id=upload), None)
    request = artifact_pb2.ReadArtifactRequest(name=done.artifact.name, offset=1)
    assert [answer.data async for answer in servicer.ReadArtifact(request, None)] == [b"bc"]
