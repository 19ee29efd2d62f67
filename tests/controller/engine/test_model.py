"""The small model explored by itself, and then the same rules driven against the store on a real mongod."""

from __future__ import annotations

import asyncio
import datetime
import secrets
import sys
from pathlib import Path
from typing import Any

from archloom.resources import ExperimentName
from archloom.v1 import experiment_pb2
from archloom.v1.common_pb2 import GOAL_MAXIMIZE, FailureReason
from archloom.v1.strategy_pb2 import StrategyDescription
from archloom.v1.trial_pb2 import TrialRole
from archloom_controller.engine.draft import Draft
from archloom_controller.engine.frame import Frame
from archloom_controller.engine.reaper import paused_of
from archloom_controller.engine.vetting import Vetted
from archloom_controller.interfaces import DatasetInfo, EvaluatorInfo
from archloom_controller.services.experiments import new_experiment
from archloom_controller.speccheck import Checked
from archloom_controller.store import StepChanged, StepLost, Store
from archloom_controller.store.layout import trial_id
from archloom_controller.store.leases import Ending, Failure
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from pymongo import AsyncMongoClient

sys.path.insert(0, str(Path(__file__).parent))
from model import Begun, Model  # type: ignore[import-not-found]

NOW = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
STATES = {1: "ready", 2: "leased", 4: "completed", 6: "failed", 7: "cancelled"}
ACTIONS = (
    ["step"] * 6
    + ["lease"] * 6
    + ["end"] * 9
    + ["begin", "late_commit", "late_commit", "take_over", "pause", "cancel"]
)
# Mostly one worker: then old and new attempts at a trial are often of the same one.
WORKERS = ("w1", "w1", "w1", "w2")


class StoreSystem:
    """The model's operations on the real store. Owners are two: each takes over from the other."""

    def __init__(self, store: Store, parallelism: int, budget: int) -> None:
        self.store = store
        spec = experiment_pb2.ExperimentSpec(parallelism=parallelism)
        spec.budget.trials = budget
        spec.objectives.add(metric="val_accuracy", goal=GOAL_MAXIMIZE)
        spec.evaluator.kind, spec.evaluator.device_class = "table", "cpu"
        name = ExperimentName("p", f"e-{secrets.token_hex(6)}")
        evaluator = EvaluatorInfo("table", "1", "cpu", (), (), {}, True)
        checked = Checked(spec, evaluator, DatasetInfo("d", "c", (), 0, ""), StrategyDescription(name="s"))
        self.experiment = new_experiment(name, checked, "r1", NOW)
        self.frame = Frame.of(self.experiment)
        self.uid = self.experiment["_id"]

    async def start(self) -> None:
        await self.store.transaction(lambda session: self.store.experiments.insert(self.experiment, session))

    async def begin(self, wanted: int) -> Draft:
        experiment = await self.store.experiments.by_uid(self.uid)
        assert experiment is not None
        draft = Draft(self.frame, experiment, 3, 60.0)
        draft.begin(NOW)
        draft.take_changes(await self.store.trials.dirty(self.uid, 100), [])
        left = self.frame.spec.budget.trials - draft.searched()
        paused = experiment["state"] == experiment_pb2.EXPERIMENT_STATE_PAUSED
        for _ in range(0 if paused else max(0, min(wanted, draft.room, left))):
            draft.create(Vetted(b"", "", "", (), {}), TrialRole.TRIAL_ROLE_SEARCH, seed=1)
        return draft

    async def commit(self, draft: Draft) -> bool:
        try:
            await self.store.steps.commit(draft.finish())
        except (StepChanged, StepLost):
            return False
        return True

    async def take_over(self, replica: str) -> int:
        known = await self.store.experiments.by_uid(self.uid)
        assert known is not None
        epoch = await self.store.experiments.claim(self.uid, known["engine"]["epoch"], replica)
        assert epoch is not None
        return epoch

    async def pause(self, paused: bool) -> None:
        known = await self.store.experiments.by_uid(self.uid)
        assert known is not None
        running, waiting = experiment_pb2.EXPERIMENT_STATE_RUNNING, experiment_pb2.EXPERIMENT_STATE_PAUSED
        update = {"$set": {"state": waiting if paused else running}}

        async def body(session: Any) -> None:
            assert await self.store.experiments.change(self.uid, known["change"], update, session)
            await self.store.experiments.hold(self.uid, paused, session)

        await self.store.transaction(body)

    async def cancel(self, number: int) -> bool:
        row = await self.store.transaction(
            lambda session: self.store.trials.cancel(self.uid, number, NOW, session)
        )
        return row is not None

    async def lease(self, worker: str, count: int) -> list[tuple[int, int]]:
        rows = await self.store.leases.take(
            worker=worker,
            device_class="cpu",
            kinds=(),
            limit=count,
            lease_id=secrets.token_hex(8),
            now=NOW,
        )
        return [(row["n"], row["attempt"]) for row in rows]

    async def complete(self, worker: str, number: int, attempt: int) -> bool:
        fields = {"state": 4, "metrics": {"val_accuracy": float(number)}, "end_time": NOW}
        ending = Ending(trial_id(self.uid, number), attempt, fields, (), 1.0)
        return (await self.store.leases.complete(worker, [ending]))[0]

    async def _paused(self) -> set[str]:
        return paused_of(await self.store.experiments.states([self.uid]))

    async def fail(self, worker: str, number: int, attempt: int) -> bool:
        reason = FailureReason.FAILURE_REASON_LOST
        failure = Failure(trial_id(self.uid, number), attempt, reason, "lost", None, 1.0)
        return (await self.store.leases.fail(worker, [failure], await self._paused(), NOW))[0]

    async def release(self, worker: str, number: int, attempt: int) -> bool:
        ending = Ending(trial_id(self.uid, number), attempt, {}, (), 1.0)
        return (await self.store.leases.release(worker, [ending], await self._paused(), NOW))[0]

    async def trials(self) -> dict[int, tuple[str, int]]:
        rows = await self.store.trials.page(
            self.uid, states=(), roles=(), descending=False, after=None, limit=1000
        )
        return {row["n"]: (STATES[row["state"]], row["attempt"]) for row in rows}

    async def log(self) -> list[tuple[str, int]]:
        events = await self.store.steps.events(self.uid, 0, 10000)
        assert [event["sequence"] for event in events] == list(range(1, len(events) + 1))
        found = []
        for event in events:
            trial = experiment_pb2.Event()
            trial.trial.ParseFromString(event["trial"])
            created = event["kind"] == experiment_pb2.EVENT_KIND_TRIAL_CREATED
            found.append(("created" if created else "ended", trial.trial.number))
        return found

    async def counters(self) -> dict[str, Any]:
        known = await self.store.experiments.by_uid(self.uid)
        assert known is not None
        return dict(known["counters"])


