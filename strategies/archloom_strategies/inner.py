"""A strategy inside a strategy: calls any installed one, third parties' too, as a pure function.

A composite has a field ``inner: Inner`` in its settings, ``capabilities.history`` (else an inner one that
reads the history cannot run), and keeps the inner's state in its own::

    class Settings(BaseModel):
        inner: Inner = Inner(name="bayesian")

    class State(BaseModel):
        inner: InnerState | None = None

    class EveryTenthByChance(Strategy[Settings, State]):
        name = "every-tenth-by-chance"
        capabilities = Capabilities(max_objectives=0, constraints=True, history=True)

        def check(self, spec, settings):
            return faults(settings.inner, spec)

        def propose(self, request):
            before = request.state or State()
            by_chance = request.step % 10 == 0
            answer = ask(
                request.settings.inner, request, before.inner, 0 if by_chance else request.count,
                tell=lambda event: event if event.step % 10 else foreign(event),
            )
            draws = [Proposal(request.space.sample(request.rng)) for _ in range(request.count * by_chance)]
            return ProposeResult([*answer.proposals, *draws], state=State(inner=answer.state))

Call ``ask`` in each step, with ``count`` 0 where nothing is wanted: an inner strategy is told each event
once, and what it was not told it never learns. Whatever is told has to be mapped by one rule, since the
history is mapped by it again. Composites may be nested; each level has keys, seeds and states of its own.
"""

from __future__ import annotations

import hashlib
import logging
import random
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Annotated, Any

from archloom.errors import InternalError, InvalidInput, Violation
from archloom.strategy import (
    Observation,
    ObservationKind,
    Proposal,
    ProposeRequest,
    ProposeResult,
    SearchSpec,
    Strategy,
)
from archloom.strategy.load import installed_strategies, load_strategy
from archloom.strategy.settings import near, read_settings
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, model_validator

log = logging.getLogger("archloom.strategy")

#: Of an inner state, as it stands: base64 makes four bytes of three, and the composite's own state of 3 MiB
#: has to hold more than that.
MAX_INNER_STATE_BYTES = 2 * 1024 * 1024

Tell = Callable[[Observation], Observation | None]
"""What an inner strategy is told of an event; None tells it nothing."""


class Inner(BaseModel):
    """Which strategy is called, a field of the composite's settings."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(description="An installed strategy.")
    settings: dict[str, Any] = Field(default_factory=dict, description="Its own settings.")

    @model_validator(mode="before")
    @classmethod
    def _is_no_bare_name(cls, given: Any) -> Any:
        """A spec's ``strategy`` may be one, so this is what people try first."""
        if isinstance(given, str):
            raise ValueError(f"write {{name: {given}}} in place of {given}")
        return given


class InnerState(BaseModel):
    """What an inner strategy answered last, a field of the composite's state."""

    model_config = ConfigDict(frozen=True)

    version: int
    """The inner's ``state_version`` that wrote it."""
    data: Annotated[
        bytes,
        BeforeValidator(lambda data: b64decode(data, validate=True) if isinstance(data, str) else data),
        PlainSerializer(lambda data: b64encode(data).decode(), return_type=str),
    ]
    """The bytes of its ``dump_state``; base64 where the composite's state is JSON."""


@dataclass(frozen=True)
class InnerAnswer:
    """What came of a call: a ProposeResult whose state is bytes."""

    proposals: Sequence[Proposal]
    state: InnerState | None
    """The state to bring next time: the old one where the inner gave none."""
    waiting: bool = False
    exhausted: str = ""
    stop: Sequence[int] = ()
    diagnostics: Mapping[str, float] = field(default_factory=dict)


def own(event: Observation, ordinal: int | None = None) -> Observation:
    """An event of a trial that the inner strategy proposed, at this place of its own answer (None: the same
    as in the composite's).
    """
    return event if ordinal is None or ordinal == event.ordinal else replace(event, ordinal=ordinal)


def foreign(event: Observation) -> Observation:
    """An event of a trial that someone else proposed: told as a user's, that is ENQUEUED where the log says
    ACCEPTED, without step and place.
    """
    kind = ObservationKind.ENQUEUED if event.kind is ObservationKind.ACCEPTED else event.kind
    return replace(event, kind=kind, step=0, ordinal=0)


def faults(inner: Inner, spec: SearchSpec, path: str = "settings.inner") -> Iterator[Violation]:
    """What is wrong with running ``inner`` on ``spec``, for the composite's ``check``: an unknown name, its
    settings, a search beyond its capabilities, and what its own ``check`` finds. ``path`` is the field that
    holds it.
    """
    try:
        strategy = _installed(inner.name)
    except InvalidInput as error:
        yield Violation(f"{path}.name", error.violations[0].message)
        return
    for _, what in strategy.capabilities.lacking(spec):
        yield Violation(f"{path}.name", f"{strategy.name!r} {what}")
    try:
        settings = read_settings(strategy.settings_type, inner.settings, f"{path}.settings")
    except InvalidInput as error:
        yield from error.violations
        return
    try:
        found = list(strategy.check(spec, settings))
    except Exception as error:
        raise _failure(inner.name, "check", error) from error
    for fault in found:
        name = fault.field.removeprefix("strategy.")
        inside = name == "name" or name == "settings" or name.startswith(("settings.", "settings["))
        yield Violation(f"{path}.{name}" if inside else fault.field, fault.message)


