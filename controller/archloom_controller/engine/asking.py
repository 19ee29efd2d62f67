"""The conversation with one experiment's strategy: what it is told, what is done when it does not answer."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from archloom.v1 import experiment_pb2, strategy_pb2

from archloom_controller.convert import observation
from archloom_controller.engine.draft import Draft
from archloom_controller.engine.frame import Frame
from archloom_controller.engine.parts import Parts
from archloom_controller.engine.seeds import derive
from archloom_controller.interfaces import StrategyFailed, StrategyUnreachable
from archloom_controller.store.layout import Document, step_id

#: States up to this size travel with every request.
INLINE_STATE_BYTES = 64 * 1024
#: Observations in one request, at most; with more to tell the strategy is asked for nothing until it has
#: caught up.
MAX_OBSERVATIONS = 4000
MAX_OBSERVED_BYTES = 2 * 1024 * 1024
_PAGE = 2000
_TRIES = 3
_FIRST_PAUSE_SECONDS = 0.1
#: Answers without a proposal in a row, while nothing is being evaluated, until that counts as a failure.
EMPTY_ANSWERS = 20
_WAITS_FOR_NOTHING = "it waits, although nothing is being evaluated"
_FINDS_NOTHING = f"it proposed nothing {EMPTY_ANSWERS} times in a row, although nothing is being evaluated"


@dataclass(frozen=True)
class Answer:
    request: strategy_pb2.ProposeRequest
    response: strategy_pb2.ProposeResponse


class Context:
    """What a cold replica of the plugin may ask for (see interfaces.ProposeContext)."""

    def __init__(self, parts: Parts, frame: Frame, strategy: experiment_pb2.StrategySpec) -> None:
        self._parts = parts
        self._frame = frame
        self._strategy = strategy

    async def spec(self) -> strategy_pb2.SearchSpec:
        return self._frame.search_spec(self._strategy)

    async def state(self, digest: str) -> bytes:
        return await self._parts.store.steps.state(self._frame.uid, digest)

    async def history(self, from_sequence: int, to_sequence: int) -> list[strategy_pb2.Observation]:
        return await read_log(self._parts, self._frame.uid, from_sequence, to_sequence)


async def read_log(parts: Parts, uid: str, after: int, until: int) -> list[strategy_pb2.Observation]:
    """The strategy's observations with after < sequence <= until."""
    told: list[strategy_pb2.Observation] = []
    while after < until:
        page = await parts.store.steps.events(uid, after, _PAGE, until=until)
        if not page:
            break
        told += [seen for seen in map(observation, page) if seen is not None]
        after = page[-1]["sequence"]
    return told


def current_strategy(frame: Frame, experiment: Document) -> experiment_pb2.StrategySpec:
    return frame.spec.fallback if experiment["strategy"]["fallback"] else frame.spec.strategy


