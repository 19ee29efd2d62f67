"""Documents of the store as messages, and back. The only place that knows both."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence

from archloom.resources import ExperimentName
from archloom.v1 import (
    architecture_pb2,
    common_pb2,
    experiment_pb2,
    strategy_pb2,
    trial_pb2,
)
from archloom.v1.experiment_pb2 import EventKind
from archloom.v1.strategy_pb2 import ObservationKind
from archloom.v1.trial_pb2 import TrialRole
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from archloom_controller.store.layout import LEASED, READY, Document

_USER = TrialRole.TRIAL_ROLE_USER
_ACCEPTED = ObservationKind.OBSERVATION_KIND_ACCEPTED
_ENQUEUED = ObservationKind.OBSERVATION_KIND_ENQUEUED
_REFUSED = ObservationKind.OBSERVATION_KIND_REFUSED

#: Roles whose trials the strategy is told of.
TOLD_ROLES = (TrialRole.TRIAL_ROLE_SEARCH, TrialRole.TRIAL_ROLE_USER)

_OBSERVED: Mapping[int, ObservationKind.ValueType] = {
    EventKind.EVENT_KIND_TRIAL_CREATED: ObservationKind.OBSERVATION_KIND_ACCEPTED,
    EventKind.EVENT_KIND_TRIAL_MEASURED: ObservationKind.OBSERVATION_KIND_MEASURED,
    EventKind.EVENT_KIND_TRIAL_FINISHED: ObservationKind.OBSERVATION_KIND_FINISHED,
    EventKind.EVENT_KIND_TRIAL_FAILED: ObservationKind.OBSERVATION_KIND_FAILED,
    EventKind.EVENT_KIND_TRIAL_INFEASIBLE: ObservationKind.OBSERVATION_KIND_INFEASIBLE,
    EventKind.EVENT_KIND_TRIAL_CANCELLED: ObservationKind.OBSERVATION_KIND_CANCELLED,
    EventKind.EVENT_KIND_PROPOSAL_REFUSED: ObservationKind.OBSERVATION_KIND_REFUSED,
}


_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)


def timestamp(time: datetime.datetime | None) -> Timestamp | None:
    """None stays None, which leaves a message's field unset."""
    if time is None:
        return None
    since = time - _EPOCH
    return Timestamp(seconds=since.days * 86400 + since.seconds, nanos=since.microseconds * 1000)


def duration(seconds: float) -> Duration:
    whole, rest = divmod(round(seconds * 1e9), 1_000_000_000)
    return Duration(seconds=whole, nanos=rest)


def seconds(message: Duration) -> float:
    return message.seconds + message.nanos / 1e9


def metric_values(metrics: Mapping[str, float]) -> list[common_pb2.MetricValue]:
    return [common_pb2.MetricValue(name=name, value=value) for name, value in sorted(metrics.items())]


def metrics_of(values: Sequence[common_pb2.MetricValue]) -> dict[str, float]:
    return {value.name: value.value for value in values}


def curve_points(measurements: Sequence[common_pb2.Measurement]) -> list[Document]:
    """Strictly growing points, as stored; what goes back is dropped."""
    points: list[Document] = []
    furthest = -1.0
    for measurement in measurements:
        if measurement.progress > furthest:
            furthest = measurement.progress
            points.append(
                {"p": furthest, "m": metrics_of(measurement.metrics), "t": seconds(measurement.elapsed)}
            )
    return points


def measurements(points: Sequence[Document]) -> list[common_pb2.Measurement]:
    return [
        common_pb2.Measurement(
            progress=point["p"], metrics=metric_values(point["m"]), elapsed=duration(point["t"])
        )
        for point in points
    ]


def artifact(data: bytes | None) -> common_pb2.ArtifactRef | None:
    return None if not data else common_pb2.ArtifactRef.FromString(data)


