"""Proxy trials: a budget of their own, refusals with a sentence, and no place among results."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import pytest
from archloom.errors import InvalidInput
from archloom.v1 import common_pb2, evaluation_pb2, experiment_pb2, strategy_pb2, trial_pb2
from archloom.v1.common_pb2 import Fidelity
from archloom.v1.strategy_pb2 import ObservationKind
from google.protobuf.field_mask_pb2 import FieldMask

NAME = "projects/p/experiments/search"
SETTINGS_SCHEMA = {"properties": {"proxies": {"type": "object", "format": "proxies"}}}


@pytest.fixture
def offering(world: Any) -> Any:
    """Its table evaluator offers the scores "synflow" and "naswot"."""
    world.registry.table = type(world.registry.table)(
        "table", "1", "cpu", (), (), SETTINGS_SCHEMA, True, proxies=("synflow", "naswot")
    )
    return world


def asks(world: Any, *fidelities: Fidelity | None, repeats: bool = False) -> None:
    """The strategy proposes these one after the other, as many as are wanted; each is another architecture,
    or always the same.
    """
    numbers = itertools.repeat(1) if repeats else itertools.count(1)
    left = list(fidelities)

    def answer(request: strategy_pb2.ProposeRequest) -> strategy_pb2.ProposeResponse:
        response = strategy_pb2.ProposeResponse(experiment=request.experiment, step=request.step)
        if not request.count:
            response.wait.SetInParent()
        elif not left:
            response.exhausted.reason = "the script ended"
        else:
            now, left[:] = left[: request.count], left[request.count :]
            for fidelity in now:
                drawn = world.gateway.space.at(next(numbers))
                proposal = response.proposals.proposals.add(fidelity=fidelity)
                proposal.architecture.CopyFrom(drawn.to_proto())
        return response

    world.gateway.answer = answer


def scores(*names: str, **more: Any) -> Fidelity:
    return Fidelity(proxies=names, **more)


async def score_all(world: Any, **found: float) -> experiment_pb2.Experiment:
    """Ends every proxy trial with these scores alone, and evaluates the others."""
    while (experiment := await world.get()).state == experiment_pb2.EXPERIMENT_STATE_RUNNING:
        for trial in await world.lease(wait=0.1):
            if not trial.fidelity.proxies:
                await world.complete([trial])
                continue
            told = evaluation_pb2.CompleteTrialsRequest(worker="w")
            result = told.results.add()
            result.attempt.trial, result.attempt.attempt = trial.trial, trial.attempt
            for name, value in found.items():
                result.metrics.add(name=name, value=value)
            await world.evaluation.CompleteTrials(told, None)
    return experiment


async def refusals(world: Any) -> list[str]:
    events = await world.events()
    return [e.message for e in events if e.kind == experiment_pb2.EVENT_KIND_PROPOSAL_REFUSED]


async def test_scores_are_told_and_cost_no_trial(offering: Any) -> None:
    world = offering
    asks(world, *[scores("synflow", "naswot")] * 3, None, None)
    # One after the other: what ends together with the last trial is told to nobody.
    await world.create(trials=4, parallelism=1, share=0.5)
    experiment = await score_all(world, synflow=7.0)
    assert experiment.state == experiment_pb2.EXPERIMENT_STATE_SUCCEEDED
    assert (experiment.trials.proxies_completed, experiment.trials.proxies_failed) == (3, 0)
    assert experiment.proxy_trials_charged == 3
    # Two of the strategy's and its two controls: the scored ones called for none.
    assert experiment.trials_charged == experiment.trials.completed == 4
    told = [seen for request in world.gateway.requests for seen in request.observations]
    scored = [seen for seen in told if seen.fidelity.proxies and seen.metrics]
    assert {seen.kind for seen in scored} == {ObservationKind.OBSERVATION_KIND_FINISHED}
    assert [{metric.name: metric.value for metric in seen.metrics} for seen in scored] == [
        {"synflow": 7.0}
    ] * 3
    trials = await world.listed()
    proxies = {trial.name for trial in trials if trial.fidelity.proxies}
    assert len(proxies) == 3
    report = await world.report()
    assert not proxies & {trial.name for trial in report.front}
    assert (report.control.strategy_all.trials, report.control.controls.trials) == (2, 2)
    best = [trial.name for trial in await world.listed(order=trial_pb2.TRIAL_ORDER_BEST)]
    assert best
    assert not proxies & set(best)


async def test_scores_are_never_the_last_word(offering: Any) -> None:
    """The objective's own name among the scores changes nothing: finalists come from evaluated trials."""
    world = offering
    asks(world, *[scores("synflow")] * 2, None)
    await world.create(trials=1, parallelism=2, finalists=(3, 1))
    experiment = await score_all(world, val_accuracy=100.0)
    assert experiment.trials.proxies_completed == 2
    trials = {trial.number: trial for trial in await world.listed()}
    finalists = (await world.report()).finalists
    assert [trials[int(each.trial.rpartition("/")[2])].fidelity for each in finalists] == [Fidelity()]