class Asking:
    """Holds caches and pauses only: a new owner makes the same requests from the store."""

    def __init__(self, parts: Parts, uid: str) -> None:
        self._parts = parts
        self._uid = uid
        self._log: list[strategy_pb2.Observation] = []
        #: The log holds what was observed with sequence numbers in (first, last].
        self._span = (-1, -1)
        self._waits = False
        self._empty = 0
        self._failures = 0
        self._limit = 0
        self._reason = ""
        self._degraded_since: float | None = None
        self._pause_until = 0.0
        self._was_reachable = True

    async def load(self, experiment: Document) -> None:
        """Make the log the stored one: what was committed and not yet told."""
        if experiment.get("degraded") and self._degraded_since is None:
            self._degraded_since = self._parts.clock.monotonic()
        span = (experiment["told"], experiment["sequence"])
        if span != self._span:
            self._log = await read_log(self._parts, self._uid, *span)
            self._span = span

    def commit(self, experiment: Document, draft: Draft) -> None:
        """The draft was written: its events belong to the log now."""
        told: int = draft.fields["told"] if "told" in draft.fields else experiment["told"]
        # What was told in this step is not parsed again only to be dropped.
        fresh = map(observation, (row for row in draft.write.events if row["sequence"] > told))
        self._log = [seen for seen in self._log if seen.sequence > told] + [seen for seen in fresh if seen]
        # A fallback is told from the start: the log is read anew.
        self._span = (told, draft.sequence) if told >= experiment["told"] else (-1, -1)

    def pause_seconds(self) -> float:
        """How long the next try still has to wait."""
        return max(0.0, self._pause_until - self._parts.clock.monotonic())

    @property
    def troubled(self) -> bool:
        return self._failures > 0 or self._degraded_since is not None

    def ready(self, name: str) -> bool:
        """Whether the strategy may be asked now. One that comes back is asked at once."""
        reachable = self._parts.gateway.reachable(name)
        returned = reachable and not self._was_reachable
        self._was_reachable = reachable
        return returned or self.pause_seconds() == 0.0

    def stuck(self, draft: Draft, count: int) -> bool:
        """Whether the strategy waits for something that will never come, though ``count`` are wanted."""
        waits = self._waits and count > 0 and draft.counters["live"] == 0
        return waits and not self._untold(draft)

    def _untold(self, draft: Draft) -> list[strategy_pb2.Observation]:
        """The log that the strategy would be told now."""
        fresh = map(observation, draft.write.events)
        return [*self._log, *(seen for seen in fresh if seen is not None)]

    async def ask(self, draft: Draft, count: int, *, listens: bool) -> Answer | None:
        """Ask for ``count`` proposals; None when there is nothing to ask, or no answer (the draft says so
        then).

        ``listens``: the strategy stops trials by what it observes, and is told even when it may propose
        nothing.
        """
        log = self._untold(draft)
        count = min(count, self._limit) if self._limit else count
        if (self._waits or count == 0) and not (log and (listens or count > 0)):
            return None
        strategy = current_strategy(draft.frame, draft.experiment)
        if not self.ready(strategy.name):
            return None
        observations = _first_of(log)
        told = draft.sequence
        if len(observations) < len(log):
            count, told = 0, observations[-1].sequence
        request = await self._request(draft, observations, count)
        context = Context(self._parts, draft.frame, strategy)
        try:
            response = await self._parts.gateway.propose(strategy.name, request, context)
            waits = self._hears(response, draft, count)
        except StrategyUnreachable as error:
            self._fail(draft, count, str(error), halve=False)
            return None
        except StrategyFailed as error:
            self._fail(draft, count, str(error), halve=True)
            return None
        self._succeed(draft, waits=waits)
        draft.fields["told"] = told
        return Answer(request, response)

    def _hears(self, response: strategy_pb2.ProposeResponse, draft: Draft, count: int) -> bool:
        """Whether the strategy, asked for ``count`` proposals, waits for news. Raises StrategyFailed for more
        than was asked, and where there will be no news: at once when it says that it waits, and after some
        steps when it only finds nothing, for in the next it draws others.
        """
        proposed = len(response.proposals.proposals)
        if proposed > count:
            raise StrategyFailed(f"it answered {proposed} proposals where at most {count} were asked for")
        if not count or proposed or response.HasField("exhausted"):
            self._empty = 0
            return False
        if draft.counters["live"]:
            self._empty = 0
            return True
        if response.HasField("wait"):
            raise StrategyFailed(_WAITS_FOR_NOTHING)
        self._empty += 1
        if self._empty > EMPTY_ANSWERS:
            raise StrategyFailed(_FINDS_NOTHING)
        return False

    async def _request(
        self, draft: Draft, observations: Sequence[strategy_pb2.Observation], count: int
    ) -> strategy_pb2.ProposeRequest:
        state = draft.experiment["strategy_state"]
        request = strategy_pb2.ProposeRequest(
            experiment=str(draft.frame.name),
            experiment_uid=draft.frame.uid,
            spec=strategy_pb2.SearchSpec(revision=draft.frame.revision),
            step=draft.step,
            seed=derive(draft.frame.spec.seed, "step", draft.step),
            state=strategy_pb2.StrategyState(digest=state["digest"], version=state["version"]),
            observations=observations,
            history_sequence=draft.experiment["told"],
            count=count,
        )
        await inline_state(self._parts, self._uid, request, state["size"])
        return request

    def _fail(self, draft: Draft, count: int, reason: str, *, halve: bool) -> None:
        """One more try failed. Three of one size halve the count; at one, or unreachable, the experiment
        degrades.
        """
        clock = self._parts.clock
        self._failures += 1
        self._reason = reason
        longest = self._parts.settings.degraded_pause_seconds
        pause = min(longest, _FIRST_PAUSE_SECONDS * 2 ** min(self._failures, 20))
        if self._failures % _TRIES == 0 and halve and count > 1:
            self._limit = count // 2
            pause = 0.0
        elif self._failures >= _TRIES and self._degraded_since is None and (count <= 1 or not halve):
            self._degraded_since = clock.monotonic()
            draft.degrade(reason)
        self._pause_until = clock.monotonic() + pause

    def _succeed(self, draft: Draft, *, waits: bool) -> None:
        self._waits = waits
        self._failures = 0
        self._limit = 0
        self._degraded_since = None
        self._pause_until = 0.0
        draft.recover()

    def complain(self, draft: Draft) -> None:
        """The strategy answers, but nothing can come of it: degrade, and ask it again after a pause."""
        self._waits = False
        self._failures = max(self._failures, _TRIES - 1)
        self._fail(draft, 1, _WAITS_FOR_NOTHING, halve=False)

    async def fall_back(self, draft: Draft) -> None:
        """Change to the fallback when the strategy has been away for long; it is told the whole log."""
        after = self._parts.settings.fallback_seconds
        since = self._degraded_since
        if since is None or self._parts.clock.monotonic() - since < after:
            return
        if draft.experiment["strategy"]["fallback"] or not draft.frame.spec.HasField("fallback"):
            return
        name = draft.frame.spec.fallback.name
        described = await self._parts.gateway.describe(name)
        draft.fields["strategy"] = {
            "name": name,
            "fallback": True,
            "listens": described is None or listens(described.capabilities),
        }
        draft.fields["strategy_state"] = {"digest": "", "version": 0, "size": 0}
        draft.fields["told"] = 0
        draft.degrade(f"{self._reason}; strategy {name!r} takes over")
        self._failures = 0
        self._empty = 0
        self._limit = 0
        self._waits = False
        self._pause_until = 0.0


