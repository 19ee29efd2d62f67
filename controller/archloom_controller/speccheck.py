"""Whether a search can be run as it is described: every fault at once, each with its path within the spec."""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from archloom.errors import InvalidInput, Unavailable, Violation
from archloom.space import Space, SpaceError, load_preset
from archloom.space.errors import suggest
from archloom.v1 import common_pb2, experiment_pb2, strategy_pb2

from archloom_controller.convert import seconds
from archloom_controller.interfaces import (
    DatasetInfo,
    EvaluatorInfo,
    Registry,
    StrategyFailed,
    StrategyGateway,
    StrategyUnreachable,
)
from archloom_controller.offers import exports, fidelities, metrics, recipe, shapes, with_classes
from archloom_controller.settings_schema import schema_faults

#: Share of the trials that are controls when the spec says nothing of them.
DEFAULT_CONTROL_SHARE = 0.1
DEFAULT_PARALLELISM = 1
MAX_TRIALS_AT_ONCE = 100_000
#: Proxy trials for each trial of the budget, when the spec says nothing of them.
DEFAULT_PROXY_TRIALS = 100
MAX_PROXY_TRIALS = 10_000_000


@dataclass(frozen=True)
class Checked:
    """A spec that can run, with defaults filled in and its preset resolved, and what the registry said."""

    spec: experiment_pb2.ExperimentSpec
    evaluator: EvaluatorInfo
    dataset: DatasetInfo
    strategy: strategy_pb2.StrategyDescription


class SpecCheck:
    def __init__(self, gateway: StrategyGateway, registry: Registry) -> None:
        self._gateway = gateway
        self._registry = registry

    async def check(self, given: experiment_pb2.ExperimentSpec, broken: Sequence[Violation] = ()) -> Checked:
        """Raises InvalidInput with every fault, Unavailable when the strategy alone cannot be asked now.

        ``broken`` are the faults that the protos' rules found already.
        """
        spec = experiment_pb2.ExperimentSpec()
        spec.CopyFrom(given)
        fill_defaults(spec)
        faults = amounts(spec)
        space, found = await asyncio.to_thread(resolve_space, spec)
        faults += found
        evaluator, found = await self._evaluator(spec)
        faults += found
        dataset, found = await self._dataset(spec, evaluator)
        faults += found
        if dataset is not None:
            dataset, found = with_classes(spec, dataset)
            faults += found
        if space is not None and dataset is not None:
            faults += shapes(space, dataset)
        if evaluator is not None:
            faults += [*metrics(spec, evaluator), *exports(spec, evaluator), *fidelities(spec, evaluator)]
        if evaluator is not None and space is not None:
            faults += recipe(space, evaluator)
        strategy: strategy_pb2.StrategyDescription | None = None
        away: StrategyUnreachable | None = None
        for field in ("strategy", "fallback") if spec.HasField("fallback") else ("strategy",):
            try:
                described, found = await self._strategy(spec, field, None if broken else space)
            except StrategyUnreachable as error:
                away = error
                continue
            strategy = strategy or described
            faults += [fault for fault in found if fault not in faults]
        told = {fault.field for fault in broken}
        faults = [*broken, *(fault for fault in faults if fault.field not in told)]
        if away is not None and not faults:
            raise Unavailable(f"the strategy could not check the spec: {away}", reason="STRATEGY_UNREACHABLE")
        if faults or evaluator is None or dataset is None or strategy is None:
            raise InvalidInput(faults)
        if not spec.strategy.version:
            spec.strategy.version = strategy.version
        return Checked(spec, evaluator, dataset, strategy)

    async def _evaluator(
        self, spec: experiment_pb2.ExperimentSpec
    ) -> tuple[EvaluatorInfo | None, list[Violation]]:
        kind, device_class = spec.evaluator.kind, spec.evaluator.device_class
        found = await self._registry.evaluator(kind, device_class)
        if found is not None:
            return found, schema_faults(found.settings_schema, spec.evaluator.settings, "evaluator.settings")
        known = await self._registry.evaluators()
        if kind not in {each.kind for each in known}:
            names = [each.kind for each in known]
            return None, [Violation("evaluator.kind", f"no worker offers {kind!r}{suggest(kind, names)}")]
        classes = [each.device_class for each in known if each.kind == kind]
        message = f"no worker of class {device_class!r} offers {kind!r}{suggest(device_class, classes)}"
        return None, [Violation("evaluator.device_class", message)]

    async def _dataset(
        self, spec: experiment_pb2.ExperimentSpec, evaluator: EvaluatorInfo | None
    ) -> tuple[DatasetInfo | None, list[Violation]]:
        name = spec.task.dataset
        if evaluator is not None and not evaluator.task_kinds:
            return DatasetInfo(name, spec.task.kind, (), 0, ""), []
        faults = []
        if evaluator is not None and spec.task.kind not in evaluator.task_kinds:
            known = suggest(spec.task.kind, evaluator.task_kinds)
            faults.append(
                Violation("task.kind", f"evaluator {evaluator.kind!r} has no task {spec.task.kind!r}{known}")
            )
        try:
            found = await self._registry.dataset(name, spec.evaluator.device_class)
        except InvalidInput as error:
            return None, [*faults, Violation("task.dataset", error.violations[0].message)]
        if found is None:
            known = suggest(name, await self._registry.dataset_names())
            return None, [*faults, Violation("task.dataset", f"no worker knows {name!r}{known}")]
        if found.task_kind and found.task_kind != spec.task.kind and not faults:
            message = f"{name!r} is a data set for {found.task_kind!r}, the task is {spec.task.kind!r}"
            faults.append(Violation("task.dataset", message))
        return found, faults

    async def _strategy(
        self, spec: experiment_pb2.ExperimentSpec, field: str, space: Space | None
    ) -> tuple[strategy_pb2.StrategyDescription | None, list[Violation]]:
        asked: experiment_pb2.StrategySpec = getattr(spec, field)
        described = await self._gateway.describe(asked.name)
        if described is None:
            known = suggest(asked.name, self._gateway.names())
            return None, [Violation(f"{field}.name", f"no strategy {asked.name!r} is served{known}")]
        faults = capabilities(spec, described, space)
        if asked.version and asked.version != described.version:
            message = f"version {asked.version!r} is not served; {described.version!r} is"
            faults.append(Violation(f"{field}.version", message))
        if space is None:
            return described, faults
        try:
            search = search_spec(spec, asked, space)
            told_already = {fault.field for fault in faults}
            told = await self._gateway.validate(asked.name, search)
            found = [Violation(spec_path(each.field, field), each.message) for each in told]
            faults += [fault for fault in found if fault.field not in told_already]
        except StrategyUnreachable:
            if not faults:
                raise
        except StrategyFailed as error:
            faults.append(Violation(f"{field}.name", f"the strategy could not check the spec: {error}"))
        return described, faults


