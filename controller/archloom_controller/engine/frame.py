"""What stays the same while an experiment runs, parsed once for each revision of its spec."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property, lru_cache

from archloom.resources import ExperimentName
from archloom.space import Space
from archloom.v1 import evaluation_pb2, experiment_pb2, strategy_pb2
from archloom.v1.common_pb2 import Comparison, FailureReason, Fidelity, Goal
from archloom.v1.trial_pb2 import TrialRole
from google.protobuf.json_format import MessageToDict

from archloom_controller.convert import experiment_name, seconds
from archloom_controller.store.layout import COMPLETED, FAILED, INFEASIBLE, Document
from archloom_controller.store.leases import label_texts

#: Roles that stand for the search itself: their results can be on the front and become finalists.
SEARCH_ROLES = (TrialRole.TRIAL_ROLE_SEARCH, TrialRole.TRIAL_ROLE_CONTROL, TrialRole.TRIAL_ROLE_USER)

#: What the device does, not the architecture alone: measured anew for each trial whose value it decides.
HARDWARE_METRICS = frozenset({"latency_ms", "latency_spread_ms", "peak_memory_mb", "train_seconds"})

_UNJUDGED = (TrialRole.TRIAL_ROLE_TEST, TrialRole.TRIAL_ROLE_EXPORT)


@dataclass(frozen=True)
class Judgement:
    """What a result is worth: the trial's state, why it failed, and its objectives (less is better)."""

    state: int
    failure: Document | None
    values: tuple[float, ...]


