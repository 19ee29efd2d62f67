from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from archloom.errors import InternalError, InvalidInput
from archloom.space import Architecture, Space
from archloom.strategy import (
    Capabilities,
    Comparison,
    Constraint,
    Objective,
    ObservationKind,
    ProposeRequest,
    ProposeResult,
    SearchSpec,
    Strategy,
    Violation,
    convert,
)
from archloom.strategy.runtime import StrategyRuntime
from archloom.testing.probe import TINY_SPACE, TREE_SPACE
from archloom.testing.rehearsal import rehearse
from archloom.testing.session import Session
from archloom_strategies.inner import Inner, InnerState, ask, faults, foreign, own
from pydantic import BaseModel, ConfigDict

#: A package of someone else's: it echoes what it is told, or fails as it is set to.
THIRD_PARTY = """
from archloom.strategy import Capabilities, Proposal, ProposeResult, Strategy, Violation
from pydantic import BaseModel


class Settings(BaseModel):
    fails: str = ""
    limit: int = 5


class State(BaseModel):
    told: list[str] = []
    ballast: str = ""


class Listener(Strategy[Settings, State]):
    name = "listener"
    state_version = 3
    capabilities = Capabilities(history=True)

    def check(self, spec, settings):
        if settings.limit > 9:
            yield Violation("settings.limit", "at most 9")
        if settings.fails == "check":
            yield Violation("strategy.name", "needs what is not installed")
            yield Violation("fidelity.epochs", "too few")

    def propose(self, request):
        if request.settings.fails == "raise":
            raise KeyError("lost")
        if request.settings.fails == "answer":
            return [1]
        if request.settings.fails == "proposal":
            return ProposeResult([request.space.sample(request.rng)])
        if request.settings.fails == "count":
            return ProposeResult([Proposal(request.space.sample(request.rng))] * (request.count + 1))
        state = request.state or State()
        told = [f"{e.kind.value} {e.trial} {e.step} {e.ordinal}" for e in request.observations]
        past = [f"{e.kind.value} {e.trial} {e.step} {e.ordinal}" for e in request.history]
        assert past == state.told[: len(past)] == state.told
        ballast = "x" * 3_000_000 if request.settings.fails == "state" else ""
        return ProposeResult(
            [Proposal(request.space.sample(request.rng)) for _ in range(request.count)],
            state=State(told=state.told + told, ballast=ballast),
            diagnostics={"told": float(len(told))},
        )

    def load_state(self, version, data):
        assert version == self.state_version
        return super().load_state(version, data)


class Discrete(Strategy):
    name = "discrete"
    capabilities = Capabilities(discrete_only=True)

    def propose(self, request):
        return ProposeResult(waiting=True)


class Forgetful(Strategy):
    name = "forgetful"

    def propose(self, request):
        return ProposeResult([], exhausted=str(len(request.history)))
"""

ENTRY_POINTS = """
[archloom.strategies]
listener = a_third_party:Listener
discrete = a_third_party:Discrete
forgetful = a_third_party:Forgetful
"""


@pytest.fixture(autouse=True)
def third_party(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    installed = tmp_path / "a_third_party-1.0.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: a-third-party\nVersion: 1.0\n")
    (installed / "entry_points.txt").write_text(ENTRY_POINTS)
    (tmp_path / "a_third_party.py").write_text(THIRD_PARTY)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield
    sys.modules.pop("a_third_party", None)


class Settings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    inner: Inner = Inner(name="random")
    foreign: bool = False


class State(BaseModel):
    one: InnerState | None = None
    two: InnerState | None = None


class Halves(Strategy[Settings, State]):
    """Half of the proposals from each of two inner strategies, which are the same but for the label."""

    name = "halves"
    capabilities = Capabilities(max_objectives=0, constraints=True, history=True)

    def check(self, spec: SearchSpec, settings: Settings) -> Iterable[Violation]:
        return faults(settings.inner, spec)

    def propose(self, request: ProposeRequest[Settings, State]) -> ProposeResult[State]:
        before = request.state or State()
        inner, half = request.settings.inner, request.count // 2
        first, second = request.count - half, half
        tell = foreign if request.settings.foreign else None
        one = ask(inner, request, before.one, first, label="one", tell=tell)
        two = ask(inner, request, before.two, second, label="two", tell=tell)
        return ProposeResult(
            [*one.proposals, *two.proposals],
            state=State(one=one.state, two=two.state),
            exhausted=one.exhausted and two.exhausted,
            diagnostics=one.diagnostics,
        )


