"""Trials: read them, end one, bring one's own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from archloom.client.connection import Connection, new_request_id
from archloom.client.naming import experiment_of
from archloom.client.values import Metrics, Trial
from archloom.resources import ProjectName
from archloom.space import Architecture
from archloom.v1 import common_pb2, trial_pb2_grpc
from archloom.v1 import trial_pb2 as pb

ORDERS: Mapping[str, pb.TrialOrder.ValueType] = {
    "number": pb.TRIAL_ORDER_NUMBER,
    "newest": pb.TRIAL_ORDER_NUMBER_DESCENDING,
    "best": pb.TRIAL_ORDER_BEST,
}


@dataclass(frozen=True)
class OwnTrial:
    """An architecture of the user's. With metrics it counts as evaluated already."""

    architecture: Architecture
    metrics: Metrics = field(default_factory=dict)
    device_seconds: float = 0.0
    note: str = ""


class Trials:
    """TrialService."""

    def __init__(self, connection: Connection, project: ProjectName) -> None:
        self._connection = connection
        self._project = project
        self._stub = trial_pb2_grpc.TrialServiceStub(connection.channel)

    def _trial(self, experiment: str, number: int) -> str:
        return str(experiment_of(experiment, self._project).trial(number))

    def get(self, experiment: str, number: int) -> Trial:
        request = pb.GetTrialRequest(name=self._trial(experiment, number))
        return Trial.from_proto(self._connection.call(self._stub.GetTrial, request).trial)

    def list(
        self,
        experiment: str,
        states: Sequence[str] = (),
        roles: Sequence[str] = (),
        order: str = "number",
        page_size: int = 500,
    ) -> Iterator[Trial]:
        """An experiment's trials. States and roles are words ("completed", "control"); none takes all.

        `order` is "number", "newest" or "best" (completed trials, by the first objective).
        """
        request = pb.ListTrialsRequest(
            parent=str(experiment_of(experiment, self._project)), page_size=page_size, order=ORDERS[order]
        )
        request.states.extend(pb.TrialState.Value(f"TRIAL_STATE_{each.upper()}") for each in states)
        request.roles.extend(pb.TrialRole.Value(f"TRIAL_ROLE_{each.upper()}") for each in roles)
        while True:
            answer = self._connection.call(self._stub.ListTrials, request)
            yield from map(Trial.from_proto, answer.trials)
            if not answer.next_page_token:
                return
            request.page_token = answer.next_page_token

    def cancel(self, experiment: str, number: int) -> Trial:
        request = pb.CancelTrialRequest(name=self._trial(experiment, number), request_id=new_request_id())
        return Trial.from_proto(self._connection.call(self._stub.CancelTrial, request).trial)

    def enqueue(self, experiment: str, trials: Sequence[OwnTrial], request_id: str = "") -> tuple[str, ...]:
        """Brings one's own architectures into a search; answers an inbox id for each."""
        request = pb.EnqueueTrialsRequest(
            parent=str(experiment_of(experiment, self._project)), request_id=request_id or new_request_id()
        )
        for each in trials:
            item = request.trials.add(architecture=each.architecture.to_proto(), note=each.note)
            item.metrics.extend(
                common_pb2.MetricValue(name=name, value=value) for name, value in each.metrics.items()
            )
            if each.device_seconds:
                item.device_time.FromTimedelta(timedelta(seconds=each.device_seconds))
        return tuple(self._connection.call(self._stub.EnqueueTrials, request).inbox_ids)
