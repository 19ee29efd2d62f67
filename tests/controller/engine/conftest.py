"""An engine on a real database, with a strategy, a registry and workers of the test's own."""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from archloom.errors import Violation
from archloom.space import Architecture, Space
from archloom.v1 import (
    common_pb2,
    evaluation_pb2,
    experiment_pb2,
    strategy_pb2,
    trial_pb2,
)
from archloom_controller.engine import Engine
from archloom_controller.interfaces import (
    DatasetInfo,
    EngineSettings,
    EvaluatorInfo,
    ProposeContext,
    StrategyFailed,
    StrategyUnreachable,
)
from archloom_controller.metrics import Metrics
from archloom_controller.services.evaluation import EvaluationServicer
from archloom_controller.services.experiments import ExperimentServicer
from archloom_controller.services.trials import TrialServicer
from archloom_controller.store import Store
from prometheus_client import CollectorRegistry

SPACE = """
input: {x: {kind: image, shape: [1, 8, 8]}}
body:
  sequence:
    - {layer: conv, name: first, k: {choice: [1, 3, 5, 7]}, out: {choice: [4, 8, 12, 16]}}
    - {layer: relu}
    - {layer: conv, name: second, k: {choice: [1, 3, 5, 7]}, out: {choice: [4, 8, 12, 16]}}
    - {layer: global_pool}
"""


class Gateway:
    """One strategy in this process. Pure, as plugins are: what it proposes follows from the request."""

    def __init__(self) -> None:
        self.space = Space.from_yaml(SPACE)
        self.requests: list[strategy_pb2.ProposeRequest] = []
        #: Raised instead of an answer while set.
        self.trouble: Exception | None = None
        self.answer: Callable[[strategy_pb2.ProposeRequest], strategy_pb2.ProposeResponse] | None = None
        #: Asked for more than this it fails.
        self.most: int | None = None
        self.asks_history = False
        self.histories: list[list[strategy_pb2.Observation]] = []
        self.capabilities = strategy_pb2.StrategyCapabilities(constraints=True)
        self.build = "test"
        #: What its own check finds in any search.
        self.faults: list[Violation] = []

    def names(self) -> list[str]:
        return ["other", "random"]

    def reachable(self, name: str) -> bool:
        return not isinstance(self.trouble, StrategyUnreachable)

    async def describe(self, name: str) -> strategy_pb2.StrategyDescription | None:
        if name not in self.names():
            return None
        return strategy_pb2.StrategyDescription(
            name=name, version="1", build=self.build, capabilities=self.capabilities
        )

    async def validate(self, name: str, spec: strategy_pb2.SearchSpec) -> list[Violation]:
        bad = [key for key in spec.settings if key != "good"]
        return [*(Violation(f"settings.{key}", "is no setting") for key in bad), *self.faults]

    async def propose(
        self, name: str, request: strategy_pb2.ProposeRequest, context: ProposeContext
    ) -> strategy_pb2.ProposeResponse:
        self.requests.append(request)
        if self.trouble is not None and name == "random":
            raise self.trouble
        if self.most is not None and request.count > self.most:
            raise StrategyFailed(f"cannot propose {request.count}")
        if self.asks_history:
            self.histories.append(await context.history(0, request.history_sequence))
        if self.answer is not None:
            return self.answer(request)
        return self.random(request)

    def random(self, request: strategy_pb2.ProposeRequest) -> strategy_pb2.ProposeResponse:
        rng = random.Random(request.seed)
        response = strategy_pb2.ProposeResponse(experiment=request.experiment, step=request.step)
        response.proposals.SetInParent()
        for _ in range(request.count):
            response.proposals.proposals.add().architecture.CopyFrom(self.space.sample(rng).to_proto())
        response.state.data = f"after {request.step}".encode()
        response.state.inline = True
        return response


class Registry:
    def __init__(self) -> None:
        self.table = EvaluatorInfo("table", "1", "cpu", (), (), {}, True)
        self.train = EvaluatorInfo(
            "train",
            "1",
            "cpu",
            ("classification",),
            ("val_accuracy", "val_loss", "parameters"),
            {"properties": {"optimizer": {"enum": ["adamw", "sgd"]}, "learning_rate": {"type": "number"}}},
            False,
            exports=("onnx",),
            fidelities=("epochs", "data_fraction"),
            recipe=True,
        )
        self.digits = DatasetInfo("digits", "classification", (1, 8, 8), 10, "d" * 64)

    async def evaluator(self, kind: str, device_class: str) -> EvaluatorInfo | None:
        found = {"table": self.table, "train": self.train}.get(kind)
        return found if found is not None and found.device_class == device_class else None

    async def evaluators(self) -> list[EvaluatorInfo]:
        return [self.table, self.train]

    async def dataset(self, name: str, device_class: str) -> DatasetInfo | None:
        return self.digits if name == "digits" else None

    async def dataset_names(self) -> list[str]:
        return ["digits"]