def trial_message(
    row: Document, experiment: ExperimentName, *, points: Sequence[Document] | None = None
) -> trial_pb2.Trial:
    """``points`` are the measurements to show; None shows the whole curve."""
    failure = row.get("failure")
    curve = row.get("curve", ()) if points is None else points
    return trial_pb2.Trial(
        name=str(experiment.trial(row["n"])),
        number=row["n"],
        state=row["state"],
        role=row["role"],
        architecture=architecture_pb2.Architecture.FromString(row["arch"]),
        graph_digest=row["graph"],
        fidelity=common_pb2.Fidelity.FromString(row["fidelity"]),
        seed=row["seed"],
        metrics=metric_values(row.get("metrics", {})),
        measurements=measurements(curve) if curve else None,
        failure=None if failure is None else trial_pb2.TrialFailure(**failure),
        attempt=row["attempt"],
        worker=row.get("worker", ""),
        create_time=timestamp(row["create_time"]),
        lease_time=timestamp(row.get("lease_time")),
        end_time=timestamp(row.get("end_time")),
        device_seconds=row["device_seconds"],
        cache_hit=row.get("cache_hit", False),
        reported=row.get("reported", False),
        parents=row.get("parents", ()),
        note=row.get("note", ""),
        resume_from=row.get("resume_from", 0),
        checkpoint=artifact(row.get("checkpoint")),
        artifacts=[common_pb2.ArtifactRef.FromString(data) for data in row.get("artifacts", ())],
        step=row["step"],
        ordinal=row.get("ordinal", 0),
        source_trial=row.get("source", 0),
        etag=str(row["rev"]),
    )


def event_message(row: Document) -> experiment_pb2.Event:
    event = experiment_pb2.Event(
        sequence=row["sequence"],
        kind=row["kind"],
        time=timestamp(row["time"]),
        step=row["step"],
        message=row.get("message", ""),
        phase=row.get("phase", 0),
        state=row.get("state", 0),
    )
    if "trial" in row:
        event.trial.ParseFromString(row["trial"])
    return event


def observation(row: Document) -> strategy_pb2.Observation | None:
    """An event as the strategy is told it; None for those it is not told (its controls above all)."""
    if not row.get("told"):
        return None
    trial = trial_pb2.Trial.FromString(row["trial"])
    kind = _OBSERVED[row["kind"]]
    users = trial.role == _USER
    if users and kind == _ACCEPTED:
        kind = _ENQUEUED
    seen = strategy_pb2.Observation(
        sequence=row["sequence"],
        kind=kind,
        trial=trial.number,
        step=0 if users else trial.step,
        ordinal=trial.ordinal,
        architecture=trial.architecture,
        fidelity=trial.fidelity,
        measurements=trial.measurements,
    )
    if kind == _REFUSED:
        seen.reason = row.get("message", "")
    elif kind not in (_ACCEPTED, _ENQUEUED):
        seen.metrics.extend(trial.metrics)
        seen.device_seconds = trial.device_seconds
    if trial.HasField("failure"):
        seen.failure.CopyFrom(trial.failure)
    return seen


def experiment_name(row: Document) -> ExperimentName:
    return ExperimentName(row["project"], row["id"])


def experiment_message(row: Document, live: Mapping[int, int] | None = None) -> experiment_pb2.Experiment:
    """``live`` has the numbers of ready and leased trials, which no counter keeps."""
    name = experiment_name(row)
    counters = row["counters"]
    live = live or {}
    message = experiment_pb2.Experiment(
        name=str(name),
        uid=row["_id"],
        etag=str(row["change"]),
        spec_revision=row["revision"],
        state=row["state"],
        phase=row["phase"],
        degraded_reason=row.get("degraded", {}).get("reason", ""),
        degraded_time=timestamp(row.get("degraded", {}).get("time")),
        state_reason=row.get("state_reason", ""),
        create_time=timestamp(row["create_time"]),
        update_time=timestamp(row["update_time"]),
        end_time=timestamp(row.get("end_time")),
        trials=experiment_pb2.TrialCounts(
            ready=live.get(READY, 0),
            leased=live.get(LEASED, 0),
            completed=counters["completed"],
            failed=counters["failed"],
            infeasible=counters["infeasible"],
            cancelled=counters["cancelled"],
            cache_hits=counters["cache_hits"],
            proxies_completed=counters["scored"],
            proxies_failed=counters["unscored"],
        ),
        trials_charged=counters["search"] + counters["control"] + counters["user"],
        proxy_trials_charged=counters["proxies"],
        device_seconds_charged=counters["seconds"] + counters["reserved"],
        step=row["step"],
        sequence=row["sequence"],
    )
    message.spec.ParseFromString(row["spec"])
    if row.get("winner"):
        message.winner = str(name.trial(row["winner"]))
    return message


def step_message(row: Document, experiment: ExperimentName) -> experiment_pb2.Step:
    step = experiment_pb2.Step(
        number=row["step"],
        time=timestamp(row["time"]),
        engine_epoch=row["epoch"],
        strategy=row.get("strategy", ""),
        strategy_build=row.get("build", ""),
        trials_created=row["created"],
    )
    if "request" in row:
        step.request.ParseFromString(row["request"])
        step.response.ParseFromString(row["response"])
    return step
