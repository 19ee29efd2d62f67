from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

import pytest
from archloom.errors import InternalError, InvalidInput
from archloom.space import Architecture, Space, load_preset
from archloom.strategy import Comparison, Constraint, Fidelity, Goal, Objective, SearchSpec
from archloom.strategy.runtime import StrategyRuntime
from archloom.testing.probe import TINY_SPACE
from archloom.testing.rehearsal import network_of, rehearse
from archloom.testing.session import Session
from archloom.v1 import strategy_pb2
from archloom_controller.engine.asking import EMPTY_ANSWERS
from archloom_strategies.portfolio.strategy import Portfolio, PortfolioState

#: Someone else's strategies: one listens and keeps what it was told, one raises, one waits for ever, one asks
#: for parts of a training, one for architectures of another space, and one takes the widest of ten.
OTHERS = """
from archloom.space import Architecture
from archloom.strategy import Capabilities, Fidelity, Proposal, ProposeResult, Strategy
from pydantic import BaseModel


class Told(BaseModel):
    told: list[str] = []


class Listens(Strategy):
    name = "listens"
    state_type = Told

    def propose(self, request):
        before = request.state.told if request.state else []
        told = [f"{e.kind.value} {e.step} {e.ordinal}" for e in request.observations]
        wanted = [Proposal(request.space.sample(request.rng)) for _ in range(request.count)]
        return ProposeResult(wanted, state=Told(told=before + told))


class Raises(Strategy):
    name = "raises"

    def propose(self, request):
        raise ValueError("out of order")


class Waits(Strategy):
    name = "waits"

    def propose(self, request):
        return ProposeResult(waiting=True)


class Early(Strategy):
    name = "early"
    capabilities = Capabilities(multi_fidelity=True)

    def propose(self, request):
        part = Fidelity(epochs=1)
        return ProposeResult(
            [Proposal(request.space.sample(request.rng), part) for _ in range(request.count)]
        )


class Strays(Strategy):
    name = "strays"
    state_type = Told

    def propose(self, request):
        before = request.state.told if request.state else []
        told = [f"{e.kind.value}: {e.reason}" for e in request.observations if not e.trial]
        return ProposeResult(
            [Proposal(Architecture({"elsewhere": "x"}))] * request.count, state=Told(told=before + told)
        )


class Widest(Strategy):
    name = "widest"

    def propose(self, request):
        def best():
            some = [request.space.sample(request.rng) for _ in range(10)]
            return max(some, key=lambda each: sum(each.decisions.values()))

        return ProposeResult([Proposal(best()) for _ in range(request.count)])
"""


@pytest.fixture
def others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed = tmp_path / "some_others-1.0.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: some-others\nVersion: 1.0\n")
    names = ("Listens", "Raises", "Waits", "Early", "Strays", "Widest")
    points = "\n".join(f"{name.lower()} = some_others:{name}" for name in names)
    (installed / "entry_points.txt").write_text(f"[archloom.strategies]\n{points}\n")
    (tmp_path / "some_others.py").write_text(OTHERS)
    monkeypatch.syspath_prepend(str(tmp_path))


WIDE = """
input: {x: {kind: image, shape: [3, 8, 8]}}
body:
  sequence:
    - {layer: conv, name: a, k: 3, out: {int: [1, 100]}}
    - {layer: conv, name: b, k: 3, out: {int: [1, 100]}}
"""


def arms(*names: str, **settings: Any) -> dict[str, Any]:
    return {"arms": [{"name": name} for name in names], **settings}


def spec_of(space: Space, trials: int = 100, **options: Any) -> SearchSpec:
    options = {"objectives": (Objective("val_accuracy"),), **options}
    return SearchSpec(space=space, trials=trials, parallelism=4, **options)


def session_of(spec: SearchSpec, settings: dict[str, Any], seed: int = 0) -> Session:
    return Session(StrategyRuntime(Portfolio()), spec, settings, seed=seed)


def state_of(session: Session) -> PortfolioState:
    return PortfolioState.model_validate(json.loads(session.record[-1][1].state.data))


def notes(session: Session) -> Counter[str]:
    proposals = [each for _, answer in session.record for each in answer.proposals.proposals]
    return Counter(each.note.partition(":")[0] for each in proposals)


@pytest.mark.usefixtures("others")
def test_each_arm_is_told_everything_once_as_its_own_or_as_a_users() -> None:
    spec = spec_of(load_preset("nasbench201"))
    session = session_of(spec, arms("listens", "listens", initial=0, random_share=0.0))
    made = session.ask(6).proposals.proposals
    owner = ["AB".index(letter) for letter in state_of(session).steps[0][1]]
    trials = [session.accept(ordinal, proposal) for ordinal, proposal in enumerate(made)]
    for trial in reversed(trials):
        session.finish(trial, {"val_accuracy": 0.5})
    session.ask(0)
    told = [json.loads(arm.state.data)["told"] for arm in state_of(session).arms if arm.state]
    for arm in (0, 1):
        own = [event for event in told[arm] if event.endswith(("1 0", "1 1", "1 2"))]
        places = range(owner.count(arm))
        assert own == [f"accepted 1 {k}" for k in places] + [f"finished 1 {k}" for k in reversed(places)]
        others = Counter(event for event in told[arm] if event.endswith(" 0 0"))
        assert others == {"enqueued 0 0": 6 - len(places), "finished 0 0": 6 - len(places)}


