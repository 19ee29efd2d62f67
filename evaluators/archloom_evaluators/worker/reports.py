"""What a worker tells the controller of ended attempts, gathered so that short trials share a call."""

from __future__ import annotations

import logging
from datetime import timedelta

import grpc
from archloom.v1 import evaluation_pb2

from archloom_evaluators.evaluator import Job, Outcome
from archloom_evaluators.failures import (
    AttemptStopped,
    AttemptYielded,
    EvaluationFailure,
    Reason,
    classify,
)
from archloom_evaluators.worker import counters
from archloom_evaluators.worker.api import Api, is_passing
from archloom_evaluators.worker.attempt import Attempt
from archloom_evaluators.worker.convert import (
    artifact_to_proto,
    failure_to_proto,
    fault_of,
    finite,
    metrics_to_proto,
)

log = logging.getLogger("archloom.worker")


class Reports:
    """Results, failures and releases that wait to be sent."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._results: list[evaluation_pb2.TrialResult] = []
        self._failures: list[evaluation_pb2.AttemptFailure] = []
        self._releases: list[evaluation_pb2.ReleasedTrial] = []

    def __len__(self) -> int:
        return len(self._results) + len(self._failures) + len(self._releases)

    def add(self, job: Job, attempt: Attempt, answer: Outcome | Exception) -> None:
        """Notes how an attempt ended."""
        kind = job.context.evaluator_kind
        if isinstance(answer, Outcome):
            answer = _failure_in(answer) or answer
        if isinstance(answer, Outcome):
            self._completed(job, attempt, answer)
        elif isinstance(answer, AttemptStopped):
            counters.DROPPED.labels(kind, "stopped").inc()
            log.info("%s attempt %d: told to stop", job.trial, job.attempt)
        elif isinstance(answer, AttemptYielded):
            counters.DROPPED.labels(kind, "yielded").inc()
            self._released(attempt)
        else:
            self.failed(kind, attempt, classify(answer))

    def failed(self, kind: str, attempt: Attempt, failure: EvaluationFailure) -> None:
        """Notes that an attempt has no result."""
        counters.FAILED.labels(kind, failure.reason.name.lower()).inc()
        log.warning("%s attempt %d: %s: %s", *_names(attempt), failure.reason.name, failure.message)
        message = evaluation_pb2.AttemptFailure(attempt=attempt.ref, failure=failure_to_proto(failure))
        message.device_time.FromTimedelta(timedelta(seconds=attempt.own_seconds))
        self._failures.append(message)

    def send(self) -> None:
        """Tells all of it.

        What the controller will not take is dropped: its lease runs out and the trial goes on elsewhere.
        """
        results, self._results = self._results, []
        if results:
            self._complete(results)
        failures, self._failures = self._failures, []
        releases, self._releases = self._releases, []
        try:
            if failures:
                _note_stale("failures", self._api.fail(failures))
            if releases:
                _note_stale("releases", self._api.release(releases))
        except grpc.RpcError as error:
            log.error("%d ended attempts could not be told: %s", len(failures) + len(releases), _text(error))

    def _completed(self, job: Job, attempt: Attempt, outcome: Outcome) -> None:
        kind = job.context.evaluator_kind
        seconds = attempt.own_seconds
        counters.FINISHED.labels(kind, job.role.name.lower()).inc()
        counters.EVALUATE_SECONDS.labels(kind).observe(seconds)
        message = evaluation_pb2.TrialResult(
            attempt=attempt.ref,
            metrics=metrics_to_proto(outcome.metrics),
            measurements=attempt.remaining(),
            checkpoint=attempt.newest_checkpoint,
            artifacts=[artifact_to_proto(artifact) for artifact in outcome.artifacts],
        )
        message.device_time.FromTimedelta(timedelta(seconds=seconds))
        self._results.append(message)

    def _released(self, attempt: Attempt) -> None:
        log.info("%s attempt %d: let go", *_names(attempt))
        message = evaluation_pb2.ReleasedTrial(attempt=attempt.ref, checkpoint=attempt.newest_checkpoint)
        message.device_time.FromTimedelta(timedelta(seconds=attempt.own_seconds))
        self._releases.append(message)

    def _complete(self, results: list[evaluation_pb2.TrialResult]) -> None:
        try:
            _note_stale("results", self._api.complete(results))
        except grpc.RpcError as error:
            if is_passing(error):
                log.error("%d results could not be told: %s", len(results), _text(error))
            elif len(results) == 1:
                self._refused(results[0], error)
            else:
                # The controller takes all or none of a call: those at fault are found by halves.
                middle = len(results) // 2
                self._complete(results[:middle])
                self._complete(results[middle:])

    def _refused(self, result: evaluation_pb2.TrialResult, error: grpc.RpcError) -> None:
        """A result that is refused once is refused always: without this the trial would be tried until its
        attempts are used up.
        """
        log.error("%s: the result could not be told: %s", result.attempt.trial, _text(error))
        failure = EvaluationFailure(
            Reason.INTERNAL, f"the controller does not take the result: {_text(error)}"
        )
        self._failures.append(
            evaluation_pb2.AttemptFailure(
                attempt=result.attempt,
                failure=failure_to_proto(failure),
                device_time=result.device_time,
            )
        )


def _failure_in(outcome: Outcome) -> EvaluationFailure | None:
    """Why an outcome is none, told before it can spoil a call that carries others."""
    if len(finite(outcome.metrics)) != len(outcome.metrics):
        return EvaluationFailure(Reason.DIVERGED, "a metric is not a finite number")
    fault = fault_of(outcome.metrics) if outcome.metrics else "the evaluator gave no metric"
    return EvaluationFailure(Reason.INTERNAL, fault) if fault else None


def _names(attempt: Attempt) -> tuple[str, int]:
    return attempt.ref.trial, attempt.ref.attempt


def _text(error: grpc.RpcError) -> str:
    return f"{error.code().name}: {error.details()}"


def _note_stale(what: str, outcomes: list[int]) -> None:
    stale = sum(outcome == evaluation_pb2.ATTEMPT_OUTCOME_STALE for outcome in outcomes)
    if stale:
        counters.STALE.inc(stale)
        log.info("%d of %d %s came from attempts that had lost their lease", stale, len(outcomes), what)