def listens(able: strategy_pb2.StrategyCapabilities) -> bool:
    """Whether a strategy stops trials by what it observes, so that it is told even when it may propose
    nothing.
    """
    return able.curves or able.multi_fidelity


def _first_of(log: Sequence[strategy_pb2.Observation]) -> list[strategy_pb2.Observation]:
    """As much of the log as fits into one request, at least one observation of it."""
    taken: list[strategy_pb2.Observation] = []
    size = 0
    for seen in log[:MAX_OBSERVATIONS]:
        size += seen.ByteSize()
        if taken and size > MAX_OBSERVED_BYTES:
            break
        taken.append(seen)
    return taken


async def inline_state(parts: Parts, uid: str, request: strategy_pb2.ProposeRequest, size: int) -> None:
    """Put a small state's bytes into the request."""
    digest = request.state.digest
    if not digest:
        request.state.inline = True
    elif size <= INLINE_STATE_BYTES:
        request.state.data = await parts.store.steps.state(uid, digest)
        request.state.inline = True


def stripped(answer: Answer, epoch: int, draft: Draft, build: str, created: Sequence[int]) -> Document:
    """The step's record. States are kept by digest, so neither message carries their bytes."""
    request = strategy_pb2.ProposeRequest()
    request.CopyFrom(answer.request)
    request.state.data = b""
    return {
        "_id": step_id(draft.frame.uid, draft.step),
        "step": draft.step,
        "time": draft.write.now,
        "epoch": epoch,
        "request": request.SerializeToString(deterministic=True),
        "response": strip_response(answer.response).SerializeToString(deterministic=True),
        "strategy": current_strategy(draft.frame, draft.experiment).name,
        "build": build,
        "created": list(created),
    }


def strip_response(response: strategy_pb2.ProposeResponse) -> strategy_pb2.ProposeResponse:
    """The answer with its new state named by digest alone."""
    copy = strategy_pb2.ProposeResponse()
    copy.CopyFrom(response)
    if copy.HasField("state"):
        copy.state.digest = hashlib.sha256(copy.state.data).hexdigest()
        copy.state.data = b""
    return copy
