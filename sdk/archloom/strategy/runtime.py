"""A strategy behind the contract's messages: the three calls of StrategyService as plain functions.

The gRPC server, the attach client, the benchmark and the conformance kit all run this one class.
"""

from __future__ import annotations

import hashlib
import logging
import math
import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import BaseModel

from archloom.errors import InternalError, InvalidInput, Violation
from archloom.space import SpaceError
from archloom.strategy import convert
from archloom.strategy.base import Strategy
from archloom.strategy.build import build_id
from archloom.strategy.caches import Cache
from archloom.strategy.settings import read_settings, settings_schema
from archloom.strategy.values import Observation, ProposeRequest, ProposeResult, SearchSpec
from archloom.v1 import strategy_pb2

log = logging.getLogger("archloom.strategy")

MAX_STATE_BYTES = 3 * 1024 * 1024
Made = TypeVar("Made")

_NAME = re.compile(r"[a-z][a-z0-9-]{0,62}")
_METRIC = re.compile(r"[a-z][a-z0-9_]{0,62}")


class _Cold(BaseException):
    """The replica lacks something that it may ask for; ``need`` is the answer that asks.

    No Exception, since it passes through the strategy's own code, whose handlers are not meant.
    """

    def __init__(self, **need: Any) -> None:
        self.need = need


@dataclass(frozen=True)
class _Search:
    spec: SearchSpec
    settings: BaseModel


