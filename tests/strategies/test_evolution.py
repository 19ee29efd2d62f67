"""What all kinds of evolution do, seen in the regularized one, and what it alone does."""

from __future__ import annotations

import json
import statistics
from typing import Any

import pytest
from archloom.errors import InvalidInput
from archloom.space import Architecture, Space, load_preset
from archloom.strategy import Comparison, Constraint, Goal, Objective, SearchSpec
from archloom.strategy.runtime import StrategyRuntime
from archloom.strategy.settings import read_settings
from archloom.testing.probe import TREE_SPACE
from archloom.testing.rehearsal import rehearse
from archloom.testing.session import Session, SessionTrial
from archloom.v1 import architecture_pb2, strategy_pb2
from archloom_strategies.evolution.settings import EvolutionSettings
from archloom_strategies.evolution.strategy import MEMORY, Evolution
from archloom_strategies.random_search import RandomSearch
from archloom_strategies.recent import Recent

NASBENCH = load_preset("nasbench201")


def spec_of(space: Space = NASBENCH, trials: int = 300, **fields: Any) -> SearchSpec:
    return SearchSpec(
        space=space, trials=trials, parallelism=4, **{"objectives": (Objective("val_accuracy"),), **fields}
    )


def session_of(spec: SearchSpec, seed: int = 0, **settings: Any) -> Session:
    return Session(StrategyRuntime(Evolution()), spec, {"kind": "regularized", **settings}, seed=seed)


def members(answer: strategy_pb2.ProposeResponse) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(answer.state.data)["members"]
    return found


def take(session: Session, answer: strategy_pb2.ProposeResponse) -> list[SessionTrial]:
    return [session.accept(ordinal, each) for ordinal, each in enumerate(answer.proposals.proposals)]


def differing(one: architecture_pb2.Architecture, other: architecture_pb2.Architecture) -> int:
    ours, theirs = (Architecture.from_proto(each).decisions for each in (one, other))
    return sum(ours.get(path) != theirs.get(path) for path in {*ours, *theirs})


def test_random_first_then_one_mutation_of_a_member() -> None:
    spec = spec_of()
    session = session_of(spec, population=10, sample=3)
    trials: dict[int, SessionTrial] = {}
    for _ in range(40):
        for trial in take(session, session.ask(1)):
            trials[trial.number] = trial
            session.finish(trial, {"val_accuracy": trial.number % 7})
    assert [trials[number].proposal.note for number in range(1, 11)] == ["random"] * 10
    for number in range(11, 41):
        (parent,) = trials[number].proposal.parents
        # The ten that ended last before it was made.
        assert number - 10 <= parent < number
        assert differing(trials[number].proposal.architecture, trials[parent].proposal.architecture) == 1


def test_the_oldest_goes_whatever_its_worth() -> None:
    spec = spec_of()
    session = session_of(spec, population=5)
    for _ in range(12):
        for trial in take(session, session.ask(1)):
            session.finish(trial, {"val_accuracy": 1.0 if trial.number == 1 else 0.1})
    assert [member["trial"] for member in members(session.ask(0))] == [8, 9, 10, 11, 12]


def test_age_is_the_order_of_ending() -> None:
    spec = spec_of()
    session = session_of(spec, population=3)
    trials = take(session, session.ask(4))
    for place in (3, 0, 2, 1):
        session.finish(trials[place], {"val_accuracy": 0.5})
    assert [member["trial"] for member in members(session.ask(0))] == [1, 3, 2]


def test_a_tournament_of_all_has_one_winner() -> None:
    spec = spec_of(objectives=(Objective("loss", Goal.MINIMIZE),))
    session = session_of(spec, population=8, sample=8)
    for trial in take(session, session.ask(8)):
        session.finish(trial, {"loss": abs(trial.number - 5)})
    children = session.ask(6).proposals.proposals
    assert [list(child.parents) for child in children] == [[5]] * 6


