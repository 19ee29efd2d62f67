"""Searches with reinforce: what it reaches, what it keeps, what it costs to start."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Callable
from random import Random
from typing import Any

import pytest
from archloom.space import Architecture, Space, load_preset
from archloom.strategy import Objective, SearchSpec
from archloom.strategy.runtime import StrategyRuntime
from archloom.testing.rehearsal import rehearse
from archloom.testing.session import Session
from archloom.v1 import strategy_pb2
from archloom_controller.engine.asking import EMPTY_ANSWERS
from archloom_strategies.random_search import RandomSearch
from archloom_strategies.reinforce.memory import Header, Memory
from archloom_strategies.reinforce.settings import ReinforceSettings
from archloom_strategies.reinforce.strategy import Reinforce

CELLS = load_preset("nasbench201")


def session_of(space: Space, strategy: Any = Reinforce, **settings: Any) -> Session:
    spec = SearchSpec(space=space, objectives=(Objective("score"),), trials=100)
    return Session(StrategyRuntime(strategy()), spec, settings)


def proposals(answer: strategy_pb2.ProposeResponse) -> list[Architecture]:
    return [Architecture.from_proto(each.architecture) for each in answer.proposals.proposals]


def matches(wanted: Architecture) -> Callable[[Architecture], float]:
    """The number of decisions that are as in this one."""
    return lambda found: float(
        sum(found.decisions.get(path) == value for path, value in wanted.decisions.items())
    )


def searched(session: Session, score: Callable[[Architecture], float], trials: int) -> list[Architecture]:
    found: list[Architecture] = []
    while len(found) < trials:
        answer = session.ask(4)
        for ordinal, architecture in enumerate(proposals(answer)):
            accepted = session.accept(ordinal, answer.proposals.proposals[ordinal])
            session.finish(accepted, {"score": score(architecture)})
            found.append(architecture)
    return found


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"algorithm": "reinforce"},
        {"baseline": "leave-one-out", "replay": 0.0},
        {"baseline": "moving-average", "algorithm": "reinforce", "replay": 0.0},
    ],
)
def test_it_gets_much_nearer_to_a_hidden_cell_than_chance(settings: dict[str, Any]) -> None:
    score = matches(CELLS.sample(Random(5)))
    found = searched(session_of(CELLS, **settings), score, 60)
    at_random = searched(session_of(CELLS, RandomSearch), score, 60)
    late, chance = map(score, found[30:]), map(score, at_random[30:])
    assert math.fsum(late) > 1.5 * math.fsum(chance)


def test_it_leaves_a_width_that_it_was_sure_of_for_a_better_one() -> None:
    """Of the first trials those with one width are better, so the policy is sure of it. Once another was seen
    to be better still, most have that one.
    """
    space = load_preset("text_encoder")
    session, rng = session_of(space), Random(0)

    def score(found: Architecture) -> float:
        return {128: 0.3, 256: 0.9}.get(int(str(found.decisions["width"])), 0.1)

    for each in [each for each in (space.sample(rng) for _ in range(60)) if score(each) < 0.9]:
        session.finish(
            session.enqueue(strategy_pb2.Proposal(architecture=each.to_proto())), {"score": score(each)}
        )
    found = [score(each) for each in searched(session, score, 76)]
    assert found[:8].count(0.3) >= 6
    assert found[-20:].count(0.9) >= 12


def test_a_users_trial_is_imitated() -> None:
    star = CELLS.sample(Random(7))
    score = matches(star)

    def found(told: bool) -> float:
        session, rng = session_of(CELLS), Random(1)
        for each in [CELLS.sample(rng) for _ in range(12)] + [star] * told:
            session.finish(
                session.enqueue(strategy_pb2.Proposal(architecture=each.to_proto())),
                {"score": 1.0 if each == star else 0.0},
            )
        return math.fsum(map(score, proposals(session.ask(32))))

    assert found(told=True) > 1.5 * found(told=False)


def test_no_network_is_asked_twice_where_most_architectures_make_another_ones() -> None:
    """The policy is sure of a cell soon, and then only its neighbours are new."""
    session = session_of(CELLS)
    found = searched(session, matches(CELLS.sample(Random(2))), 100)
    names = {CELLS.graph(each).hash for each in found}
    assert len(names) == len(found)


def test_a_large_used_up_space_is_exhausted_before_the_controller_loses_patience() -> None:
    """15,625 architectures, five networks: the whole list has to be looked at to know."""
    nothing, identity = ({"layer": name} for name in ("zero", "identity"))
    cell = {"nodes": 3, "edges": "dense", "ops": {**dict.fromkeys("abcd", nothing), "e": identity}}
    image = {"kind": "image", "shape": [3, 8, 8]}
    space = Space.from_dict({"input": {"x": image}, "body": {"cell": cell}})
    assert space.size() == 15_625
    spec = SearchSpec(space=space, objectives=(Objective("score"),), trials=100)
    session = Session(StrategyRuntime(Reinforce()), spec, {})
    result = rehearse(session, spec, trials=100, patience=EMPTY_ANSWERS)
    assert result.exhausted == "every network of the space was proposed"
    assert len(result.trials) == 5


def test_a_space_too_large_to_list_ends_where_nothing_new_is_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = SearchSpec(space=CELLS, objectives=(Objective("score"),), trials=100)
    session = Session(StrategyRuntime(Reinforce()), spec, {})
    monkeypatch.setattr("archloom_strategies.reinforce.candidates.LISTED", 1)
    monkeypatch.setattr("archloom_strategies.reinforce.candidates.Candidates._new", lambda *_, **__: False)
    result = rehearse(session, spec, trials=1, patience=EMPTY_ANSWERS)
    assert result.exhausted == f"in {EMPTY_ANSWERS} steps neither the policy nor chance drew anything new"


def test_the_state_stays_small_however_much_is_under_way() -> None:
    space = load_preset("mobile")
    session, rng = session_of(space), Random(0)
    for _ in range(260):
        proposal = strategy_pb2.Proposal(architecture=space.sample(rng).to_proto())
        session.finish(session.enqueue(proposal), {"score": rng.random()})
    for _ in range(8):
        answer = session.ask(64)
        for ordinal, proposal in enumerate(answer.proposals.proposals):
            session.accept(ordinal, proposal)
    assert len(answer.state.data) < 700_000
    memory = Memory.loaded(answer.state.data)
    assert memory.header.ended == 260
    assert len(memory.header.trials) == 160


def test_bytes_of_another_kind_are_no_state() -> None:
    kept = Memory(Header(subject="a", ended=3), {}, (b"12345678",)).dumped()
    assert Memory.loaded(kept).dumped() == kept
    for data in (b"", b"{}", kept[:20], b"\xff" * 64):
        with pytest.raises(ValueError, match="no state of 'reinforce'"):
            Memory.loaded(data)


def test_a_space_that_no_policy_in_a_state_can_hold_is_refused() -> None:
    text = """