def spec_of(space: str = TREE_SPACE, **options: Any) -> SearchSpec:
    options = {"objectives": (Objective("val_accuracy"),), **options}
    return SearchSpec(space=Space.from_yaml(space), trials=100, parallelism=4, **options)


def settings_of(name: str, **settings: Any) -> dict[str, Any]:
    return {"inner": {"name": name, "settings": settings}}


def inner_told(session: Session) -> list[str]:
    state = State.model_validate_json(session.record[-1][1].state.data)
    assert state.one is not None
    assert state.one.version == 3
    told: list[str] = json.loads(state.one.data)["told"]
    return told


def test_each_is_told_every_event_once_and_the_history_agrees() -> None:
    """The listener itself asserts that what it was told is its history."""
    session = Session(StrategyRuntime(Halves()), spec_of(), settings_of("listener"))
    rehearse(session, spec_of(), trials=12, parallel=3)
    session.ask(0)
    told = inner_told(session)
    assert len(told) == sum(len(request.observations) for request, _ in session.record)
    assert told[:3] == ["accepted 1 1 0", "accepted 2 1 1", "accepted 3 1 2"]


def test_what_others_proposed_is_told_as_a_users() -> None:
    settings = settings_of("listener") | {"foreign": True}
    session = Session(StrategyRuntime(Halves()), spec_of(), settings)
    rehearse(session, spec_of(), trials=5, parallel=2)
    session.ask(0)
    told = inner_told(session)
    assert {each.split()[0] for each in told} == {"enqueued", "finished"}
    assert all(each.endswith(" 0 0") for each in told)


def test_labels_have_randomness_of_their_own() -> None:
    runtime = StrategyRuntime(Halves())
    answer = Session(runtime, spec_of(), settings_of("random"), seed=3).ask(2)
    one, two = (Architecture.from_proto(each.architecture) for each in answer.proposals.proposals)
    assert one != two
    again = Session(runtime, spec_of(), settings_of("random"), seed=3).ask(2)
    assert again.SerializeToString() == answer.SerializeToString()


def test_a_cold_replica_answers_the_same_with_a_state_inside() -> None:
    session = Session(StrategyRuntime(Halves()), spec_of(), settings_of("random"))
    rehearse(session, spec_of(), trials=20, parallel=4)
    for request, answer in session.record:
        cold = session.exchange(request, StrategyRuntime(Halves()))
        assert cold.SerializeToString(deterministic=True) == answer.SerializeToString(deterministic=True)


def test_a_space_comes_to_its_end_through_the_composite() -> None:
    session = Session(StrategyRuntime(Halves()), spec_of(TINY_SPACE), settings_of("random"))
    result = rehearse(session, spec_of(TINY_SPACE), trials=50, parallel=2)
    assert len(result.trials) == 8
    assert result.exhausted == "every architecture was proposed"


@pytest.mark.parametrize(
    ("name", "settings", "field", "message"),
    [
        ("rndom", {}, "settings.inner.name", "no strategy 'rndom' is installed; did you mean 'random'?"),
        ("os:system", {}, "settings.inner.name", "no strategy 'os:system' is installed"),
        ("random", {"samplng": 1}, "settings.inner.settings.samplng", "did you mean 'sampling'?"),
        ("random", {"sampling": "x"}, "settings.inner.settings.sampling", "input should be"),
        ("listener", {"limit": 10}, "settings.inner.settings.limit", "at most 9"),
    ],
)
def test_faults_have_the_path_of_the_inner(
    name: str, settings: dict[str, Any], field: str, message: str
) -> None:
    (fault,) = _refusal(spec_of(), settings_of(name, **settings))
    assert fault.field == field
    assert message in fault.message


def test_what_the_inner_finds_beside_its_settings_keeps_its_place_in_the_spec() -> None:
    found = _refusal(spec_of(), settings_of("listener", fails="check"))
    assert [fault.field for fault in found] == ["settings.inner.name", "fidelity.epochs"]


