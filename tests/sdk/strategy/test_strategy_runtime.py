from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from typing import Any

import pytest
from archloom.errors import InternalError, InvalidInput
from archloom.space import Space
from archloom.strategy import (
    Capabilities,
    Comparison,
    Constraint,
    Objective,
    Proposal,
    ProposeRequest,
    ProposeResult,
    SearchSpec,
    Strategy,
    convert,
)
from archloom.strategy.runtime import StrategyRuntime
from archloom.testing.rehearsal import rehearse
from archloom.testing.session import Session
from archloom.v1 import strategy_pb2
from pydantic import BaseModel


def request_of(search: SearchSpec, /, **fields: Any) -> strategy_pb2.ProposeRequest:
    whole = {"experiment": "projects/p/experiments/e", "step": 1, "seed": 5, "count": 2, **fields}
    return strategy_pb2.ProposeRequest(**{"spec": convert.spec_message(search, {}), **whole})


def answering(answer: Callable[[ProposeRequest], Any]) -> StrategyRuntime:
    """A strategy that answers what the test wants."""

    class Odd(Strategy):
        name = "odd"
        capabilities = Capabilities(max_objectives=0)

        def propose(self, request: ProposeRequest) -> ProposeResult:
            return answer(request)

    return StrategyRuntime(Odd())


def test_it_describes_the_class(counting: Strategy[Any, Any]) -> None:
    description = StrategyRuntime(counting).describe()
    assert (description.name, description.version) == ("counting", "3")
    assert description.summary == "Counts what it is told, and proposes at random."
    schema = convert.plain(description.settings_schema)
    assert schema["properties"]["step_size"] == {
        "default": 1,
        "minimum": 1,
        "propertyOrder": 1,
        "title": "Step Size",
        "type": "integer",
    }


def test_every_fault_of_a_spec_is_answered_at_once(counting: Strategy[Any, Any], spec: SearchSpec) -> None:
    too_much = SearchSpec(
        space=spec.space,
        objectives=(Objective("a"), Objective("b")),
        constraints=(Constraint("a", Comparison.AT_MOST, 1),),
    )
    message = convert.spec_message(too_much, {"step_size": 0, "weigths": [1], "weights": [1, "x"]})
    answer = StrategyRuntime(counting).validate(strategy_pb2.ValidateStrategyRequest(spec=message))
    faults = {fault.field: fault.description for fault in answer.violations}
    assert set(faults) == {
        "settings.step_size",
        "settings.weigths",
        "settings.weights[1]",
        "objectives",
        "constraints",
    }
    assert "did you mean 'weights'?" in faults["settings.weigths"]


def test_floats_are_refused_of_a_strategy_that_takes_none(spec: SearchSpec) -> None:
    class Listing(Strategy):
        name = "listing"
        capabilities = Capabilities(discrete_only=True)

        def propose(self, request: ProposeRequest) -> ProposeResult:
            return ProposeResult(exhausted="at once")

    continuous = Space.from_dict({**spec.space.to_dict(), "recipe": {"rate": {"float": [0.1, 0.9]}}})
    message = convert.spec_message(SearchSpec(space=continuous, objectives=spec.objectives), {})
    answer = StrategyRuntime(Listing()).validate(strategy_pb2.ValidateStrategyRequest(spec=message))
    assert [(fault.field, fault.description) for fault in answer.violations] == [
        ("space", "'listing' takes no floats, and recipe.rate is one")
    ]


def test_a_space_that_is_none_is_a_fault_of_the_space(counting: Strategy[Any, Any], spec: SearchSpec) -> None:
    message = convert.spec_message(spec, {})
    message.space.body.sequence.nodes[0].layer.operation.literal.text = "convolve"
    answer = StrategyRuntime(counting).validate(strategy_pb2.ValidateStrategyRequest(spec=message))
    assert answer.violations
    assert all(fault.field.startswith("space.") for fault in answer.violations)


def test_a_cold_replica_asks_for_spec_and_state(counting: Strategy[Any, Any], spec: SearchSpec) -> None:
    warm = StrategyRuntime(counting)
    state = warm.propose(request_of(spec, experiment_uid="u")).state
    short = request_of(
        spec,
        spec=strategy_pb2.SearchSpec(revision=spec.revision),
        step=2,
        experiment_uid="u",
        state=strategy_pb2.StrategyState(digest=state.digest, version=state.version),
    )
    answer = warm.propose(short)
    assert answer.WhichOneof("answer") == "proposals"

    cold = StrategyRuntime(counting)
    assert cold.propose(short).WhichOneof("answer") == "need_spec"
    short.spec.CopyFrom(convert.spec_message(spec, {}))
    assert cold.propose(short).WhichOneof("answer") == "need_state"
    short.state.data, short.state.inline = state.data, True
    assert cold.propose(short).SerializeToString() == answer.SerializeToString()


