"""The evidence of one experiment, computed when it is asked for."""

from __future__ import annotations

import asyncio
import math
import statistics
from collections.abc import Sequence

from archloom.space import Architecture
from archloom.v1 import architecture_pb2, experiment_pb2
from archloom.v1.experiment_pb2 import ExperimentState
from archloom.v1.trial_pb2 import TrialRole
from google.protobuf.timestamp_pb2 import Timestamp

from archloom_controller.comparison import Outcome, compare
from archloom_controller.convert import metric_values, timestamp, trial_message
from archloom_controller.engine.frame import Frame, proxies_of
from archloom_controller.interfaces import Clock
from archloom_controller.store import Store
from archloom_controller.store.layout import CANCELLED, COMPLETED, FAILED, INFEASIBLE, Document

_Z95 = 1.959963984540054


def wilson(successes: float, trials: int) -> tuple[float, float]:
    """95% interval for a share (Wilson 1927)."""
    share = successes / trials
    spread = _Z95**2 / trials
    centre = (share + spread / 2) / (1 + spread)
    half = _Z95 * math.sqrt(share * (1 - share) / trials + spread / (4 * trials)) / (1 + spread)
    return max(0.0, centre - half), min(1.0, centre + half)


def test_metric(metric: str) -> str:
    """The metric of the test split that stands for an objective: "val_accuracy" -> "test_accuracy"."""
    return f"test_{metric.removeprefix('val_')}"


async def front(store: Store, frame: Frame, experiment: Document) -> list[Document]:
    """The front's trials, by the first objective."""
    numbers = [number for number, _ in experiment["front"]]
    rows = await store.trials.many(frame.uid, numbers)
    return [rows[number] for number in numbers if number in rows]


async def build(store: Store, frame: Frame, experiment: Document, clock: Clock) -> experiment_pb2.Report:
    rows = await front(store, frame, experiment)
    control, left_out = await _control(store, frame, experiment)
    report = experiment_pb2.Report(
        experiment=str(frame.name),
        create_time=timestamp(clock.now()),
        front=[trial_message(row, frame.name, points=()) for row in rows],
        control=control,
    )
    finale = experiment.get("finale")
    if finale:
        await _finale(store, frame, experiment, report)
    report.notes.extend([*_notes(frame, experiment, report), *left_out])
    return report


async def _control(
    store: Store, frame: Frame, experiment: Document
) -> tuple[experiment_pb2.ControlComparison, list[str]]:
    """Full-fidelity trials alone: lower ones do not compare. What a user brought is nobody's merit.

    With it notes on what was left out: lower fidelities, and controls that users cancelled, for the engine
    stops none.
    """
    sides: dict[int, list[Outcome]] = {
        int(TrialRole.TRIAL_ROLE_SEARCH): [],
        int(TrialRole.TRIAL_ROLE_CONTROL): [],
    }
    fields = ("role", "state", "metrics", "device_seconds", "fidelity")
    counted = {COMPLETED, INFEASIBLE, FAILED}
    lower = cancelled = 0
    async for row in store.trials.each(frame.uid, list(sides), fields):
        if row["fidelity"] != frame.full_fidelity:
            lower += row["state"] in {*counted, CANCELLED} and not proxies_of(row["fidelity"])
            continue
        if row["state"] == CANCELLED:
            # What ended with its experiment says nothing.
            if experiment["state"] == ExperimentState.EXPERIMENT_STATE_CANCELLED:
                continue
            # A trial of the strategy was given up for bad; of a control nobody knows.
            if row["role"] == TrialRole.TRIAL_ROLE_CONTROL:
                cancelled += 1
                continue
        elif row["state"] not in counted:
            continue
        values = None
        if row["state"] == COMPLETED:
            values = tuple(sign * row["metrics"][name] for name, sign in frame.signs)
        sides[row["role"]].append(Outcome(values, row["device_seconds"]))
    metric, sign = frame.signs[0]
    strategy, controls = sides.values()
    notes = []
    if lower:
        told = "1 trial was" if lower == 1 else f"{lower:,} trials were"
        notes.append(
            f"{told} of a lower fidelity; the comparison is over those of the full fidelity and their cost."
        )
    if cancelled:
        told = "1 control was" if cancelled == 1 else f"{cancelled} controls were"
        notes.append(f"{told} cancelled by a user; the comparison is over the others.")
    return await asyncio.to_thread(compare, strategy, controls, metric, sign), notes


async def _finale(store: Store, frame: Frame, experiment: Document, report: experiment_pb2.Report) -> None:
    finale = experiment["finale"]
    numbers = [number for each in finale["finalists"] for number in each["runs"]]
    sources = [each["source"] for each in finale["finalists"]]
    tests = await store.trials.many(frame.uid, finale.get("tested", []))
    runs = await store.trials.many(frame.uid, numbers + sources)
    scores = {row["source"]: row["metrics"] for row in tests.values() if row["state"] == COMPLETED}
    for each in finale["finalists"]:
        report.finalists.append(_finalist(frame, each, runs, scores))
    winner = experiment.get("winner")
    if not winner:
        return
    report.winner = str(frame.name.trial(winner))
    _set_time(report.winner_fixed_time, experiment.get("winner_time"))
    _set_time(report.test_opened_time, experiment.get("test_time"))
    report.tied_with.extend(str(frame.name.trial(number)) for number in experiment.get("tied", ()))
    found = dict(runs[winner]["metrics"])
    if winner in scores:
        found |= scores[winner]
        score = _test_score(frame, winner, scores[winner])
        if score is not None:
            report.test.CopyFrom(score)
    exported = finale.get("export")
    if exported:
        row = (await store.trials.many(frame.uid, [exported]))[exported]
        found |= row.get("metrics", {})
        report.artifacts.extend(trial_message(row, frame.name, points=()).artifacts)
    report.winner_metrics.extend(metric_values(found))
    report.winner_graph.CopyFrom(await asyncio.to_thread(_graph, frame, runs[winner]["arch"]))


