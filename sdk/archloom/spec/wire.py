"""A spec to its message and back, exactly."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from google.protobuf.duration_pb2 import Duration
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from google.protobuf.struct_pb2 import Struct

from archloom.space import Space
from archloom.spec import models
from archloom.v1 import common_pb2
from archloom.v1 import experiment_pb2 as pb

_GOALS = {"maximize": common_pb2.GOAL_MAXIMIZE, "minimize": common_pb2.GOAL_MINIMIZE}
_COMPARISONS = {"at_most": common_pb2.COMPARISON_AT_MOST, "at_least": common_pb2.COMPARISON_AT_LEAST}
_SAMPLINGS = {
    "uniform_decisions": pb.SAMPLING_UNIFORM_DECISIONS,
    "uniform_architectures": pb.SAMPLING_UNIFORM_ARCHITECTURES,
}


def to_proto(spec: models.ExperimentSpec) -> pb.ExperimentSpec:
    message = pb.ExperimentSpec(
        display_name=spec.name,
        labels=spec.labels,
        task=pb.Task(kind=spec.task.kind, dataset=spec.task.dataset, settings=_struct(spec.task.settings)),
        space=_space(spec.space),
        objectives=[
            common_pb2.Objective(metric=each.metric, goal=_GOALS[each.goal]) for each in spec.objectives
        ],
        constraints=[
            common_pb2.Constraint(
                metric=each.metric, comparison=_COMPARISONS[each.comparison], bound=each.bound
            )
            for each in spec.constraints
        ],
        strategy=_strategy(spec.strategy),
        fallback=_strategy(spec.fallback),
        evaluator=pb.EvaluatorSpec(
            kind=spec.evaluator.kind,
            settings=_struct(spec.evaluator.settings),
            device_class=spec.evaluator.device_class,
            cache=spec.evaluator.cache,
            worker_labels=spec.evaluator.worker_labels,
        ),
        budget=pb.Budget(
            trials=spec.budget.trials,
            device_seconds=spec.budget.device_seconds,
            proxy_trials=spec.budget.proxy_trials,
        ),
        parallelism=spec.parallelism,
        fidelity=_fidelity(spec.fidelity),
        seed=spec.seed,
        priority=spec.priority,
    )
    if spec.trial is not None:
        message.trial.CopyFrom(
            pb.TrialLimits(
                max_duration=_duration(spec.trial.max_duration),
                stall_timeout=_duration(spec.trial.stall_timeout),
                max_attempts=spec.trial.max_attempts,
            )
        )
    if spec.control is not None:
        message.control.CopyFrom(
            pb.ControlSpec(share=spec.control.share, sampling=_SAMPLINGS[spec.control.sampling])
        )
    if spec.finalists is not None:
        message.finalists.CopyFrom(
            pb.FinalistSpec(
                count=spec.finalists.count,
                seeds=spec.finalists.seeds,
                fidelity=_fidelity(spec.finalists.fidelity),
                exports=spec.finalists.exports,
            )
        )
    return message


def from_proto(message: pb.ExperimentSpec) -> models.ExperimentSpec:
    """The spec of a message that the server has checked."""
    data: dict[str, Any] = {
        "name": message.display_name,
        "labels": dict(message.labels),
        "task": models.Task(
            kind=message.task.kind,
            dataset=message.task.dataset,
            settings=_settings(message.task.settings),
        ),
        "space": message.space.preset
        if message.space.WhichOneof("source") == "preset"
        else Space.from_proto(message.space.space),
        "objectives": tuple(
            models.Objective.model_validate({"metric": each.metric, "goal": _word(_GOALS, each.goal)})
            for each in message.objectives
        ),
        "constraints": tuple(
            models.Constraint.model_validate(
                {
                    "metric": each.metric,
                    "comparison": _word(_COMPARISONS, each.comparison),
                    "bound": each.bound,
                }
            )
            for each in message.constraints
        ),
        "strategy": _read_strategy(message.strategy),
        "evaluator": models.Evaluator(
            kind=message.evaluator.kind,
            device_class=message.evaluator.device_class,
            settings=_settings(message.evaluator.settings),
            cache=message.evaluator.cache,
            worker_labels=dict(message.evaluator.worker_labels),
        ),
        "budget": models.Budget(
            trials=message.budget.trials,
            device_seconds=message.budget.device_seconds,
            proxy_trials=message.budget.proxy_trials if message.budget.HasField("proxy_trials") else None,
        ),
        "parallelism": message.parallelism,
        "seed": message.seed,
        "priority": message.priority,
    }
    data |= _optional_parts(message)
    return models.ExperimentSpec.model_validate(data)


def _optional_parts(message: pb.ExperimentSpec) -> dict[str, Any]:
    data: dict[str, Any] = {}
    if message.HasField("fallback"):
        data["fallback"] = _read_strategy(message.fallback)
    if message.HasField("trial"):
        data["trial"] = models.TrialLimits(
            max_duration=_timedelta(message.trial, "max_duration"),
            stall_timeout=_timedelta(message.trial, "stall_timeout"),
            max_attempts=message.trial.max_attempts,
        )
    if message.HasField("fidelity"):
        data["fidelity"] = _read_fidelity(message.fidelity)
    if message.HasField("control"):
        sampling = message.control.sampling or pb.SAMPLING_UNIFORM_DECISIONS
        data["control"] = models.Control.model_validate(
            {"share": message.control.share, "sampling": _word(_SAMPLINGS, sampling)}
        )
    if message.HasField("finalists"):
        finalists = message.finalists
        data["finalists"] = models.Finalists(
            count=finalists.count,
            seeds=finalists.seeds,
            fidelity=_read_fidelity(finalists.fidelity) if finalists.HasField("fidelity") else None,
            exports=tuple(finalists.exports),
        )
    return data


def _space(space: Space | str) -> pb.SpaceSource:
    return pb.SpaceSource(preset=space) if isinstance(space, str) else pb.SpaceSource(space=space.to_proto())


def _strategy(strategy: models.Strategy | None) -> pb.StrategySpec | None:
    if strategy is None:
        return None
    return pb.StrategySpec(name=strategy.name, version=strategy.version, settings=_struct(strategy.settings))


def _read_strategy(message: pb.StrategySpec) -> models.Strategy:
    return models.Strategy(name=message.name, version=message.version, settings=_settings(message.settings))


def _fidelity(fidelity: models.Fidelity | None) -> common_pb2.Fidelity | None:
    if fidelity is None:
        return None
    return common_pb2.Fidelity(
        epochs=fidelity.epochs,
        data_fraction=fidelity.data_fraction,
        resolution_fraction=fidelity.resolution_fraction,
        proxies=fidelity.proxies,
    )


def _read_fidelity(message: common_pb2.Fidelity) -> models.Fidelity:
    return models.Fidelity(
        epochs=message.epochs,
        data_fraction=message.data_fraction,
        resolution_fraction=message.resolution_fraction,
        proxies=tuple(message.proxies),
    )


def _struct(settings: dict[str, Any]) -> Struct | None:
    if not settings:
        return None
    struct = Struct()
    struct.update(settings)
    return struct


def _settings(struct: Struct) -> dict[str, Any]:
    plain = _whole_numbers(MessageToDict(struct))
    assert isinstance(plain, dict)
    return plain


def _whole_numbers(value: Any) -> Any:
    """JSON has one kind of number; 50.0 was most likely written as 50, and the two are equal."""
    if isinstance(value, dict):
        return {key: _whole_numbers(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_whole_numbers(each) for each in value]
    if isinstance(value, float) and models.is_whole(value):
        return int(value)
    return value


def _duration(value: timedelta | None) -> Duration | None:
    if value is None:
        return None
    message = Duration()
    message.FromTimedelta(value)
    return message


def _timedelta(message: Message, field: str) -> timedelta | None:
    value = getattr(message, field)
    assert isinstance(value, Duration)
    return value.ToTimedelta() if message.HasField(field) else None


def _word(words: dict[str, Any], number: int) -> str | None:
    return next((word for word, value in words.items() if value == number), None)
