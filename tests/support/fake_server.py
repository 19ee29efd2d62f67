"""A real gRPC server with canned answers, for the client, its command line and its reports."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import grpc
from archloom.space import Architecture, Space, load_preset
from archloom.v1 import (
    artifact_pb2,
    artifact_pb2_grpc,
    common_pb2,
    experiment_pb2,
    experiment_pb2_grpc,
    registry_pb2,
    registry_pb2_grpc,
    space_service_pb2,
    space_service_pb2_grpc,
    trial_pb2,
    trial_pb2_grpc,
)
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

NAME = "projects/default/experiments/sample"


def refuse(
    context: grpc.ServicerContext,
    code: grpc.StatusCode,
    message: str = "",
    reason: str = "",
    violations: dict[str, str] | None = None,
    retry_after: float | None = None,
) -> None:
    """Ends a call as the controller does: a status with google.rpc details."""
    details = []
    if violations:
        fields = [
            error_details_pb2.BadRequest.FieldViolation(field=name, description=text)
            for name, text in violations.items()
        ]
        details.append(error_details_pb2.BadRequest(field_violations=fields))
    if reason:
        details.append(error_details_pb2.ErrorInfo(reason=reason, domain="archloom"))
    if retry_after is not None:
        delay = Duration(seconds=int(retry_after), nanos=int(retry_after % 1 * 1e9))
        details.append(error_details_pb2.RetryInfo(retry_delay=delay))
    packed = []
    for each in details:
        packed.append(AnyMessage())
        packed[-1].Pack(each)
    status = status_pb2.Status(code=code.value[0], message=message, details=packed)
    context.abort_with_status(rpc_status.to_status(status))


@dataclass
class FakeServer:
    """What it answers, what it was asked, and how often each method fails first."""

    experiment: experiment_pb2.Experiment = field(default_factory=experiment_pb2.Experiment)
    trials: list[trial_pb2.Trial] = field(default_factory=list)
    report: experiment_pb2.Report = field(default_factory=experiment_pb2.Report)
    #: Streams of WatchExperiment, one a call: answers, or a function that ends the call.
    watches: list[list[Any]] = field(default_factory=list)
    replayed: list[experiment_pb2.ReplayExperimentResponse] = field(default_factory=list)
    blobs: dict[str, bytes] = field(default_factory=dict)
    #: By method: functions that end the call, used up one by one before it answers.
    failures: dict[str, list[Callable[[grpc.ServicerContext], object]]] = field(default_factory=dict)
    calls: list[tuple[str, Any]] = field(default_factory=list)
    metadata: list[dict[str, str]] = field(default_factory=list)
    #: A download is cut after so many chunks, once for each entry.
    cuts: list[int] = field(default_factory=list)
    uploads: dict[str, bytearray] = field(default_factory=dict)
    address: str = ""

    def took(self, method: str, request: Any, context: grpc.ServicerContext) -> None:
        self.calls.append((method, request))
        self.metadata.append({key: str(value) for key, value in context.invocation_metadata()})
        if self.failures.get(method):
            self.failures[method].pop(0)(context)

    def asked(self, method: str) -> list[Any]:
        return [request for name, request in self.calls if name == method]


class _Experiments(experiment_pb2_grpc.ExperimentServiceServicer):
    def __init__(self, fake: FakeServer) -> None:
        self.fake = fake

    def CreateExperiment(self, request: Any, context: Any) -> Any:
        self.fake.took("CreateExperiment", request, context)
        self.fake.experiment.spec.CopyFrom(request.spec)
        return experiment_pb2.CreateExperimentResponse(experiment=self.fake.experiment)

    def GetExperiment(self, request: Any, context: Any) -> Any:
        self.fake.took("GetExperiment", request, context)
        if request.name != NAME:
            refuse(context, grpc.StatusCode.NOT_FOUND, f"There is no {request.name}.", "NOT_FOUND")
        return experiment_pb2.GetExperimentResponse(experiment=self.fake.experiment)

    def ListExperiments(self, request: Any, context: Any) -> Any:
        self.fake.took("ListExperiments", request, context)
        page = int(request.page_token or 0)
        token = str(page + 1) if page < 2 else ""
        return experiment_pb2.ListExperimentsResponse(
            experiments=[self.fake.experiment], next_page_token=token
        )

    def PauseExperiment(self, request: Any, context: Any) -> Any:
        self.fake.took("PauseExperiment", request, context)
        self.fake.experiment.state = experiment_pb2.EXPERIMENT_STATE_PAUSED
        return experiment_pb2.PauseExperimentResponse(experiment=self.fake.experiment)

    def DeleteExperiment(self, request: Any, context: Any) -> Any:
        self.fake.took("DeleteExperiment", request, context)
        return experiment_pb2.DeleteExperimentResponse()

    def WatchExperiment(self, request: Any, context: Any) -> Any:
        self.fake.took("WatchExperiment", request, context)
        for each in self.fake.watches.pop(0) if self.fake.watches else []:
            if callable(each):
                each(context)
            else:
                yield each

    def GetFront(self, request: Any, context: Any) -> Any:
        self.fake.took("GetFront", request, context)
        return experiment_pb2.GetFrontResponse(trials=self.fake.report.front)

    def GetReport(self, request: Any, context: Any) -> Any:
        self.fake.took("GetReport", request, context)
        return experiment_pb2.GetReportResponse(report=self.fake.report)

    def ReplayExperiment(self, request: Any, context: Any) -> Any:
        self.fake.took("ReplayExperiment", request, context)
        yield from self.fake.replayed


class _Trials(trial_pb2_grpc.TrialServiceServicer):
    def __init__(self, fake: FakeServer) -> None:
        self.fake = fake

    def GetTrial(self, request: Any, context: Any) -> Any:
        self.fake.took("GetTrial", request, context)
        return trial_pb2.GetTrialResponse(trial=self.fake.trials[0])

    def ListTrials(self, request: Any, context: Any) -> Any:
        self.fake.took("ListTrials", request, context)
        start, size = int(request.page_token or 0), min(request.page_size or 5, 5)
        found = [each for each in self.fake.trials if not request.roles or each.role in request.roles]
        token = str(start + size) if start + size < len(found) else ""
        return trial_pb2.ListTrialsResponse(trials=found[start : start + size], next_page_token=token)

    def EnqueueTrials(self, request: Any, context: Any) -> Any:
        self.fake.took("EnqueueTrials", request, context)
        ids = [f"inbox-{number}" for number in range(len(request.trials))]
        return trial_pb2.EnqueueTrialsResponse(inbox_ids=ids)


class _Registry(registry_pb2_grpc.RegistryServiceServicer):
    def __init__(self, fake: FakeServer) -> None:
        self.fake = fake

    def ListStrategies(self, request: Any, context: Any) -> Any:
        self.fake.took("ListStrategies", request, context)
        answer = registry_pb2.ListStrategiesResponse()
        first = answer.strategies.add(name="strategies/random", address="127.0.0.1:1", serving=True)
        first.description.name, first.description.version = "random", "1"
        first.description.build = "0.1.0+ab"
        answer.strategies.add(name="strategies/mine", problem="no answer")
        return answer

    def ListSpaces(self, request: Any, context: Any) -> Any:
        self.fake.took("ListSpaces", request, context)
        summary = registry_pb2.SpaceSummary(name="spaces/nasbench201", size="15625", decisions=6)
        summary.summary = "Cells (Dong et al. 2020). With five operations."
        return registry_pb2.ListSpacesResponse(spaces=[summary])

    def GetSpace(self, request: Any, context: Any) -> Any:
        self.fake.took("GetSpace", request, context)
        space = load_preset(request.name.removeprefix("spaces/"))
        return registry_pb2.GetSpaceResponse(space=space.to_proto())

    def ListDatasets(self, request: Any, context: Any) -> Any:
        self.fake.took("ListDatasets", request, context)
        splits = registry_pb2.DatasetSplits(train=3000, validation=1000, test=1000)
        dataset = registry_pb2.Dataset(name="datasets/mnist5k", shape=[1, 28, 28], classes=10, splits=splits)
        return registry_pb2.ListDatasetsResponse(datasets=[dataset])

    def ListWorkers(self, request: Any, context: Any) -> Any:
        self.fake.took("ListWorkers", request, context)
        return registry_pb2.ListWorkersResponse(
            workers=[registry_pb2.Worker(name="workers/w1", device_class="cpu", attempts=1, busy_share=0.9)]
        )


class _Spaces(space_service_pb2_grpc.SpaceServiceServicer):
    """Answers from the SDK's own tools, for presets and spaces that are sent."""

    def __init__(self, fake: FakeServer) -> None:
        self.fake = fake

    def _space(self, source: Any) -> Space:
        return load_preset(source.preset) if source.preset else Space.from_proto(source.space)

    def ValidateSpace(self, request: Any, context: Any) -> Any:
        self.fake.took("ValidateSpace", request, context)
        violation = space_service_pb2.SpaceViolation(path="body.layer", message="is not an operation")
        return space_service_pb2.ValidateSpaceResponse(violations=[violation])

    def DescribeSpace(self, request: Any, context: Any) -> Any:
        self.fake.took("DescribeSpace", request, context)
        return space_service_pb2.DescribeSpaceResponse(size=str(self._space(request.source).size()))

    def SampleArchitectures(self, request: Any, context: Any) -> Any:
        self.fake.took("SampleArchitectures", request, context)
        space, rng = self._space(request.source), random.Random(request.seed)
        drawn = [space.sample(rng).to_proto() for _ in range(request.count)]
        return space_service_pb2.SampleArchitecturesResponse(architectures=drawn)

    def MutateArchitectures(self, request: Any, context: Any) -> Any:
        self.fake.took("MutateArchitectures", request, context)
        space, rng = self._space(request.source), random.Random(request.seed)
        made = [space.mutate(Architecture.from_proto(each), rng).to_proto() for each in request.parents]
        return space_service_pb2.MutateArchitecturesResponse(architectures=made)


