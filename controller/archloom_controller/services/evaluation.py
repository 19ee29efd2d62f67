"""EvaluationService: leases of trials, for evaluators in any language."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from archloom.errors import InvalidInput, Violation
from archloom.resources import ArtifactName, ExperimentName, TrialName
from archloom.v1 import common_pb2, evaluation_pb2, evaluation_pb2_grpc
from archloom.v1.common_pb2 import FailureReason
from archloom.v1.evaluation_pb2 import AttemptOutcome, Directive
from archloom.v1.experiment_pb2 import ExperimentState
from archloom.v1.trial_pb2 import TrialRole

from archloom_controller.convert import curve_points, duration, metrics_of, seconds
from archloom_controller.engine.engine import Engine
from archloom_controller.engine.frame import SEARCH_ROLES, Frame
from archloom_controller.engine.frames import Frames
from archloom_controller.engine.owner import reason_name
from archloom_controller.engine.reaper import free_resumed, paused_of
from archloom_controller.engine.signals import owner_key, queue_key
from archloom_controller.rpc.caller import current_caller
from archloom_controller.store.layout import COMPLETED, Document, owner_of, trial_id
from archloom_controller.store.leases import Ending, Failure, Progress

#: How often a failure is tried again; None: up to the trial's max_attempts. As FailureReason documents it.
RETRIES: dict[int, int | None] = {
    FailureReason.FAILURE_REASON_OUT_OF_MEMORY: 1,
    FailureReason.FAILURE_REASON_DIVERGED: 0,
    FailureReason.FAILURE_REASON_CANNOT_BUILD: 0,
    FailureReason.FAILURE_REASON_DATA: 1,
    FailureReason.FAILURE_REASON_LOST: None,
    FailureReason.FAILURE_REASON_TIMEOUT: 0,
    FailureReason.FAILURE_REASON_INTERNAL: 1,
}
#: Numbers in one trial's curve that one call may bring.
MAX_CURVE_VALUES = 200_000


class EvaluationServicer(evaluation_pb2_grpc.EvaluationServiceServicer):
    def __init__(self, engine: Engine) -> None:
        self._parts = engine.parts
        self._leases = engine.parts.store.leases
        self._frames = Frames(engine.parts.store)
        # Callers of one replica take turns at a queue's head instead of racing for it.
        self._turns: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def LeaseTrials(
        self, request: evaluation_pb2.LeaseTrialsRequest, context: Any
    ) -> evaluation_pb2.LeaseTrialsResponse:
        clock, poll = self._parts.clock, self._parts.settings.poll_seconds
        until = clock.monotonic() + seconds(request.wait)
        lease_id = _lease_id(request)
        rows: list[Document] = []
        if request.request_id:
            rows = await self._leases.taken(request.worker, lease_id)
        caller = current_caller()
        with self._parts.signals.subscribe(queue_key(request.device_class)) as ready:
            while not rows:
                rows = await self._take(request, lease_id)
                left = until - clock.monotonic()
                if rows or left <= 0 or caller.gone.is_set():
                    break
                await ready.wait(min(left, poll))
        return await self._leased(rows)

    async def _take(self, request: evaluation_pb2.LeaseTrialsRequest, lease_id: str) -> list[Document]:
        now = self._parts.clock.now()
        async with self._turns[request.device_class]:
            rows = await self._leases.take(
                worker=request.worker,
                device_class=request.device_class,
                kinds=request.evaluator_kinds,
                limit=request.max_trials,
                lease_id=lease_id,
                now=now,
                labels=request.labels,
            )
        if not rows:
            return []
        # An experiment that was paused or ended while its trials were taken gets them back.
        uids = {row["e"] for row in rows}
        states = await self._parts.store.experiments.states(uids)
        stopped = paused_of(states) | (uids - states.keys())
        if stopped:
            back = [row for row in rows if row["e"] in stopped]
            await self._leases.put_back(back)
            await free_resumed(self._parts.store, [row["_id"] for row in back], stopped)
            rows = [row for row in rows if row["e"] not in stopped]
        waited = [max(0.0, (now - row["ready_time"]).total_seconds()) for row in rows]
        self._parts.metrics.trials_started(request.device_class, waited)
        return rows

    async def _leased(self, rows: Sequence[Document]) -> evaluation_pb2.LeaseTrialsResponse:
        response = evaluation_pb2.LeaseTrialsResponse(
            lease_duration=duration(self._parts.settings.lease_seconds)
        )
        places: dict[str, int] = {}
        for row in rows:
            frame = await self._frames.get(row["e"])
            if frame is None:
                continue
            if row["e"] not in places:
                places[row["e"]] = len(response.contexts)
                response.contexts.append(frame.evaluation)
            response.trials.append(_leased_trial(row, frame, places[row["e"]]))
        return response

    async def Heartbeat(
        self, request: evaluation_pb2.HeartbeatRequest, context: Any
    ) -> evaluation_pb2.HeartbeatResponse:
        places = await self._places(
            [told.attempt for told in request.attempts], lambda index: f"attempts[{index}].attempt.trial"
        )
        told = [(place, attempt) for place, attempt in zip(places, request.attempts, strict=True) if place]
        await self._leases.report(
            request.worker, [await self._progress(place, attempt) for place, attempt in told]
        )
        holders = await self._leases.holders([place for place, _ in told])
        states = await self._parts.store.experiments.states({owner_of(place) for place, _ in told})
        directives = [
            self._directive(request.worker, place, told.attempt.attempt, holders, states)
            for place, told in zip(places, request.attempts, strict=True)
        ]
        current = {
            place: (attempt.attempt.attempt, attempt.progress)
            for place, attempt in told
            if holders.get(place) == (attempt.attempt.attempt, request.worker)
        }
        await self._parts.store.presence.renew_worker(
            request.worker,
            device_class=request.device_class,
            labels=request.labels,
            busy_share=request.busy_share,
            progress=current,
            now=self._parts.clock.now(),
        )
        for uid in {owner_of(place) for place, attempt in told if attempt.measurements}:
            self._parts.signals.notify(owner_key(uid))
        return evaluation_pb2.HeartbeatResponse(
            directives=[
                evaluation_pb2.AttemptDirective(attempt=told.attempt, directive=directive)
                for told, directive in zip(request.attempts, directives, strict=True)
            ],
            lease_duration=duration(self._parts.settings.lease_seconds),
        )

    async def _progress(self, place: str, told: evaluation_pb2.AttemptProgress) -> Progress:
        fields: Document = {}
        if told.HasField("checkpoint"):
            await self._known(told.attempt, [told.checkpoint], "attempts.checkpoint")
            fields["checkpoint"] = told.checkpoint.SerializeToString()
        return Progress(place, told.attempt.attempt, _curve(told.measurements), fields)

    def _directive(
        self,
        worker: str,
        place: str,
        attempt: int,
        holders: dict[str, tuple[int, str]],
        states: dict[str, Document],
    ) -> Directive.ValueType:
        if holders.get(place) != (attempt, worker):
            return Directive.DIRECTIVE_STOP
        state = states.get(owner_of(place), {}).get("state")
        if state == ExperimentState.EXPERIMENT_STATE_PAUSED:
            return Directive.DIRECTIVE_YIELD
        if state != ExperimentState.EXPERIMENT_STATE_RUNNING:
            return Directive.DIRECTIVE_STOP
        return Directive.DIRECTIVE_CONTINUE

    async def CompleteTrials(
        self, request: evaluation_pb2.CompleteTrialsRequest, context: Any
    ) -> evaluation_pb2.CompleteTrialsResponse:
        places = await self._places(
            [result.attempt for result in request.results], lambda index: f"results[{index}].attempt.trial"
        )
        rows = await self._leases.being_evaluated([place for place in places if place])
        endings = []
        for place, result in zip(places, request.results, strict=True):
            frame = await self._frames.get(owner_of(place)) if place else None
            if frame is not None and place in rows:
                endings.append(await self._ending(place, result, rows[place], frame))
        recorded = await self._leases.complete(request.worker, endings) if endings else []
        done = {
            (ending.trial, ending.attempt) for ending, stands in zip(endings, recorded, strict=True) if stands
        }
        self._measure([rows[place] for place, _ in done])
        return evaluation_pb2.CompleteTrialsResponse(
            outcomes=self._outcomes(places, [result.attempt for result in request.results], done)
        )

    async def _ending(
        self, place: str, result: evaluation_pb2.TrialResult, row: Document, frame: Frame
    ) -> Ending:
        await self._known(result.attempt, [*result.artifacts], "results.artifacts")
        if result.HasField("checkpoint"):
            await self._known(result.attempt, [result.checkpoint], "results.checkpoint")
        metrics = metrics_of(result.metrics)
        judgement = frame.judge(metrics, row["role"], row["fidelity"])
        fields: Document = {
            "state": judgement.state,
            "metrics": metrics,
            "end_time": self._parts.clock.now(),
        }
        if judgement.failure is not None:
            fields["failure"] = judgement.failure
        full = row["fidelity"] == frame.full_fidelity and row["role"] in SEARCH_ROLES
        if judgement.state == COMPLETED and full:
            fields["score"] = judgement.values[0]
        if result.HasField("checkpoint"):
            fields["checkpoint"] = result.checkpoint.SerializeToString()
        if result.artifacts:
            fields["artifacts"] = [ref.SerializeToString() for ref in result.artifacts]
        spent = max(0.0, seconds(result.device_time))
        return Ending(place, result.attempt.attempt, fields, _curve(result.measurements), spent)

    async def FailTrials(
        self, request: evaluation_pb2.FailTrialsRequest, context: Any
    ) -> evaluation_pb2.FailTrialsResponse:
        attempts = [failure.attempt for failure in request.failures]
        places = await self._places(attempts, lambda index: f"failures[{index}].attempt.trial")
        failures = []
        for index, (place, told) in enumerate(zip(places, request.failures, strict=True)):
            if told.failure.reason not in RETRIES:
                raise InvalidInput([Violation(f"failures[{index}].failure.reason", "is not a reason")])
            if place:
                spent = max(0.0, seconds(told.device_time))
                reason, message = told.failure.reason, told.failure.message
                failures.append(Failure(place, told.attempt.attempt, reason, message, RETRIES[reason], spent))
        states = await self._parts.store.experiments.states({owner_of(place) for place in places if place})
        now, paused = self._parts.clock.now(), paused_of(states)
        recorded: list[bool] = []
        if failures:
            recorded = await self._leases.fail(request.worker, failures, paused, now)
            await free_resumed(self._parts.store, [each.trial for each in failures], paused)
        done = {(each.trial, each.attempt) for each, stands in zip(failures, recorded, strict=True) if stands}
        for failure in failures:
            if (failure.trial, failure.attempt) in done:
                self._parts.metrics.attempts_failed(reason_name(failure.reason))
        self._wake_queues(await self._leases.device_classes([place for place, _ in done]))
        return evaluation_pb2.FailTrialsResponse(outcomes=self._outcomes(places, attempts, done))

    async def ReleaseTrials(
        self, request: evaluation_pb2.ReleaseTrialsRequest, context: Any
    ) -> evaluation_pb2.ReleaseTrialsResponse:
        attempts = [released.attempt for released in request.trials]
        places = await self._places(attempts, lambda index: f"trials[{index}].attempt.trial")
        endings = []
        for place, told in zip(places, request.trials, strict=True):
            if place:
                fields: Document = {}
                if told.HasField("checkpoint"):
                    await self._known(told.attempt, [told.checkpoint], "trials.checkpoint")
                    fields["checkpoint"] = told.checkpoint.SerializeToString()
                spent = max(0.0, seconds(told.device_time))
                endings.append(Ending(place, told.attempt.attempt, fields, (), spent))
        states = await self._parts.store.experiments.states({owner_of(place) for place in places if place})
        now, paused = self._parts.clock.now(), paused_of(states)
        recorded: list[bool] = []
        if endings:
            recorded = await self._leases.release(request.worker, endings, paused, now)
            await free_resumed(self._parts.store, [each.trial for each in endings], paused)
        done = {(each.trial, each.attempt) for each, stands in zip(endings, recorded, strict=True) if stands}
        self._wake_queues(await self._leases.device_classes([place for place, _ in done]))
        return evaluation_pb2.ReleaseTrialsResponse(outcomes=self._outcomes(places, attempts, done))

    # Helpers

    async def _places(self, attempts: Sequence[evaluation_pb2.AttemptRef], field: Any) -> list[str]:
        """Ids in the store of the attempts' trials; "" where the experiment is gone."""
        names = [TrialName.parse(attempt.trial, field(index)) for index, attempt in enumerate(attempts)]
        uids: dict[ExperimentName, str | None] = {}
        for parent in {name.parent for name in names}:
            uids[parent] = await self._parts.store.experiments.uid(parent)
        return [trial_id(uid, name.number) if (uid := uids[name.parent]) else "" for name in names]

    async def _known(
        self, attempt: evaluation_pb2.AttemptRef, refs: Sequence[common_pb2.ArtifactRef], field: str
    ) -> None:
        """Raises InvalidInput unless each artifact was finished, in the trial's own project."""
        project = TrialName.parse(attempt.trial, "attempt.trial").project
        for ref in refs:
            mine = ArtifactName.parse(ref.name, field).project == project
            if not mine or await self._parts.artifacts.ref(ref.name) is None:
                raise InvalidInput([Violation(field, f"there is no {ref.name}; upload it first")])

    def _outcomes(
        self,
        places: Sequence[str],
        attempts: Sequence[evaluation_pb2.AttemptRef],
        done: set[tuple[str, int]],
    ) -> list[AttemptOutcome.ValueType]:
        for uid in {owner_of(place) for place, _ in done}:
            self._parts.signals.notify(owner_key(uid))
        return [
            AttemptOutcome.ATTEMPT_OUTCOME_RECORDED
            if (place, attempt.attempt) in done
            else AttemptOutcome.ATTEMPT_OUTCOME_STALE
            for place, attempt in zip(places, attempts, strict=True)
        ]

    def _measure(self, rows: Sequence[Document]) -> None:
        now = self._parts.clock.now()
        by_kind: defaultdict[tuple[str, str], list[float]] = defaultdict(list)
        for row in rows:
            if "lease_time" in row:
                taken = max(0.0, (now - row["lease_time"]).total_seconds())
                by_kind[row["device_class"], row["kind"]].append(taken)
        for (device_class, kind), taken_seconds in by_kind.items():
            self._parts.metrics.evaluated(device_class, kind, taken_seconds)

    def _wake_queues(self, device_classes: Iterable[str]) -> None:
        for device_class in device_classes:
            self._parts.signals.notify(queue_key(device_class))


