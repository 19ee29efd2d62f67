"""The design's promises, checked from the database and through the API."""

from __future__ import annotations

import csv
import threading
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

import grpc
from archloom.client import Client, Event, Trial
from archloom.errors import ArchloomError
from archloom.space.nasbench201 import to_arch_string
from archloom.v1 import evaluation_pb2, evaluation_pb2_grpc, experiment_pb2, experiment_pb2_grpc
from pymongo import MongoClient

LIVE = (1, 2, 3)
ENDINGS = ("trial_finished", "trial_failed", "trial_infeasible", "trial_cancelled")
ENDED = (4, 5, 6, 7)


@dataclass
class Observer:
    """Looks at a running experiment: how many trials are live (I3), which results were ever stored (I1).

    A context manager that looks from a thread of its own. What it saw is compared with the end by ``check``.
    """

    uri: str
    experiment: str
    most_live: int = 0
    results: dict[int, tuple[int, Any]] = field(default_factory=dict)
    changed: list[str] = field(default_factory=list)
    looks: int = 0

    def __enter__(self) -> Observer:
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end.set()
        self._thread.join()

    def _watch(self) -> None:
        with MongoClient[dict[str, Any]](self.uri) as mongo:
            uid = _document(mongo, self.experiment)["_id"]
            while not self._end.wait(0.05):
                # One snapshot: a trial that ends and one that begins are never counted both.
                with mongo.start_session(snapshot=True) as session:
                    rows = list(mongo.archloom.trials.find({"e": uid}, session=session))
                self._note(rows)

    def _note(self, rows: list[dict[str, Any]]) -> None:
        self.looks += 1
        self.most_live = max(self.most_live, sum(row["state"] in LIVE for row in rows))
        for row in rows:
            before = self.results.get(row["n"])
            now = (row["state"], row.get("metrics"))
            if before is not None and before != now:
                self.changed.append(f"trial {row['n']} was {before} and became {now}")
            if row["state"] in ENDED:
                self.results[row["n"]] = now


class Follower:
    """Watches an experiment to its end from a thread of its own, over whatever cuts its stream (I7)."""

    def __init__(self, client: Client, experiment: str) -> None:
        self._client, self._experiment = client, experiment
        self._sequences: list[int] = []
        self._error: ArchloomError | None = None
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._thread.start()

    def _follow(self) -> None:
        try:
            for update in self._client.experiments.watch(self._experiment):
                assert not update.reset
                self._sequences += [event.sequence for event in update.events]
        except ArchloomError as error:
            self._error = error

    def check(self) -> None:
        """Every event was seen, once, in order. Call it when the experiment has ended."""
        self._thread.join(60)
        assert not self._thread.is_alive()
        assert self._error is None, self._error
        last = self._client.experiments.get(self._experiment).sequence
        assert self._sequences == list(range(1, last + 1))


def _document(mongo: MongoClient[dict[str, Any]], experiment: str) -> dict[str, Any]:
    _, project, _, identifier = experiment.split("/")
    found = mongo.archloom.experiments.find_one({"project": project, "id": identifier})
    assert found is not None, f"{experiment} is not stored"
    return found


def owner(uri: str, experiment: str) -> tuple[str, int]:
    """The replica that owns the experiment (empty while none does), and its epoch."""
    with MongoClient[dict[str, Any]](uri) as mongo:
        engine = _document(mongo, experiment)["engine"]
    # A process's own name, then a colon and what tells its lives apart.
    return engine["replica"].partition(":")[0], engine["epoch"]


def check(client: Client, observer: Observer, table: Path) -> None:
    """I1 to I4 and I6 of an experiment that has ended, and that its results are the table's."""
    experiment = client.experiments.get(observer.experiment)
    assert experiment.state == "succeeded", experiment.state_reason
    trials = list(client.trials.list(experiment.name))
    events = list(client.experiments.events(experiment.name))
    _check_results_kept(observer, trials)
    _check_counted_once(client, observer.experiment, trials, events)
    _check_live(client, observer, events)
    steps = _check_steps(client, experiment.name)
    _check_values(trials, table)
    _check_stale_attempts(client, trials)
    _check_replay(client, experiment.name, steps)


def _check_results_kept(observer: Observer, trials: list[Trial]) -> None:
    """I1: what was ever stored as ended is there, unchanged."""
    assert observer.looks > 0
    assert observer.changed == []
    assert set(observer.results) <= {trial.number for trial in trials}
    assert all(trial.ended for trial in trials)


