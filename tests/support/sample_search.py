"""An experiment that never ran, with its trials and its report, as the server would answer them."""

from __future__ import annotations

import random

from archloom.space import Architecture, Space
from archloom.spec import ExperimentSpec
from archloom.v1 import common_pb2, experiment_pb2, trial_pb2
from fake_server import NAME

Sample = tuple[experiment_pb2.Experiment, list[trial_pb2.Trial], experiment_pb2.Report]


def sample_messages(
    space: Space,
) -> Sample:
    rng = random.Random(5)
    spec = ExperimentSpec.from_dict(
        {
            "name": "Digits <script>alert(1)</script>",
            "task": {"dataset": "digits"},
            "space": "nasbench201",
            "objectives": [{"maximize": "val_accuracy"}, {"minimize": "parameters"}],
            "constraints": ["parameters <= 2000000"],
            "strategy": {"name": "evolution", "settings": {"kind": "regularized", "population": 6}},
            "budget": {"trials": 16},
            "control": {"share": 0.25},
            "finalists": {"count": 2, "seeds": 2, "exports": ["onnx"]},
        }
    )
    resolved = spec.to_proto()
    resolved.space.space.CopyFrom(space.to_proto())
    trials = []
    for number in range(1, 17):
        role = trial_pb2.TRIAL_ROLE_CONTROL if number % 4 == 0 else trial_pb2.TRIAL_ROLE_SEARCH
        trials.append(_trial(space, rng, number, role, 0.85 + 0.006 * number + rng.uniform(0, 0.02)))
    trials[4].state = trial_pb2.TRIAL_STATE_FAILED
    trials[4].failure.reason = common_pb2.FAILURE_REASON_DIVERGED
    trials[4].failure.message = "The loss became NaN in epoch 2."
    del trials[4].metrics[:]
    report = experiment_pb2.Report(experiment=NAME, winner=f"{NAME}/trials/17")
    report.create_time.FromJsonString("2026-01-02T03:10:00Z")
    report.front.extend([trials[14], trials[9], trials[2]])
    _compare(report.control)
    for source in (15, 10):
        finalist = report.finalists.add(
            trial=f"{NAME}/trials/{source}", validation_mean=0.97, validation_stddev=0.0042, test_mean=0.968
        )
        finalist.architecture.CopyFrom(trials[source - 1].architecture)
        for seed in (0, 1):
            run = _trial(
                space,
                rng,
                17 + 2 * (source == 10) + seed,
                trial_pb2.TRIAL_ROLE_FINALIST,
                0.97 - source / 1000 + seed / 300,
            )
            run.seed, run.source_trial = seed, source
            finalist.runs.append(run)
    _win(report, space, trials[14])
    experiment = experiment_pb2.Experiment(
        name=NAME,
        spec=resolved,
        spec_revision=1,
        state=experiment_pb2.EXPERIMENT_STATE_SUCCEEDED,
        phase=experiment_pb2.EXPERIMENT_PHASE_DONE,
        trials=experiment_pb2.TrialCounts(completed=15, failed=1),
        trials_charged=16,
        device_seconds_charged=412.5,
        winner=report.winner,
        sequence=4,
    )
    experiment.create_time.FromJsonString("2026-01-02T03:04:05Z")
    experiment.end_time.FromJsonString("2026-01-02T03:09:05Z")
    return experiment, trials, report


def _trial(
    space: Space, rng: random.Random, number: int, role: trial_pb2.TrialRole.ValueType, accuracy: float
) -> trial_pb2.Trial:
    architecture = space.sample(rng)
    graph = space.graph(architecture, classes=10)
    trial = trial_pb2.Trial(
        name=f"{NAME}/trials/{number}",
        number=number,
        state=trial_pb2.TRIAL_STATE_COMPLETED,
        role=role,
        architecture=architecture.to_proto(),
        device_seconds=20.0 + number,
    )
    for name, value in (("val_accuracy", accuracy), ("parameters", float(graph.parameters))):
        trial.metrics.add(name=name, value=value)
    for epoch in range(1, 9):
        point = trial.measurements.add(progress=epoch)
        point.metrics.add(name="val_accuracy", value=accuracy - 0.4 / epoch**1.5)
    return trial


def _compare(control: experiment_pb2.ControlComparison) -> None:
    control.strategy_first.CopyFrom(
        experiment_pb2.SampleSummary(trials=4, best=0.915, median=0.9, device_seconds=90)
    )
    control.strategy_all.CopyFrom(
        experiment_pb2.SampleSummary(trials=12, failed=1, best=0.957, median=0.92, device_seconds=320)
    )
    control.controls.CopyFrom(
        experiment_pb2.SampleSummary(trials=4, best=0.945, median=0.91, device_seconds=92)
    )
    control.matched_trials = 4
    control.margin, control.p_value, control.probability_better = -0.03, 0.31, 0.58
    control.verdict = experiment_pb2.VERDICT_NOT_SHOWN
    control.statement = "Not shown to be better than random search: over 4 trials each, the margin is -0.03."


def _win(report: experiment_pb2.Report, space: Space, winner: trial_pb2.Trial) -> None:
    report.winner_fixed_time.FromJsonString("2026-01-02T03:08:00Z")
    report.test_opened_time.FromJsonString("2026-01-02T03:08:30Z")
    report.tied_with.append(f"{NAME}/trials/10")
    report.test.CopyFrom(
        experiment_pb2.TestScore(
            trial=f"{NAME}/trials/17",
            metric="test_accuracy",
            value=0.971,
            lower=0.9587,
            upper=0.9797,
            examples=1000,
        )
    )
    for name, value in (("val_accuracy", 0.97), ("latency_ms", 1.234), ("latency_spread_ms", 0.08)):
        report.winner_metrics.add(name=name, value=value)
    architecture = Architecture.from_proto(winner.architecture)
    report.winner_graph.CopyFrom(space.graph(architecture, classes=10).to_proto())
    report.notes.append("The controls were 4 trials: few.")