class EngineMachine(RuleBasedStateMachine):
    """Everything that can happen, in any order: two owners, two workers, stale steps, stale attempts,
    users.
    """

    #: Set for the run against the store.
    real_store: Store | None = None
    loop: asyncio.AbstractEventLoop

    def __init__(self) -> None:
        super().__init__()
        self.attempts: list[tuple[str, int, int]] = []
        self.steps: list[tuple[Begun, Any]] = []
        self.acknowledged: set[int] = set()
        self.real: StoreSystem | None = None

    def _run(self, operation: str, *arguments: Any) -> Any:
        """The operation on the model, and on the store when there is one: they answer the same."""
        expected = getattr(self.model, operation)(*arguments)
        if self.real is not None:
            actual = self.loop.run_until_complete(getattr(self.real, operation)(*arguments))
            assert actual == expected, (
                f"{operation}{arguments}: the store says {actual}, the model {expected}"
            )
        return expected

    @initialize(parallelism=st.integers(1, 3), budget=st.integers(1, 5))
    def start(self, parallelism: int, budget: int) -> None:
        self.model = Model(parallelism, budget)
        if self.real_store is not None:
            self.real = StoreSystem(self.real_store, parallelism, budget)
            self.loop.run_until_complete(self.real.start())
            # One queue for the test: what earlier machines left must not be leased here.
            self.loop.run_until_complete(self.real_store.database["trials"].delete_many({}))

    # One rule with weights: hypothesis leaves out rules at random, and without leases nothing happens.
    @rule(data=st.data(), action=st.sampled_from(ACTIONS))
    def act(self, data: Any, action: str) -> None:
        getattr(self, f"_{action}")(data)

    def _step(self, data: Any) -> None:
        """A step that nobody disturbs."""
        self._begin(data)
        self._commit(len(self.steps) - 1)

    def _begin(self, data: Any) -> None:
        wanted = data.draw(st.integers(0, 3))
        begun = self.model.begin(wanted)
        draft = None
        if self.real is not None:
            draft = self.loop.run_until_complete(self.real.begin(wanted))
        self.steps.append((begun, draft))

    def _late_commit(self, data: Any) -> None:
        """Any step that was begun lately: one that was overtaken, or one that was written before."""
        if self.steps:
            self._commit(data.draw(st.integers(max(0, len(self.steps) - 3), len(self.steps) - 1)))

    def _commit(self, index: int) -> None:
        begun, draft = self.steps[index]
        before = list(self.model.log)
        done = self.model.commit(begun)
        if self.real is not None:
            assert self.loop.run_until_complete(self.real.commit(draft)) == done
        assert done or self.model.log == before

    def _take_over(self, data: Any) -> None:
        epoch = self.model.take_over()
        if self.real is not None:
            assert self.loop.run_until_complete(self.real.take_over(f"r{1 + epoch % 2}")) == epoch

    def _pause(self, data: Any) -> None:
        self._run("pause", not self.model.paused)

    def _cancel(self, data: Any) -> None:
        if self.model.trials:
            self._run("cancel", data.draw(st.sampled_from(sorted(self.model.trials))))

    def _lease(self, data: Any) -> None:
        worker, count = data.draw(st.sampled_from(WORKERS)), data.draw(st.integers(1, 3))
        for number, attempt in self._run("lease", worker, count):
            self.attempts.append((worker, number, attempt))

    def _end(self, data: Any) -> None:
        """By any attempt of late: current, stale, or one that ended before."""
        if not self.attempts:
            return
        worker, number, attempt = data.draw(st.sampled_from(self.attempts[-5:]))
        operation = data.draw(st.sampled_from(["complete", "complete", "fail", "fail", "release"]))
        stood = self._run(operation, worker, number, attempt)
        if operation == "complete" and stood:
            self.acknowledged.add(number)

    @invariant()
    def finished_trials_stay(self) -> None:
        """I1, I4: what a worker was told is recorded stays completed, whatever stale calls come."""
        for number in self.acknowledged:
            assert self.model.trials[number].state == "completed"

    @invariant()
    def nothing_counts_twice(self) -> None:
        """I2: each trial is created once and ends once in the log."""
        if hasattr(self, "model"):
            assert len(set(self.model.log)) == len(self.model.log)

    @invariant()
    def limits_hold(self) -> None:
        """I3, I8."""
        if hasattr(self, "model"):
            live = [t for t in self.model.trials.values() if t.state in ("ready", "leased")]
            assert len(live) <= self.model.parallelism
            assert len(self.model.trials) <= self.model.budget

    def teardown(self) -> None:
        """Let everything come to rest: then the log tells every end, and the store says what the model
        says.
        """
        if not hasattr(self, "model"):
            return
        begun = self.model.begin(0)
        assert self.model.commit(begun)
        ended = {n for n, trial in self.model.trials.items() if trial.state not in ("ready", "leased")}
        assert {number for kind, number in self.model.log if kind == "ended"} == ended
        if self.real is not None:
            self.loop.run_until_complete(self._compare(self.real))

    async def _compare(self, real: StoreSystem) -> None:
        assert await real.commit(await real.begin(0))
        stored = await real.trials()
        assert stored == {n: (trial.state, trial.attempt) for n, trial in self.model.trials.items()}
        assert await real.log() == self.model.log
        counters = await real.counters()
        states = [trial.state for trial in self.model.trials.values()]
        for state in ("completed", "failed", "cancelled"):
            assert counters[state] == states.count(state)
        assert counters["search"] == len(states)
        assert counters["live"] == states.count("ready") + states.count("leased")


class PureMachine(EngineMachine):
    pass


PureMachine.TestCase.settings = settings(max_examples=200, stateful_step_count=50, deadline=None)
TestModelByItself = PureMachine.TestCase


def test_the_store_keeps_the_models_rules(mongod: Any) -> None:
    """The same machine, each call compared with the store's."""
    loop = asyncio.new_event_loop()
    client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(mongod.uri, tz_aware=True)
    database = f"model-{secrets.token_hex(6)}"
    store = Store(client[database])
    loop.run_until_complete(store.prepare())

    class StoreMachine(EngineMachine):
        real_store = store

    StoreMachine.loop = loop
    case = StoreMachine.TestCase
    case.settings = settings(
        max_examples=40,
        stateful_step_count=40,
        deadline=None,
        # Each example costs a second: a failure is shown as it was found.
        phases=[Phase.explicit, Phase.reuse, Phase.generate],
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    try:
        case().runTest()
    finally:
        loop.run_until_complete(client.drop_database(database))
        loop.run_until_complete(client.close())
        loop.close()
