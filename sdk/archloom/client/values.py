"""What the client answers: plain frozen values, made from the messages at this one place."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING

from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from archloom.space import Architecture
from archloom.v1 import common_pb2, experiment_pb2, trial_pb2

if TYPE_CHECKING:
    from archloom.spec import ExperimentSpec

Metrics = Mapping[str, float]


def time_of(message: Message, field: str) -> datetime | None:
    """A timestamp in UTC, or None where the field is not set."""
    value = getattr(message, field)
    assert isinstance(value, Timestamp)
    return value.ToDatetime(tzinfo=UTC) if message.HasField(field) else None


def word_of(enum: object, number: int, prefix: str) -> str:
    """The readable name of a value: TRIAL_STATE_READY is "ready"; one unknown here, its number."""
    values = enum.DESCRIPTOR.values_by_number  # type: ignore[attr-defined]
    return str(values[number].name).removeprefix(prefix).lower() if number in values else str(number)


def metrics_of(values: Iterable[common_pb2.MetricValue]) -> dict[str, float]:
    return {each.name: each.value for each in values}


@dataclass(frozen=True)
class Artifact:
    """A blob the server keeps. `digest` is the sha256 of its bytes, hex."""

    name: str
    size_bytes: int
    kind: str
    media_type: str
    file_name: str

    @property
    def digest(self) -> str:
        return self.name.rpartition("/")[2]

    @classmethod
    def from_proto(cls, message: common_pb2.ArtifactRef) -> Artifact:
        return cls(message.name, message.size_bytes, message.kind, message.media_type, message.file_name)


@dataclass(frozen=True)
class Fidelity:
    """How thoroughly a trial is evaluated; a fraction of 0 means all."""

    epochs: int = 0
    data_fraction: float = 0.0
    resolution_fraction: float = 0.0
    proxies: tuple[str, ...] = ()

    @classmethod
    def from_proto(cls, message: common_pb2.Fidelity) -> Fidelity:
        return cls(message.epochs, message.data_fraction, message.resolution_fraction, tuple(message.proxies))

    def __str__(self) -> str:
        """In words: "3 epochs, 25% of the data"; "full" where nothing is said."""
        if self.proxies:
            return "no training"
        parts = []
        if self.epochs:
            parts.append("1 epoch" if self.epochs == 1 else f"{self.epochs} epochs")
        if self.data_fraction:
            parts.append(f"{100 * self.data_fraction:g}% of the data")
        if self.resolution_fraction:
            parts.append(f"{100 * self.resolution_fraction:g}% of the resolution")
        return ", ".join(parts) or "full"


@dataclass(frozen=True)
class Measurement:
    """One point of a trial's curve; progress is in the unit of the fidelity (epochs done)."""

    progress: float
    metrics: Metrics
    elapsed_seconds: float

    @classmethod
    def from_proto(cls, message: common_pb2.Measurement) -> Measurement:
        return cls(message.progress, metrics_of(message.metrics), seconds_of(message.elapsed))


@dataclass(frozen=True)
class Failure:
    """Why a trial ended without a result ("out_of_memory", "diverged", ...)."""

    reason: str
    message: str

    @classmethod
    def from_proto(cls, message: trial_pb2.TrialFailure) -> Failure:
        return cls(word_of(common_pb2.FailureReason, message.reason, "FAILURE_REASON_"), message.message)


@dataclass(frozen=True)
class Trial:
    """One architecture at one fidelity, with its results so far."""

    name: str
    number: int
    state: str
    role: str
    architecture: Architecture
    graph_digest: str
    fidelity: Fidelity
    seed: int
    metrics: Metrics
    measurements: tuple[Measurement, ...]
    failure: Failure | None
    attempt: int
    worker: str
    create_time: datetime | None
    lease_time: datetime | None
    end_time: datetime | None
    device_seconds: float
    cache_hit: bool
    reported: bool
    parents: tuple[int, ...]
    note: str
    source_trial: int
    artifacts: tuple[Artifact, ...]

    @property
    def ended(self) -> bool:
        return self.state in ("completed", "infeasible", "failed", "cancelled")

    @classmethod
    def from_proto(cls, message: trial_pb2.Trial) -> Trial:
        return cls(
            name=message.name,
            number=message.number,
            state=word_of(trial_pb2.TrialState, message.state, "TRIAL_STATE_"),
            role=word_of(trial_pb2.TrialRole, message.role, "TRIAL_ROLE_"),
            architecture=Architecture.from_proto(message.architecture),
            graph_digest=message.graph_digest,
            fidelity=Fidelity.from_proto(message.fidelity),
            seed=message.seed,
            metrics=metrics_of(message.metrics),
            measurements=tuple(map(Measurement.from_proto, message.measurements)),
            failure=Failure.from_proto(message.failure) if message.HasField("failure") else None,
            attempt=message.attempt,
            worker=message.worker,
            create_time=time_of(message, "create_time"),
            lease_time=time_of(message, "lease_time"),
            end_time=time_of(message, "end_time"),
            device_seconds=message.device_seconds,
            cache_hit=message.cache_hit,
            reported=message.reported,
            parents=tuple(message.parents),
            note=message.note,
            source_trial=message.source_trial,
            artifacts=tuple(map(Artifact.from_proto, message.artifacts)),
        )


