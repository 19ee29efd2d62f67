"""Results and curves that the controller would refuse: they fail alone, and cost no other trial anything."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import grpc
import pytest
from archloom.space import Space, load_preset
from archloom.v1 import common_pb2
from archloom_evaluators.evaluator import EvaluatorInfo, Job, Outcome, Run


class Batched:
    """A short evaluator that answers what a test says, from a job's seed."""

    def __init__(self, answer: Callable[[int], Outcome]) -> None:
        self.answer = answer

    def describe(self) -> EvaluatorInfo:
        return EvaluatorInfo("quick", "1", "", (), (), {})

    def evaluate_many(self, jobs: Sequence[Job], runs: Sequence[Run]) -> Iterator[Outcome | Exception]:
        return (self.answer(job.seed) for job in jobs)


class Measuring:
    """A long evaluator that tells one point of a curve."""

    def __init__(self, progress: float, metrics: dict[str, float]) -> None:
        self.point = progress, metrics

    def describe(self) -> EvaluatorInfo:
        return EvaluatorInfo("train", "1", "", (), (), {})

    def evaluate(self, job: Job, run: Run) -> Outcome:
        run.measure(*self.point)
        return Outcome({"val_accuracy": 1.0})


@pytest.fixture(scope="module")
def space() -> Space:
    return load_preset("nasbench201")


@pytest.fixture
def add(served: Any, kit: Any, space: Space) -> Callable[..., str]:
    def add(number: int, kind: str = "train") -> str:
        trial = kit.trial(number, space.sample(random.Random(number)))
        name: str = served.controller.add(trial, kit.context(space, kind, {}))
        return name

    return add


@pytest.mark.parametrize(
    ("metrics", "words"),
    [
        ({"Val-Acc": 1.0}, "'Val-Acc' is no name for a metric"),
        ({}, "no metric"),
        ({f"m{index}": 1.0 for index in range(257)}, "257 metrics"),
    ],
)
def test_an_illegal_result_fails_alone(
    served: Any, kit: Any, add: Any, metrics: dict[str, float], words: str
) -> None:
    names = [add(number, "quick") for number in range(1, 9)]
    evaluator = Batched(lambda seed: Outcome(metrics if seed == 5 else {"score": 1.0}))
    with kit.worker(served, {"quick": evaluator}) as worker:
        worker.loop.drain()
    assert list(served.controller.results) == [*names[:4], *names[5:]]
    assert words in served.controller.failures[names[4]].failure.message


def test_a_result_that_the_controller_refuses_among_others_fails_alone(
    served: Any, kit: Any, add: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All or none of a call is taken, as the real one does (an artifact that is not there)."""
    names = [add(number, "quick") for number in range(1, 17)]
    take = served.controller.CompleteTrials

    def refuse(request: Any, context: Any) -> Any:
        if any(result.attempt.trial == names[10] for result in request.results):
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "results.artifacts: upload it first")
        return take(request, context)

    monkeypatch.setattr(served.controller, "CompleteTrials", refuse)
    served.stop()
    served.start()
    evaluator = Batched(lambda seed: Outcome({"score": 1.0}))
    with kit.worker(served, {"quick": evaluator}) as worker:
        worker.loop.drain()
    assert sorted(served.controller.results) == sorted(set(names) - {names[10]})
    assert list(served.controller.failures) == [names[10]]
    assert "upload it first" in served.controller.failures[names[10]].failure.message


@pytest.mark.parametrize(
    ("progress", "metrics"), [(1.0, {"Val-Acc": 0.5}), (float("nan"), {"a": 1.0}), (-1.0, {"a": 1.0})]
)
def test_an_illegal_point_of_a_curve_fails_its_trial_and_reaches_no_heartbeat(
    served: Any, kit: Any, add: Any, progress: float, metrics: dict[str, float]
) -> None:
    name = add(1)
    with kit.worker(served, {"train": Measuring(progress, metrics)}) as worker:
        worker.loop.drain()
    assert served.controller.failures[name].failure.reason == common_pb2.FAILURE_REASON_INTERNAL
    beats = [told for beat in served.controller.heartbeats for told in beat.attempts]
    assert not any(told.measurements for told in beats)
