from __future__ import annotations

import hashlib
from functools import partial
from pathlib import Path

import grpc
import pytest
from archloom.client import Client
from archloom.errors import InternalError, Unavailable
from fake_server import FakeServer, refuse

DATA = bytes(range(256)) * 20  # six chunks of the fake server
DIGEST = hashlib.sha256(DATA).hexdigest()
NAME = f"projects/default/artifacts/{DIGEST}"


def test_an_upload_goes_in_chunks_and_is_verified(client: Client, fake: FakeServer, tmp_path: Path) -> None:
    (tmp_path / "w.bin").write_bytes(DATA)
    artifact = client.artifacts.upload(
        tmp_path / "w.bin", "weights", attempt=("projects/p/experiments/e/trials/7", 2)
    )
    assert artifact.digest == DIGEST
    assert fake.blobs[DIGEST] == DATA
    opened = fake.asked("CreateUpload")[0]
    assert (opened.size_bytes, opened.file_name, opened.attempt.attempt) == (len(DATA), "w.bin", 2)
    assert [each.offset for each in fake.asked("UploadChunk")] == [0, 1000, 2000, 3000, 4000, 5000]


def test_a_chunk_whose_answer_was_lost_is_sent_again(
    client: Client, fake: FakeServer, tmp_path: Path
) -> None:
    (tmp_path / "w.bin").write_bytes(DATA)
    fake.failures["UploadChunk"] = [partial(refuse, code=grpc.StatusCode.UNAVAILABLE, message="cut")]
    client.artifacts.upload(tmp_path / "w.bin", "weights")
    assert [each.offset for each in fake.asked("UploadChunk")][:2] == [0, 0]
    assert fake.blobs[DIGEST] == DATA


def test_an_upload_goes_on_where_the_store_is(client: Client, fake: FakeServer, tmp_path: Path) -> None:
    (tmp_path / "w.bin").write_bytes(DATA)
    fake.uploads[DIGEST] = bytearray(DATA[:3000])
    fake.failures["UploadChunk"] = [
        partial(refuse, code=grpc.StatusCode.ABORTED, message="a gap", reason="CONFLICT")
    ]
    client.artifacts.upload(tmp_path / "w.bin", "weights")
    assert [each.offset for each in fake.asked("UploadChunk")] == [0, 3000, 4000, 5000]


def test_known_bytes_are_not_sent_again(client: Client, fake: FakeServer, tmp_path: Path) -> None:
    fake.blobs[DIGEST] = DATA
    (tmp_path / "w.bin").write_bytes(DATA)
    assert client.artifacts.upload(tmp_path / "w.bin", "weights").digest == DIGEST
    assert fake.asked("UploadChunk") == []


def test_a_cut_download_goes_on_at_its_offset(client: Client, fake: FakeServer, tmp_path: Path) -> None:
    fake.blobs[DIGEST], fake.cuts = DATA, [2, 1]
    path = client.artifacts.download(NAME, tmp_path / "deep" / "w.bin")
    assert path.read_bytes() == DATA
    assert [each.offset for each in fake.asked("ReadArtifact")] == [0, 2000, 3000]
    assert [each.name for each in path.parent.iterdir()] == ["w.bin"]


def test_a_download_that_was_given_up_goes_on_later(client: Client, fake: FakeServer, tmp_path: Path) -> None:
    fake.blobs[DIGEST], fake.cuts = DATA, [2, 0, 0, 0, 0]
    with pytest.raises(Unavailable):
        client.artifacts.download(NAME, tmp_path / "w.bin")
    assert not (tmp_path / "w.bin").exists()
    assert client.artifacts.download(NAME, tmp_path / "w.bin").read_bytes() == DATA
    assert fake.asked("ReadArtifact")[-1].offset == 2000


def test_bytes_of_another_digest_are_never_left_behind(
    client: Client, fake: FakeServer, tmp_path: Path
) -> None:
    fake.blobs[DIGEST] = DATA[:-1] + b"!"
    (tmp_path / "w.bin").write_bytes(b"the old file")
    with pytest.raises(InternalError, match="digest"):
        client.artifacts.download(NAME, tmp_path / "w.bin")
    assert (tmp_path / "w.bin").read_bytes() == b"the old file"
    assert len(list(tmp_path.iterdir())) == 1
    with pytest.raises(InternalError, match="digest"):
        client.artifacts.read(NAME)


def test_an_empty_artifact_is_read(client: Client, fake: FakeServer) -> None:
    digest = hashlib.sha256(b"").hexdigest()
    fake.blobs[digest] = b""
    assert client.artifacts.read(f"projects/default/artifacts/{digest}") == b""
