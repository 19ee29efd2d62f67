"""Local search, NSGA-II, NSGA-III, and the guide, in whole searches."""

from __future__ import annotations

import json
from typing import Any

import pytest
from archloom.space import Architecture, Space, load_preset
from archloom.strategy import Goal, Objective, SearchSpec
from archloom.strategy.runtime import StrategyRuntime
from archloom.testing.rehearsal import rehearse
from archloom.testing.session import Session, SessionTrial
from archloom.testing.spaces import TREE_SPACE, TWINS_SPACE, space_named
from archloom.v1 import strategy_pb2
from archloom_strategies.evolution.population import REMEMBERED
from archloom_strategies.evolution.strategy import Evolution
from archloom_strategies.networks import networks_of

NASBENCH = load_preset("nasbench201")
KINDS = ("auto", "regularized", "nsga2", "nsga3", "local-search")


def spec_of(space: Space = NASBENCH, trials: int = 300, objectives: int = 1) -> SearchSpec:
    goals = (Objective("accuracy"), Objective("latency", Goal.MINIMIZE), Objective("energy", Goal.MINIMIZE))
    return SearchSpec(space=space, trials=trials, parallelism=4, objectives=goals[:objectives])


def session_of(spec: SearchSpec, **settings: Any) -> Session:
    return Session(StrategyRuntime(Evolution()), spec, settings, seed=1)


def state(answer: strategy_pb2.ProposeResponse) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(answer.state.data)
    return found


def take(session: Session, answer: strategy_pb2.ProposeResponse) -> list[SessionTrial]:
    return [session.accept(ordinal, each) for ordinal, each in enumerate(answer.proposals.proposals)]


def decisions(trial: SessionTrial) -> Architecture:
    return Architecture.from_proto(trial.proposal.architecture)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["tree", "mixed", "nasbench201"])
def test_no_network_twice_and_every_condition_kept(kind: str, name: str) -> None:
    space = space_named(name)
    spec = spec_of(space, trials=120)
    result = rehearse(session_of(spec, kind=kind), spec, trials=120, parallel=5)
    assert len(result.proposed) == 120
    assert not [fault for each in result.proposed for fault in space.check(each)]
    assert len({networks_of(space).name(each) for each in result.proposed}) == 120


@pytest.mark.parametrize("kind", KINDS)
def test_all_networks_of_a_small_space_and_no_more(kind: str) -> None:
    """27 ways of writing make 12 networks."""
    spec = spec_of(Space.from_yaml(TWINS_SPACE), trials=27)
    session = session_of(spec, kind=kind)
    asked = []
    for _ in range(40):
        answer = session.ask(1)
        for trial in take(session, answer):
            asked.append(trial)
            session.finish(trial, {"accuracy": 1.0 / trial.number})
        if answer.HasField("exhausted"):
            break
    assert answer.exhausted.reason == "every architecture was proposed"
    assert len(asked) == 12


def users_trial(session: Session, place: int, accuracy: float) -> None:
    """The trial of the cell that stands there in the list of all."""
    cell = NASBENCH.at(place)
    assert cell is not None
    trial = session.enqueue(strategy_pb2.Proposal(architecture=cell.to_proto()))
    session.finish(trial, {"accuracy": accuracy})


def test_where_draws_find_nothing_new_children_take_their_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("archloom_strategies.evolution.strategy.DRAWS", 0)
    session = session_of(spec_of())
    for place in range(0, 8000, 1000):
        users_trial(session, place, accuracy=place)
    answer = session.ask(5)
    assert len(answer.proposals.proposals) == 5
    assert all(each.parents for each in answer.proposals.proposals)


@pytest.mark.parametrize("objectives", [1, 3])
def test_its_state_does_not_grow_with_the_search(objectives: int) -> None:
    spec = spec_of(Space.from_yaml(TREE_SPACE), objectives=objectives)
    session = session_of(spec, population=10)
    rehearse(session, spec, trials=300, parallel=4)
    states = [state(answer) for _, answer in session.record]
    assert max(len(each["members"]) for each in states) == 10
    assert max(len(each["others"]) for each in states) == REMEMBERED
    last = states[-1]
    kept = (*last["members"], *last["others"])
    assert {each["shape"] for each in kept} == set(range(len(last["shapes"])))


def test_elitists_keep_the_best_however_old() -> None:
    session = session_of(spec_of(), kind="nsga2", population=5)
    for _ in range(12):
        for trial in take(session, session.ask(1)):
            session.finish(trial, {"accuracy": 1.0 if trial.number == 1 else 0.01 * trial.number})
    assert [member["trial"] for member in state(session.ask(0))["members"]] == [1, 9, 10, 11, 12]


