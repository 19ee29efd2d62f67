"""The border between the engine and the controller's edge.

The engine and its servicers see the outside (plugins, registry, artifacts, broker, time) only through these
protocols; ``server.py`` wires the real ones and tests pass their own. How the edge wires the engine's
side::

    store = Store(client[settings.mongodb_database])
    await store.prepare()                       # indexes
    engine = Engine(store, gateway, registry, artifacts, wakeups, EngineSettings(...), metrics)
    await engine.start()
    ExperimentServicer(engine), TrialServicer(engine), EvaluationServicer(engine)
    ...
    await engine.stop()                         # gives its experiments back

The servicers raise ``archloom.errors`` and check no protovalidate rule: the edge's interceptors do both,
set :data:`principal` and shield mutating handlers.
"""

from __future__ import annotations

import datetime
import time
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Protocol

from archloom.errors import Violation
from archloom.v1 import common_pb2, strategy_pb2

#: Who calls. Part of the key under which a request_id is kept.
principal: ContextVar[str] = ContextVar("principal", default="anonymous")


class StrategyUnreachable(Exception):
    """No replica of the plugin answers (not dialled, not attached, UNAVAILABLE). The engine tries again
    with growing pauses.
    """


class StrategyFailed(Exception):
    """The plugin answered with an error or with a malformed answer; the sentence says what. The step is
    void.
    """


class ProposeContext(Protocol):
    """What a cold replica of a plugin may ask for during one step."""

    async def spec(self) -> strategy_pb2.SearchSpec:
        """The spec, whole."""
        ...

    async def state(self, digest: str) -> bytes:
        """The bytes of a state of this experiment. Raises KeyError when there is none of that digest."""
        ...

    async def history(self, from_sequence: int, to_sequence: int) -> list[strategy_pb2.Observation]:
        """The strategy's observations with from_sequence < sequence <= to_sequence, in order."""
        ...


class StrategyGateway(Protocol):
    """The plugins that this replica can reach, dialled and attached alike."""

    def names(self) -> list[str]:
        """Every known strategy, sorted, for "did you mean"."""
        ...

    def reachable(self, name: str) -> bool:
        """Whether a call would be tried now. Cheap; the engine polls it while an experiment is degraded."""
        ...

    async def describe(self, name: str) -> strategy_pb2.StrategyDescription | None:
        """None when no plugin of that name is known."""
        ...

    async def validate(self, name: str, spec: strategy_pb2.SearchSpec) -> list[Violation]:
        """The plugin's own faults ("settings.population"). Raises StrategyUnreachable, StrategyFailed."""
        ...

    async def propose(
        self, name: str, request: strategy_pb2.ProposeRequest, context: ProposeContext
    ) -> strategy_pb2.ProposeResponse:
        """Ask, and answer need_spec, need_state and need_history from ``context`` (a bounded number of
        rounds).

        ``request.spec`` holds the revision alone, ``request.state`` its data where they are at most 64 KiB.
        The answer is well-formed: it names the request's experiment and step, holds no NaN, keeps the size
        limits and is none of the needs. Raises StrategyUnreachable, StrategyFailed.
        """
        ...


@dataclass(frozen=True)
class EvaluatorInfo:
    """A kind of evaluator, as the workers of one device class registered it."""

    kind: str
    version: str
    device_class: str
    #: Empty: it reads no data set ("table"); task and data set are labels then, and the cache tells
    #: architectures apart by decisions.
    task_kinds: tuple[str, ...]
    #: Empty: they depend on the settings; any name is accepted.
    metrics: tuple[str, ...]
    settings_schema: dict[str, Any]
    batched: bool
    #: Formats that finalists can be exported to.
    exports: tuple[str, ...] = ()
    #: Fields of Fidelity that it knows; empty: every one.
    fidelities: tuple[str, ...] = ()
    #: Whether a space's recipe decides settings by their names.
    recipe: bool = False
    #: Training-free scores it computes, whatever its settings are.
    proxies: tuple[str, ...] = ()


@dataclass(frozen=True)
class DatasetInfo:
    name: str
    task_kind: str
    #: Of one example, channels first; empty when unknown ("npz:PATH" before a worker has read it).
    shape: tuple[int, ...]
    #: 0 when unknown.
    classes: int
    #: Of content and split; empty when unknown: such results are never cached.
    digest: str


class Registry(Protocol):
    """What workers told of themselves, from the store: equal on every replica."""

    async def evaluator(self, kind: str, device_class: str) -> EvaluatorInfo | None: ...

    async def evaluators(self) -> list[EvaluatorInfo]:
        """All of them, for "did you mean" and for naming the device classes that offer a kind."""
        ...

    async def dataset(self, name: str, device_class: str) -> DatasetInfo | None:
        """By name, or "npz:PATH", "folder:PATH". None when there is none of that name or scheme.

        Raises InvalidInput (field "") when the path lies outside every allowed root.
        """
        ...

    async def dataset_names(self) -> list[str]: ...


class Artifacts(Protocol):
    async def ref(self, name: str) -> common_pb2.ArtifactRef | None:
        """The artifact as it was finished, or None. The engine asks before it records a checkpoint or an
        export.
        """
        ...


class Wakeups(Protocol):
    """Tells workers that a device class has work. Losing or doubling one changes latency only."""

    async def send(self, device_class: str, hint: str, count: int) -> None:
        """Send ``count`` messages. ``hint`` names a trial. Never raises: a broker that is away is logged,
        the engine sends again.
        """
        ...

    async def close(self) -> None: ...


class Clock(Protocol):
    """Time, passed in. Leases and pauses use ``monotonic``; ``now`` is for people."""

    def monotonic(self) -> float: ...

    def now(self) -> datetime.datetime: ...


class SystemClock:
    def monotonic(self) -> float:
        return time.monotonic()

    def now(self) -> datetime.datetime:
        return datetime.datetime.now(datetime.UTC)


@dataclass(frozen=True)
class EngineSettings:
    #: Prefix of the replica's id in the store; the engine adds a random part, so that a restarted process
    #: is another replica.
    replica: str = "controller"
    #: Of workers' attempts and of engine owners alike.
    lease_seconds: float = 30.0
    #: An attempt whose progress counter stands still for this long is lost, unless its experiment names
    #: another length.
    stall_seconds: float = 300.0
    max_attempts: int = 3
    #: Steps of one experiment are at least this far apart, so that endings travel together.
    step_interval_seconds: float = 0.02
    #: Trials in one step, at most: made, and ended.
    step_trials: int = 512
    #: Longest pause between tries of a degraded strategy.
    degraded_pause_seconds: float = 15.0
    #: A degraded experiment that names a fallback changes to it after this long.
    fallback_seconds: float = 60.0
    #: How often lost wake-ups are made up for: owners look for changes, ready work that ages is announced
    #: again.
    poll_seconds: float = 1.0
    clock: Clock = field(default_factory=SystemClock)
