"""One attempt at a trial while it runs here.

What the heartbeat tells of it, and what it tells the evaluator.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Mapping
from datetime import timedelta

import grpc
from archloom.resources import ProjectName, TrialName
from archloom.v1 import common_pb2, evaluation_pb2

from archloom_evaluators.evaluator import Artifact
from archloom_evaluators.failures import AttemptStopped, AttemptYielded, EvaluationFailure, Reason
from archloom_evaluators.worker.api import Api
from archloom_evaluators.worker.convert import artifact_to_proto, fault_of, finite, metrics_to_proto

log = logging.getLogger("archloom.worker")

CHECKPOINT_PATIENCE_SECONDS = 5.0


class Attempt:
    """The ``Run`` of an evaluator.

    The evaluator's thread and the heartbeat's both use it; one lock guards it.
    """

    def __init__(
        self,
        lease: evaluation_pb2.LeasedTrial,
        api: Api,
        news: Callable[[], None],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """``news`` is called when there is something for the next heartbeat to carry early."""
        self.ref = evaluation_pb2.AttemptRef(trial=lease.trial, attempt=lease.attempt)
        self._api = api
        self._news = news
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._directed = threading.Event()
        self._directive: int = evaluation_pb2.DIRECTIVE_CONTINUE
        self._progress = 0
        self._pending: list[common_pb2.Measurement] = []
        self._checkpoint = lease.checkpoint if lease.HasField("checkpoint") else None
        self._told_checkpoint = self._checkpoint
        self._earlier_seconds = lease.elapsed.ToTimedelta().total_seconds()
        # What earlier attempts left of the trial's; 0 sets no limit.
        self._limit_seconds = lease.max_duration.ToTimedelta().total_seconds()
        self._began: float | None = None

    # -- the evaluator's side -------------------------------------------------

    def start(self) -> None:
        """The attempt's device time begins to count."""
        self._began = self._monotonic()

    @property
    def own_seconds(self) -> float:
        """Device time of this attempt."""
        return 0.0 if self._began is None else self._monotonic() - self._began

    @property
    def elapsed_seconds(self) -> float:
        return self._earlier_seconds + self.own_seconds

    def advance(self) -> None:
        with self._lock:
            self._progress += 1
        self._obey()

    def pause(self, seconds: float) -> None:
        self._directed.wait(seconds)
        self.advance()

    def measure(self, progress: float, metrics: Mapping[str, float]) -> None:
        # A point that the controller refuses would go with each heartbeat, and cost the process all leases.
        fault = fault_of(metrics)
        if not (math.isfinite(progress) and progress >= 0):
            fault = f"a curve's progress cannot be {progress}"
        if fault:
            raise EvaluationFailure(Reason.INTERNAL, fault)
        point = common_pb2.Measurement(progress=progress, metrics=metrics_to_proto(finite(metrics)))
        point.elapsed.FromTimedelta(timedelta(seconds=self.elapsed_seconds))
        with self._lock:
            self._pending.append(point)
        self._news()

    def checkpoint(self, data: bytes) -> None:
        try:
            artifact = self._upload(
                data,
                "checkpoint",
                "application/octet-stream",
                "checkpoint.safetensors",
                CHECKPOINT_PATIENCE_SECONDS,
            )
        except grpc.RpcError as error:
            if error.code() in (grpc.StatusCode.FAILED_PRECONDITION, grpc.StatusCode.NOT_FOUND):
                # The store refuses bytes of an attempt that lost its lease.
                raise AttemptStopped(self.ref.trial) from error
            log.warning(
                "%s: a checkpoint could not be stored (%s); going on", self.ref.trial, error.code().name
            )
            return
        with self._lock:
            self._checkpoint = artifact_to_proto(artifact)
        self._news()

    def upload(self, data: bytes, kind: str, media_type: str, file_name: str) -> Artifact:
        return self._upload(data, kind, media_type, file_name, None)

    def download(self, artifact: Artifact) -> bytes:
        return self._api.download(artifact)

    def _upload(
        self, data: bytes, kind: str, media_type: str, file_name: str, patience: float | None
    ) -> Artifact:
        project = str(ProjectName(TrialName.parse(self.ref.trial, "trial").project))
        return self._api.upload(data, project, kind, media_type, file_name, self.ref, patience)

    def _obey(self) -> None:
        directive = self._directive
        if directive == evaluation_pb2.DIRECTIVE_STOP:
            raise AttemptStopped(self.ref.trial)
        if directive == evaluation_pb2.DIRECTIVE_YIELD:
            raise AttemptYielded(self.ref.trial)
        if self._limit_seconds > 0 and self.own_seconds > self._limit_seconds:
            raise EvaluationFailure(
                Reason.TIMEOUT,
                f"ran {self.elapsed_seconds:.1f} s; its max_duration left it {self._limit_seconds:g} s",
            )

    # -- the heartbeat's side -------------------------------------------------

    def report(self) -> evaluation_pb2.AttemptProgress:
        """The heartbeat's line for this attempt."""
        with self._lock:
            if self._began is None:
                # It waits for its turn in a batch whose trials before it get on.
                self._progress += 1
            message = evaluation_pb2.AttemptProgress(
                attempt=self.ref, progress=self._progress, measurements=self._pending[:1000]
            )
            if self._checkpoint is not None and self._checkpoint != self._told_checkpoint:
                message.checkpoint.CopyFrom(self._checkpoint)
            return message

    def answered(self, message: evaluation_pb2.AttemptProgress, directive: int) -> None:
        """The controller has what ``message`` carried, and says how to go on."""
        with self._lock:
            del self._pending[: len(message.measurements)]
            if message.HasField("checkpoint"):
                self._told_checkpoint = message.checkpoint
        self.direct(directive)

    def direct(self, directive: int) -> None:
        """Sets what the evaluator meets at its next ``advance``. A stop is final."""
        with self._lock:
            if self._directive == evaluation_pb2.DIRECTIVE_STOP:
                return
            if directive in (evaluation_pb2.DIRECTIVE_STOP, evaluation_pb2.DIRECTIVE_YIELD):
                self._directive = directive
                self._directed.set()

    # -- the ends -------------------------------------------------------------

    def remaining(self) -> list[common_pb2.Measurement]:
        """Points of the curve that no answered heartbeat has carried."""
        with self._lock:
            return list(self._pending)

    @property
    def newest_checkpoint(self) -> common_pb2.ArtifactRef | None:
        with self._lock:
            return self._checkpoint