def fill_defaults(spec: experiment_pb2.ExperimentSpec) -> None:
    """Set what the user left out; afterwards the stored spec says everything."""
    if not spec.HasField("control"):
        spec.control.share = DEFAULT_CONTROL_SHARE
    if not spec.control.sampling:
        spec.control.sampling = experiment_pb2.SAMPLING_UNIFORM_DECISIONS
    if not spec.budget.HasField("proxy_trials"):
        spec.budget.proxy_trials = min(DEFAULT_PROXY_TRIALS * spec.budget.trials, MAX_PROXY_TRIALS)
    if not spec.parallelism:
        spec.parallelism = DEFAULT_PARALLELISM
    if not spec.evaluator.device_class:
        spec.evaluator.device_class = "cpu"
    if not spec.HasField("fidelity"):
        spec.fidelity.SetInParent()
    if spec.finalists.count and not spec.finalists.seeds:
        spec.finalists.seeds = 1


def amounts(spec: experiment_pb2.ExperimentSpec) -> list[Violation]:
    """Faults between the spec's own fields."""
    faults = []
    if spec.budget.trials < 1:
        faults.append(Violation("budget.trials", "must be at least 1"))
    if not 1 <= spec.parallelism <= MAX_TRIALS_AT_ONCE:
        faults.append(Violation("parallelism", f"must be from 1 to {MAX_TRIALS_AT_ONCE:,}"))
    duration = seconds(spec.trial.max_duration)
    if spec.trial.HasField("max_duration") and duration <= 0:
        faults.append(Violation("trial.max_duration", "must be longer than nothing"))
    if seconds(spec.trial.stall_timeout) < 0:
        faults.append(Violation("trial.stall_timeout", "must not be negative"))
    if spec.budget.device_seconds and duration <= 0:
        message = "is required when the budget names device_seconds: it is what a trial reserves"
        faults.append(Violation("trial.max_duration", message))
    if spec.budget.device_seconds and 0 < spec.budget.device_seconds < duration:
        message = f"does not pay for one trial of {duration:g} s (trial.max_duration)"
        faults.append(Violation("budget.device_seconds", message))
    if not 0 <= spec.control.share <= 0.5:
        faults.append(Violation("control.share", "must be from 0 to 0.5"))
    faults += _repeats("objectives", [objective.metric for objective in spec.objectives])
    for name in ("fidelity", "finalists.fidelity"):
        owner = spec.finalists if name.startswith("finalists") else spec
        faults += _fidelity(name, owner.fidelity)
    numbers = [(f"constraints[{i}].bound", limit.bound) for i, limit in enumerate(spec.constraints)]
    numbers += [("budget.device_seconds", spec.budget.device_seconds), ("control.share", spec.control.share)]
    faults += [
        Violation(name, "is not a finite number") for name, value in numbers if not math.isfinite(value)
    ]
    return faults


