"""Between the contract's messages and a strategy's values. The only place of this package that knows both."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from google.protobuf import json_format, struct_pb2

from archloom.space import Architecture, Space
from archloom.strategy.values import (
    Capabilities,
    Comparison,
    Constraint,
    Fidelity,
    Goal,
    Measurement,
    Objective,
    Observation,
    ObservationKind,
    Proposal,
    SearchSpec,
    SupernetJob,
)
from archloom.v1 import common_pb2, strategy_pb2

_KINDS = {
    strategy_pb2.ObservationKind.Value(f"OBSERVATION_KIND_{kind.name}"): kind for kind in ObservationKind
}
_FAILURES = {
    number: name.removeprefix("FAILURE_REASON_").lower()
    for name, number in common_pb2.FailureReason.items()
    if number
}
_FULL = Fidelity()


def plain(settings: struct_pb2.Struct) -> dict[str, Any]:
    """A Struct as a dict; a Struct knows only floats, so whole ones become integers again."""
    found = _whole(json_format.MessageToDict(settings))
    assert isinstance(found, dict)
    return found


def _whole(value: object) -> object:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, list):
        return [_whole(item) for item in value]
    if isinstance(value, dict):
        return {key: _whole(item) for key, item in value.items()}
    return value


def struct(fields: Mapping[str, Any]) -> struct_pb2.Struct:
    message = struct_pb2.Struct()
    json_format.ParseDict(dict(fields), message)
    return message


def capabilities_message(capabilities: Capabilities) -> strategy_pb2.StrategyCapabilities:
    return strategy_pb2.StrategyCapabilities(
        max_objectives=capabilities.max_objectives,
        constraints=capabilities.constraints,
        multi_fidelity=capabilities.multi_fidelity,
        curves=capabilities.curves,
        history=capabilities.history,
        supernet=capabilities.supernet,
        discrete_only=capabilities.discrete_only,
        proxies=capabilities.proxies,
    )


def capabilities_value(message: strategy_pb2.StrategyCapabilities) -> Capabilities:
    return Capabilities(
        max_objectives=message.max_objectives,
        constraints=message.constraints,
        multi_fidelity=message.multi_fidelity,
        curves=message.curves,
        history=message.history,
        supernet=message.supernet,
        discrete_only=message.discrete_only,
        proxies=message.proxies,
    )


def fidelity_value(message: common_pb2.Fidelity) -> Fidelity:
    fidelity = Fidelity(
        message.epochs, message.data_fraction, message.resolution_fraction, tuple(message.proxies)
    )
    return _FULL if fidelity == _FULL else fidelity


def fidelity_message(fidelity: Fidelity) -> common_pb2.Fidelity:
    return common_pb2.Fidelity(
        epochs=fidelity.epochs,
        data_fraction=fidelity.data_fraction,
        resolution_fraction=fidelity.resolution_fraction,
        proxies=fidelity.proxies,
    )


def metric_values(metrics: Iterable[common_pb2.MetricValue]) -> dict[str, float]:
    return {metric.name: metric.value for metric in metrics}


def metric_messages(metrics: Mapping[str, float]) -> list[common_pb2.MetricValue]:
    """In the order of their names, so that equal metrics are equal bytes."""
    return [common_pb2.MetricValue(name=name, value=metrics[name]) for name in sorted(metrics)]


def objective_value(message: common_pb2.Objective) -> Objective:
    goal = Goal.MINIMIZE if message.goal == common_pb2.GOAL_MINIMIZE else Goal.MAXIMIZE
    return Objective(message.metric, goal)


def objective_message(objective: Objective) -> common_pb2.Objective:
    goal = common_pb2.GOAL_MINIMIZE if objective.goal is Goal.MINIMIZE else common_pb2.GOAL_MAXIMIZE
    return common_pb2.Objective(metric=objective.metric, goal=goal)


def constraint_value(message: common_pb2.Constraint) -> Constraint:
    at_least = message.comparison == common_pb2.COMPARISON_AT_LEAST
    return Constraint(message.metric, Comparison.AT_LEAST if at_least else Comparison.AT_MOST, message.bound)


def constraint_message(constraint: Constraint) -> common_pb2.Constraint:
    at_least = constraint.comparison is Comparison.AT_LEAST
    return common_pb2.Constraint(
        metric=constraint.metric,
        comparison=common_pb2.COMPARISON_AT_LEAST if at_least else common_pb2.COMPARISON_AT_MOST,
        bound=constraint.bound,
    )


def spec_value(message: strategy_pb2.SearchSpec) -> SearchSpec:
    """Raises SpaceError for a space that is not valid."""
    return SearchSpec(
        space=Space.from_proto(message.space),
        objectives=tuple(objective_value(each) for each in message.objectives),
        constraints=tuple(constraint_value(each) for each in message.constraints),
        fidelity=fidelity_value(message.fidelity),
        trials=message.trials,
        parallelism=message.parallelism,
        proxy_trials=message.proxy_trials,
        revision=message.revision,
    )


def spec_message(spec: SearchSpec, settings: Mapping[str, Any]) -> strategy_pb2.SearchSpec:
    return strategy_pb2.SearchSpec(
        revision=spec.revision,
        objectives=[objective_message(each) for each in spec.objectives],
        constraints=[constraint_message(each) for each in spec.constraints],
        space=spec.space.to_proto(),
        space_digest=spec.space.digest,
        settings=struct(settings),
        fidelity=fidelity_message(spec.fidelity),
        trials=spec.trials,
        parallelism=spec.parallelism,
        proxy_trials=spec.proxy_trials,
    )


def observation_value(message: strategy_pb2.Observation) -> Observation:
    return Observation(
        sequence=message.sequence,
        kind=_KINDS[message.kind],
        architecture=Architecture.from_proto(message.architecture),
        trial=message.trial,
        step=message.step,
        ordinal=message.ordinal,
        fidelity=fidelity_value(message.fidelity),
        metrics=metric_values(message.metrics),
        measurements=tuple(
            Measurement(point.progress, metric_values(point.metrics), point.elapsed.ToNanoseconds() / 1e9)
            for point in message.measurements
        ),
        failure=_FAILURES.get(message.failure.reason, ""),
        failure_message=message.failure.message,
        device_seconds=message.device_seconds,
        reason=message.reason,
    )


def proposal_message(proposal: Proposal) -> strategy_pb2.Proposal:
    message = strategy_pb2.Proposal(
        resume_from=proposal.resume_from, parents=proposal.parents, note=proposal.note
    )
    if isinstance(proposal.subject, SupernetJob):
        job = proposal.subject
        message.supernet.method = job.method
        message.supernet.settings.CopyFrom(struct(job.settings))
        if job.fixed is not None:
            message.supernet.fixed.CopyFrom(job.fixed.to_proto())
    else:
        message.architecture.CopyFrom(proposal.subject.to_proto())
    if proposal.fidelity is not None:
        message.fidelity.CopyFrom(fidelity_message(proposal.fidelity))
    return message
