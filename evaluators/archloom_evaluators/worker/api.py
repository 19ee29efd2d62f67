"""The controller's calls as a worker makes them.

Synchronous, with deadlines, tried again while the controller is away.
"""

from __future__ import annotations

import hashlib
import logging
import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import grpc
from archloom.client import connection
from archloom.v1 import (
    artifact_pb2,
    artifact_pb2_grpc,
    evaluation_pb2,
    evaluation_pb2_grpc,
    registry_pb2,
    registry_pb2_grpc,
)

from archloom_evaluators.evaluator import Artifact
from archloom_evaluators.failures import EvaluationFailure, Reason
from archloom_evaluators.worker.convert import artifact_from_proto

log = logging.getLogger("archloom.worker")

MESSAGE_BYTES = 64 * 1024 * 1024
DEFAULT_CHUNK_BYTES = 1024 * 1024
#: Worth another try with the same request: every call of a worker is idempotent by attempt or request id.
AGAIN = (
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.ABORTED,
)

Answer = TypeVar("Answer")
Item = TypeVar("Item")


def open_channel(server: str) -> grpc.Channel:
    """A channel to the controller, as the client opens it, dialled at the first call.

    Raises InvalidInput.
    """
    return connection.open_channel(
        server,
        {
            "grpc.max_receive_message_length": MESSAGE_BYTES,
            "grpc.max_send_message_length": MESSAGE_BYTES,
            "grpc.max_reconnect_backoff_ms": 2000,
        },
    )