def test_it_begins_by_chance_and_then_asks_each_arm() -> None:
    spec = spec_of(load_preset("nasbench201"))
    session = session_of(spec, arms("evolution", "grid", "random"))
    assert rehearse(session, spec, trials=9).ended == 9
    assert notes(session) >= Counter({"random": 5, "evolution": 2, "grid": 2})


@pytest.mark.usefixtures("others")
def test_the_better_arm_gets_more_and_chance_its_share() -> None:
    """Wider is better: the best of ten draws is worth more than one, and the enumeration begins with the
    narrow.
    """
    spec = spec_of(Space.from_yaml(WIDE))
    settings = arms("widest", "grid", "random", random_share=0.1)
    settings["arms"][1]["settings"] = {"order": "enumeration"}
    session = session_of(spec, settings)
    for _ in range(100):
        for ordinal, proposal in enumerate(session.ask(1).proposals.proposals):
            trial = session.accept(ordinal, proposal)
            width = sum(each.integer for each in proposal.architecture.decisions)
            session.finish(trial, {"val_accuracy": float(width)})
    shares = notes(session)
    assert shares["widest"] > 60
    assert shares["grid"] < 10 <= shares["random"]


def test_no_network_is_asked_twice_whichever_arm_asks() -> None:
    spec = spec_of(load_preset("nasbench201"), 150)
    session = session_of(spec, arms("random", "random", "evolution"))
    result = rehearse(session, spec, trials=150, parallel=8)
    networks = [network_of(spec.space, each) for each in result.proposed]
    assert len(networks) == len(set(networks)) == 150


def test_the_arm_whose_proposal_is_not_passed_on_is_told_that_it_was_refused() -> None:
    """A grid over a user's trial: the arms that do not read the log find out."""
    spec = spec_of(Space.from_yaml(TINY_SPACE))
    session = session_of(spec, arms("random", "grid", initial=0))
    result = rehearse(session, spec, trials=20, parallel=4)
    assert len(result.trials) == len(result.proposed) == 8
    assert "random: every architecture was proposed" in result.exhausted
    assert "grid: every member of the grid was proposed" in result.exhausted


@pytest.mark.usefixtures("others")
def test_arms_that_fail_or_wait_are_passed_over() -> None:
    spec = spec_of(load_preset("nasbench201"))
    session = session_of(spec, arms("raises", "waits", "random"))
    assert rehearse(session, spec, trials=20, parallel=3).ended == 20
    assert notes(session) == {"random": len(session.record) and sum(notes(session).values())}
    assert state_of(session).arms[0].exhausted == "it failed 3 times in a row"


@pytest.mark.usefixtures("others")
def test_what_is_not_of_the_space_is_not_passed_on_and_its_arm_is_told() -> None:
    spec = spec_of(load_preset("nasbench201"))
    session = session_of(spec, arms("strays", "random"))
    assert rehearse(session, spec, trials=10, parallel=2).ended == 10
    session.ask(0)
    assert set(notes(session)) == {"random"}
    (strays, _) = state_of(session).arms
    assert strays.state
    told = json.loads(strays.state.data)["told"]
    assert len(told) == sum(line.count("a") for _, line in state_of(session).steps) > 0
    assert all(each.startswith("refused: ") and "elsewhere" in each for each in told)


@pytest.mark.usefixtures("others")
def test_an_arm_that_always_waits_starves_nobody() -> None:
    spec = spec_of(load_preset("nasbench201"))
    session = session_of(spec, arms("waits", "listens", "grid", initial=0))
    rehearse(session, spec, trials=20, parallel=1, fixed_metrics={"val_accuracy": 0.5})
    shares = notes(session)
    assert set(shares) == {"listens", "grid"}
    assert min(shares.values()) >= 4


@pytest.mark.usefixtures("others")
def test_while_trials_run_it_waits_with_an_arm_that_waits() -> None:
    """The other arm has nothing new; what the first waits for may still come."""
    spec = spec_of(Space.from_yaml(TINY_SPACE))
    session = session_of(spec, arms("waits", "grid", initial=0, random_share=0.0))
    made = session.ask(64).proposals.proposals
    trials = [session.accept(ordinal, proposal) for ordinal, proposal in enumerate(made)]
    for _ in range(3):
        assert session.ask(1).HasField("wait")
    for trial in trials:
        session.finish(trial, {"val_accuracy": 0.5})
    assert session.ask(1).HasField("wait")
    assert state_of(session).running == 0
    assert state_of(session).arms[1].exhausted == "every member of the grid was proposed"


