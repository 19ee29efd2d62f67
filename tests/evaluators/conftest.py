"""A controller in miniature.

The evaluator-facing services over a real socket, with the same fencing as the real one.
"""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent import futures
from typing import Any

import grpc
import pytest
from archloom.space import Architecture, Space
from archloom.v1 import (
    artifact_pb2,
    artifact_pb2_grpc,
    common_pb2,
    evaluation_pb2,
    evaluation_pb2_grpc,
    registry_pb2,
    registry_pb2_grpc,
    trial_pb2,
)
from archloom_evaluators.evaluator import AnyEvaluator
from archloom_evaluators.registry import Registry
from archloom_evaluators.worker.api import Api, open_channel
from archloom_evaluators.worker.heartbeat import Heartbeat
from archloom_evaluators.worker.loop import WorkLoop
from google.protobuf import json_format, struct_pb2

os.environ.setdefault("OMP_NUM_THREADS", "1")

EXPERIMENT = "projects/p/experiments/e"


def wait_until(condition: Callable[[], Any], seconds: float = 30.0) -> Any:
    """Polls until the condition holds; fails the test when it does not within the deadline."""
    deadline = time.monotonic() + seconds
    turn = threading.Event()
    while not (value := condition()):
        if time.monotonic() > deadline:
            pytest.fail(f"not within {seconds} s: {condition}")
        turn.wait(0.02)
    return value