class _Artifacts(artifact_pb2_grpc.ArtifactServiceServicer):
    def __init__(self, fake: FakeServer) -> None:
        self.fake = fake

    def CreateUpload(self, request: Any, context: Any) -> Any:
        self.fake.took("CreateUpload", request, context)
        if request.digest in self.fake.blobs:
            return artifact_pb2.CreateUploadResponse(artifact=artifact_of(request.digest, self.fake))
        self.fake.uploads.setdefault(request.digest, bytearray())
        return artifact_pb2.CreateUploadResponse(upload_id=request.digest, chunk_bytes=1000)

    def UploadChunk(self, request: Any, context: Any) -> Any:
        self.fake.took("UploadChunk", request, context)
        stored = self.fake.uploads[request.upload_id]
        if request.offset > len(stored):
            refuse(context, grpc.StatusCode.ABORTED, "a gap", "CONFLICT")
        stored[request.offset : request.offset + len(request.data)] = request.data
        return artifact_pb2.UploadChunkResponse(received_bytes=len(stored))

    def GetUpload(self, request: Any, context: Any) -> Any:
        self.fake.took("GetUpload", request, context)
        return artifact_pb2.GetUploadResponse(received_bytes=len(self.fake.uploads[request.upload_id]))

    def FinishUpload(self, request: Any, context: Any) -> Any:
        self.fake.took("FinishUpload", request, context)
        data = bytes(self.fake.uploads[request.upload_id])
        assert hashlib.sha256(data).hexdigest() == request.upload_id
        self.fake.blobs[request.upload_id] = data
        return artifact_pb2.FinishUploadResponse(artifact=artifact_of(request.upload_id, self.fake))

    def ReadArtifact(self, request: Any, context: Any) -> Any:
        self.fake.took("ReadArtifact", request, context)
        data = self.fake.blobs[request.name.rpartition("/")[2]]
        cut = self.fake.cuts.pop(0) if self.fake.cuts else None
        for number, start in enumerate(range(request.offset, len(data), 1000)):
            if number == cut:
                refuse(context, grpc.StatusCode.UNAVAILABLE, "cut")
            yield artifact_pb2.ReadArtifactResponse(data=data[start : start + 1000])


def artifact_of(digest: str, fake: FakeServer, kind: str = "weights") -> common_pb2.ArtifactRef:
    return common_pb2.ArtifactRef(
        name=f"projects/default/artifacts/{digest}", size_bytes=len(fake.blobs.get(digest, b"")), kind=kind
    )


def add_services(state: FakeServer, server: grpc.Server) -> None:
    experiment_pb2_grpc.add_ExperimentServiceServicer_to_server(_Experiments(state), server)  # type: ignore[abstract]
    trial_pb2_grpc.add_TrialServiceServicer_to_server(_Trials(state), server)  # type: ignore[abstract]
    registry_pb2_grpc.add_RegistryServiceServicer_to_server(_Registry(state), server)  # type: ignore[abstract]
    space_service_pb2_grpc.add_SpaceServiceServicer_to_server(_Spaces(state), server)  # type: ignore[abstract]
    artifact_pb2_grpc.add_ArtifactServiceServicer_to_server(_Artifacts(state), server)  # type: ignore[abstract]