def _fidelity(name: str, fidelity: common_pb2.Fidelity) -> list[Violation]:
    if fidelity.proxies:
        message = "are asked for by strategies, in proxy trials of their own: a whole trial is evaluated"
        return [Violation(f"{name}.proxies", message)]
    return []


def _repeats(field: str, names: Sequence[str]) -> list[Violation]:
    return [
        Violation(f"{field}[{index}].metric", f"{name!r} is named twice")
        for index, name in enumerate(names)
        if name in names[:index]
    ]


def resolve_space(spec: experiment_pb2.ExperimentSpec) -> tuple[Space | None, list[Violation]]:
    """Put the preset's tree in its place, or check the tree that is there. CPU work: call it in a thread."""
    try:
        if spec.space.WhichOneof("source") == "preset":
            try:
                space = load_preset(spec.space.preset)
            except SpaceError as error:
                return None, [Violation("space.preset", error.violations[0].message)]
        else:
            space = Space.from_proto(spec.space.space)
    except SpaceError as error:
        return None, [
            Violation(f"space.space.{fault.field}".rstrip("."), fault.message) for fault in error.violations
        ]
    except RecursionError:
        return None, [Violation("space.space", "the tree is too deep")]
    spec.space.space.CopyFrom(space.to_proto())
    return space, []


def capabilities(
    spec: experiment_pb2.ExperimentSpec, described: strategy_pb2.StrategyDescription, space: Space | None
) -> list[Violation]:
    """What the spec asks for and the strategy cannot do."""
    able, faults = described.capabilities, []
    if able.max_objectives and len(spec.objectives) > able.max_objectives:
        limit = "one objective" if able.max_objectives == 1 else f"{able.max_objectives} objectives"
        message = f"strategy {described.name!r} takes at most {limit}, the spec has {len(spec.objectives)}"
        faults.append(Violation("objectives", message))
    if spec.constraints and not able.constraints:
        message = f"strategy {described.name!r} takes no constraints, the spec has some"
        faults.append(Violation("constraints", message))
    if able.discrete_only and space is not None and space.continuous:
        decision = space.continuous[0]
        message = f"strategy {described.name!r} needs discrete decisions; {decision!r} is not"
        faults.append(Violation("space", message))
    return faults


def spec_path(path: str, field: str) -> str:
    """Where the experiment's spec has what a strategy's own check names.

    ``path`` is within a SearchSpec or within the experiment's spec; ``field`` is where that names the
    strategy: "strategy" or "fallback".
    """
    path = path.removeprefix("strategy.")
    if path in ("", "strategy"):
        return field
    if path in ("trials", "proxy_trials"):
        return f"budget.{path}"
    if path.startswith("space."):
        return f"space.{path}"
    known = re.split(r"[.\[]", path)[0] in experiment_pb2.ExperimentSpec.DESCRIPTOR.fields_by_name
    return path if known else f"{field}.{path}"


def search_spec(
    spec: experiment_pb2.ExperimentSpec, strategy: experiment_pb2.StrategySpec, space: Space
) -> strategy_pb2.SearchSpec:
    """What the strategy will be told, for its own check."""
    return strategy_pb2.SearchSpec(
        revision=1,
        objectives=spec.objectives,
        constraints=spec.constraints,
        space=spec.space.space,
        space_digest=space.digest,
        settings=strategy.settings,
        fidelity=spec.fidelity,
        trials=max(0, spec.budget.trials - int(spec.control.share * spec.budget.trials + 0.5)),
        proxy_trials=spec.budget.proxy_trials,
        parallelism=spec.parallelism,
    )