def _check_counted_once(client: Client, name: str, trials: list[Trial], events: list[Event]) -> None:
    """I2: each trial begins and ends once in the log, no number is missing, the budget is spent exactly."""
    assert [event.sequence for event in events] == list(range(1, len(events) + 1))
    made = Counter(event.trial.number for event in events if event.kind == "trial_created" and event.trial)
    over = Counter(event.trial.number for event in events if event.kind in ENDINGS and event.trial)
    numbers = [trial.number for trial in trials]
    assert numbers == list(range(1, len(numbers) + 1))
    assert made == over == Counter(numbers)
    experiment = client.experiments.get(name)
    scored = [trial for trial in trials if trial.fidelity.proxies]
    whole = [trial for trial in trials if not trial.fidelity.proxies]
    searched = [trial for trial in whole if trial.role in ("search", "control")]
    assert len(searched) == experiment.trials_charged == experiment.spec.budget.trials
    assert len(scored) == experiment.proxy_trials_charged
    for alike in (scored, [trial for trial in searched if trial.role == "search"]):
        assert len({_decisions(trial) for trial in alike}) == len(alike)
    counts = experiment.trials
    assert counts.completed + counts.failed + counts.infeasible == len(whole)
    assert counts.proxies_completed + counts.proxies_failed == len(scored)


def _decisions(trial: Trial) -> tuple[tuple[str, Any], ...]:
    return tuple(sorted(trial.architecture.decisions.items()))


def _check_live(client: Client, observer: Observer, events: list[Event]) -> None:
    """I3: in the database at every look, and in the log at every line."""
    limit = client.experiments.get(observer.experiment).spec.parallelism
    live = most = 0
    for event in events:
        live += (event.kind == "trial_created") - (event.kind in ENDINGS)
        most = max(most, live)
    assert observer.most_live <= limit
    assert most <= limit


def _check_steps(client: Client, name: str) -> list[int]:
    """I4: steps follow each other, and a later one never has an earlier owner's epoch. The steps' numbers."""
    with grpc.insecure_channel(client.server) as channel:
        stub = experiment_pb2_grpc.ExperimentServiceStub(channel)
        request = experiment_pb2.ListStepsRequest(parent=name, page_size=200)
        steps: list[tuple[int, int]] = []
        while True:
            answer = stub.ListSteps(request, timeout=30)
            steps += [(step.number, step.engine_epoch) for step in answer.steps]
            if not answer.next_page_token:
                break
            request.page_token = answer.next_page_token
    assert steps == sorted(set(steps))
    epochs = [epoch for _, epoch in steps]
    assert epochs == sorted(epochs)
    numbers = [number for number, _ in steps]
    assert len(set(numbers)) == len(numbers)
    return numbers


def _check_values(trials: list[Trial], table: Path) -> None:
    with table.open(newline="") as file:
        known = {row["arch"]: (float(row["val"]), float(row["test"])) for row in csv.DictReader(file)}
    for trial in trials:
        if trial.role == "export":
            continue
        validation, test = known[to_arch_string(trial.architecture)]
        wanted = {"test_accuracy": test} if trial.role == "test" else {"val_accuracy": validation}
        if trial.fidelity.proxies:
            wanted = dict.fromkeys(trial.fidelity.proxies, validation)
        assert wanted.items() <= dict(trial.metrics).items(), trial.name


def _check_stale_attempts(client: Client, trials: list[Trial]) -> None:
    """I4: a result for an attempt that is over changes nothing, whoever brings it."""
    absurd = 999.0
    with grpc.insecure_channel(client.server) as channel:
        stub = evaluation_pb2_grpc.EvaluationServiceStub(channel)
        for trial in trials[:: max(1, len(trials) // 10)]:
            request = evaluation_pb2.CompleteTrialsRequest(worker="a-worker-from-the-past")
            result = request.results.add()
            result.attempt.trial, result.attempt.attempt = trial.name, max(1, trial.attempt - 1)
            result.metrics.add(name="val_accuracy", value=absurd)
            (outcome,) = stub.CompleteTrials(request, timeout=30).outcomes
            if trial.attempt > 1:
                assert outcome == evaluation_pb2.ATTEMPT_OUTCOME_STALE, trial.name
            assert client.trials.get(trial.name.rsplit("/trials/", 1)[0], trial.number) == trial


def _check_replay(client: Client, name: str, steps: list[int]) -> None:
    """I6, for every step that asked the strategy."""
    answers = list(client.experiments.replay(name))
    assert [answer.difference for answer in answers if not answer.equal] == []
    assert [answer.step for answer in answers] == steps
    assert len(steps) > 1