def test_a_bare_name_is_told_how_to_write_it() -> None:
    (fault,) = _refusal(spec_of(), {"inner": "random"})
    assert (fault.field, fault.message) == ("settings.inner", "write {name: random} in place of random")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"objectives": (Objective("a"), Objective("b"))}, "takes at most one objective, not 2"),
        ({"constraints": (Constraint("a", Comparison.AT_MOST, 1.0),)}, "takes no constraints"),
    ],
)
def test_a_search_beyond_the_inner_is_refused(options: dict[str, Any], message: str) -> None:
    (fault,) = _refusal(spec_of(**options), settings_of("listener"))
    assert fault.field == "settings.inner.name"
    assert message in fault.message


def test_floats_are_refused_where_the_inner_takes_none() -> None:
    space = TREE_SPACE + "  rate: {float: [0.001, 0.1]}\n"
    (fault,) = _refusal(spec_of(space), settings_of("discrete"))
    assert "'discrete' takes no floats, and recipe.rate is one" in fault.message


@pytest.mark.parametrize(
    ("fails", "message"),
    [
        ("raise", "strategy 'listener' failed in propose: KeyError: 'lost'"),
        ("answer", "'listener' answered a list, not a ProposeResult"),
        ("proposal", "'listener' answered a Architecture among its proposals"),
        ("count", "'listener' answered 3 proposals, but 2 were wanted"),
        ("state", "the state of 'listener' is 3000"),
    ],
)
def test_an_inner_that_fails_is_named(fails: str, message: str) -> None:
    session = Session(StrategyRuntime(Halves()), spec_of(), settings_of("listener", fails=fails))
    with pytest.raises(InternalError, match=message):
        session.ask(4)


def test_an_inner_reads_no_history_unless_it_said_so() -> None:
    session = Session(StrategyRuntime(Halves()), spec_of(), settings_of("forgetful"))
    with pytest.raises(InternalError, match="'forgetful' reads the history, but its capabilities"):
        session.ask(2)


def test_own_events_are_renumbered_and_no_other_part_of_them() -> None:
    spec = spec_of()
    session = Session(StrategyRuntime(Halves()), spec, settings_of("random"))
    for ordinal, proposal in enumerate(session.ask(2).proposals.proposals):
        session.accept(ordinal, proposal)
    session.ask(0)
    event = convert.observation_value(session.record[1][0].observations[1])
    assert event.kind is ObservationKind.ACCEPTED
    assert (event.step, event.ordinal) == (1, 1)
    assert own(event) == own(event, 1) == event
    assert own(event, 0).ordinal == 0
    assert foreign(event).architecture == event.architecture


class Outer(Strategy[Settings, State]):
    """A composite whose inner may be a composite."""

    name = "outer"
    capabilities = Capabilities(max_objectives=0, constraints=True, history=True)

    def propose(self, request: ProposeRequest[Settings, State]) -> ProposeResult[State]:
        before = request.state or State()
        keys: list[object] = []

        def memo(key: object, make: Any) -> Any:
            keys.append(key)
            return request.memo(key, make)

        watched = replace(request, memo=memo)
        watched.derived("members", lambda: "the composite's own")
        answer = ask(request.settings.inner, watched, before.one, request.count)
        assert len(set(map(str, keys))) > 1
        return ProposeResult(answer.proposals, state=State(one=answer.state))


def test_memo_keys_of_inner_and_composite_do_not_collide() -> None:
    """Both keep something under "members"."""
    session = Session(StrategyRuntime(Outer()), spec_of(), settings_of("random"))
    assert rehearse(session, spec_of(), trials=10, parallel=2).ended == 10


def test_the_states_bytes_are_base64_in_json() -> None:
    state = State(one=InnerState(version=2, data=b"\x00\xff"))
    assert state.model_dump(mode="json")["one"] == {"version": 2, "data": "AP8="}
    assert State.model_validate(state.model_dump(mode="json")) == state


def _refusal(spec: SearchSpec, settings: dict[str, Any]) -> list[Violation]:
    with pytest.raises(InvalidInput) as refusal:
        Session(StrategyRuntime(Halves()), spec, settings).check()
    return list(refusal.value.violations)