@pytest.mark.usefixtures("others")
def test_what_the_controller_refuses_costs_its_arm_credit() -> None:
    spec = spec_of(Space.from_yaml(WIDE))
    session = session_of(spec, arms("widest", "random", initial=0, random_share=0.0))
    for _ in range(60):
        for ordinal, proposal in enumerate(session.ask(1).proposals.proposals):
            if proposal.note == "widest":
                session.refuse(ordinal, proposal, "of no use")
            else:
                session.finish(session.accept(ordinal, proposal), {"val_accuracy": 0.5})
    shares = notes(session)
    assert shares["random"] > 2 * shares["widest"] > 0


@pytest.mark.usefixtures("others")
def test_where_every_arm_fails_the_failure_is_told() -> None:
    session = session_of(spec_of(load_preset("nasbench201")), arms("raises"))
    with pytest.raises(InternalError, match="strategy 'raises' failed in propose: ValueError: out of order"):
        session.ask(1)


@pytest.mark.usefixtures("others")
def test_where_all_arms_wait_it_waits() -> None:
    session = session_of(spec_of(load_preset("nasbench201")), arms("waits", "waits"))
    assert session.ask(2).HasField("wait")


@pytest.mark.usefixtures("others")
def test_a_part_of_a_training_is_a_part_of_a_pull_and_brings_nothing() -> None:
    spec = spec_of(load_preset("nasbench201"), fidelity=Fidelity(epochs=10))
    session = session_of(spec, arms("early", "random", initial=0, random_share=0.0))
    rehearse(session, spec, trials=12, parallel=2)
    session.ask(0)
    outcomes = state_of(session).outcomes
    assert {each.weight for each in outcomes if each.arm == 0} == {0.1}
    assert not any(each.scores for each in outcomes if each.arm == 0)
    assert all(each.weight == 1.0 and each.scores for each in outcomes if each.arm == 1)


@pytest.mark.usefixtures("others")
def test_the_state_depends_on_windows_and_not_on_the_length() -> None:
    spec = spec_of(Space.from_yaml(WIDE), 2000)
    session = session_of(spec, arms("widest", "random"))
    rehearse(session, spec, trials=1200, parallel=64)
    sizes = [len(answer.state.data) for _, answer in session.record]
    assert max(sizes) < 30_000
    assert len(state_of(session).outcomes) == 100


def test_faults_of_an_arm_have_its_place() -> None:
    settings = {"arms": [{"name": "random"}, {"name": "evolution", "settings": {"populaton": 3}}]}
    with pytest.raises(InvalidInput) as refusal:
        session_of(spec_of(load_preset("nasbench201")), settings).check()
    assert [fault.field for fault in refusal.value.violations] == ["settings.arms[1].settings.populaton"]


def test_the_defaults_take_several_objectives_constraints_and_users_trials() -> None:
    spec = spec_of(
        load_preset("nasbench201"),
        objectives=(Objective("val_accuracy"), Objective("latency_ms", Goal.MINIMIZE), Objective("f1")),
        constraints=(Constraint("latency_ms", Comparison.AT_MOST, 0.9),),
    )
    session = session_of(spec, {})
    session.check()
    brought = spec.space.sample(Random(3))
    trial = session.enqueue(strategy_pb2.Proposal(architecture=brought.to_proto()))
    session.finish(trial, {"val_accuracy": 0.5, "latency_ms": 0.3, "f1": 0.1})
    result = rehearse(session, spec, trials=14, parallel=4)
    assert result.ended == 14
    assert network_of(spec.space, brought) not in {network_of(spec.space, each) for each in result.proposed}
    assert set(notes(session)) == {"bayesian", "evolution", "random"}


def test_a_refused_proposal_that_is_not_of_the_space_is_no_trouble() -> None:
    """A strategy whose fallback this one is may have made it."""
    session = session_of(spec_of(load_preset("nasbench201")), {})
    stray = Architecture({"elsewhere": 1})
    session.refuse_users(strategy_pb2.Proposal(architecture=stray.to_proto()), "it is not of the space")
    assert len(session.ask(2).proposals.proposals) == 2


def test_it_ends_where_no_arm_finds_anything_before_the_controller_loses_patience(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("archloom_strategies.evolution.strategy.DRAWS", 0)
    session = session_of(spec_of(load_preset("nasbench201")), arms("evolution"))
    answers = [session.ask(1) for _ in range(EMPTY_ANSWERS)]
    assert not any(answer.HasField("exhausted") for answer in answers[:-1])
    assert answers[-1].exhausted.reason == f"in {EMPTY_ANSWERS} steps no arm brought anything new"