@dataclass(frozen=True)
class Frame:
    """An experiment's spec, with what its registry entries said when it was created."""

    uid: str
    name: ExperimentName
    revision: int
    spec: experiment_pb2.ExperimentSpec
    batched: bool
    reads_data: bool
    reads_files: bool
    evaluator_version: str
    dataset_digest: str
    classes: int

    @classmethod
    def of(cls, experiment: Document) -> Frame:
        """From the whole document, spec included."""
        return cls(
            uid=experiment["_id"],
            name=experiment_name(experiment),
            revision=experiment["revision"],
            spec=experiment_pb2.ExperimentSpec.FromString(experiment["spec"]),
            batched=experiment["evaluator"]["batched"],
            reads_data=experiment["evaluator"]["reads_data"],
            reads_files=experiment["evaluator"]["reads_files"],
            evaluator_version=experiment["evaluator"]["version"],
            dataset_digest=experiment["dataset"]["digest"],
            classes=experiment["dataset"]["classes"],
        )

    @cached_property
    def space(self) -> Space:
        """Expensive the first time: read it in a thread."""
        return Space.from_proto(self.spec.space.space)

    @cached_property
    def evaluation(self) -> evaluation_pb2.EvaluationContext:
        """What the leases of this experiment share."""
        return evaluation_pb2.EvaluationContext(
            experiment=str(self.name),
            task_kind=self.spec.task.kind,
            dataset=self.spec.task.dataset,
            task_settings=self.spec.task.settings,
            evaluator_kind=self.spec.evaluator.kind,
            evaluator_settings=self.spec.evaluator.settings,
            space=self.spec.space.space,
            space_digest=self.space.digest,
            objectives=self.spec.objectives,
            constraints=self.spec.constraints,
            fidelity=self.spec.fidelity,
        )

    @cached_property
    def needs(self) -> list[str]:
        """Labels that a worker must have."""
        return label_texts(self.spec.evaluator.worker_labels)

    @cached_property
    def full_fidelity(self) -> bytes:
        return self.spec.fidelity.SerializeToString(deterministic=True)

    @cached_property
    def signs(self) -> tuple[tuple[str, float], ...]:
        """Each objective's metric, and the factor that makes less better."""
        return tuple(
            (objective.metric, -1.0 if objective.goal == Goal.GOAL_MAXIMIZE else 1.0)
            for objective in self.spec.objectives
        )

    @cached_property
    def controls(self) -> int:
        """Random controls in all: the share of the budget's trials, rounded to the nearest, half up.

        A small budget with a small share has none; the report then says that nothing is identified.
        """
        return int(self.spec.control.share * self.spec.budget.trials + 0.5)

    @property
    def search_trials(self) -> int:
        """What the strategy and users' own trials may spend."""
        return self.spec.budget.trials - self.controls

    @property
    def proxy_trials(self) -> int:
        """Proxy trials that the strategy may have, beside its trials."""
        return self.spec.budget.proxy_trials

    @property
    def max_seconds(self) -> float:
        return seconds(self.spec.trial.max_duration)

    def controls_due(self, searched: int) -> int:
        """Controls that belong beside so many trials of the strategy: interleaved evenly, none ahead of its
        time.

        The k-th control falls in the middle of the k-th of ``controls`` equal parts of the strategy's budget.
        """
        if searched >= self.search_trials:
            return self.controls
        return int(self.controls * searched / self.search_trials + 0.5)

    def judge(self, metrics: dict[str, float], role: int, fidelity: bytes) -> Judgement:
        """COMPLETED, INFEASIBLE or FAILED. Finalists' runs, tests and exports have passed the constraints
        before. Proxy trials have neither objectives nor limits: they end with what scores there are.
        """
        if role in _UNJUDGED:
            return Judgement(COMPLETED, None, ())
        if proxies_of(fidelity):
            if metrics:
                return Judgement(COMPLETED, None, ())
            message = "the evaluator reported no score"
            failure = {"reason": int(FailureReason.FAILURE_REASON_INTERNAL), "message": message}
            return Judgement(FAILED, failure, ())
        missing = [name for name, _ in self.signs if name not in metrics]
        if role in SEARCH_ROLES:
            missing += [limit.metric for limit in self.spec.constraints if limit.metric not in metrics]
        if missing:
            message = f"the evaluator did not report {', '.join(sorted(set(missing)))}"
            failure = {"reason": int(FailureReason.FAILURE_REASON_INTERNAL), "message": message}
            return Judgement(FAILED, failure, ())
        values = tuple(sign * metrics[name] for name, sign in self.signs)
        if role in SEARCH_ROLES and self.broken(metrics):
            return Judgement(INFEASIBLE, None, values)
        return Judgement(COMPLETED, None, values)

    def broken(self, metrics: dict[str, float]) -> list[str]:
        """The constraints that these metrics break, as sentences; metrics that are not there break none."""
        faults = []
        for limit in self.spec.constraints:
            value = metrics.get(limit.metric)
            if value is None:
                continue
            most = limit.comparison == Comparison.COMPARISON_AT_MOST
            if value > limit.bound if most else value < limit.bound:
                words = "at most" if most else "at least"
                faults.append(f"{limit.metric} is {value:g}, allowed is {words} {limit.bound:g}")
        return faults

    @cached_property
    def _judged_by(self) -> set[str]:
        """The metrics of objectives and constraints."""
        return {*(name for name, _ in self.signs), *(limit.metric for limit in self.spec.constraints)}

    @cached_property
    def _cacheable(self) -> bool:
        """Whether another experiment's results can stand for this one's: not when the data cannot be told
        apart from others, and not where the hardware decides.
        """
        unknown_data = self.reads_files or (self.reads_data and not self.dataset_digest)
        return self.spec.evaluator.cache and not unknown_data and not self._judged_by & HARDWARE_METRICS

    @cached_property
    def _cache_base(self) -> list[object]:
        """Everything but architecture, fidelity and seed that a result depends on."""
        return [
            self.name.project,
            self.spec.evaluator.kind,
            self.evaluator_version,
            MessageToDict(self.spec.evaluator.settings),
            self.spec.evaluator.device_class,
            self.spec.task.kind,
            self.spec.task.dataset,
            MessageToDict(self.spec.task.settings),
            self.dataset_digest,
            sorted(self._judged_by),
        ]

    def cache_key(self, identity: list[object], fidelity: bytes, seed: int) -> str | None:
        """None when the experiment does not use the cache, or cannot."""
        if not self._cacheable:
            return None
        # A trial of a lower fidelity is the beginning of a whole one, and depends on how long that is.
        whole = [] if fidelity == self.full_fidelity else [self.full_fidelity.hex()]
        return digest([*self._cache_base, *identity, fidelity.hex(), *whole, seed])

    def repeat_key(self, group: str, architecture_key: str, fidelity: bytes) -> str:
        """Equal for trials of which the experiment wants one only. Groups: "search" (and users'),
        "control".
        """
        return digest([self.uid, group, architecture_key, fidelity.hex()])

    def search_spec(self, strategy: experiment_pb2.StrategySpec) -> strategy_pb2.SearchSpec:
        """What the strategy is told of this revision."""
        return strategy_pb2.SearchSpec(
            revision=self.revision,
            objectives=self.spec.objectives,
            constraints=self.spec.constraints,
            space=self.spec.space.space,
            space_digest=self.space.digest,
            settings=strategy.settings,
            fidelity=self.spec.fidelity,
            trials=self.search_trials,
            proxy_trials=self.proxy_trials,
            parallelism=self.spec.parallelism,
        )


@lru_cache(maxsize=1024)
def proxies_of(fidelity: bytes) -> tuple[str, ...]:
    """The scores that a trial of this fidelity computes; empty where it is evaluated."""
    return tuple(Fidelity.FromString(fidelity).proxies)


def digest(parts: list[object]) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:40]