class Artifacts:
    async def ref(self, name: str) -> common_pb2.ArtifactRef | None:
        return None if name.endswith("0") else common_pb2.ArtifactRef(name=name, size_bytes=1)


class Wakeups:
    def __init__(self) -> None:
        self.sent: list[tuple[str, str, int]] = []

    async def send(self, device_class: str, hint: str, count: int) -> None:
        self.sent.append((device_class, hint, count))

    async def close(self) -> None:
        return None


def score(architecture: Architecture, seed: int = 0) -> float:
    """A made-up validation accuracy: the same for the same architecture, a little noise for the seed."""
    text = f"{architecture.key}:{seed}"
    noise = int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") / 2**32
    widths = sum(v for v in architecture.decisions.values() if isinstance(v, int))
    return 0.5 + widths / 100 + noise / 1000


@dataclass
class World:
    """One replica, and the calls of users and workers upon it."""

    engine: Engine
    gateway: Gateway
    registry: Registry
    wakeups: Wakeups
    experiments: ExperimentServicer = field(init=False)
    trials: TrialServicer = field(init=False)
    evaluation: EvaluationServicer = field(init=False)

    def __post_init__(self) -> None:
        self.experiments = ExperimentServicer(self.engine)
        self.trials = TrialServicer(self.engine)
        self.evaluation = EvaluationServicer(self.engine)

    @staticmethod
    def spec(**changes: Any) -> experiment_pb2.ExperimentSpec:
        return spec(**changes)

    @property
    def store(self) -> Store:
        return self.engine.parts.store

    async def create(self, name: str = "search", **changes: Any) -> experiment_pb2.Experiment:
        request = experiment_pb2.CreateExperimentRequest(
            parent="projects/p", experiment_id=name, spec=spec(**changes)
        )
        return (await self.experiments.CreateExperiment(request, None)).experiment

    async def get(self, name: str = "search") -> experiment_pb2.Experiment:
        request = experiment_pb2.GetExperimentRequest(name=f"projects/p/experiments/{name}")
        return (await self.experiments.GetExperiment(request, None)).experiment

    async def until(
        self,
        holds: Callable[[experiment_pb2.Experiment], bool],
        name: str = "search",
        seconds: float = 30.0,
    ) -> experiment_pb2.Experiment:
        """The experiment once it is as wanted."""
        async with asyncio.timeout(seconds):
            while not holds(experiment := await self.get(name)):  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        return experiment

    async def lease(
        self,
        worker: str = "w",
        count: int = 64,
        *,
        wait: float = 0.0,
        request_id: str = "",
        labels: dict[str, str] | None = None,
    ) -> list[evaluation_pb2.LeasedTrial]:
        request = evaluation_pb2.LeaseTrialsRequest(
            worker=worker, device_class="cpu", max_trials=count, request_id=request_id, labels=labels
        )
        request.wait.FromNanoseconds(int(wait * 1e9))
        return list((await self.evaluation.LeaseTrials(request, None)).trials)

    async def complete(
        self, trials: list[evaluation_pb2.LeasedTrial], worker: str = "w", **metrics: float
    ) -> list[int]:
        request = evaluation_pb2.CompleteTrialsRequest(worker=worker)
        for trial in trials:
            request.results.append(result(trial, **metrics))
        return list((await self.evaluation.CompleteTrials(request, None)).outcomes) if trials else []

    async def fail(
        self,
        trials: list[evaluation_pb2.LeasedTrial],
        reason: common_pb2.FailureReason.ValueType,
        worker: str = "w",
        seconds: float = 0.0,
    ) -> list[int]:
        request = evaluation_pb2.FailTrialsRequest(worker=worker)
        for trial in trials:
            failure = request.failures.add()
            failure.attempt.trial, failure.attempt.attempt = trial.trial, trial.attempt
            failure.failure.reason = reason
            failure.failure.message = "as the test wants"
            failure.device_time.FromNanoseconds(int(seconds * 1e9))
        return list((await self.evaluation.FailTrials(request, None)).outcomes)

    async def heartbeat(
        self,
        trials: list[evaluation_pb2.LeasedTrial],
        worker: str = "w",
        progress: int = 0,
        points: tuple[float, ...] = (),
    ) -> list[int]:
        request = evaluation_pb2.HeartbeatRequest(worker=worker, device_class="cpu")
        for trial in trials:
            told = request.attempts.add(progress=progress)
            told.attempt.trial, told.attempt.attempt = trial.trial, trial.attempt
            for point in points:
                measurement = told.measurements.add(progress=point)
                measurement.metrics.add(name="val_accuracy", value=point / 10)
        return [row.directive for row in (await self.evaluation.Heartbeat(request, None)).directives]

    async def work(
        self, worker: str = "w", name: str = "search", count: int = 64
    ) -> experiment_pb2.Experiment:
        """Evaluate whatever there is until the experiment has ended."""
        while (experiment := await self.get(name)).state == experiment_pb2.EXPERIMENT_STATE_RUNNING:
            await self.complete(await self.lease(worker, count, wait=0.1), worker)
        return experiment

    async def listed(self, name: str = "search", **filters: Any) -> list[trial_pb2.Trial]:
        found: list[trial_pb2.Trial] = []
        request = trial_pb2.ListTrialsRequest(
            parent=f"projects/p/experiments/{name}", page_size=100, **filters
        )
        while True:
            page = await self.trials.ListTrials(request, None)
            found += page.trials
            if not page.next_page_token:
                return found
            request.page_token = page.next_page_token

    async def events(self, name: str = "search") -> list[experiment_pb2.Event]:
        found: list[experiment_pb2.Event] = []
        request = experiment_pb2.ListEventsRequest(parent=f"projects/p/experiments/{name}")
        while True:
            page = await self.experiments.ListEvents(request, None)
            found += page.events
            if not page.next_page_token:
                return found
            request.page_token = page.next_page_token

    async def report(self, name: str = "search") -> experiment_pb2.Report:
        request = experiment_pb2.GetReportRequest(name=f"projects/p/experiments/{name}")
        return (await self.experiments.GetReport(request, None)).report


