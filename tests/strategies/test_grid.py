from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from archloom.errors import InvalidInput
from archloom.space import Architecture, Space, load_preset
from archloom.strategy import Fidelity, Objective, SearchSpec, convert
from archloom.strategy.runtime import StrategyRuntime
from archloom.testing import StrategyContract
from archloom.testing.rehearsal import Rehearsal, network_of, rehearse
from archloom.testing.session import Session
from archloom.v1 import strategy_pb2
from archloom_strategies.grid import Grid

FLOATS = """
input: {x: {kind: image, shape: [3, 8, 8]}}
body:
  sequence:
    - {layer: conv, name: stem, k: {choice: [1, 3]}, out: 4}
    - name: end
      choice:
        dropped: {layer: dropout, p: {float: [0.0, 0.9]}}
        plain: {layer: relu}
recipe:
  lr: {log: [0.001, 0.1]}
"""


class TestGridContract(StrategyContract):
    strategy = Grid
    trials = 8


def spec_of(space: Space, trials: int = 1000) -> SearchSpec:
    return SearchSpec(space=space, objectives=(Objective("val_accuracy"),), trials=trials, parallelism=8)


def search(space: Space, trials: int, parallel: int = 8, seed: int = 0, **settings: Any) -> Rehearsal:
    spec = spec_of(space, trials)
    session = Session(StrategyRuntime(Grid()), spec, settings, seed=seed)
    return rehearse(session, spec, trials=trials, parallel=parallel)


@pytest.mark.parametrize("order", ["enumeration", "even"])
def test_each_member_comes_once_and_then_it_ends(order: str) -> None:
    """All 180 architectures of a space whose members are networks of their own."""
    space = Space.from_yaml(
        "input: {x: {kind: image, shape: [3, 8, 8]}}\n"
        "body:\n"
        "  sequence:\n"
        "    - {layer: conv, name: a, k: {choice: [1, 3, 5]}, out: {int: [4, 15]}}\n"
        "    - {layer: conv, name: b, k: {choice: [1, 3, 5, 7, 9]}}\n"
    )
    result = search(space, 300, parallel=7, order=order)
    assert Counter(result.proposed) == Counter(space.enumerate())
    assert len(result.proposed) == 180
    assert result.exhausted == "every member of the grid was proposed"
    assert (result.proposed == list(space.enumerate())) == (order == "enumeration")


def test_what_makes_a_known_network_is_left_out() -> None:
    """A user's trial, too; and no cell twice, however it is written."""
    space = load_preset("nasbench201")
    spec = spec_of(space, 200)
    session = Session(StrategyRuntime(Grid()), spec, seed=4)
    first = search(space, 1, parallel=1, seed=4).proposed[0]
    brought = session.enqueue(strategy_pb2.Proposal(architecture=first.to_proto()))
    session.finish(brought, {"val_accuracy": 0.5})
    result = rehearse(session, spec, trials=60, parallel=8)
    networks = [network_of(space, each) for each in (first, *result.proposed)]
    assert len(networks) == len(set(networks)) == 61


def test_floats_take_their_points_and_only_where_they_are_decided() -> None:
    space = Space.from_yaml(FLOATS)
    members = search(space, 100, points=3).proposed
    dropped = [each for each in members if each["end"] == "dropped"]
    assert len(dropped) == 2 * 3 * 3
    assert len(members) - len(dropped) == 2 * 3
    assert sorted({each["recipe.lr"] for each in members}) == pytest.approx([0.001, 0.01, 0.1])
    assert sorted({each["end.dropped.p"] for each in dropped}) == pytest.approx([0.0, 0.45, 0.9])


def test_constraints_over_floats_are_kept() -> None:
    """By each point; the low end alone would leave nothing of this space."""
    space = Space.from_yaml(
        "let: {rate: {float: [0.0, 0.5]}}\n"
        "input: {x: {kind: image, shape: [3, 8, 8]}}\n"
        'body: {layer: dropout, p: "=rate"}\n'
        "constraints: [rate >= 0.2]\n"
    )
    assert sorted(each["rate"] for each in search(space, 100, points=3).proposed) == [0.25, 0.5]