def ask(
    inner: Inner,
    request: ProposeRequest[Any, Any],
    state: InnerState | None,
    count: int,
    *,
    label: str = "",
    tell: Tell | None = None,
    before: Sequence[Observation] = (),
    spec: SearchSpec | None = None,
    max_state_bytes: int = MAX_INNER_STATE_BYTES,
) -> InnerAnswer:
    """Asks ``inner`` for up to ``count`` proposals in this step, and tells it this step's events.

    - ``label``: of several inner strategies each needs one of its own, since its randomness is drawn from
      the step's seed and the label.
    - ``tell``: maps events, those of the history too; by default all are told as they are, which suits a
      composite whose proposals are the inner's, in its order. See ``own`` and ``foreign``. Proxy trials are
      told to those only whose capabilities say that they read them: others would take them for trials.
    - ``before``: events that are told in this step ahead of the others and are in no history, as of a
      proposal that the composite did not pass on.
    - ``spec``: another search than the composite's, as with another full fidelity.

    Raises InternalError, naming the inner strategy, when it raises, when its answer is malformed, or when
    its state exceeds ``max_state_bytes``; what it lacks to answer (a history page) passes through.
    """
    spec = spec or request.spec
    digest = hashlib.sha256(f"{request.seed}/inner/{label or inner.name}".encode()).digest()
    seed = int.from_bytes(digest[:8], "big")
    try:
        strategy = _installed(inner.name)
        kind = f"{type(strategy).__module__}:{type(strategy).__qualname__}"
        asked: ProposeRequest[Any, Any] = ProposeRequest(
            spec=spec,
            settings=read_settings(strategy.settings_type, inner.settings),
            step=request.step,
            seed=seed,
            state=None if state is None else strategy.load_state(state.version, state.data),
            observations=(*before, *_told(strategy, tell, request.observations)),
            count=count,
            rng=random.Random(seed),
            read_history=lambda: _history(strategy, tell, request),
            memo=lambda key, make: request.memo(("inner", kind, spec.space.digest, key), make),
        )
        return _answer(strategy, strategy.propose(asked), state, count, max_state_bytes)
    except InternalError:
        raise
    except Exception as error:
        raise _failure(inner.name, "propose", error) from error


@lru_cache(maxsize=64)
def _installed(name: str) -> Strategy[Any, Any]:
    """The strategy object, which holds nothing. Only installed names: a spec must not name modules."""
    known = installed_strategies()
    if name not in known:
        sentence = f"no strategy {name!r} is installed; {near(name, known)}"
        raise InvalidInput([Violation("name", sentence)], sentence)
    return load_strategy(name)


def _told(
    strategy: Strategy[Any, Any], tell: Tell | None, events: Sequence[Observation]
) -> tuple[Observation, ...]:
    curves, proxies = strategy.capabilities.curves, strategy.capabilities.proxies
    mapped = events if tell is None else [tell(event) for event in events]
    return tuple(
        event
        for event in mapped
        if event is not None
        and (curves or event.kind is not ObservationKind.MEASURED)
        and (proxies or not event.fidelity.proxies)
    )


def _history(
    strategy: Strategy[Any, Any], tell: Tell | None, request: ProposeRequest[Any, Any]
) -> Sequence[Observation]:
    if not strategy.capabilities.history:
        raise InternalError(f"{strategy.name!r} reads the history, but its capabilities do not say so")
    return _told(strategy, tell, request.history)


def _answer(
    strategy: Strategy[Any, Any],
    result: ProposeResult[Any],
    state: InnerState | None,
    count: int,
    max_state_bytes: int,
) -> InnerAnswer:
    name = strategy.name
    if not isinstance(result, ProposeResult):
        raise InternalError(f"{name!r} answered a {type(result).__name__}, not a ProposeResult")
    if len(result.proposals) > count:
        raise InternalError(f"{name!r} answered {len(result.proposals)} proposals, but {count} were wanted")
    for proposal in result.proposals:
        if not isinstance(proposal, Proposal):
            raise InternalError(f"{name!r} answered a {type(proposal).__name__} among its proposals")
    if result.state is not None:
        data = strategy.dump_state(result.state)
        if len(data) > max_state_bytes:
            raise InternalError(
                f"the state of {name!r} is {len(data)} bytes; at most {max_state_bytes} are allowed inside"
            )
        state = InnerState(version=strategy.state_version, data=data)
    proposes = bool(result.proposals)
    return InnerAnswer(
        proposals=tuple(result.proposals),
        state=state,
        waiting=result.waiting and not proposes and not result.exhausted,
        exhausted="" if proposes else result.exhausted,
        stop=tuple(result.stop),
        diagnostics=dict(result.diagnostics),
    )


def _failure(name: str, call: str, error: Exception) -> InternalError:
    log.error("strategy=%s call=%s raised inside another", name, call, exc_info=error)
    return InternalError(f"strategy {name!r} failed in {call}: {type(error).__name__}: {error}")