@dataclass(frozen=True)
class TrialCounts:
    """Trials of the experiment by where they stand; cache hits are among the completed.

    Proxy trials, which compute training-free scores, are among the ready and leased, and count apart once
    they have ended: with a score (`proxies_completed`) or without one.
    """

    ready: int
    leased: int
    completed: int
    failed: int
    infeasible: int
    cancelled: int
    cache_hits: int
    proxies_completed: int
    proxies_failed: int

    @property
    def ended(self) -> int:
        return self.completed + self.failed + self.infeasible + self.cancelled

    @classmethod
    def from_proto(cls, message: experiment_pb2.TrialCounts) -> TrialCounts:
        return cls(
            message.ready,
            message.leased,
            message.completed,
            message.failed,
            message.infeasible,
            message.cancelled,
            message.cache_hits,
            message.proxies_completed,
            message.proxies_failed,
        )


@dataclass(frozen=True)
class Experiment:
    """A search as it stands on the server."""

    name: str
    state: str
    phase: str
    state_reason: str
    degraded_reason: str
    display_name: str
    spec_revision: int
    etag: str
    create_time: datetime | None
    update_time: datetime | None
    end_time: datetime | None
    trials: TrialCounts
    trials_charged: int
    proxy_trials_charged: int
    device_seconds_charged: float
    winner: str
    step: int
    sequence: int
    _spec: experiment_pb2.ExperimentSpec = field(repr=False, compare=False)

    @cached_property
    def spec(self) -> ExperimentSpec:
        """The spec of this revision, presets resolved. Read when asked for: a listing needs none."""
        from archloom.spec import ExperimentSpec

        return ExperimentSpec.from_proto(self._spec)

    @property
    def full_fidelity(self) -> Fidelity:
        """Of the trials that compare with each other and can become finalists."""
        return Fidelity.from_proto(self._spec.fidelity)

    @property
    def ended(self) -> bool:
        return self.state in ("succeeded", "cancelled", "failed")

    @classmethod
    def from_proto(cls, message: experiment_pb2.Experiment) -> Experiment:
        return cls(
            name=message.name,
            display_name=message.spec.display_name,
            state=word_of(experiment_pb2.ExperimentState, message.state, "EXPERIMENT_STATE_"),
            phase=word_of(experiment_pb2.ExperimentPhase, message.phase, "EXPERIMENT_PHASE_"),
            state_reason=message.state_reason,
            degraded_reason=message.degraded_reason,
            _spec=message.spec,
            spec_revision=message.spec_revision,
            etag=message.etag,
            create_time=time_of(message, "create_time"),
            update_time=time_of(message, "update_time"),
            end_time=time_of(message, "end_time"),
            trials=TrialCounts.from_proto(message.trials),
            trials_charged=message.trials_charged,
            proxy_trials_charged=message.proxy_trials_charged,
            device_seconds_charged=message.device_seconds_charged,
            winner=message.winner,
            step=message.step,
            sequence=message.sequence,
        )


@dataclass(frozen=True)
class Event:
    """One line of an experiment's log ("trial_finished", "phase_changed", ...)."""

    sequence: int
    kind: str
    time: datetime | None
    step: int
    trial: Trial | None
    message: str
    phase: str
    state: str

    @classmethod
    def from_proto(cls, message: experiment_pb2.Event) -> Event:
        return cls(
            sequence=message.sequence,
            kind=word_of(experiment_pb2.EventKind, message.kind, "EVENT_KIND_"),
            time=time_of(message, "time"),
            step=message.step,
            trial=Trial.from_proto(message.trial) if message.HasField("trial") else None,
            message=message.message,
            phase=word_of(experiment_pb2.ExperimentPhase, message.phase, "EXPERIMENT_PHASE_"),
            state=word_of(experiment_pb2.ExperimentState, message.state, "EXPERIMENT_STATE_"),
        )


def seconds_of(duration: Duration) -> float:
    return duration.seconds + duration.nanos / 1e9