class FakeController(
    evaluation_pb2_grpc.EvaluationServiceServicer,
    artifact_pb2_grpc.ArtifactServiceServicer,
    registry_pb2_grpc.RegistryServiceServicer,
):
    """Holds trials in memory. ``directive`` and ``broken`` are what a test changes."""

    def __init__(self, lease_seconds: float = 2.0) -> None:
        self.lock = threading.RLock()
        self.lease_seconds = lease_seconds
        self.ready: list[evaluation_pb2.LeasedTrial] = []
        self.contexts: dict[int, evaluation_pb2.EvaluationContext] = {}
        self.current: dict[str, int] = {}
        self.leased: set[tuple[str, int]] = set()
        self.leases: dict[str, evaluation_pb2.LeaseTrialsResponse] = {}
        self.results: dict[str, evaluation_pb2.TrialResult] = {}
        self.failures: dict[str, evaluation_pb2.AttemptFailure] = {}
        self.released: dict[str, evaluation_pb2.ReleasedTrial] = {}
        self.measured: dict[str, list[common_pb2.Measurement]] = {}
        self.checkpoints: dict[str, list[str]] = {}
        self.heartbeats: list[evaluation_pb2.HeartbeatRequest] = []
        self.registrations: list[registry_pb2.RegisterEvaluatorRequest] = []
        self.blobs: dict[str, bytes] = {}
        self.uploads: dict[str, tuple[artifact_pb2.CreateUploadRequest, bytearray]] = {}
        self.directive: Callable[[str], int] = lambda trial: evaluation_pb2.DIRECTIVE_CONTINUE
        #: Calls by name that fail with UNAVAILABLE, and how many times still; after the effect when negative.
        self.broken: dict[str, int] = {}
        self.calls: list[str] = []
        self.long_kinds = {"train"}

    # -- what a test does -----------------------------------------------------

    def add(self, trial: evaluation_pb2.LeasedTrial, context: evaluation_pb2.EvaluationContext) -> str:
        with self.lock:
            trial.context = len(self.contexts)
            self.contexts[trial.context] = context
            trial.attempt = trial.attempt or 1
            self.current[trial.trial] = trial.attempt
            self.ready.append(trial)
        return trial.trial

    def again(
        self, trial: evaluation_pb2.LeasedTrial, checkpoint: common_pb2.ArtifactRef | None = None
    ) -> None:
        """The trial goes back to ready, for a new attempt; the old one is stale from now on."""
        with self.lock:
            fresh = evaluation_pb2.LeasedTrial()
            fresh.CopyFrom(trial)
            fresh.attempt = self.current[trial.trial] + 1
            if checkpoint is not None:
                fresh.checkpoint.CopyFrom(checkpoint)
            self.current[trial.trial] = fresh.attempt
            self.ready.append(fresh)

    def lose(self, trial: str) -> None:
        """The attempt loses its lease."""
        with self.lock:
            self.current[trial] += 1

    def put(self, data: bytes, kind: str = "checkpoint") -> common_pb2.ArtifactRef:
        digest = hashlib.sha256(data).hexdigest()
        self.blobs[digest] = data
        return common_pb2.ArtifactRef(name=f"projects/p/artifacts/{digest}", size_bytes=len(data), kind=kind)

    def blob(self, reference: common_pb2.ArtifactRef) -> bytes:
        return self.blobs[reference.name.rpartition("/")[2]]

    def metrics(self, trial: str) -> dict[str, float]:
        return {metric.name: metric.value for metric in self.results[trial].metrics}

    def ended(self, trial: str) -> bool:
        return trial in self.results or trial in self.failures

    # -- the services ---------------------------------------------------------

    def LeaseTrials(self, request, context):  # type: ignore[no-untyped-def]
        self._call("LeaseTrials", context)
        deadline = time.monotonic() + request.wait.ToTimedelta().total_seconds()
        turn = threading.Event()
        while True:
            with self.lock:
                if request.request_id in self.leases:
                    return self.leases[request.request_id]
                taken = self._take(request)
                if taken or time.monotonic() >= deadline or not context.is_active():
                    break
            turn.wait(0.01)
        with self.lock:
            response = evaluation_pb2.LeaseTrialsResponse()
            response.lease_duration.FromMilliseconds(int(self.lease_seconds * 1000))
            places: dict[bytes, int] = {}
            for trial in taken:
                shared = self.contexts[trial.context]
                key = shared.SerializeToString(deterministic=True)
                if key not in places:
                    places[key] = len(response.contexts)
                    response.contexts.append(shared)
                leased = response.trials.add()
                leased.CopyFrom(trial)
                leased.context = places[key]
                self.leased.add((trial.trial, trial.attempt))
            if taken:
                self.leases[request.request_id] = response
        self._after("LeaseTrials", context)
        return response

    def _take(self, request):  # type: ignore[no-untyped-def]
        taken: list[evaluation_pb2.LeasedTrial] = []
        for trial in list(self.ready):
            kind = self.contexts[trial.context].evaluator_kind
            if len(taken) >= (1 if kind in self.long_kinds else request.max_trials):
                break
            self.ready.remove(trial)
            taken.append(trial)
        return taken

    def Heartbeat(self, request, context):  # type: ignore[no-untyped-def]
        self._call("Heartbeat", context)
        response = evaluation_pb2.HeartbeatResponse()
        response.lease_duration.FromMilliseconds(int(self.lease_seconds * 1000))
        with self.lock:
            self.heartbeats.append(request)
            for progress in request.attempts:
                reference = progress.attempt
                stale = self.current[reference.trial] != reference.attempt
                if not stale:
                    curve = self.measured.setdefault(reference.trial, [])
                    for point in progress.measurements:
                        if not curve or point.progress > curve[-1].progress:
                            curve.append(point)
                    if progress.HasField("checkpoint"):
                        self.checkpoints.setdefault(reference.trial, []).append(progress.checkpoint.name)
                directive = evaluation_pb2.DIRECTIVE_STOP if stale else self.directive(reference.trial)
                response.directives.add(attempt=reference, directive=directive)
        return response

    def CompleteTrials(self, request, context):  # type: ignore[no-untyped-def]
        self._call("CompleteTrials", context)
        with self.lock:
            outcomes = [self._record(self.results, result) for result in request.results]
        self._after("CompleteTrials", context)
        return evaluation_pb2.CompleteTrialsResponse(outcomes=outcomes)

    def FailTrials(self, request, context):  # type: ignore[no-untyped-def]
        self._call("FailTrials", context)
        with self.lock:
            outcomes = [self._record(self.failures, failure) for failure in request.failures]
        self._after("FailTrials", context)
        return evaluation_pb2.FailTrialsResponse(outcomes=outcomes)

    def ReleaseTrials(self, request, context):  # type: ignore[no-untyped-def]
        self._call("ReleaseTrials", context)
        with self.lock:
            outcomes = [self._record(self.released, trial) for trial in request.trials]
        return evaluation_pb2.ReleaseTrialsResponse(outcomes=outcomes)

    def _record(self, ends, message):  # type: ignore[no-untyped-def]
        reference = message.attempt
        if reference.trial in ends and ends[reference.trial].attempt == reference:
            return evaluation_pb2.ATTEMPT_OUTCOME_RECORDED
        key = (reference.trial, reference.attempt)
        if self.current.get(reference.trial) != reference.attempt or key not in self.leased:
            return evaluation_pb2.ATTEMPT_OUTCOME_STALE
        self.leased.discard(key)
        ends[reference.trial] = message
        return evaluation_pb2.ATTEMPT_OUTCOME_RECORDED

    def CreateUpload(self, request, context):  # type: ignore[no-untyped-def]
        self._call("CreateUpload", context)
        reference = request.attempt
        if self.current.get(reference.trial) != reference.attempt:
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, "the attempt lost its lease")
        response = artifact_pb2.CreateUploadResponse()
        if request.digest in self.blobs:
            response.artifact.CopyFrom(self._reference(request))
        else:
            response.upload_id, response.chunk_bytes = f"up-{request.digest}", 65536
            self.uploads.setdefault(response.upload_id, (request, bytearray()))
        return response

    def UploadChunk(self, request, context):  # type: ignore[no-untyped-def]
        self._call("UploadChunk", context)
        _, received = self.uploads[request.upload_id]
        if request.offset == len(received):
            received.extend(request.data)
        self._after("UploadChunk", context)
        return artifact_pb2.UploadChunkResponse(received_bytes=len(received))

    def FinishUpload(self, request, context):  # type: ignore[no-untyped-def]
        self._call("FinishUpload", context)
        opened, received = self.uploads[request.upload_id]
        assert hashlib.sha256(received).hexdigest() == opened.digest
        self.blobs[opened.digest] = bytes(received)
        return artifact_pb2.FinishUploadResponse(artifact=self._reference(opened))

    def ReadArtifact(self, request, context):  # type: ignore[no-untyped-def]
        data = self.blobs[request.name.rpartition("/")[2]]
        cut = self.broken.get("ReadArtifact", 0)
        for start in range(request.offset, len(data), 65536):
            if cut:
                self.broken["ReadArtifact"] = cut - 1
                if start > request.offset:
                    context.abort(grpc.StatusCode.UNAVAILABLE, "cut")
            yield artifact_pb2.ReadArtifactResponse(data=data[start : start + 65536])

    def RegisterEvaluator(self, request, context):  # type: ignore[no-untyped-def]
        self._call("RegisterEvaluator", context)
        self.registrations.append(request)
        return registry_pb2.RegisterEvaluatorResponse()

    @staticmethod
    def _reference(opened: artifact_pb2.CreateUploadRequest) -> common_pb2.ArtifactRef:
        return common_pb2.ArtifactRef(
            name=f"projects/p/artifacts/{opened.digest}",
            size_bytes=opened.size_bytes,
            kind=opened.kind,
            media_type=opened.media_type,
            file_name=opened.file_name,
        )

    def _call(self, name: str, context: grpc.ServicerContext) -> None:
        with self.lock:
            self.calls.append(name)
            left = self.broken.get(name, 0)
            if left > 0:
                self.broken[name] = left - 1
        if left > 0:
            context.abort(grpc.StatusCode.UNAVAILABLE, "broken by the test")

    def _after(self, name: str, context: grpc.ServicerContext) -> None:
        """A lost answer: the effect is there, the caller does not know."""
        with self.lock:
            left = self.broken.get(name, 0)
            if left < 0:
                self.broken[name] = left + 1
        if left < 0:
            context.abort(grpc.StatusCode.UNAVAILABLE, "the answer is lost")