def test_a_space_far_beyond_the_budget_is_never_enumerated() -> None:
    space = load_preset("darts")
    spec = spec_of(space, 50)
    with pytest.raises(InvalidInput) as refusal:
        Session(StrategyRuntime(Grid()), spec, {"order": "enumeration"}).check()
    (fault,) = refusal.value.violations
    assert fault.field == "settings.order"
    assert "take even" in fault.message
    assert len({each.key for each in search(space, 8).trials}) == 8


def test_a_space_beyond_what_a_float_holds_is_refused_like_any_other() -> None:
    space = Space.from_yaml(
        "input: {x: {kind: image, shape: [3, 8, 8]}}\n"
        "body: {repeat: {count: 512, decisions: free, body: {layer: conv, k: {choice: [1, 3, 5, 7]},"
        " out: 4}}}"
    )
    with pytest.raises(InvalidInput, match="over 100 members for each of the 50 trials"):
        Session(StrategyRuntime(Grid()), spec_of(space, 50), {"order": "enumeration"}).check()


def test_its_state_is_a_number_and_a_key() -> None:
    session = search(load_preset("mobile"), 6).session
    sizes = [len(answer.state.data) for _, answer in session.record]
    assert 0 < max(sizes) < 64


def test_results_change_nothing() -> None:
    spec = spec_of(load_preset("nasbench201"), 30)
    proposed: list[list[Architecture]] = []
    for value in (0.1, 0.9):
        session = Session(StrategyRuntime(Grid()), spec)
        proposed.append(rehearse(session, spec, trials=30, fixed_metrics={"val_accuracy": value}).proposed)
    assert proposed[0] == proposed[1]


CONSTRAINED = """
let: {{a: {{int: [1, {widest}]}}, b: {{int: [1, 100]}}}}
input: {{x: {{kind: image, shape: [3, 8, 8]}}}}
body: {{sequence: [{{layer: conv, k: 1, out: "=a"}}, {{layer: conv, k: 1, out: "=b"}}]}}
constraints: [{constraint}]
"""


def test_it_looks_on_until_it_has_a_member() -> None:
    """In the order of the enumeration the first 9,499 do not fit."""
    space = Space.from_yaml(CONSTRAINED.format(widest=100, constraint="a + b >= 195"))
    session = Session(StrategyRuntime(Grid()), spec_of(space), {"order": "enumeration"})
    answer = session.ask(3)
    assert len(answer.proposals.proposals) == 1
    assert len(session.ask(3).proposals.proposals) == 3


def test_where_members_are_too_rare_it_says_so() -> None:
    space = Space.from_yaml(CONSTRAINED.format(widest=1000, constraint="a >= 300"))
    session = Session(StrategyRuntime(Grid()), spec_of(space, 10_000), {"order": "enumeration"})
    assert session.ask(3).exhausted.reason.startswith("of 20,000 numbers in a row none is a new member")


def test_a_part_of_a_training_is_no_reason_to_leave_a_member_out() -> None:
    """Nor are scores without training; a whole trial is."""
    space = Space.from_yaml(
        "input: {x: {kind: image, shape: [3, 8, 8]}}\nbody: {layer: conv, k: 1, out: 4}\n"
    )
    (only,) = space.enumerate()
    spec = replace(spec_of(space), fidelity=Fidelity(epochs=9))
    for fidelity, left in ((Fidelity(epochs=1), 1), (Fidelity(proxies=("synflow",)), 1), (spec.fidelity, 0)):
        session = Session(StrategyRuntime(Grid()), spec)
        session.enqueue(
            strategy_pb2.Proposal(architecture=only.to_proto(), fidelity=convert.fidelity_message(fidelity))
        )
        assert len(session.ask(5).proposals.proposals) == left


def test_a_refused_proposal_that_is_not_of_the_space_is_no_trouble() -> None:
    """A strategy whose fallback this one is may have made it."""
    session = Session(StrategyRuntime(Grid()), spec_of(load_preset("nasbench201")))
    stray = Architecture({"elsewhere": 1})
    session.refuse_users(strategy_pb2.Proposal(architecture=stray.to_proto()), "it is not of the space")
    assert len(session.ask(2).proposals.proposals) == 2