def test_a_child_of_two_has_nothing_of_its_own_unless_it_mutated() -> None:
    session = session_of(spec_of(), kind="nsga2", population=6)
    trials: dict[int, SessionTrial] = {}
    for _ in range(60):
        for trial in take(session, session.ask(1)):
            trials[trial.number] = trial
            session.finish(trial, {"accuracy": trial.number % 7})
    crossed = [trial for trial in trials.values() if trial.proposal.note == "crossover"]
    foreign = []
    for trial in crossed:
        one, other = (decisions(trials[number]) for number in trial.proposal.parents)
        child = decisions(trial)
        foreign.append(sum(child[path] not in (one[path], other[path]) for path in child))
    assert 0 in foreign
    assert max(foreign) <= 3


def test_several_objectives_leave_a_wide_front() -> None:
    spec = spec_of(objectives=2)
    session = session_of(spec, kind="nsga2", population=6)
    points = [(0.9, 9.0), (0.8, 8.0), (0.79, 7.9), (0.3, 1.0), (0.2, 5.0), (0.78, 7.8), (0.1, 6.0)]
    for trial in take(session, session.ask(7)):
        accuracy, latency = points[trial.number - 1]
        session.finish(trial, {"accuracy": accuracy, "latency": latency})
    kept = {member["trial"] for member in state(session.ask(0))["members"]}
    assert {1, 4} < kept
    assert 7 not in kept


def test_a_guide_tells_the_good_from_what_fails() -> None:
    """Trials with a pooling layer run out of memory; few children have one once that is known, but for the
    random draws in every fourth place.
    """
    session = session_of(spec_of(trials=100))
    pooled, drawn = [], []
    for _ in range(100):
        for trial in take(session, session.ask(1)):
            pooled.append("avg_pool_3x3" in decisions(trial).decisions.values())
            drawn.append(trial.proposal.note == "random")
            if pooled[-1]:
                session.fail(trial, "out_of_memory")
            else:
                session.finish(trial, {"accuracy": 0.5})
    assert sum(pooled[:8]) > 3
    assert sum(drawn[8:]) == 23
    assert sum(pool and not random for pool, random in zip(pooled[50:], drawn[50:], strict=True)) < 5


# ------------------------------------------------------------------ local search


def worth(trial: SessionTrial) -> float:
    """One optimum, so that each climb ends there or short of it."""
    return list(decisions(trial).decisions.values()).count("nor_conv_3x3")


def test_it_climbs_by_single_decisions_from_the_best_of_its_start() -> None:
    session = session_of(spec_of(), kind="local-search", population=4)
    trials: dict[int, SessionTrial] = {}
    best = 0
    for number in range(1, 20):
        (trial,) = take(session, session.ask(1))
        trials[number] = trial
        if number > 4:
            assert list(trial.proposal.parents) == [best]
            mine, its = decisions(trial).decisions, decisions(trials[best]).decisions
            assert sum(mine[path] != its[path] for path in mine) == 1
        session.finish(trial, {"accuracy": worth(trial)})
        best = max(trials, key=lambda each: (worth(trials[each]), -each))


@pytest.mark.parametrize("parallel", [1, 6])
def test_a_local_optimum_leads_to_a_restart(parallel: int) -> None:
    """The first trial is better than all others: its neighbours come first, then a start somewhere else."""
    session = session_of(spec_of(), kind="local-search", population=1)
    numbers, notes = [], []
    running: list[SessionTrial] = []
    for _ in range(40):
        answer = session.ask(parallel - len(running))
        numbers.append(state(answer)["climb"]["number"])
        running += take(session, answer)
        trial = running.pop(0)
        notes.append((trial.proposal.note, list(trial.proposal.parents)))
        session.finish(trial, {"accuracy": 1.0 if trial.number == 1 else 0.5 - 0.001 * trial.number})
    assert numbers[0] == 0
    assert numbers[-1] > 0
    starts = [place for place, (note, _) in enumerate(notes) if note == "random"]
    assert len(starts) > 1
    # A start of the second climb has children, though the first trial remains the better one.
    assert any(parents and parents != [1] for _, parents in notes)


def test_a_climb_waits_for_its_last_neighbours() -> None:
    """While they run, random trials are proposed; the better neighbour is where it goes on."""
    session = session_of(spec_of(), kind="local-search", population=1)
    (first,) = take(session, session.ask(1))
    session.finish(first, {"accuracy": 0.5})
    running: list[SessionTrial] = []
    while not running or running[-1].proposal.parents:
        running += take(session, session.ask(1))
    assert [trial.proposal.note for trial in running].count("random") == 1
    *neighbours, drawn = running
    session.finish(drawn, {"accuracy": 0.9})
    told = state(session.ask(0))
    assert told["climb"]["number"] == 0
    assert [member["trial"] for member in told["climb"]["ahead"]] == [drawn.number]
    for place in range(0, 1000, 100):  # the best of what users bring meanwhile is enough for the state
        users_trial(session, place, accuracy=0.0)
    told = state(session.ask(0))
    assert [member["trial"] for member in told["climb"]["ahead"]] == [drawn.number]
    session.finish(neighbours[3], {"accuracy": 0.7})
    (after,) = take(session, session.ask(1))
    assert list(after.proposal.parents) == [neighbours[3].number]