class Api:
    """One controller, as one worker process sees it. Safe to use from several threads."""

    def __init__(
        self,
        channel: grpc.Channel,
        worker: str,
        *,
        token: str = "",
        patience_seconds: float = 120.0,
        stop: threading.Event | None = None,
        rng: random.Random | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """``patience_seconds``.

        How long a result is offered to a controller that is away; a stopping worker waits 5 at most.
        """
        self.worker = worker
        self._evaluation = evaluation_pb2_grpc.EvaluationServiceStub(channel)
        self._artifacts = artifact_pb2_grpc.ArtifactServiceStub(channel)
        self._registry = registry_pb2_grpc.RegistryServiceStub(channel)
        self._metadata = (("authorization", f"Bearer {token}"),) if token else ()
        self._patience = patience_seconds
        self._stop = stop or threading.Event()
        self._rng = rng or random.Random(worker)
        self._monotonic = monotonic

    def register(self, request: registry_pb2.RegisterEvaluatorRequest) -> None:
        """Tells what this process offers. Raises grpc.RpcError."""
        self._registry.RegisterEvaluator(request, timeout=10.0, metadata=self._metadata)

    def lease(self, request: evaluation_pb2.LeaseTrialsRequest) -> evaluation_pb2.LeaseTrialsResponse:
        """Takes trials. The same request id gets the same leases, so a lost answer loses nothing."""
        request.request_id = f"{self._rng.getrandbits(96):024x}"
        timeout = request.wait.ToTimedelta().total_seconds() + 10.0
        return self._repeat(
            lambda: self._evaluation.LeaseTrials(request, timeout=timeout, metadata=self._metadata),
            "LeaseTrials",
            10.0,
        )

    def heartbeat(
        self, request: evaluation_pb2.HeartbeatRequest, timeout: float
    ) -> evaluation_pb2.HeartbeatResponse:
        """One try; the next heartbeat is soon enough. Raises grpc.RpcError."""
        return self._evaluation.Heartbeat(request, timeout=timeout, metadata=self._metadata)

    def complete(self, results: Sequence[evaluation_pb2.TrialResult]) -> list[int]:
        """Outcomes of CompleteTrials, one for each result."""
        outcomes: list[int] = []
        for part in _parts(results, 1000):
            request = evaluation_pb2.CompleteTrialsRequest(worker=self.worker, results=part)
            outcomes += self._report(self._evaluation.CompleteTrials, request, "CompleteTrials").outcomes
        return outcomes

    def fail(self, failures: Sequence[evaluation_pb2.AttemptFailure]) -> list[int]:
        """Outcomes of FailTrials, one for each failure."""
        outcomes: list[int] = []
        for part in _parts(failures, 1000):
            request = evaluation_pb2.FailTrialsRequest(worker=self.worker, failures=part)
            outcomes += self._report(self._evaluation.FailTrials, request, "FailTrials").outcomes
        return outcomes

    def release(self, trials: Sequence[evaluation_pb2.ReleasedTrial]) -> list[int]:
        """Outcomes of ReleaseTrials, one for each trial."""
        outcomes: list[int] = []
        for part in _parts(trials, 1000):
            request = evaluation_pb2.ReleaseTrialsRequest(worker=self.worker, trials=part)
            outcomes += self._report(self._evaluation.ReleaseTrials, request, "ReleaseTrials").outcomes
        return outcomes

    def upload(
        self,
        data: bytes,
        project: str,
        kind: str,
        media_type: str,
        file_name: str,
        attempt: evaluation_pb2.AttemptRef,
        patience_seconds: float | None = None,
    ) -> Artifact:
        """Stores bytes under their digest, going on where a lost connection left off.

        Raises grpc.RpcError.
        """
        patience = self._patience if patience_seconds is None else patience_seconds
        opening = artifact_pb2.CreateUploadRequest(
            parent=project,
            digest=hashlib.sha256(data).hexdigest(),
            size_bytes=len(data),
            kind=kind,
            media_type=media_type,
            file_name=file_name,
            attempt=attempt,
        )
        opened = self._repeat(
            lambda: self._artifacts.CreateUpload(opening, timeout=10.0, metadata=self._metadata),
            "CreateUpload",
            patience,
        )
        if opened.HasField("artifact"):
            return artifact_from_proto(opened.artifact)
        chunk = min(opened.chunk_bytes or DEFAULT_CHUNK_BYTES, 3 * 1024 * 1024)
        offset = 0
        while offset < len(data):
            request = artifact_pb2.UploadChunkRequest(
                upload_id=opened.upload_id, offset=offset, data=data[offset : offset + chunk]
            )
            answer = self._repeat(
                lambda request=request: self._artifacts.UploadChunk(  # type: ignore[misc]
                    request, timeout=30.0, metadata=self._metadata
                ),
                "UploadChunk",
                patience,
            )
            if answer.received_bytes <= offset:
                raise EvaluationFailure(Reason.INTERNAL, f"the upload of {file_name} does not get on")
            offset = answer.received_bytes
        finish = artifact_pb2.FinishUploadRequest(upload_id=opened.upload_id)
        finished = self._repeat(
            lambda: self._artifacts.FinishUpload(finish, timeout=60.0, metadata=self._metadata),
            "FinishUpload",
            patience,
        )
        return artifact_from_proto(finished.artifact)

    def download(self, artifact: Artifact) -> bytes:
        """A blob, whole.

        Goes on from where a lost connection cut it. Raises EvaluationFailure with DATA on a wrong digest.
        """
        received = bytearray()

        def read() -> None:
            request = artifact_pb2.ReadArtifactRequest(name=artifact.name, offset=len(received))
            for piece in self._artifacts.ReadArtifact(request, timeout=120.0, metadata=self._metadata):
                received.extend(piece.data)

        self._repeat(read, "ReadArtifact", self._patience)
        data = bytes(received)
        if hashlib.sha256(data).hexdigest() != artifact.name.rpartition("/")[2]:
            raise EvaluationFailure(Reason.DATA, f"{artifact.name} does not have the bytes of its digest")
        return data

    def _report(self, method: Callable[..., Answer], request: object, name: str) -> Answer:
        return self._repeat(
            lambda: method(request, timeout=30.0, metadata=self._metadata), name, self._patience
        )

    def _repeat(self, call: Callable[[], Answer], name: str, patience: float) -> Answer:
        """Calls until an answer comes, with growing jittered pauses, for ``patience`` seconds.

        Raises grpc.RpcError.
        """
        began = self._monotonic()
        pause = 0.1
        while True:
            try:
                return call()
            except grpc.RpcError as error:
                code = error.code()
                waited = self._monotonic() - began
                limit = min(patience, 5.0) if self._stop.is_set() else patience
                if not is_passing(error) or waited + pause > limit:
                    raise
                log.warning("%s: %s; trying again in %.1f s", name, code.name, pause)
            # Not an idle wait: the pause between tries, cut short when the worker is told to stop.
            self._stop.wait(pause * self._rng.uniform(0.5, 1.0))
            pause = min(pause * 2, 2.0)


def is_passing(error: grpc.RpcError) -> bool:
    """Whether the same call may be answered later."""
    if error.code() is not grpc.StatusCode.RESOURCE_EXHAUSTED:
        return error.code() in AGAIN
    # A server under load says when to come back; a full quota or a message too large stays what it is.
    trailers: Any = error.trailing_metadata() or ()
    return any(
        key == "grpc-status-details-bin" and b"google.rpc.RetryInfo" in value for key, value in trailers
    )


def _parts(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
