"""Whether evaluator and data set offer what a spec asks of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any

from archloom.errors import Violation
from archloom.space import Space
from archloom.space.errors import suggest
from archloom.v1 import experiment_pb2, space_pb2
from google.protobuf.json_format import MessageToDict
from google.protobuf.struct_pb2 import Struct

from archloom_controller.interfaces import DatasetInfo, EvaluatorInfo
from archloom_controller.settings_schema import schema_faults


def with_classes(
    spec: experiment_pb2.ExperimentSpec, dataset: DatasetInfo
) -> tuple[DatasetInfo, list[Violation]]:
    """The data set with its number of classes, which the spec must tell where the data set is a path.

    The controller reads no data, and without the classes it would count networks without their head. The
    worker checks that the data agree.
    """
    settings = MessageToDict(spec.task.settings)
    faults = [
        Violation(f"task.settings.{name}", f"is no setting of the task{suggest(name, ['classes'])}")
        for name in settings
        if name != "classes"
    ]
    told = settings.get("classes")
    if ":" not in dataset.name:
        if told is not None and told != dataset.classes and dataset.classes:
            message = f"{dataset.name!r} has {dataset.classes} classes, not {told:g}"
            faults.append(Violation("task.settings.classes", message))
        return dataset, faults
    if not isinstance(told, float) or told != int(told) or not 2 <= told <= 1_000_000:
        message = f"say how many classes {dataset.name!r} has, for example `settings: {{classes: 10}}`"
        return dataset, [*faults, Violation("task.settings.classes", message)]
    return dataclasses.replace(dataset, classes=int(told)), faults


def shapes(space: Space, dataset: DatasetInfo) -> list[Violation]:
    """Whether the space reads what the data set gives: one input, of its shape where both say numbers."""
    inputs = list(space.to_proto().inputs)
    if not dataset.shape:
        return []
    if len(inputs) != 1:
        message = f"{dataset.name!r} gives one input, the space reads {len(inputs)}"
        return [Violation("space.space.inputs", message)]
    wanted = [value.literal.integer if value.HasField("literal") else None for value in inputs[0].shape]
    same_rank = len(wanted) == len(dataset.shape)
    if same_rank and all(want in (None, given) for want, given in zip(wanted, dataset.shape, strict=True)):
        return []
    told = " x ".join("?" if want is None else str(want) for want in wanted)
    given = " x ".join(map(str, dataset.shape))
    message = f"the space reads {told}, examples of {dataset.name!r} are {given}"
    return [Violation("space.space.inputs[0].shape", message)]


def metrics(spec: experiment_pb2.ExperimentSpec, evaluator: EvaluatorInfo) -> list[Violation]:
    """Objectives and constraints name what the evaluator reports: whatever its settings are, or named by a
    setting that its schema gives the format "metrics". An evaluator that tells neither may report anything.
    """
    known = {*evaluator.metrics, *_named(evaluator, spec.evaluator.settings, "metrics")}
    if not known:
        return []
    named: Iterable[tuple[str, str]] = [
        *((f"objectives[{i}].metric", each.metric) for i, each in enumerate(spec.objectives)),
        *((f"constraints[{i}].metric", each.metric) for i, each in enumerate(spec.constraints)),
    ]
    return [
        Violation(field, f"evaluator {evaluator.kind!r} does not report {name!r}{suggest(name, known)}")
        for field, name in named
        if name not in known
    ]


def exports(spec: experiment_pb2.ExperimentSpec, evaluator: EvaluatorInfo) -> list[Violation]:
    """Formats are known now, not when the whole search has been paid for."""
    return [
        Violation(
            f"finalists.exports[{index}]",
            f"evaluator {evaluator.kind!r} exports no {name!r}{suggest(name, evaluator.exports)}",
        )
        for index, name in enumerate(spec.finalists.exports)
        if name not in evaluator.exports
    ]


def fidelities(spec: experiment_pb2.ExperimentSpec, evaluator: EvaluatorInfo) -> list[Violation]:
    if not evaluator.fidelities:
        return []
    asked = (("fidelity", spec.fidelity), ("finalists.fidelity", spec.finalists.fidelity))
    return [
        Violation(
            f"{where}.{field.name}",
            f"evaluator {evaluator.kind!r} knows {', '.join(evaluator.fidelities)} only",
        )
        for where, fidelity in asked
        for field, _ in fidelity.ListFields()
        if field.name not in evaluator.fidelities and field.name != "proxies"
    ]


def proxies(evaluator: EvaluatorInfo | None, settings: Struct) -> frozenset[str]:
    """The training-free scores that the evaluator offers, whatever its settings are, and those named by a
    setting that its schema gives the format "proxies".
    """
    if evaluator is None:
        return frozenset()
    return frozenset({*evaluator.proxies, *_named(evaluator, settings, "proxies")})


def _named(evaluator: EvaluatorInfo, settings: Struct, kind: str) -> list[str]:
    """The keys of the settings that are objects and have this format in the evaluator's schema."""
    known = evaluator.settings_schema.get("properties", {})
    return [
        name
        for setting, value in MessageToDict(settings).items()
        if isinstance(value, dict) and known.get(setting, {}).get("format") == kind
        for name in value
    ]


def recipe(space: Space, evaluator: EvaluatorInfo) -> list[Violation]:
    """The recipe's names are settings of the evaluator, and every value they may take is allowed there."""
    properties = evaluator.settings_schema.get("properties", {})
    if not evaluator.recipe or not properties:
        return []
    faults = []
    for binding in space.to_proto().recipe:
        where = f"space.space.recipe.{binding.name}"
        if binding.name not in properties:
            message = (
                f"evaluator {evaluator.kind!r} has no setting of this name{suggest(binding.name, properties)}"
            )
            faults.append(Violation(where, message))
            continue
        for value in _values(binding.value):
            settings = Struct()
            settings.update({binding.name: value})
            found = schema_faults(evaluator.settings_schema, settings, "")
            faults += [Violation(where, fault.message) for fault in found]
    return faults


def _values(value: space_pb2.SpaceValue) -> list[Any]:
    """What a recipe's value may be, as far as it is written down: constants, options, the ends of a range."""
    if value.HasField("literal"):
        return [_constant(value.literal)]
    kind = value.domain.WhichOneof("domain")
    if kind == "choice":
        return [_constant(each) for each in value.domain.choice.values]
    if kind in ("integer", "uniform", "log"):
        ends = getattr(value.domain, kind)
        return [ends.low, ends.high]
    return []


def _constant(literal: space_pb2.Literal) -> Any:
    kind = literal.WhichOneof("value")
    if kind == "list":
        return [_constant(item) for item in literal.list.items]
    return getattr(literal, str(kind))
