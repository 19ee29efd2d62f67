"""Controls, finalists, the sealed test, the export, and the report over them."""

from __future__ import annotations

from typing import Any

from archloom.v1 import common_pb2, evaluation_pb2, experiment_pb2, trial_pb2

SEARCH, CONTROL = trial_pb2.TRIAL_ROLE_SEARCH, trial_pb2.TRIAL_ROLE_CONTROL
FINALIST, TEST, EXPORT = (
    trial_pb2.TRIAL_ROLE_FINALIST,
    trial_pb2.TRIAL_ROLE_TEST,
    trial_pb2.TRIAL_ROLE_EXPORT,
)


async def test_controls_are_interleaved_at_their_share(world: Any) -> None:
    await world.create(trials=40, parallelism=4, share=0.25)
    await world.work()
    trials = await world.listed()
    roles = [trial.role for trial in trials]
    assert roles.count(CONTROL) == 10
    for made in range(8, 41):
        controls = roles[:made].count(CONTROL)
        # A step makes up to four trials, so the share may lag or lead by that.
        assert abs(controls - made / 4) <= 2.5
    drawn = [t.architecture.SerializeToString(deterministic=True) for t in trials if t.role == CONTROL]
    assert len(set(drawn)) == len(drawn)


async def test_controls_follow_from_the_seed_alone(world: Any) -> None:
    await world.create("one", trials=20, parallelism=3, share=0.5, seed=7)
    await world.work(name="one")
    await world.create("two", trials=20, parallelism=9, share=0.5, seed=7)
    await world.work(name="two", count=2)
    drawn = [[t.architecture for t in await world.listed(name, roles=[CONTROL])] for name in ("one", "two")]
    assert len(drawn[0]) == 10
    assert drawn[0] == drawn[1]


async def test_the_winner_is_fixed_before_the_test_opens(world: Any) -> None:
    await world.create(trials=12, parallelism=4, kind="train", share=0.25, finalists=(2, 3))
    grants: list[tuple[int, str]] = []
    while (await world.get()).state == experiment_pb2.EXPERIMENT_STATE_RUNNING:
        leased = await world.lease(wait=0.1)
        assert len(leased) <= 1, "long trials are leased one at a time"
        grants += [(trial.role, trial.test_grant) for trial in leased]
        await world.complete(leased)
    experiment = await world.get()
    assert experiment.state == experiment_pb2.EXPERIMENT_STATE_SUCCEEDED
    assert all(bool(grant) == (role == TEST) for role, grant in grants)
    events = await world.events()
    kinds = [event.kind for event in events]
    fixed = kinds.index(experiment_pb2.EVENT_KIND_WINNER_FIXED)
    created = experiment_pb2.EVENT_KIND_TRIAL_CREATED
    tests = [i for i, e in enumerate(events) if e.kind == created and e.trial.role == TEST]
    assert tests
    assert min(tests) > fixed
    assert events[fixed].step < min(events[i].step for i in tests)
    phases = [e.phase for e in events if e.kind == experiment_pb2.EVENT_KIND_PHASE_CHANGED]
    assert phases == [2, 3, 4, 5]
    trials = await world.listed()
    assert [t.role for t in trials].count(FINALIST) == [t.role for t in trials].count(TEST) == 6
    assert [t.role for t in trials].count(EXPORT) == 1
    runs = [t for t in trials if t.role == FINALIST]
    assert len({run.seed for run in runs}) == 6


async def test_the_report_names_the_winner_by_mean_validation_and_its_test_score(world: Any) -> None:
    await world.create(trials=16, parallelism=4, kind="train", share=0.25, finalists=(2, 2))
    await world.work()
    report = await world.report()
    means = [finalist.validation_mean for finalist in report.finalists]
    best = report.finalists[means.index(max(means))]
    values = {run.name: run.metrics[0].value for run in best.runs}
    assert report.winner == max(values, key=values.__getitem__)
    assert report.winner == (await world.get()).winner
    assert report.test.metric == "test_accuracy"
    assert report.test.examples == 100
    assert report.test.lower < report.test.value < report.test.upper
    assert report.winner_fixed_time.ToDatetime() <= report.test_opened_time.ToDatetime()
    assert report.winner_graph.nodes
    assert all(finalist.validation_stddev > 0 for finalist in report.finalists)
    assert {m.name for m in report.winner_metrics} >= {"val_accuracy", "test_accuracy", "latency_ms"}
    assert report.control.matched_trials == 4
    assert report.control.controls.trials == 4
    assert report.control.statement.endswith(".")