class StrategyRuntime:
    """One strategy, any number of experiments, safe for threads.

    Raises InvalidInput for a request that is at fault, and InternalError, with the sentence for the
    experiment's degraded reason, when the strategy raised; its traceback is logged.
    """

    def __init__(self, strategy: Strategy[Any, Any]) -> None:
        name = getattr(strategy, "name", None)
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise InvalidInput(
                [Violation("name", f"{name!r}: a strategy's name is lower case letters, digits and dashes")]
            )
        self.strategy = strategy
        self._searches: Cache[_Search] = Cache(256)
        self._states: Cache[bytes] = Cache(64)
        self._histories: Cache[tuple[int, tuple[Observation, ...]]] = Cache(16)
        self._derived: Cache[Any] = Cache(64)
        self._description = self._describe()

    @property
    def name(self) -> str:
        return self.strategy.name

    def describe(self) -> strategy_pb2.StrategyDescription:
        return self._description

    def _describe(self) -> strategy_pb2.StrategyDescription:
        kind = type(self.strategy)
        doc = (kind.__doc__ or "").strip().partition("\n")[0]
        return strategy_pb2.StrategyDescription(
            name=self.name,
            version=self.strategy.version,
            build=build_id(kind),
            summary=(self.strategy.summary or doc)[:1000],
            capabilities=convert.capabilities_message(self.strategy.capabilities),
            settings_schema=convert.struct(settings_schema(self.strategy.settings_type)),
        )

    def validate(
        self, request: strategy_pb2.ValidateStrategyRequest
    ) -> strategy_pb2.ValidateStrategyResponse:
        try:
            search = self._read_search(request.spec)
            faults = list(self.strategy.check(search.spec, search.settings))
        except InvalidInput as error:
            faults = list(error.violations)
        except Exception as error:
            raise self._failure("check", error) from error
        return strategy_pb2.ValidateStrategyResponse(
            violations=[
                strategy_pb2.SettingViolation(field=fault.field, description=fault.message)
                for fault in faults
            ]
        )

    def propose(self, request: strategy_pb2.ProposeRequest) -> strategy_pb2.ProposeResponse:
        try:
            search = self._search(request)
            state = self._state(request)
            asked = ProposeRequest(
                spec=search.spec,
                settings=search.settings,
                step=request.step,
                seed=request.seed,
                state=state,
                observations=tuple(convert.observation_value(each) for each in request.observations),
                count=request.count,
                rng=random.Random(request.seed),
                read_history=lambda: self._history(request),
                memo=lambda key, make: self._derived.get_or_make((search.spec.space.digest, key), make),
            )
            return self._answer(request, self._sheltered("propose", lambda: self.strategy.propose(asked)))
        except _Cold as cold:
            return strategy_pb2.ProposeResponse(experiment=request.experiment, step=request.step, **cold.need)

    def _sheltered(self, call: str, made: Callable[[], Made]) -> Made:
        """What the strategy's own code makes; whatever it raises becomes a sentence.

        An InvalidInput, too: the strategy's inputs were checked, so its space's complaints are its own doing.
        """
        try:
            return made()
        except InternalError:
            raise
        except Exception as error:
            raise self._failure(call, error) from error

    # What the request leaves out because a warm replica has it.

    def _search(self, request: strategy_pb2.ProposeRequest) -> _Search:
        uid, revision = request.experiment_uid, request.spec.revision
        if request.spec.HasField("space"):
            digest = hashlib.sha256(request.spec.SerializeToString(deterministic=True)).digest()
            search = self._searches.get_or_make(digest, lambda: self._read_search(request.spec))
            if uid:
                self._searches.put((uid, revision), search)
            return search
        kept = self._searches.get((uid, revision)) if uid else None
        if kept is None:
            raise _Cold(need_spec=strategy_pb2.NeedSpec())
        return kept

    def _state(self, request: strategy_pb2.ProposeRequest) -> Any:
        state = request.state
        if not state.digest and not state.data:
            # Before the first step; `inline` then says only that nothing needs asking for.
            return None
        data: bytes | None = None
        if state.inline:
            data = state.data
            if hashlib.sha256(data).hexdigest() != state.digest:
                raise InvalidInput([Violation("state.digest", "it is not the sha256 of state.data")])
            self._states.put(state.digest, data)
        else:
            data = self._states.get(state.digest)
        if data is None:
            raise _Cold(need_state=strategy_pb2.NeedState())
        held = data
        return self._sheltered("load_state", lambda: self.strategy.load_state(state.version, held))

    def _history(self, request: strategy_pb2.ProposeRequest) -> Sequence[Observation]:
        if not self.strategy.capabilities.history:
            raise InternalError(f"{self.name!r} reads the history, but its capabilities do not say so")
        until, uid = request.history_sequence, request.experiment_uid
        kept_until, kept = (self._histories.get(uid) if uid else None) or (0, ())
        reaches = request.history_until if request.HasField("history_until") else until
        if request.HasField("history_after") and request.history_after <= kept_until < reaches:
            told = tuple(convert.observation_value(each) for each in request.history)
            kept = tuple(each for each in kept if each.sequence <= request.history_after) + told
            kept_until = reaches
            if uid:
                self._histories.put(uid, (kept_until, kept))
        if kept_until < until:
            raise _Cold(need_history=strategy_pb2.NeedHistory(from_sequence=kept_until))
        return kept if kept_until == until else tuple(each for each in kept if each.sequence <= until)

    # From messages to what the strategy sees, and back.

    def _read_search(self, message: strategy_pb2.SearchSpec) -> _Search:
        faults: list[Violation] = []
        spec: SearchSpec | None = None
        settings: BaseModel | None = None
        try:
            settings = read_settings(self.strategy.settings_type, convert.plain(message.settings))
        except InvalidInput as error:
            faults += error.violations
        try:
            spec = convert.spec_value(message)
        except SpaceError as error:
            faults += (
                Violation(f"space.{each.field}" if each.field else "space", each.message)
                for each in error.violations
            )
        else:
            lacking = self.strategy.capabilities.lacking(spec)
            faults += (Violation(field, f"{self.name!r} {what}") for field, what in lacking)
        if faults or spec is None or settings is None:
            raise InvalidInput(faults)
        return _Search(spec, settings)

    def _answer(
        self, request: strategy_pb2.ProposeRequest, result: ProposeResult[Any]
    ) -> strategy_pb2.ProposeResponse:
        if not isinstance(result, ProposeResult):
            raise InternalError(f"{self.name!r} answered a {type(result).__name__}, not a ProposeResult")
        if len(result.proposals) > request.count:
            raise InternalError(
                f"{self.name!r} answered {len(result.proposals)} proposals, but {request.count} were wanted"
            )
        response = strategy_pb2.ProposeResponse(
            experiment=request.experiment, step=request.step, stop=result.stop
        )
        if result.proposals:
            response.proposals.proposals.extend(convert.proposal_message(each) for each in result.proposals)
        elif result.exhausted:
            response.exhausted.reason = result.exhausted
        elif result.waiting:
            response.wait.SetInParent()
        else:
            response.proposals.SetInParent()
        for name, value in result.diagnostics.items():
            if not _METRIC.fullmatch(name) or not math.isfinite(value):
                raise InternalError(f"{self.name!r} answered the diagnostic {name!r} = {value}")
        response.diagnostics.extend(convert.metric_messages(result.diagnostics))
        if result.state is not None:
            self._put_state(response, result.state)
        return response

    def _put_state(self, response: strategy_pb2.ProposeResponse, state: Any) -> None:
        data = self._sheltered("dump_state", lambda: self.strategy.dump_state(state))
        if len(data) > MAX_STATE_BYTES:
            raise InternalError(
                f"the state of {self.name!r} is {len(data)} bytes; at most {MAX_STATE_BYTES} are allowed"
            )
        response.state.digest = hashlib.sha256(data).hexdigest()
        response.state.version = self.strategy.state_version
        response.state.data = data
        response.state.inline = True
        self._states.put(response.state.digest, data)

    def _failure(self, call: str, error: Exception) -> InternalError:
        log.error("strategy=%s call=%s raised", self.name, call, exc_info=error)
        return InternalError(f"strategy {self.name!r} failed in {call}: {type(error).__name__}: {error}")