def test_before_the_first_step_there_is_no_state(counting: Strategy[Any, Any], spec: SearchSpec) -> None:
    """Whether the controller says that the empty state is inline, or leaves it out."""
    states = (None, strategy_pb2.StrategyState(), strategy_pb2.StrategyState(inline=True))
    answers = [StrategyRuntime(counting).propose(request_of(spec, state=state)) for state in states]
    assert answers[0] == answers[1] == answers[2]
    assert answers[0].HasField("proposals")


def test_a_name_that_is_used_again_brings_nothing_back(
    counting: Strategy[Any, Any], spec: SearchSpec
) -> None:
    """The experiment was deleted and made anew with the same name and another space."""
    runtime = StrategyRuntime(counting)
    runtime.propose(request_of(spec, experiment_uid="first"))
    for uid in ("second", ""):
        short = request_of(spec, spec=strategy_pb2.SearchSpec(revision=1), step=2, experiment_uid=uid)
        assert runtime.propose(short).WhichOneof("answer") == "need_spec"


def test_a_new_revision_of_the_spec_is_asked_for(counting: Strategy[Any, Any], spec: SearchSpec) -> None:
    runtime = StrategyRuntime(counting)
    runtime.propose(request_of(spec, experiment_uid="u"))
    short = request_of(spec, spec=strategy_pb2.SearchSpec(revision=2), step=2, experiment_uid="u")
    assert runtime.propose(short).WhichOneof("answer") == "need_spec"


def test_a_state_that_is_not_its_digest_is_refused(counting: Strategy[Any, Any], spec: SearchSpec) -> None:
    state = strategy_pb2.StrategyState(digest="0" * 64, version=1, data=b"{}", inline=True)
    with pytest.raises(InvalidInput, match="sha256"):
        StrategyRuntime(counting).propose(request_of(spec, state=state))


def test_a_state_of_another_layout_is_a_sentence(counting: Strategy[Any, Any], spec: SearchSpec) -> None:
    data = b'{"told":1}'
    state = strategy_pb2.StrategyState(
        digest=hashlib.sha256(data).hexdigest(), version=9, data=data, inline=True
    )
    with pytest.raises(InternalError, match="layout 9"):
        StrategyRuntime(counting).propose(request_of(spec, state=state))


def test_an_older_layout_may_be_read(spec: SearchSpec) -> None:
    class New(BaseModel):
        total: int

    class Upgraded(Strategy[Any, New]):
        name = "upgraded"
        state_version = 2

        def propose(self, request: ProposeRequest[Any, New]) -> ProposeResult[New]:
            assert request.state is not None
            return ProposeResult(waiting=True, diagnostics={"total": request.state.total})

        def load_state(self, version: int, data: bytes) -> New:
            return New(total=len(data)) if version == 1 else super().load_state(version, data)

    state = strategy_pb2.StrategyState(
        digest=hashlib.sha256(b"four").hexdigest(), version=1, data=b"four", inline=True
    )
    answer = StrategyRuntime(Upgraded()).propose(request_of(spec, state=state))
    assert convert.metric_values(answer.diagnostics) == {"total": 4}
    assert answer.HasField("wait")


def test_the_log_is_asked_for_from_where_the_replica_is(
    remembering: Strategy[Any, Any], spec: SearchSpec
) -> None:
    warm = StrategyRuntime(remembering)
    session = Session(warm, spec)
    assert rehearse(session, spec, trials=9).exhausted == "all seen"
    asked: list[int] = []

    class Watched:
        def propose(self, request: strategy_pb2.ProposeRequest) -> strategy_pb2.ProposeResponse:
            answer = replica.propose(request)
            if answer.HasField("need_history"):
                asked.append(answer.need_history.from_sequence)
            return answer

    replica = StrategyRuntime(remembering)
    middle, (last, answer) = session.record[3][0], session.record[-1]
    session.exchange(middle, Watched())  # type: ignore[arg-type]
    assert session.exchange(last, Watched()) == answer  # type: ignore[arg-type]
    assert asked == [0, middle.history_sequence]
    # An earlier step again: what is known beyond it must not show.
    for _ in range(2):
        assert session.exchange(middle, replica) == session.record[3][1]
    assert session.exchange(last, replica) == answer
    assert len(asked) == 2


