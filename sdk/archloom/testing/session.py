"""The controller's side of a conversation with a strategy, without a controller: no database, no workers,
no clock.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import grpc

from archloom.client.connection import open_channel
from archloom.client.failures import error_of
from archloom.errors import InternalError, InvalidInput, Unavailable, Violation
from archloom.strategy import convert
from archloom.strategy.plugin import Plugin
from archloom.strategy.values import SearchSpec
from archloom.v1 import common_pb2, strategy_pb2, strategy_pb2_grpc, trial_pb2

#: Rounds of need_spec, need_state and need_history before a step counts as failed.
ROUNDS = 8
#: Observations in one page of the history. The controller's pages hold more; a plugin must take any.
PAGE = 50


class RemotePlugin:
    """A plugin that listens at ``HOST:PORT``. A context manager; failures are raised as archloom.errors."""

    def __init__(self, address: str, timeout_seconds: float = 60.0) -> None:
        self.address = address
        self._timeout = timeout_seconds
        self._channel = open_channel(address)
        self._stub = strategy_pb2_grpc.StrategyServiceStub(self._channel)

    def describe(self) -> strategy_pb2.StrategyDescription:
        try:
            request = strategy_pb2.DescribeStrategyRequest()
            return self._stub.DescribeStrategy(request, timeout=self._timeout).description
        except grpc.RpcError as failure:
            raise self._error(failure) from None

    def validate(
        self, request: strategy_pb2.ValidateStrategyRequest
    ) -> strategy_pb2.ValidateStrategyResponse:
        try:
            return self._stub.ValidateStrategy(request, timeout=self._timeout)
        except grpc.RpcError as failure:
            raise self._error(failure) from None

    def propose(self, request: strategy_pb2.ProposeRequest) -> strategy_pb2.ProposeResponse:
        try:
            return self._stub.Propose(request, timeout=self._timeout)
        except grpc.RpcError as failure:
            raise self._error(failure) from None

    def close(self) -> None:
        self._channel.close()

    def __enter__(self) -> RemotePlugin:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _error(self, failure: grpc.RpcError) -> Exception:
        error = error_of(failure, self.address)
        if isinstance(error, Unavailable):
            return Unavailable(
                f"no strategy answers at {self.address}: start it with archloom serve-strategy"
            )
        return error


@dataclass(frozen=True)
class SessionTrial:
    """A proposal that became a trial."""

    number: int
    step: int
    ordinal: int
    proposal: strategy_pb2.Proposal


class Session:
    """One search: keeps the log, the state and the step number, as the engine does, and asks the plugin.

    Observations are given by ``accept``, ``refuse``, ``finish``, ... and are told with the next ``ask``.
    ``record`` holds each step's request, whole, and its answer.
    """

    def __init__(
        self,
        plugin: Plugin,
        spec: SearchSpec,
        settings: Mapping[str, Any] | None = None,
        *,
        seed: int = 0,
        name: str = "session",
    ) -> None:
        self.plugin = plugin
        self.step = 0
        self.record: list[tuple[strategy_pb2.ProposeRequest, strategy_pb2.ProposeResponse]] = []
        self._spec = convert.spec_message(spec, settings or {})
        self._seed = seed
        self._experiment = f"projects/bench/experiments/{name}"
        self._uid = hashlib.sha256(
            f"{name}/{seed}/".encode() + self._spec.SerializeToString(deterministic=True)
        ).hexdigest()[:32]
        self._state = strategy_pb2.StrategyState()
        self._log: list[strategy_pb2.Observation] = []
        self._told = 0
        self._trials = 0

    def check(self) -> None:
        """Raises InvalidInput with what the plugin finds wrong with the spec."""
        answer = self.plugin.validate(strategy_pb2.ValidateStrategyRequest(spec=self._spec))
        if answer.violations:
            raise InvalidInput([Violation(each.field, each.description) for each in answer.violations])

    def ask(self, count: int) -> strategy_pb2.ProposeResponse:
        """The next step's answer; the observations since the last one are told."""
        self.step += 1
        events = self._log[self._told :]
        whole = strategy_pb2.ProposeRequest(
            experiment=self._experiment,
            experiment_uid=self._uid,
            spec=self._spec,
            step=self.step,
            seed=step_seed(self._seed, self.step),
            state=self._state,
            observations=events,
            history_sequence=self._told,
            count=count,
        )
        answer = self.exchange(whole)
        if answer.experiment != self._experiment or answer.step != self.step:
            raise InternalError("the plugin answered another experiment or step than it was asked")
        self._told = len(self._log)
        if answer.HasField("state"):
            self._state = answer.state
        self.record.append((whole, answer))
        return answer

    def exchange(
        self, whole: strategy_pb2.ProposeRequest, plugin: Plugin | None = None
    ) -> strategy_pb2.ProposeResponse:
        """``whole`` sent as the engine sends it: first without what a warm replica has, then with what it
        asks for.
        """
        request = strategy_pb2.ProposeRequest()
        request.CopyFrom(whole)
        if whole.step > 1:
            request.spec.CopyFrom(strategy_pb2.SearchSpec(revision=whole.spec.revision))
        rounds, reached = 0, -1
        while rounds < ROUNDS:
            rounds += 1
            answer = (plugin or self.plugin).propose(request)
            need = answer.WhichOneof("answer")
            if need == "need_spec":
                request.spec.CopyFrom(whole.spec)
            elif need == "need_state":
                request.state.CopyFrom(whole.state)
            elif need == "need_history":
                begin = answer.need_history.from_sequence
                if begin == reached:
                    rounds -= 1
                reached = self._turn_page(request, begin, whole.history_sequence)
            elif need is None:
                raise InternalError("the plugin's answer is neither proposals, wait, exhausted nor a need")
            else:
                return answer
        raise InternalError(f"the plugin still asked for more after {ROUNDS} rounds")

    def _turn_page(self, request: strategy_pb2.ProposeRequest, begin: int, until: int) -> int:
        """Put the page after ``begin`` into the request; where it ends, -1 when it is the last."""
        end = min(begin + PAGE, until)
        request.history_after = begin
        request.ClearField("history_until")
        if end < until:
            request.history_until = end
        del request.history[:]
        request.history.extend(self._log[begin:end])
        return end if end < until else -1

    # What happened, for the next step's observations.

    def accept(self, ordinal: int, proposal: strategy_pb2.Proposal) -> SessionTrial:
        """A proposal of the last answer becomes a trial."""
        self._trials += 1
        trial = SessionTrial(self._trials, self.step, ordinal, proposal)
        self._tell(trial, strategy_pb2.OBSERVATION_KIND_ACCEPTED)
        return trial

    def enqueue(self, proposal: strategy_pb2.Proposal) -> SessionTrial:
        """A user's own architecture becomes a trial."""
        self._trials += 1
        trial = SessionTrial(self._trials, 0, 0, proposal)
        self._tell(trial, strategy_pb2.OBSERVATION_KIND_ENQUEUED)
        return trial

    def refuse(self, ordinal: int, proposal: strategy_pb2.Proposal, reason: str) -> None:
        refused = SessionTrial(0, self.step, ordinal, proposal)
        self._tell(refused, strategy_pb2.OBSERVATION_KIND_REFUSED, reason=reason)

    def refuse_users(self, proposal: strategy_pb2.Proposal, reason: str) -> None:
        """A user's own architecture does not become a trial."""
        refused = SessionTrial(0, 0, 0, proposal)
        self._tell(refused, strategy_pb2.OBSERVATION_KIND_REFUSED, reason=reason)

    def finish(self, trial: SessionTrial, metrics: Mapping[str, float], *, feasible: bool = True) -> None:
        kind = "FINISHED" if feasible else "INFEASIBLE"
        self._tell(
            trial,
            strategy_pb2.ObservationKind.Value(f"OBSERVATION_KIND_{kind}"),
            metrics=convert.metric_messages(metrics),
        )

    def measure(self, trial: SessionTrial, progress: float, metrics: Mapping[str, float]) -> None:
        point = common_pb2.Measurement(progress=progress, metrics=convert.metric_messages(metrics))
        self._tell(trial, strategy_pb2.OBSERVATION_KIND_MEASURED, measurements=[point])

    def fail(self, trial: SessionTrial, reason: str = "internal") -> None:
        failure = trial_pb2.TrialFailure(
            reason=common_pb2.FailureReason.Value(f"FAILURE_REASON_{reason.upper()}"),
            message="it was told to",
        )
        self._tell(trial, strategy_pb2.OBSERVATION_KIND_FAILED, failure=failure)

    def cancel(self, trial: SessionTrial) -> None:
        self._tell(trial, strategy_pb2.OBSERVATION_KIND_CANCELLED)

    def _tell(
        self,
        trial: SessionTrial,
        kind: strategy_pb2.ObservationKind.ValueType,
        *,
        metrics: Sequence[common_pb2.MetricValue] = (),
        measurements: Sequence[common_pb2.Measurement] = (),
        failure: trial_pb2.TrialFailure | None = None,
        reason: str = "",
    ) -> None:
        self._log.append(
            strategy_pb2.Observation(
                sequence=len(self._log) + 1,
                kind=kind,
                trial=trial.number,
                step=trial.step,
                ordinal=trial.ordinal,
                architecture=trial.proposal.architecture,
                fidelity=trial.proposal.fidelity
                if trial.proposal.HasField("fidelity")
                else self._spec.fidelity,
                metrics=metrics,
                measurements=measurements,
                failure=failure,
                reason=reason,
            )
        )


def step_seed(seed: int, step: int) -> int:
    """The seed of one step, 64 bits."""
    return int.from_bytes(hashlib.sha256(f"{seed}/step/{step}".encode()).digest()[:8], "big")
