"""The work: lease, run, report, until there is nothing left to lease."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta

from archloom.v1 import evaluation_pb2

from archloom_evaluators.evaluator import BatchedEvaluator, Context, Evaluator, Job, Outcome
from archloom_evaluators.failures import (
    AttemptStopped,
    AttemptYielded,
    EvaluationFailure,
    Reason,
    classify,
)
from archloom_evaluators.registry import Registry
from archloom_evaluators.worker import counters
from archloom_evaluators.worker.api import Api
from archloom_evaluators.worker.attempt import Attempt
from archloom_evaluators.worker.convert import JobReader
from archloom_evaluators.worker.heartbeat import Heartbeat
from archloom_evaluators.worker.reports import Reports

log = logging.getLogger("archloom.worker")

Pair = tuple[Job, Attempt]

FLUSH_SECONDS = 0.25
FLUSH_RESULTS = 256


class WorkLoop:
    """One worker process's loop. ``drain`` runs in one thread at a time; the heartbeat runs beside it."""

    def __init__(
        self,
        api: Api,
        registry: Registry,
        heartbeat: Heartbeat,
        device_class: str,
        *,
        stop: threading.Event,
        labels: dict[str, str] | None = None,
        wait_seconds: float = 1.0,
        max_trials: int = 256,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._api = api
        self._registry = registry
        self._heartbeat = heartbeat
        self._device_class = device_class
        self._stop = stop
        self._labels = labels or {}
        self._wait = timedelta(seconds=wait_seconds)
        self._max_trials = max_trials
        self._monotonic = monotonic
        self._reader = JobReader()
        #: Set when the process ran out of memory: the next attempt wants a fresh one.
        self.wants_fresh_process = False

    def drain(self) -> int:
        """Runs what can be leased.

        Answers how many attempts that were. Raises grpc.RpcError when the controller is away.
        """
        done = 0
        while not self._stop.is_set() and not self.wants_fresh_process:
            request = evaluation_pb2.LeaseTrialsRequest(
                worker=self._api.worker,
                device_class=self._device_class,
                evaluator_kinds=list(self._registry.evaluators),
                labels=self._labels,
                max_trials=self._max_trials,
            )
            request.wait.FromTimedelta(self._wait)
            response = self._api.lease(request)
            if not response.trials:
                break
            self._run(response)
            done += len(response.trials)
        return done

    def _run(self, response: evaluation_pb2.LeaseTrialsResponse) -> None:
        attempts = [
            Attempt(lease, self._api, self._heartbeat.news, self._monotonic) for lease in response.trials
        ]
        self._heartbeat.hold(attempts, response.lease_duration.ToTimedelta().total_seconds())
        counters.RUNNING.inc(len(attempts))
        reports = Reports(self._api)
        try:
            for kind, pairs in self._by_kind(response, attempts, reports).items():
                evaluator = self._registry.evaluators[kind]
                if isinstance(evaluator, BatchedEvaluator):
                    self._run_batch(evaluator, kind, pairs, reports)
                else:
                    self._run_singly(evaluator, kind, pairs, reports)
            reports.send()
        finally:
            counters.RUNNING.dec(len(attempts))
            self._heartbeat.drop(attempts)

    def _by_kind(
        self,
        response: evaluation_pb2.LeaseTrialsResponse,
        attempts: Sequence[Attempt],
        reports: Reports,
    ) -> dict[str, list[Pair]]:
        """Jobs by the kind of their evaluator; leases that cannot be read are reported failed."""
        contexts = self._reader.contexts(response)
        kinds: dict[str, list[Pair]] = {}
        for lease, attempt in zip(response.trials, attempts, strict=True):
            try:
                job = self._job(lease, contexts)
            except EvaluationFailure as failure:
                reports.failed("unknown", attempt, failure)
            else:
                kinds.setdefault(job.context.evaluator_kind, []).append((job, attempt))
        return kinds

    def _job(self, lease: evaluation_pb2.LeasedTrial, contexts: Sequence[Context | EvaluationFailure]) -> Job:
        if not 0 <= lease.context < len(contexts):
            raise EvaluationFailure(Reason.INTERNAL, "the lease names a context that it does not carry")
        context = contexts[lease.context]
        if isinstance(context, EvaluationFailure):
            raise context
        if context.evaluator_kind not in self._registry.evaluators:
            raise EvaluationFailure(
                Reason.INTERNAL, f"this worker has no evaluator of kind {context.evaluator_kind!r}"
            )
        return self._reader.job(lease, context)

    def _run_singly(self, evaluator: Evaluator, kind: str, pairs: Sequence[Pair], reports: Reports) -> None:
        for job, attempt in pairs:
            role = job.role.name.lower()
            if self._stop.is_set() or self.wants_fresh_process:
                reports.add(job, attempt, AttemptYielded(job.trial))
                continue
            log.info("%s attempt %d: begins (%s)", job.trial, job.attempt, role)
            counters.STARTED.labels(kind, role).inc()
            attempt.start()
            answer: Outcome | Exception
            try:
                answer = evaluator.evaluate(job, attempt)
            except (AttemptStopped, AttemptYielded) as end:
                answer = end
            except Exception as error:
                answer = _failure(job, error)
            if isinstance(answer, EvaluationFailure) and answer.reason is Reason.OUT_OF_MEMORY:
                self.wants_fresh_process = True
            reports.add(job, attempt, answer)
            reports.send()

    def _run_batch(
        self, evaluator: BatchedEvaluator, kind: str, pairs: Sequence[Pair], reports: Reports
    ) -> None:
        flushed = self._monotonic()
        # The device time of a batch is that of its own trial for each: it begins when the one before has
        # ended.
        for (job, attempt), answer in zip(pairs, _answers(evaluator, pairs), strict=True):
            counters.STARTED.labels(kind, job.role.name.lower()).inc()
            reports.add(job, attempt, answer)
            if len(reports) >= FLUSH_RESULTS or self._monotonic() - flushed > FLUSH_SECONDS:
                reports.send()
                flushed = self._monotonic()


def _answers(evaluator: BatchedEvaluator, pairs: Sequence[Pair]) -> Iterator[Outcome | Exception]:
    """One answer for each pair, whatever the evaluator does.

    Jobs it did not come to fail with what broke it.
    """
    answers = evaluator.evaluate_many([job for job, _ in pairs], [attempt for _, attempt in pairs])
    broken: EvaluationFailure | None = None
    for job, attempt in pairs:
        attempt.start()
        if broken is None:
            try:
                answer = next(answers)
            except StopIteration:
                broken = EvaluationFailure(Reason.INTERNAL, "the evaluator gave no answer for this trial")
            except Exception as error:
                broken = _failure(job, error)
            else:
                yield answer
                continue
        yield broken


def _failure(job: Job, error: Exception) -> EvaluationFailure:
    failure = classify(error)
    if failure.reason is Reason.INTERNAL:
        log.error("%s failed", job.trial, exc_info=error)
    return failure