def test_pages_that_leave_a_hole_are_not_taken(remembering: Strategy[Any, Any], spec: SearchSpec) -> None:
    """They answer what another replica asked."""
    session = Session(StrategyRuntime(remembering), spec)
    rehearse(session, spec, trials=9)
    request = session.record[-1][0]
    request.history_after = 5
    answer = StrategyRuntime(remembering).propose(request)
    assert answer.need_history.from_sequence == 0
    assert answer.HasField("need_history")


def test_a_long_log_is_read_page_by_page(remembering: Strategy[Any, Any], spec: SearchSpec) -> None:
    session = Session(StrategyRuntime(remembering), spec)
    rehearse(session, spec, trials=9)
    whole, answer = session.record[-1]
    log = [seen for request, _ in session.record[:-1] for seen in request.observations]
    assert len(log) > 4
    for name in ("u", ""):
        request, cold, asked = strategy_pb2.ProposeRequest(), StrategyRuntime(remembering), [0]
        request.CopyFrom(whole)
        request.experiment_uid = name
        while (found := cold.propose(request)).HasField("need_history"):
            asked.append(found.need_history.from_sequence)
            del request.history[:]
            request.history_after = asked[-1]
            request.ClearField("history_until")
            if name:
                request.history_until = min(asked[-1] + 2, whole.history_sequence)
                request.history.extend(log[asked[-1] : request.history_until])
            else:
                # Without a name to keep it under, the page must be the whole of it.
                request.history.extend(log)
        assert found == answer
        assert asked == ([0, *range(0, len(log), 2)] if name else [0, 0])


def test_an_empty_page_is_an_answer(remembering: Strategy[Any, Any], spec: SearchSpec) -> None:
    request = request_of(spec, history_sequence=40, history_after=0, experiment_uid="u")
    assert StrategyRuntime(remembering).propose(request).HasField("proposals")


def test_history_needs_the_capability(spec: SearchSpec) -> None:
    with pytest.raises(InternalError, match="capabilities"):
        answering(lambda request: ProposeResult(diagnostics={"n": len(request.history)})).propose(
            request_of(spec)
        )


def test_a_strategy_that_raises_is_told_in_a_sentence(
    spec: SearchSpec, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(request: ProposeRequest) -> ProposeResult:
        raise ZeroDivisionError("no trials yet")

    with (
        caplog.at_level(logging.ERROR),
        pytest.raises(InternalError, match="'odd' failed in propose: ZeroDivisionError: no trials yet"),
    ):
        answering(fail).propose(request_of(spec))
    assert "in fail" in caplog.text


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (lambda request: [1], "answered a list"),
        (lambda request: ProposeResult([Proposal(request.space.sample(request.rng))] * 3), "3 proposals"),
        (lambda request: ProposeResult(diagnostics={"loss": float("nan")}), "'loss' = nan"),
        (lambda request: ProposeResult(diagnostics={"My Loss": 1}), "'My Loss'"),
        (lambda request: ProposeResult(state=b"x" * 3_145_729), "3145729 bytes"),
        (lambda request: ProposeResult(state=object()), "the state of 'odd' is a object"),
    ],
)
def test_an_answer_that_is_none_is_refused_here(
    spec: SearchSpec, answer: Callable[[ProposeRequest], Any], sentence: str
) -> None:
    with pytest.raises(InternalError, match=sentence):
        answering(answer).propose(request_of(spec))


def test_what_is_derived_is_kept_by_space(spec: SearchSpec) -> None:
    made: list[str] = []

    def make(space: Space) -> str:
        made.append(space.digest)
        return space.digest

    def derive(request: ProposeRequest) -> ProposeResult:
        assert request.derived("digest", lambda: make(request.space)) == request.space.digest
        return ProposeResult()

    runtime = answering(derive)
    other = SearchSpec(
        space=Space.from_yaml(spec.space.to_yaml().replace("8", "16")), objectives=spec.objectives
    )
    for each in (spec, spec, other, spec):
        runtime.propose(request_of(each))
    assert made == [spec.space.digest, other.space.digest]


def test_a_name_must_be_one() -> None:
    class Nameless(Strategy):
        name = "No Name"

        def propose(self, request: ProposeRequest) -> ProposeResult:
            return ProposeResult()

    with pytest.raises(InvalidInput, match="lower case"):
        StrategyRuntime(Nameless())