async def test_scores_alone_find_nothing(offering: Any) -> None:
    world = offering
    asks(world, *[scores("synflow")] * 2)
    await world.create(trials=2, parallelism=2)
    experiment = await score_all(world, val_accuracy=100.0, synflow=1.0)
    assert experiment.state == experiment_pb2.EXPERIMENT_STATE_FAILED
    assert experiment.state_reason == "no trial was completed"


@pytest.mark.parametrize(
    ("fidelity", "words"),
    [
        (scores("synflow", "zen"), "evaluator 'table' offers no proxy 'zen'; it offers naswot, synflow"),
        (
            scores("zen", "synflow", "oracle"),
            "evaluator 'table' offers no proxies 'zen', 'oracle'; it offers naswot, synflow",
        ),
        (scores("synflow", epochs=2), "a proxy trial trains nothing: leave out epochs"),
        (scores("synflow", data_fraction=0.5), "a proxy trial trains nothing: leave out data_fraction"),
    ],
)
async def test_what_no_worker_can_score_is_refused(offering: Any, fidelity: Fidelity, words: str) -> None:
    world = offering
    asks(world, fidelity, None)
    await world.create(trials=1)
    experiment = await score_all(world)
    assert await refusals(world) == [words]
    assert experiment.state == experiment_pb2.EXPERIMENT_STATE_SUCCEEDED
    assert experiment.proxy_trials_charged == experiment.trials.proxies_failed == 0
    seen = [seen for request in world.gateway.requests for seen in request.observations]
    assert ObservationKind.OBSERVATION_KIND_REFUSED in {each.kind for each in seen}


@pytest.mark.parametrize(
    ("offered", "words"),
    [
        (("synflow", "naswot"), "oracle, zen; it offered naswot, synflow."),
        ((), "oracle, synflow, zen; it offered none, so nothing was scored."),
    ],
)
async def test_the_report_says_once_which_scores_were_asked_in_vain(
    offering: Any, offered: tuple[str, ...], words: str
) -> None:
    world = offering
    world.registry.table = replace(world.registry.table, proxies=offered)
    asks(world, *[scores("zen", "synflow"), scores("oracle")] * 2, None)
    await world.create(trials=1)
    await score_all(world)
    told = [note for note in (await world.report()).notes if "training-free" in note]
    assert told == [
        f"The strategy asked for training-free scores that evaluator 'table' did not offer: {words}"
    ]


async def test_a_setting_names_scores_that_the_evaluator_offers_then(world: Any) -> None:
    world.registry.table = type(world.registry.table)("table", "1", "cpu", (), (), SETTINGS_SCHEMA, True)
    asks(world, scores("synflow"), scores("zen"), None)
    spec = world.spec(trials=1)
    spec.evaluator.settings.update({"proxies": {"synflow": "a column"}})
    request = experiment_pb2.CreateExperimentRequest(parent="projects/p", experiment_id="search", spec=spec)
    await world.experiments.CreateExperiment(request, None)
    experiment = await score_all(world, synflow=1.0)
    assert experiment.trials.proxies_completed == 1
    assert await refusals(world) == ["evaluator 'table' offers no proxy 'zen'; it offers synflow"]