def _finalist(
    frame: Frame, finalist: Document, runs: dict[int, Document], scores: dict[int, dict[str, float]]
) -> experiment_pb2.Finalist:
    name = frame.signs[0][0]
    source = runs[finalist["source"]]
    message = experiment_pb2.Finalist(
        trial=str(frame.name.trial(finalist["source"])),
        architecture=architecture_pb2.Architecture.FromString(source["arch"]),
        runs=[trial_message(runs[number], frame.name) for number in finalist["runs"]],
    )
    ended = [runs[number] for number in finalist["runs"] if runs[number]["state"] == COMPLETED]
    values = [row["metrics"][name] for row in ended if name in row["metrics"]]
    if values:
        message.validation_mean = statistics.fmean(values)
    if len(values) > 1:
        message.validation_stddev = statistics.stdev(values)
    tested = [scores[row["n"]] for row in ended if row["n"] in scores]
    on_test = [each[test_metric(name)] for each in tested if test_metric(name) in each]
    if on_test:
        message.test_mean = statistics.fmean(on_test)
    return message


def _test_score(frame: Frame, winner: int, metrics: dict[str, float]) -> experiment_pb2.TestScore | None:
    metric = test_metric(frame.signs[0][0])
    if metric not in metrics:
        return None
    value, examples = metrics[metric], int(metrics.get("test_examples", 0))
    score = experiment_pb2.TestScore(
        trial=str(frame.name.trial(winner)),
        metric=metric,
        value=value,
        lower=value,
        upper=value,
        examples=examples,
    )
    if is_share(metric, value, examples):
        score.lower, score.upper = wilson(value * examples, examples)
    return score


def is_share(metric: str, value: float, examples: int) -> bool:
    """Whether a metric is a share of examples, so that the binomial interval is its own."""
    return examples > 0 and 0 <= value <= 1 and metric.endswith(("accuracy", "error"))


def _graph(frame: Frame, architecture: bytes) -> architecture_pb2.Graph:
    message = architecture_pb2.Architecture.FromString(architecture)
    graph = frame.space.graph(Architecture.from_proto(message), classes=frame.classes or None)
    return graph.to_proto()


def _set_time(field: Timestamp, time: object) -> None:
    message = timestamp(time)  # type: ignore[arg-type]
    if message is not None:
        field.CopyFrom(message)


def _notes(frame: Frame, experiment: Document, report: experiment_pb2.Report) -> Sequence[str]:
    """What a reader must know before quoting a number."""
    notes = []
    if experiment["state"] == ExperimentState.EXPERIMENT_STATE_RUNNING:
        notes.append("The experiment is still running; every number may change.")
    if report.tied_with:
        others = ", ".join(name.rsplit("/", 1)[1] for name in report.tied_with)
        notes.append(
            f"The winner is tied with the finalists from trial {others}: "
            "the means of their runs differ by no more than twice the standard error of the difference, "
            "or a finalist has one run only."
        )
    if report.front and report.winner:
        notes.append(
            "Validation results on the front are the best of many and lean to the optimistic side; "
            "the test score does not."
        )
    tested = {row.name for each in report.finalists for row in each.runs}
    if report.winner and tested and not report.HasField("test"):
        notes.append("The winner has no test score.")
    if report.HasField("test") and report.test.lower == report.test.upper and report.test.examples == 0:
        notes.append("The test score has no interval: it is not a known share of examples.")
    if experiment["counters"]["cache_hits"]:
        hits = experiment["counters"]["cache_hits"]
        told = "1 trial was" if hits == 1 else f"{hits} trials were"
        notes.append(f"{told} answered by the project's cache; the comparison charges the original cost.")
    if "unoffered" in experiment:
        asked, offered = experiment["unoffered"]["asked"], experiment["unoffered"]["offered"]
        kind = frame.spec.evaluator.kind
        notes.append(
            f"The strategy asked for training-free scores that evaluator {kind!r} did not offer: "
            f"{', '.join(asked)}; it offered {', '.join(offered) or 'none, so nothing was scored'}."
        )
    if experiment["counters"]["unscored"] and not experiment["counters"]["scored"]:
        notes.append("No proxy trial ended with a training-free score; their failures say why.")
    if experiment["strategy"]["fallback"]:
        notes.append(
            f"Strategy {frame.spec.strategy.name!r} failed; {frame.spec.fallback.name!r} went on in its "
            "place, and the comparison is over both."
        )
    return notes
