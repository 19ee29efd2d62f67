from __future__ import annotations

import io
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from archloom.cli.live import LiveView, follow, present
from archloom.cli.progress import Progress
from archloom.client import Client, Event, Experiment, Trial, WatchUpdate, WorkerInfo
from archloom.v1 import experiment_pb2 as pb
from fake_server import FakeServer
from rich.console import Console
from sample_search import Sample


@pytest.fixture
def progress(sample: Sample) -> Progress:
    return Progress.of(Experiment.from_proto(sample[0]))


@pytest.fixture
def trials(sample: Sample) -> list[Trial]:
    return [Trial.from_proto(each) for each in sample[1]]


def ended(*trials: Trial, reset: bool = False) -> WatchUpdate:
    kind = {"failed": "trial_failed", "completed": "trial_finished", "infeasible": "trial_infeasible"}
    events = tuple(
        Event(number, kind[each.state], None, 1, each, "", "search", "running")
        for number, each in enumerate(trials, 1)
    )
    return WatchUpdate(events, None, reset, "t")


def measured(trial: Trial, accuracy: float, parameters: float) -> Trial:
    return replace(trial, metrics={"val_accuracy": accuracy, "parameters": parameters})


def drawn(progress: Progress) -> str:
    file = io.StringIO()
    Console(file=file, width=100).print(LiveView(progress).render())
    return file.getvalue()


def test_the_best_of_each_side_and_the_front_follow_the_events(
    progress: Progress, trials: list[Trial]
) -> None:
    first, second, third, control = (trials[n] for n in (0, 1, 2, 3))
    lines = progress.take(
        ended(
            measured(first, 0.90, 1000),
            measured(second, 0.95, 2000),
            measured(third, 0.94, 3000),
            measured(control, 0.97, 9000),
        )
    )
    assert [line.endswith("(best so far)") for line in lines] == [True, True, False, False]
    assert lines[3].endswith("(best control)")
    assert {role: best.number for role, best in progress.best.items()} == {"search": 2, "control": 4}
    assert [each.number for each in progress.front] == [4, 2, 1]
    progress.take(ended(measured(trials[5], 0.99, 500)))
    assert [each.number for each in progress.front] == [6]


def test_a_lower_fidelity_is_told_and_is_neither_best_nor_on_the_front(
    progress: Progress, trials: list[Trial]
) -> None:
    short = replace(measured(trials[0], 0.99, 10), fidelity=replace(trials[0].fidelity, epochs=3))
    (line,) = progress.take(ended(short))
    assert line == "search trial 1 finished at 3 epochs: val_accuracy 0.99, parameters 10"
    text = drawn(progress)
    assert "1 of 16 trials (1 below the full fidelity), 0 running" in text
    assert "best val_accuracy: no trial has reached the full fidelity yet" in text
    assert "front: empty" in text
    (line,) = progress.take(ended(measured(trials[1], 0.9, 50)))
    assert line == "search trial 2 finished: val_accuracy 0.9, parameters 50  (best so far)"
    assert progress.best["search"].number == 2
    assert [each.number for each in progress.front] == [2]


def test_a_refused_score_is_told_once(progress: Progress, trials: list[Trial]) -> None:
    asked = [("synflow", "zen"), ("synflow", "zen"), ("zen",), ("naswot", "zen")]
    events = tuple(
        Event(number, "proposal_refused", None, 1, scored(trials[0], names), f"no {names[0]}", "", "")
        for number, names in enumerate(asked, 1)
    )
    told = progress.take(WatchUpdate(events, None, False, "t"))
    assert told == ["scores refused: no synflow", "scores refused: no naswot"]


def scored(trial: Trial, names: tuple[str, ...]) -> Trial:
    return replace(trial, fidelity=replace(trial.fidelity, proxies=names))


def test_what_a_user_reports_is_not_on_the_front(progress: Progress, trials: list[Trial]) -> None:
    progress.take(ended(replace(measured(trials[0], 0.99, 10), role="user", reported=True)))
    assert progress.best["user"].number == 1
    assert progress.front == []


def test_infeasible_and_failed_trials_are_counted_but_never_best(
    progress: Progress, trials: list[Trial]
) -> None:
    beyond = replace(measured(trials[0], 0.99, 10**9), state="infeasible")
    lines = progress.take(ended(beyond, trials[4]))
    assert progress.best == {}
    assert (progress.count("infeasible"), progress.count("failed")) == (1, 1)
    assert "diverged" in lines[1]


def test_a_reset_forgets(progress: Progress, trials: list[Trial]) -> None:
    progress.take(ended(measured(trials[0], 0.9, 10)))
    progress.take(ended(measured(trials[1], 0.8, 20), reset=True))
    assert progress.best["search"].number == 2
    assert progress.finished("search") == 1


def test_the_panel_shows_phase_counts_best_and_front(progress: Progress, trials: list[Trial]) -> None:
    progress.take(ended(measured(trials[0], 0.9, 1234), trials[4]))
    text = drawn(progress)
    assert "phase done" in text
    assert "2 of 16 trials, 0 running, 1 failed" in text
    assert "strategy 0.9 (trial 1)" in text
    assert "1,234" in text
    assert "<script>" in text


def test_workers_that_fell_silent_are_not_counted() -> None:
    now = datetime(2026, 1, 2, tzinfo=UTC)
    ages = {"new": 0, "quiet": 59, "gone": 61}
    workers = [WorkerInfo(name, "cpu", now - timedelta(seconds=age), 0, 0.0) for name, age in ages.items()]
    workers.append(WorkerInfo("never", "cpu", None, 0, 0.0))
    assert [each.name for each in present(workers)] == ["new", "quiet"]
    assert present(workers[3:]) == []


def test_on_a_terminal_the_panel_is_drawn_to_the_end(
    fake: FakeServer, client: Client, sample: Sample
) -> None:
    fake.experiment, fake.trials, fake.report = sample
    fake.experiment.sequence = 1
    event = pb.Event(sequence=1, kind=pb.EVENT_KIND_TRIAL_FINISHED, trial=fake.trials[0])
    fake.watches = [[pb.WatchExperimentResponse(events=[event], experiment=fake.experiment)]]
    console = Console(file=io.StringIO(), force_terminal=True, width=100)
    assert follow(client, "sample", console).state == "succeeded"
    assert "1 of 16 trials" in console.file.getvalue()  # type: ignore[attr-defined]