def test_the_random_start_counts_what_is_running_and_not_what_was_refused() -> None:
    spec = spec_of()
    session = session_of(spec, population=6, sample=2)
    first = session.ask(4)
    for ordinal, proposal in enumerate(first.proposals.proposals):
        if ordinal < 2:
            session.refuse(ordinal, proposal, "parameters 9 > 5")
        else:
            session.finish(session.accept(ordinal, proposal), {"val_accuracy": 0.3})
    assert [each.note for each in session.ask(5).proposals.proposals] == ["random"] * 4 + ["mutation"]


def test_trials_that_others_brought_are_members() -> None:
    """A user's results, or those of the strategy whose fallback it is: no random start is needed then."""
    spec = spec_of()
    session = session_of(spec, population=6, sample=2)
    for proposal in session_of(spec, seed=5).ask(6).proposals.proposals:
        session.finish(session.enqueue(proposal), {"val_accuracy": 0.4})
    answer = session.ask(3)
    assert len(members(answer)) == 6
    assert [each.note for each in answer.proposals.proposals] == ["mutation"] * 3


def test_a_refusal_of_a_users_trial_is_none_of_its_own() -> None:
    spec = spec_of()
    session = session_of(spec, population=4)
    first = session.ask(4)
    take(session, first)
    for proposal in first.proposals.proposals:
        session.refuse_users(proposal, "an equal architecture was tried")
    told = json.loads(session.ask(0).state.data)
    assert (told["made"], told["refused"]) == (4, 0)


def test_a_state_of_the_first_layout_is_read() -> None:
    member = {"trial": 3, "scores": [0.5], "violation": 0.0, "shape": 0, "values": [1]}
    old = {"members": [member], "shapes": [["k"]], "made": 4, "refused": 1, "swept": 0, "recent": "abcde"}
    state = Evolution().load_state(1, json.dumps(old).encode())
    assert (state.members[0].trial, state.made, state.others) == (3, 4, ())


def test_a_failed_trial_does_not_join() -> None:
    spec = spec_of()
    session = session_of(spec, population=4)
    for trial in take(session, session.ask(4)):
        if trial.number == 2:
            session.finish(trial, {"val_accuracy": 0.4})
        else:
            session.fail(trial, "diverged")
    answer = session.ask(3)
    assert [member["trial"] for member in members(answer)] == [2]
    assert {tuple(child.parents) for child in answer.proposals.proposals} == {(2,)}


def test_infeasible_trials_lead_the_way_in() -> None:
    """Of none that is feasible the nearest wins; one that is feasible beats them all."""
    spec = spec_of(constraints=(Constraint("parameters", Comparison.AT_MOST, 100),))
    session = session_of(spec, population=6, sample=6)
    trials = take(session, session.ask(6))
    for trial in trials[:3]:
        session.finish(
            trial, {"val_accuracy": trial.number, "parameters": 100 * trial.number + 100}, feasible=False
        )
    running = take(session, session.ask(2))
    assert {tuple(trial.proposal.parents) for trial in running} == {(1,)}
    session.finish(trials[3], {"val_accuracy": 0.01, "parameters": 90})
    assert {tuple(each.parents) for each in session.ask(2).proposals.proposals} == {(4,)}


def test_a_front_is_kept_wide() -> None:
    """Two objectives: of the trials that none dominates, the ones with the most room are parents."""
    spec = spec_of(objectives=(Objective("val_accuracy"), Objective("parameters", Goal.MINIMIZE)))
    session = session_of(spec, population=5, sample=5)
    points = {1: (0.9, 100), 2: (0.8, 50), 3: (0.79, 49), 4: (0.5, 10), 5: (0.4, 60)}
    for trial in take(session, session.ask(5)):
        accuracy, size = points[trial.number]
        session.finish(trial, {"val_accuracy": accuracy, "parameters": size})
    parents = {each.parents[0] for each in session.ask(20).proposals.proposals}
    assert parents == {1, 4}