def _lease_id(request: evaluation_pb2.LeaseTrialsRequest) -> str:
    """The same for a repeated call, so that it finds what the lost answer leased."""
    if not request.request_id:
        return secrets.token_hex(16)
    return hashlib.sha256(f"{request.worker}|{request.request_id}".encode()).hexdigest()[:32]


def _curve(measurements: Sequence[common_pb2.Measurement]) -> list[Document]:
    if sum(1 + len(point.metrics) for point in measurements) > MAX_CURVE_VALUES:
        raise InvalidInput([Violation("measurements", f"hold more than {MAX_CURVE_VALUES:,} numbers")])
    return curve_points(measurements)


def _leased_trial(row: Document, frame: Frame, place: int) -> evaluation_pb2.LeasedTrial:
    trial = evaluation_pb2.LeasedTrial(
        trial=str(frame.name.trial(row["n"])),
        attempt=row["attempt"],
        context=place,
        role=row["role"],
        seed=row["seed"],
        elapsed=duration(row["device_seconds"]),
        exports=row.get("exports", ()),
    )
    trial.architecture.ParseFromString(row["arch"])
    trial.fidelity.ParseFromString(row["fidelity"])
    if row["max_seconds"]:
        # All attempts share the trial's max_duration: that is what the budget has reserved.
        trial.max_duration.CopyFrom(duration(max(0.001, row["max_seconds"] - row["device_seconds"])))
    if row.get("checkpoint"):
        trial.checkpoint.ParseFromString(row["checkpoint"])
    if row["role"] == TrialRole.TRIAL_ROLE_TEST:
        trial.test_grant = hashlib.sha256(f"{row['_id']}|{row['lease_id']}".encode()).hexdigest()
    return trial
