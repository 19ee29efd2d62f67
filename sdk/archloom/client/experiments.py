"""Experiments: create, follow, steer, and read what came out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from google.protobuf.field_mask_pb2 import FieldMask

from archloom.client.connection import Connection, new_request_id
from archloom.client.evidence import Report
from archloom.client.naming import experiment_of
from archloom.client.values import Event, Experiment, Trial
from archloom.client.watching import WatchUpdate, watch
from archloom.errors import InvalidInput, Violation
from archloom.resources import ProjectName
from archloom.v1 import experiment_pb2 as pb
from archloom.v1 import experiment_pb2_grpc

if TYPE_CHECKING:
    from archloom.spec import ExperimentSpec


@dataclass(frozen=True)
class ReplayedStep:
    """One stored step, asked again. `difference` reads "path: stored X, now Y"."""

    step: int
    equal: bool
    difference: str
    steps_total: int


class Experiments:
    """ExperimentService. Names are whole ("projects/p/experiments/e") or, in the client's project, "e"."""

    def __init__(self, connection: Connection, project: ProjectName) -> None:
        self._connection = connection
        self._project = project
        self._stub = experiment_pb2_grpc.ExperimentServiceStub(connection.channel)

    def full_name(self, name: str) -> str:
        return str(experiment_of(name, self._project))

    def create(self, spec: ExperimentSpec, experiment_id: str = "", request_id: str = "") -> Experiment:
        """Starts a search. Raises InvalidInput with every fault of the spec; nothing is stored then."""
        request = pb.CreateExperimentRequest(
            parent=str(self._project),
            experiment_id=experiment_id,
            spec=spec.to_proto(),
            request_id=request_id or new_request_id(),
        )
        try:
            answer = self._connection.call(self._stub.CreateExperiment, request, 60.0)
        except InvalidInput as error:
            raise InvalidInput([_of_spec(each, spec) for each in error.violations]) from None
        return Experiment.from_proto(answer.experiment)

    def validate(self, spec: ExperimentSpec) -> list[Violation]:
        """Every fault that `create` would refuse; none when it would start."""
        request = pb.ValidateExperimentRequest(parent=str(self._project), spec=spec.to_proto())
        answer = self._connection.call(self._stub.ValidateExperiment, request, 60.0)
        return [_of_spec(Violation(each.field, each.description), spec) for each in answer.violations]

    def get(self, name: str) -> Experiment:
        request = pb.GetExperimentRequest(name=self.full_name(name))
        return Experiment.from_proto(self._connection.call(self._stub.GetExperiment, request).experiment)

    def list(self, states: Sequence[str] = (), page_size: int = 100) -> Iterator[Experiment]:
        """The project's experiments, newest first. `states` are words ("running"); none takes all."""
        request = pb.ListExperimentsRequest(parent=str(self._project), page_size=page_size)
        request.states.extend(pb.ExperimentState.Value(f"EXPERIMENT_STATE_{each.upper()}") for each in states)
        while True:
            answer = self._connection.call(self._stub.ListExperiments, request)
            yield from map(Experiment.from_proto, answer.experiments)
            if not answer.next_page_token:
                return
            request.page_token = answer.next_page_token

    def update(self, name: str, spec: ExperimentSpec, paths: Sequence[str], etag: str = "") -> Experiment:
        """Changes what `paths` name ("budget.trials", "parallelism", ...); a new revision."""
        request = pb.UpdateExperimentRequest(
            name=self.full_name(name),
            spec=spec.to_proto(),
            update_mask=FieldMask(paths=paths),
            etag=etag,
            request_id=new_request_id(),
        )
        return Experiment.from_proto(self._connection.call(self._stub.UpdateExperiment, request).experiment)

    def pause(self, name: str) -> Experiment:
        request = pb.PauseExperimentRequest(name=self.full_name(name), request_id=new_request_id())
        return Experiment.from_proto(self._connection.call(self._stub.PauseExperiment, request).experiment)

    def resume(self, name: str) -> Experiment:
        request = pb.ResumeExperimentRequest(name=self.full_name(name), request_id=new_request_id())
        return Experiment.from_proto(self._connection.call(self._stub.ResumeExperiment, request).experiment)

    def cancel(self, name: str, reason: str = "") -> Experiment:
        request = pb.CancelExperimentRequest(
            name=self.full_name(name), reason=reason, request_id=new_request_id()
        )
        return Experiment.from_proto(self._connection.call(self._stub.CancelExperiment, request).experiment)

    def delete(self, name: str, etag: str = "") -> None:
        """Deletes an ended experiment with its trials. A running one raises WrongState: cancel it first."""
        request = pb.DeleteExperimentRequest(
            name=self.full_name(name), etag=etag, request_id=new_request_id()
        )
        self._connection.call(self._stub.DeleteExperiment, request)

    def watch(
        self, name: str, resume_token: str = "", patience_seconds: float = 60.0
    ) -> Iterator[WatchUpdate]:
        """The log from the token on (or its start), then live, until the experiment has ended."""
        return watch(self._connection, self._stub, self.full_name(name), resume_token, patience_seconds)

    def front(self, name: str) -> tuple[Trial, ...]:
        """Trials of the full fidelity that no other dominates, best first by the first objective."""
        request = pb.GetFrontRequest(name=self.full_name(name))
        return tuple(map(Trial.from_proto, self._connection.call(self._stub.GetFront, request).trials))

    def report(self, name: str) -> Report:
        request = pb.GetReportRequest(name=self.full_name(name))
        return Report.from_proto(self._connection.call(self._stub.GetReport, request, 60.0).report)

    def events(self, name: str, page_size: int = 500) -> Iterator[Event]:
        """The log so far, oldest first."""
        request = pb.ListEventsRequest(parent=self.full_name(name), page_size=page_size)
        while True:
            answer = self._connection.call(self._stub.ListEvents, request)
            yield from map(Event.from_proto, answer.events)
            if not answer.next_page_token:
                return
            request.page_token = answer.next_page_token

    def replay(self, name: str) -> Iterator[ReplayedStep]:
        """Asks the strategy every stored step again; ends after the first difference."""
        request = pb.ReplayExperimentRequest(name=self.full_name(name))
        for each in self._connection.stream(self._stub.ReplayExperiment, request):
            yield ReplayedStep(each.step, each.equal, each.difference, each.steps_total)


def _of_spec(violation: Violation, spec: ExperimentSpec) -> Violation:
    """The path as the spec's author knows it: without the request and the oneof around it, inputs by name."""
    path = violation.field.removeprefix("spec.")
    for inner in ("space.space.", "space.preset"):
        if path.startswith(inner):
            path = f"space.{path.removeprefix(inner)}".rstrip(".")
    if not isinstance(spec.space, str):
        for place, port in enumerate(spec.space.to_proto().inputs):
            path = path.replace(f"space.inputs[{place}]", f"space.input.{port.name}")
    return Violation(path, violation.message)