def test_after_a_hundred_refusals_it_looks_elsewhere() -> None:
    spec = spec_of()
    session = session_of(spec, population=4)
    for trial in take(session, session.ask(4)):
        session.finish(trial, {"val_accuracy": 0.5})
    notes = []
    for _ in range(6):
        answer = session.ask(25)
        notes.append({each.note for each in answer.proposals.proposals})
        for ordinal, proposal in enumerate(answer.proposals.proposals):
            session.refuse(ordinal, proposal, "it was a trial already")
    assert notes == [{"mutation"}] * 4 + [{"random"}] * 2


def test_its_state_does_not_grow_with_the_search() -> None:
    """Decisions come and go in the tree space; what no member has any more is forgotten."""
    spec = spec_of(Space.from_yaml(TREE_SPACE))
    session = session_of(spec, population=10)
    rehearse(session, spec, trials=400, parallel=4)
    states = [json.loads(answer.state.data) for _, answer in session.record]
    assert max(len(state["members"]) for state in states) == 10
    assert max(len(state["recent"]) for state in states) <= 5 * MEMORY
    state = states[-1]
    assert {member["shape"] for member in state["members"]} == set(range(len(state["shapes"])))


@pytest.mark.parametrize(("trials", "population"), [(14, 4), (300, 21), (1000, 38), (20_000, 100)])
def test_its_population_suits_the_budget(trials: int, population: int) -> None:
    session = session_of(spec_of(trials=trials))
    answer = session.ask(population)
    for trial in take(session, answer):
        session.finish(trial, {"val_accuracy": 0.5})
    assert {each.note for each in answer.proposals.proposals} == {"random"}
    assert {each.note for each in session.ask(3).proposals.proposals} == {"mutation"}


def test_it_climbs_where_there_is_a_slope() -> None:
    """Worth: how many edges are 3x3 convolutions, six at most. Evolution gets there before random search."""

    def best_after(strategy: type[Any], seed: int) -> float:
        spec = spec_of(trials=120)
        session = Session(StrategyRuntime(strategy()), spec, seed=seed)
        best, made = 0.0, 0
        while made < 120:
            for trial in take(session, session.ask(4)):
                made += 1
                worth = sum(each.text == "nor_conv_3x3" for each in trial.proposal.architecture.decisions)
                best = max(best, worth)
                session.finish(trial, {"val_accuracy": worth})
        return best

    evolution = statistics.fmean(best_after(Evolution, seed) for seed in range(5))
    chance = statistics.fmean(best_after(RandomSearch, seed) for seed in range(5))
    assert evolution >= chance + 1


def test_the_window_of_recent_networks() -> None:
    every = [f"network {number}" for number in range(12)]
    recent = Recent("", 5)
    assert all(recent.add(each) for each in every)
    assert not any(recent.add(each) for each in every)
    later = Recent(recent.text(), 5)
    assert len(recent.text()) == 25
    assert [later.add(each) for each in every] == [True] * 7 + [False] * 5


def test_what_was_proposed_before_is_not_proposed_again() -> None:
    spec = spec_of()
    session = session_of(spec, population=5, sample=5)
    result = rehearse(session, spec, trials=200, parallel=3, fixed_metrics={"val_accuracy": 0.5})
    assert len(result.proposed) == len({each.key for each in result.proposed}) == 200
    # The space around five members is soon used up: later children are further from their parents.
    proposals = [each for _, answer in session.record for each in answer.proposals.proposals]
    assert {each.note for each in proposals} == {"random", "mutation"}


def test_an_unknown_kind_is_one_fault_that_names_all_kinds() -> None:
    with pytest.raises(InvalidInput) as refusal:
        read_settings(EvolutionSettings, {"kind": "nsga4"})
    (fault,) = refusal.value.violations
    assert fault.field == "settings.kind"
    assert all(name in fault.message for name in ("auto", "regularized", "nsga2", "nsga3", "local-search"))
