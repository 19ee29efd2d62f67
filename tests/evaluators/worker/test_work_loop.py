"""The work loop against a controller over a real socket: fencing, directives, retries, failures."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import grpc
import pytest
import torch
from archloom.space import Space, load_preset
from archloom.v1 import common_pb2, evaluation_pb2
from archloom_evaluators.evaluator import EvaluatorInfo, Job, Outcome, Run
from archloom_evaluators.failures import AttemptYielded, EvaluationFailure, Reason

STOP = evaluation_pb2.DIRECTIVE_STOP
YIELD = evaluation_pb2.DIRECTIVE_YIELD


class Scripted:
    """A long evaluator that does what a test says."""

    def __init__(self, script: Callable[[Job, Run], Outcome]) -> None:
        self.script = script
        self.begun: list[tuple[str, int]] = []

    def describe(self) -> EvaluatorInfo:
        return EvaluatorInfo("train", "1", "", (), (), {})

    def evaluate(self, job: Job, run: Run) -> Outcome:
        self.begun.append((job.trial, job.attempt))
        return self.script(job, run)


class Batched:
    """A short evaluator that does what a test says."""

    def __init__(self, answers: Callable[[Sequence[Job]], Iterator[Outcome | Exception]]) -> None:
        self.answers = answers

    def describe(self) -> EvaluatorInfo:
        return EvaluatorInfo("quick", "1", "", (), (), {})

    def evaluate_many(self, jobs: Sequence[Job], runs: Sequence[Run]) -> Iterator[Outcome | Exception]:
        return self.answers(jobs)


@pytest.fixture(scope="module")
def space() -> Space:
    return load_preset("nasbench201")


@pytest.fixture
def add(served: Any, kit: Any, space: Space) -> Callable[..., str]:
    def add(number: int, kind: str = "train", **fields: Any) -> str:
        trial = kit.trial(number, space.sample(random.Random(number)), **fields)
        name: str = served.controller.add(trial, kit.context(space, kind, {}))
        return name

    return add


def until_told(run: Run) -> Outcome:
    """Works for as long as it may."""
    while True:
        run.pause(0.01)


def test_a_trial_goes_through_with_its_curve_and_checkpoint(served: Any, kit: Any, add: Any) -> None:
    def script(job: Job, run: Run) -> Outcome:
        run.measure(1.0, {"val_accuracy": 0.5, "val_loss": float("nan")})
        run.checkpoint(b"weights" * 50_000)
        kit.wait_until(lambda: served.controller.checkpoints)
        run.measure(2.0, {"val_accuracy": 0.75})
        artifact = run.upload(b"file", "report", "text/plain", "report.txt")
        return Outcome({"val_accuracy": 0.75}, (artifact,))

    name = add(1)
    with kit.worker(served, {"train": Scripted(script)}) as worker:
        assert worker.loop.drain() == 1
    controller = served.controller
    result = controller.results[name]
    assert controller.metrics(name) == {"val_accuracy": 0.75}
    curve = {point.progress for point in [*controller.measured[name], *result.measurements]}
    assert curve == {1.0, 2.0}
    assert [metric.name for metric in controller.measured[name][0].metrics] == ["val_accuracy"]
    assert controller.blob(result.checkpoint) == b"weights" * 50_000
    assert [(a.kind, a.file_name, controller.blob(a)) for a in result.artifacts] == [
        ("report", "report.txt", b"file")
    ]
    assert result.device_time.ToTimedelta().total_seconds() > 0


@pytest.mark.parametrize("lost", [1, -1], ids=["unavailable", "answer lost"])
def test_calls_are_repeated_with_one_effect(served: Any, kit: Any, add: Any, lost: int) -> None:
    name = add(1)
    served.controller.broken = {"LeaseTrials": 2 * lost, "CompleteTrials": 2 * lost, "UploadChunk": lost}

    def script(job: Job, run: Run) -> Outcome:
        run.checkpoint(b"x" * 100_000)
        return Outcome({"val_accuracy": 1.0})

    evaluator = Scripted(script)
    with kit.worker(served, {"train": evaluator}) as worker:
        assert worker.loop.drain() == 1
    assert evaluator.begun == [(name, 1)]
    assert served.controller.blob(served.controller.results[name].checkpoint) == b"x" * 100_000
    assert served.controller.calls.count("CompleteTrials") == 3


def test_a_stop_drops_the_attempt_and_reports_nothing(served: Any, kit: Any, add: Any) -> None:
    name, after = add(1), add(2)
    served.controller.directive = lambda trial: STOP if trial == name else evaluation_pb2.DIRECTIVE_CONTINUE

    def script(job: Job, run: Run) -> Outcome:
        return until_told(run) if job.trial == name else Outcome({"val_accuracy": 1.0})

    with kit.worker(served, {"train": Scripted(script)}) as worker:
        assert worker.loop.drain() == 2
    assert name not in served.controller.results | served.controller.failures | served.controller.released
    assert after in served.controller.results


def test_a_yield_lets_go_with_a_checkpoint(served: Any, kit: Any, add: Any) -> None:
    name = add(1)
    served.controller.directive = lambda trial: YIELD

    def script(job: Job, run: Run) -> Outcome:
        try:
            return until_told(run)
        except AttemptYielded:
            run.checkpoint(b"here I was")
            raise

    with kit.worker(served, {"train": Scripted(script)}) as worker:
        worker.loop.drain()
    released = served.controller.released[name]
    assert served.controller.blob(released.checkpoint) == b"here I was"
    assert released.device_time.ToTimedelta().total_seconds() > 0
    assert not served.controller.ended(name)


def test_a_stopping_worker_yields_and_leases_no_more(served: Any, kit: Any, add: Any) -> None:
    running, waiting = add(1), add(2)
    stop = threading.Event()

    def script(job: Job, run: Run) -> Outcome:
        stop.set()
        return until_told(run)

    with kit.worker(served, {"train": Scripted(script)}, stop) as worker:
        assert worker.loop.drain() == 1
    assert list(served.controller.released) == [running]
    assert [trial.trial for trial in served.controller.ready] == [waiting]


def test_an_attempt_that_lost_its_lease_changes_nothing(served: Any, kit: Any, add: Any) -> None:
    name = add(1)

    def script(job: Job, run: Run) -> Outcome:
        served.controller.lose(name)
        return Outcome({"val_accuracy": 1.0})

    with kit.worker(served, {"train": Scripted(script)}) as worker:
        worker.loop.drain()
    assert not served.controller.ended(name)
    assert served.controller.calls.count("CompleteTrials") == 1


def test_a_checkpoint_of_a_lost_attempt_ends_it(served: Any, kit: Any, add: Any) -> None:
    name = add(1)
    reached = []

    def script(job: Job, run: Run) -> Outcome:
        served.controller.lose(name)
        run.checkpoint(b"late")
        reached.append(job.trial)
        return Outcome({"val_accuracy": 1.0})

    with kit.worker(served, {"train": Scripted(script)}) as worker:
        worker.loop.drain()
    assert not reached
    assert not served.controller.ended(name)


def test_a_lease_is_kept_while_the_controller_is_away_and_the_worker_says_so_once(
    served: Any, kit: Any, add: Any
) -> None:
    name = add(1)

    def script(job: Job, run: Run) -> Outcome:
        kit.wait_until(lambda: served.controller.heartbeats)
        served.stop()
        run.checkpoint(b"nobody is there to take it")
        served.start()
        heard = len(served.controller.heartbeats)
        kit.wait_until(lambda: len(served.controller.heartbeats) > heard + 1)
        return Outcome({"val_accuracy": 1.0})

    with kit.worker(served, {"train": Scripted(script)}) as worker:
        worker.loop.drain()
    assert served.controller.metrics(name) == {"val_accuracy": 1.0}


def test_heartbeats_renew_every_third_of_the_lease(served: Any, kit: Any, add: Any) -> None:
    served.controller.lease_seconds = 0.6
    name = add(1)

    def beats() -> list[int]:
        named = [beat.attempts for beat in served.controller.heartbeats]
        return [attempts[0].progress for attempts in named if attempts]

    def script(job: Job, run: Run) -> Outcome:
        while len(beats()) < 4:
            run.pause(0.01)
        return Outcome({"val_accuracy": 1.0})

    with kit.worker(served, {"train": Scripted(script)}) as worker:
        worker.loop.drain()
    assert beats() == sorted(beats())
    assert len(set(beats())) >= 3
    assert name in served.controller.results


def test_max_duration_ends_a_trial_with_timeout(served: Any, kit: Any, add: Any) -> None:
    trial = add(1, max_duration={"nanos": 200_000_000})
    earlier = add(2, max_duration={"nanos": 200_000_000}, elapsed={"seconds": 101})
    with kit.worker(served, {"train": Scripted(lambda job, run: until_told(run))}) as worker:
        worker.loop.drain()
    for name in (trial, earlier):
        failure = served.controller.failures[name].failure
        assert failure.reason == common_pb2.FAILURE_REASON_TIMEOUT
        assert "max_duration left it 0.2 s" in failure.message
    # Earlier attempts' time is told, and counted against the trial by the controller, not here again.
    assert 0.2 <= served.controller.failures[earlier].device_time.ToTimedelta().total_seconds() < 60
    assert "ran 101." in served.controller.failures[earlier].failure.message


def out_of_memory() -> None:
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")


def allocate_too_much() -> None:
    torch.empty(10**15)


def machine_memory() -> None:
    raise MemoryError


def own_reason() -> None:
    raise EvaluationFailure(Reason.DIVERGED, "the loss is nan")


def defect() -> None:
    dict[str, int]()["missing"]


@pytest.mark.parametrize(
    ("act", "reason", "words"),
    [
        (out_of_memory, common_pb2.FAILURE_REASON_OUT_OF_MEMORY, "2 GiB"),
        (allocate_too_much, common_pb2.FAILURE_REASON_OUT_OF_MEMORY, "allocate"),
        (machine_memory, common_pb2.FAILURE_REASON_OUT_OF_MEMORY, "MemoryError"),
        (own_reason, common_pb2.FAILURE_REASON_DIVERGED, "nan"),
        (defect, common_pb2.FAILURE_REASON_INTERNAL, "KeyError: 'missing'"),
    ],
)
def test_failures_are_told_apart(
    served: Any, kit: Any, add: Any, act: Callable[[], None], reason: int, words: str
) -> None:
    name = add(1)

    def script(job: Job, run: Run) -> Outcome:
        act()
        return Outcome({"val_accuracy": 1.0})

    with kit.worker(served, {"train": Scripted(script)}) as worker:
        worker.loop.drain()
        assert worker.loop.wants_fresh_process == (reason == common_pb2.FAILURE_REASON_OUT_OF_MEMORY)
    failure = served.controller.failures[name].failure
    assert failure.reason == reason
    assert words in failure.message


def test_a_metric_that_is_no_number_is_diverged(served: Any, kit: Any, add: Any) -> None:
    name = add(1)
    evaluator = Scripted(lambda job, run: Outcome({"val_accuracy": float("nan")}))
    with kit.worker(served, {"train": evaluator}) as worker:
        worker.loop.drain()
    assert served.controller.failures[name].failure.reason == common_pb2.FAILURE_REASON_DIVERGED


def test_leases_that_cannot_be_read_fail_alone(served: Any, kit: Any, add: Any, space: Space) -> None:
    good, roleless, strange = add(1), add(2, role=0), add(3, kind="unheard-of")
    broken_space = kit.trial(4, space.sample(random.Random(4)))
    context = kit.context(space, "train", {})
    context.space.ClearField("body")
    context.space_digest = "other"
    spaceless = served.controller.add(broken_space, context)
    with kit.worker(served, {"train": Scripted(lambda job, run: Outcome({"val_accuracy": 1.0}))}) as worker:
        assert worker.loop.drain() == 4
    assert list(served.controller.results) == [good]
    reasons = {name: failure.failure.reason for name, failure in served.controller.failures.items()}
    assert reasons == {
        roleless: common_pb2.FAILURE_REASON_CANNOT_BUILD,
        strange: common_pb2.FAILURE_REASON_INTERNAL,
        spaceless: common_pb2.FAILURE_REASON_CANNOT_BUILD,
    }


def test_a_batch_travels_in_one_call_each_way(served: Any, kit: Any, add: Any) -> None:
    names = [add(number, "quick") for number in range(1, 201)]
    evaluator = Batched(lambda jobs: (Outcome({"score": float(job.seed)}) for job in jobs))
    with kit.worker(served, {"quick": evaluator}) as worker:
        assert worker.loop.drain() == 200
    assert [served.controller.metrics(name)["score"] for name in names] == list(range(1, 201))
    assert served.controller.calls.count("LeaseTrials") == 2
    assert served.controller.calls.count("CompleteTrials") == 1


@pytest.mark.parametrize("breaks", [True, False])
def test_a_batch_that_breaks_off_fails_the_rest_alone(served: Any, kit: Any, add: Any, breaks: bool) -> None:
    names = [add(number, "quick") for number in range(1, 5)]

    def answers(jobs: Sequence[Job]) -> Iterator[Outcome | Exception]:
        yield Outcome({"score": 1.0})
        yield EvaluationFailure(Reason.CANNOT_BUILD, "this one alone")
        if breaks:
            raise ValueError("a defect")

    with kit.worker(served, {"quick": Batched(answers)}) as worker:
        worker.loop.drain()
    assert list(served.controller.results) == names[:1]
    reasons = [served.controller.failures[name].failure.reason for name in names[1:]]
    internal = common_pb2.FAILURE_REASON_INTERNAL
    assert reasons == [common_pb2.FAILURE_REASON_CANNOT_BUILD, internal, internal]


def test_a_result_the_controller_refuses_is_told_as_a_failure(
    served: Any, kit: Any, add: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = add(1)

    def refuse(request: Any, context: Any) -> Any:
        context.abort(grpc.StatusCode.INVALID_ARGUMENT, "too many metrics")

    monkeypatch.setattr(served.controller, "CompleteTrials", refuse)
    served.stop()
    served.start()
    with kit.worker(served, {"train": Scripted(lambda job, run: Outcome({"val_accuracy": 1.0}))}) as worker:
        worker.loop.drain()
    assert "too many metrics" in served.controller.failures[name].failure.message


def test_a_download_goes_on_where_it_was_cut(served: Any, kit: Any, add: Any) -> None:
    data = random.Random(1).randbytes(500_000)
    reference = served.controller.put(data)
    name = add(1, checkpoint=reference)
    served.controller.broken = {"ReadArtifact": 2}
    got = []

    def script(job: Job, run: Run) -> Outcome:
        assert job.checkpoint is not None
        got.append(run.download(job.checkpoint))
        return Outcome({"val_accuracy": 1.0})

    with kit.worker(served, {"train": Scripted(script)}) as worker:
        worker.loop.drain()
    assert got == [data]
    assert name in served.controller.results


def test_wrong_bytes_are_refused(served: Any, kit: Any, add: Any) -> None:
    reference = served.controller.put(b"right")
    served.controller.blobs[reference.name.rpartition("/")[2]] = b"wrong"
    name = add(1, checkpoint=reference)

    def script(job: Job, run: Run) -> Outcome:
        assert job.checkpoint is not None
        run.download(job.checkpoint)
        return Outcome({"val_accuracy": 1.0})

    with kit.worker(served, {"train": Scripted(script)}) as worker:
        worker.loop.drain()
    assert served.controller.failures[name].failure.reason == common_pb2.FAILURE_REASON_DATA