def result(trial: evaluation_pb2.LeasedTrial, **metrics: float) -> evaluation_pb2.TrialResult:
    """What a worker that computes ``score`` answers."""
    answer = evaluation_pb2.TrialResult()
    answer.attempt.trial, answer.attempt.attempt = trial.trial, trial.attempt
    value = score(Architecture.from_proto(trial.architecture), trial.seed)
    if trial.role == trial_pb2.TRIAL_ROLE_TEST:
        found = {"test_accuracy": value - 0.01, "test_examples": 100.0}
    elif trial.role == trial_pb2.TRIAL_ROLE_EXPORT:
        found = {"export_max_difference": 1e-7, "latency_ms": 1.0}
    else:
        found = {"val_accuracy": value}
    for key, number in {**found, **metrics}.items():
        answer.metrics.add(name=key, value=number)
    answer.device_time.FromNanoseconds(1_000_000_000)
    return answer


def spec(**changes: Any) -> experiment_pb2.ExperimentSpec:
    """A table search of 20 trials, four at a time, without controls and finalists."""
    made = experiment_pb2.ExperimentSpec()
    made.task.kind, made.task.dataset = "classification", "digits"
    made.space.space.CopyFrom(Space.from_yaml(SPACE).to_proto())
    made.objectives.add(metric="val_accuracy", goal=common_pb2.GOAL_MAXIMIZE)
    made.strategy.name = "random"
    made.evaluator.kind, made.evaluator.device_class = "table", "cpu"
    made.budget.trials = changes.pop("trials", 20)
    made.parallelism = changes.pop("parallelism", 4)
    made.control.share = changes.pop("share", 0.0)
    made.seed = changes.pop("seed", 1)
    if "kind" in changes:
        made.evaluator.kind = changes.pop("kind")
    made.evaluator.cache = changes.pop("cache", False)
    made.evaluator.worker_labels.update(changes.pop("worker_labels", {}))
    if "finalists" in changes:
        made.finalists.count, made.finalists.seeds = changes.pop("finalists")
    if "fallback" in changes:
        made.fallback.name = changes.pop("fallback")
    if "device_seconds" in changes:
        made.budget.device_seconds = changes.pop("device_seconds")
    if "max_seconds" in changes:
        made.trial.max_duration.FromSeconds(changes.pop("max_seconds"))
    if "most_parameters" in changes:
        made.constraints.add(
            metric="parameters",
            comparison=common_pb2.COMPARISON_AT_MOST,
            bound=changes.pop("most_parameters"),
        )
    for key, value in changes.items():
        setattr(made, key, value)
    return made


SETTINGS = EngineSettings(
    replica="test", lease_seconds=2.0, stall_seconds=20.0, step_interval_seconds=0.0, poll_seconds=0.2
)


@pytest.fixture
async def replicas(database: Any) -> AsyncIterator[Callable[..., Any]]:
    """Makes replicas on one database; what runs is stopped at the end."""
    store = Store(database)
    await store.prepare()
    started: list[Engine] = []
    shared, registry = Gateway(), Registry()

    async def make(gateway: Gateway = shared, **changes: Any) -> World:
        wakeups = Wakeups()
        settings = replace(SETTINGS, **changes)
        engine = Engine(
            Store(database), gateway, registry, Artifacts(), wakeups, settings, Metrics(CollectorRegistry())
        )
        await engine.start()
        started.append(engine)
        return World(engine, gateway, registry, wakeups)

    yield make
    for engine in started:
        await engine.stop()


@pytest.fixture
async def world(replicas: Callable[..., Any]) -> World:
    made: World = await replicas()
    return made