async def test_the_budget_of_proxy_trials_is_never_exceeded(offering: Any) -> None:
    world = offering
    asks(world, *[scores("synflow")] * 8, None)
    spec = world.spec(trials=1, parallelism=4)
    spec.budget.proxy_trials = 5
    request = experiment_pb2.CreateExperimentRequest(parent="projects/p", experiment_id="search", spec=spec)
    await world.experiments.CreateExperiment(request, None)
    experiment = await score_all(world, synflow=1.0)
    assert experiment.proxy_trials_charged == experiment.trials.proxies_completed == 5
    assert await refusals(world) == ["the budget of 5 proxy trials is spent"] * 3


async def test_equal_scores_are_asked_for_once_and_leave_the_trial_free(offering: Any) -> None:
    world = offering
    asks(world, scores("synflow", "naswot"), scores("naswot", "synflow"), None, repeats=True)
    await world.create(trials=3)
    experiment = await score_all(world, synflow=1.0)
    assert (experiment.trials.proxies_completed, experiment.trials.completed) == (1, 1)
    assert await refusals(world) == ["an equal architecture was tried at this fidelity"]


async def test_a_trial_without_a_score_failed_and_costs_no_trial(offering: Any) -> None:
    world = offering
    asks(world, scores("synflow"), None)
    await world.create(trials=1)
    experiment = await score_all(world)
    assert (experiment.trials.proxies_completed, experiment.trials.proxies_failed) == (0, 1)
    assert (experiment.trials.completed, experiment.trials.failed) == (1, 0)
    assert [note for note in (await world.report()).notes if "score" in note] == [
        "No proxy trial ended with a training-free score; their failures say why."
    ]


async def test_proxy_trials_travel_together_and_leave_some_to_others(offering: Any) -> None:
    world = offering
    world.registry.train = type(world.registry.train)(
        "train", "1", "cpu", ("classification",), ("val_accuracy",), {}, False, proxies=("synflow",)
    )
    asks(world, None, *[scores("synflow")] * 20, None)
    await world.create(trials=22, parallelism=22, kind="train")
    await world.until(lambda e: e.trials.ready == 22)
    sizes = []
    while trials := await world.lease():
        sizes.append([len(trials), len({bool(trial.fidelity.proxies) for trial in trials})])
    assert sorted(sizes) == [[1, 1], [1, 1], [4, 1], [16, 1]]


async def test_the_budget_can_be_raised_and_not_lowered_below_what_was_made(offering: Any) -> None:
    world = offering
    asks(world, *[scores("synflow")] * 2)
    created = await world.create(trials=3)
    # Left out, there are a hundred for each trial.
    assert created.spec.budget.proxy_trials == 300
    await world.until(lambda e: e.proxy_trials_charged == 2)
    request = experiment_pb2.UpdateExperimentRequest(
        name=NAME, update_mask=FieldMask(paths=["budget.proxy_trials"])
    )
    request.spec.budget.proxy_trials = 1
    with pytest.raises(InvalidInput, match="less than the 2 proxy trials"):
        await world.experiments.UpdateExperiment(request, None)
    request.spec.budget.proxy_trials = 7
    updated = (await world.experiments.UpdateExperiment(request, None)).experiment
    assert updated.spec.budget == experiment_pb2.Budget(trials=3, proxy_trials=7)
    whole = experiment_pb2.UpdateExperimentRequest(name=NAME, update_mask=FieldMask(paths=["budget"]))
    whole.spec.budget.trials = 9
    updated = (await world.experiments.UpdateExperiment(whole, None)).experiment
    assert updated.spec.budget == experiment_pb2.Budget(trials=9, proxy_trials=7)


async def test_a_spec_cannot_ask_for_scores_in_place_of_results(world: Any) -> None:
    spec = world.spec()
    spec.fidelity.CopyFrom(common_pb2.Fidelity(proxies=["synflow"]))
    request = experiment_pb2.ValidateExperimentRequest(spec=spec)
    faults = (await world.experiments.ValidateExperiment(request, None)).violations
    assert [fault.field for fault in faults] == ["fidelity.proxies"]
