"""Between the controller's messages and an evaluator's values."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

from archloom.errors import ArchloomError
from archloom.space import Architecture, Space
from archloom.v1 import common_pb2, evaluation_pb2, registry_pb2, trial_pb2
from google.protobuf import json_format, struct_pb2

from archloom_evaluators.evaluator import Artifact, Context, EvaluatorInfo, Fidelity, Job, Role
from archloom_evaluators.failures import EvaluationFailure, Reason

KEPT_SPACES = 16
#: As the contract has them (MetricValue.name, TrialResult.metrics).
MAX_METRICS = 256
_METRIC_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")


def artifact_from_proto(message: common_pb2.ArtifactRef) -> Artifact:
    return Artifact(message.name, message.size_bytes, message.kind, message.media_type, message.file_name)


def artifact_to_proto(artifact: Artifact) -> common_pb2.ArtifactRef:
    return common_pb2.ArtifactRef(
        name=artifact.name,
        size_bytes=artifact.size_bytes,
        kind=artifact.kind,
        media_type=artifact.media_type,
        file_name=artifact.file_name,
    )


def fidelity_from_proto(message: common_pb2.Fidelity) -> Fidelity:
    return Fidelity(
        message.epochs, message.data_fraction, message.resolution_fraction, tuple(message.proxies)
    )


def metrics_to_proto(metrics: Mapping[str, float]) -> list[common_pb2.MetricValue]:
    return [common_pb2.MetricValue(name=name, value=float(value)) for name, value in metrics.items()]


def fault_of(metrics: Mapping[str, float]) -> str:
    """What the controller would refuse about an evaluator's metrics; empty when nothing is."""
    if len(metrics) > MAX_METRICS:
        return f"the evaluator gave {len(metrics)} metrics, at most {MAX_METRICS} are taken"
    wrong = [str(name) for name in metrics if not _METRIC_NAME.fullmatch(str(name))]
    if wrong:
        return f"{wrong[0]!r} is no name for a metric: lower case letters, digits and underscores"
    return ""


def finite(metrics: Mapping[str, float]) -> dict[str, float]:
    """The metrics that a curve may carry: NaN and infinities are refused at the controller's edge."""
    return {name: float(value) for name, value in metrics.items() if math.isfinite(value)}


def settings_of(message: struct_pb2.Struct) -> dict[str, Any]:
    """A settings message as plain values. JSON has one kind of number: all arrive as floats."""
    return json_format.MessageToDict(message)


def struct_of(values: Mapping[str, Any]) -> struct_pb2.Struct:
    message = struct_pb2.Struct()
    json_format.ParseDict(dict(values), message)
    return message


def failure_to_proto(failure: EvaluationFailure) -> trial_pb2.TrialFailure:
    # The enum's values are those of the proto; mypy-protobuf wants them typed as such.
    reason = common_pb2.FailureReason.Name(failure.reason.value)
    return trial_pb2.TrialFailure(reason=common_pb2.FailureReason.Value(reason), message=failure.message)


def description_to_proto(info: EvaluatorInfo, batched: bool) -> registry_pb2.EvaluatorDescription:
    return registry_pb2.EvaluatorDescription(
        kind=info.kind,
        version=info.version,
        summary=info.summary,
        task_kinds=info.task_kinds,
        metrics=info.metrics,
        settings_schema=struct_of(info.settings_schema),
        batched=batched,
        exports=info.exports,
        fidelities=info.fidelities,
        recipe=info.recipe,
        proxies=[proxy.name for proxy in info.proxies],
    )


def proxies_to_proto(infos: Iterable[EvaluatorInfo]) -> list[registry_pb2.Proxy]:
    """What several evaluators offer, each name once."""
    found = {proxy.name: proxy for info in infos for proxy in info.proxies}
    return [
        registry_pb2.Proxy(name=f"proxies/{name}", summary=proxy.summary, goal=common_pb2.GOAL_MAXIMIZE)
        for name, proxy in sorted(found.items())
    ]


class JobReader:
    """Reads leases; keeps the spaces it has parsed, by digest."""

    def __init__(self) -> None:
        self._spaces: dict[str, Space] = {}

    def contexts(self, response: evaluation_pb2.LeaseTrialsResponse) -> list[Context | EvaluationFailure]:
        """One for each context of the answer.

        A context that cannot be read fails its trials, not the worker.
        """
        return [self._context(message) for message in response.contexts]

    def job(self, trial: evaluation_pb2.LeasedTrial, context: Context) -> Job:
        """Raises EvaluationFailure when the lease cannot be read."""
        try:
            role = Role(trial.role)
            architecture = Architecture.from_proto(trial.architecture)
        except (ValueError, ArchloomError) as error:
            raise EvaluationFailure(Reason.CANNOT_BUILD, f"the lease cannot be read: {error}") from error
        return Job(
            trial=trial.trial,
            attempt=trial.attempt,
            context=context,
            role=role,
            architecture=architecture,
            fidelity=fidelity_from_proto(trial.fidelity),
            seed=trial.seed,
            checkpoint=artifact_from_proto(trial.checkpoint) if trial.HasField("checkpoint") else None,
            test_grant=trial.test_grant,
            exports=tuple(trial.exports),
        )

    def _context(self, message: evaluation_pb2.EvaluationContext) -> Context | EvaluationFailure:
        try:
            space = self._space(message)
        except (ValueError, ArchloomError) as error:
            return EvaluationFailure(Reason.CANNOT_BUILD, f"the space cannot be read: {error}")
        return Context(
            experiment=message.experiment,
            task_kind=message.task_kind,
            dataset=message.dataset,
            task_settings=settings_of(message.task_settings),
            evaluator_kind=message.evaluator_kind,
            evaluator_settings=settings_of(message.evaluator_settings),
            space=space,
            space_digest=message.space_digest,
            objectives=tuple(objective.metric for objective in message.objectives),
            fidelity=fidelity_from_proto(message.fidelity),
        )

    def _space(self, message: evaluation_pb2.EvaluationContext) -> Space:
        known = self._spaces.get(message.space_digest) if message.space_digest else None
        if known is not None:
            return known
        space = Space.from_proto(message.space)
        if len(self._spaces) >= KEPT_SPACES:
            del self._spaces[next(iter(self._spaces))]
        self._spaces[message.space_digest or space.digest] = space
        return space