class Served:
    """A fake controller on a port of its own; it can be stopped and started again."""

    def __init__(self, controller: FakeController) -> None:
        self.controller = controller
        self.port = 0
        self.start()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        self.server = grpc.server(futures.ThreadPoolExecutor(16), options=[("grpc.so_reuseport", 0)])
        evaluation_pb2_grpc.add_EvaluationServiceServicer_to_server(self.controller, self.server)
        artifact_pb2_grpc.add_ArtifactServiceServicer_to_server(self.controller, self.server)
        registry_pb2_grpc.add_RegistryServiceServicer_to_server(self.controller, self.server)
        self.port = self.server.add_insecure_port(f"127.0.0.1:{self.port}")
        self.server.start()

    def stop(self) -> None:
        self.server.stop(0).wait()


@pytest.fixture
def served() -> Iterator[Served]:
    served = Served(FakeController())  # type: ignore[abstract]
    yield served
    served.stop()


class Kit:
    """What tests build leases from. A fixture hands it out: test folders are no packages to import from."""

    experiment = EXPERIMENT
    wait_until = staticmethod(wait_until)
    controller = FakeController
    served = Served

    @staticmethod
    def context(
        space: Space, kind: str, settings: dict[str, Any], dataset: str = "digits"
    ) -> evaluation_pb2.EvaluationContext:
        return evaluation_pb2.EvaluationContext(
            experiment=EXPERIMENT,
            task_kind="classification",
            dataset=dataset,
            evaluator_kind=kind,
            evaluator_settings=json_format.ParseDict(settings, struct_pb2.Struct()),
            space=space.to_proto(),
            space_digest=space.digest,
            objectives=[common_pb2.Objective(metric="val_accuracy", goal=common_pb2.GOAL_MAXIMIZE)],
        )

    @staticmethod
    def trial(
        number: int, architecture: Architecture, role: int = trial_pb2.TRIAL_ROLE_SEARCH, **fields: Any
    ) -> evaluation_pb2.LeasedTrial:
        return evaluation_pb2.LeasedTrial(
            trial=f"{EXPERIMENT}/trials/{number}",
            attempt=1,
            role=role,  # type: ignore[arg-type]
            architecture=architecture.to_proto(),
            seed=number,
            **fields,
        )

    @staticmethod
    def worker(
        served: Served,
        evaluators: dict[str, AnyEvaluator],
        stop: threading.Event | None = None,
        **options: Any,
    ) -> Worker:
        return Worker(served, evaluators, stop or threading.Event(), **options)


class Worker:
    """A work loop with its heartbeat, in this process."""

    def __init__(
        self, served: Served, evaluators: dict[str, AnyEvaluator], stop: threading.Event, **options: Any
    ) -> None:
        self.stop = stop
        self.channel = open_channel(served.address)
        self.api = Api(self.channel, f"test:{id(self)}", stop=stop, patience_seconds=20.0)
        self.heartbeat = Heartbeat(self.api, "cpu", {}, stop=stop)
        self.loop = WorkLoop(
            self.api, Registry(evaluators), self.heartbeat, "cpu", stop=stop, wait_seconds=0.0, **options
        )
        self.heartbeat.start()

    def close(self) -> None:
        self.heartbeat.end()
        self.heartbeat.join(10.0)
        self.channel.close()

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@pytest.fixture
def kit() -> type[Kit]:
    return Kit