name: vast
input: {x: {kind: image, shape: [3, 8, 8]}}
body:
  repeat:
    count: 400
    decisions: free
    body: {layer: conv, k: 1, out: {int: [1, 60]}}
"""
    spec = SearchSpec(space=Space.from_yaml(text), objectives=(Objective("score"),))
    (fault,) = Reinforce().check(spec, ReinforceSettings())
    assert fault.field == "space"
    assert "24,000 values" in fault.message


def test_torch_is_loaded_by_the_first_search_alone() -> None:
    script = """
import sys
from archloom.space import load_preset
from archloom.strategy import Objective, SearchSpec
from archloom.strategy.runtime import StrategyRuntime
from archloom.testing.session import Session
from archloom_strategies.reinforce.strategy import Reinforce
spec = SearchSpec(space=load_preset("nasbench201"), objectives=(Objective("score"),))
session = Session(StrategyRuntime(Reinforce()), spec, {})
session.check()
assert "torch" not in sys.modules
session.ask(1)
assert "torch" in sys.modules
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=120)


def test_a_refused_proposal_that_is_not_of_the_space_is_no_trouble() -> None:
    """A strategy whose fallback this one is may have made it."""
    session = session_of(CELLS)
    stray = Architecture({"elsewhere": 1})
    session.refuse_users(strategy_pb2.Proposal(architecture=stray.to_proto()), "it is not of the space")
    assert len(session.ask(2).proposals.proposals) == 2