async def test_a_finalist_whose_runs_all_fail_cannot_win(world: Any) -> None:
    await world.create(trials=6, parallelism=3, kind="train", finalists=(2, 1))
    first: set[str] = set()
    while (await world.get()).state == experiment_pb2.EXPERIMENT_STATE_RUNNING:
        for trial in await world.lease(wait=0.1):
            if trial.role == FINALIST and (not first or trial.trial in first):
                first.add(trial.trial)
                await world.fail([trial], common_pb2.FAILURE_REASON_DIVERGED)
            else:
                await world.complete([trial])
    experiment = await world.get()
    assert experiment.state == experiment_pb2.EXPERIMENT_STATE_SUCCEEDED
    assert experiment.winner not in first
    spreads = [finalist.HasField("validation_stddev") for finalist in (await world.report()).finalists]
    assert spreads == [False, False], "one run has no spread"
    assert [t.role for t in await world.listed()].count(TEST) == 1


async def test_a_failed_export_fails_the_experiment_and_says_why(world: Any) -> None:
    await world.create(trials=3, parallelism=3, kind="train", finalists=(1, 1))
    while (await world.get()).state == experiment_pb2.EXPERIMENT_STATE_RUNNING:
        for trial in await world.lease(wait=0.1):
            if trial.role == EXPORT:
                await world.fail([trial], common_pb2.FAILURE_REASON_CANNOT_BUILD)
            else:
                await world.complete([trial])
    experiment = await world.get()
    assert experiment.state == experiment_pb2.EXPERIMENT_STATE_FAILED
    assert experiment.state_reason == "the winner could not be exported: as the test wants"
    report = await world.report()
    assert report.winner
    assert report.test.value > 0


async def test_a_search_without_a_feasible_trial_fails(world: Any) -> None:
    await world.create(trials=3, parallelism=3, finalists=(2, 1))
    while (await world.get()).state == experiment_pb2.EXPERIMENT_STATE_RUNNING:
        leased = await world.lease(wait=0.1)
        if leased:
            await world.fail(leased, common_pb2.FAILURE_REASON_CANNOT_BUILD)
    experiment = await world.get()
    assert experiment.state == experiment_pb2.EXPERIMENT_STATE_FAILED
    assert experiment.state_reason == "no trial was completed: 3 failed; each says why"


async def test_a_result_without_the_objective_is_a_failure(world: Any) -> None:
    await world.create(trials=1, parallelism=1)
    leased = await world.lease(wait=5)
    request = evaluation_pb2.CompleteTrialsRequest(worker="w")
    answer = request.results.add()
    answer.attempt.trial, answer.attempt.attempt = leased[0].trial, leased[0].attempt
    answer.metrics.add(name="something_else", value=1.0)
    await world.evaluation.CompleteTrials(request, None)
    await world.until(lambda e: e.state == experiment_pb2.EXPERIMENT_STATE_FAILED)
    trial = (await world.listed())[0]
    assert trial.failure.message == "the evaluator did not report val_accuracy"


async def test_controls_that_a_user_cancels_do_not_count_for_the_strategy(world: Any) -> None:
    await world.create(trials=24, parallelism=4, share=0.5)
    while (await world.get()).state == experiment_pb2.EXPERIMENT_STATE_RUNNING:
        for trial in await world.lease(wait=0.1):
            if trial.role == CONTROL:
                await world.trials.CancelTrial(trial_pb2.CancelTrialRequest(name=trial.trial), None)
            else:
                await world.complete([trial])
    report = await world.report()
    assert report.control.controls.trials == 0
    assert report.control.verdict == experiment_pb2.VERDICT_NOT_IDENTIFIED
    assert any(note.startswith("12 controls were cancelled") for note in report.notes)
