"""What a strategy is told and what it answers: frozen values, no protobuf."""

from __future__ import annotations

import hashlib
import math
import random
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict
from typing_extensions import TypeVar as DefaultTypeVar

if TYPE_CHECKING:
    from archloom.space import Architecture, Space


class NoSettings(BaseModel):
    """The settings of a strategy that has none."""

    model_config = ConfigDict(extra="forbid", frozen=True)


SettingsT = DefaultTypeVar("SettingsT", bound=BaseModel, default=NoSettings)
StateT = DefaultTypeVar("StateT", default=None)
Made = TypeVar("Made")


class Goal(Enum):
    MAXIMIZE = "maximize"
    MINIMIZE = "minimize"


@dataclass(frozen=True, slots=True)
class Objective:
    """One metric to improve."""

    metric: str
    goal: Goal = Goal.MAXIMIZE

    def score(self, value: float) -> float:
        """``value`` with its sign turned so that larger is better."""
        return value if self.goal is Goal.MAXIMIZE else -value


class Comparison(Enum):
    AT_MOST = "at_most"
    AT_LEAST = "at_least"


@dataclass(frozen=True, slots=True)
class Constraint:
    """A limit on a metric."""

    metric: str
    comparison: Comparison
    bound: float

    def violation(self, value: float) -> float:
        """How far ``value`` lies beyond the bound, as a share of the bound (of 1 when the bound is 0); 0
        when it holds.
        """
        beyond = value - self.bound if self.comparison is Comparison.AT_MOST else self.bound - value
        return max(0.0, beyond) / (abs(self.bound) or 1.0)


@dataclass(frozen=True, slots=True)
class Fidelity:
    """How thoroughly a trial is evaluated. Fractions are in (0, 1]; 0 means all."""

    epochs: int = 0
    data_fraction: float = 0.0
    resolution_fraction: float = 0.0
    proxies: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a strategy can do. A spec that asks for more is refused when the experiment is created."""

    max_objectives: int = 1
    """Objectives at once; 0 means any number."""
    constraints: bool = False
    multi_fidelity: bool = False
    curves: bool = False
    """It reads measurements along the way; without it only ended trials are told."""
    history: bool = False
    """It reads ``request.history``, the log before this step."""
    supernet: bool = False
    discrete_only: bool = False
    """It needs a space without continuous decisions."""
    proxies: bool = False
    """It reads proxy trials, which carry training-free scores under ``fidelity.proxies``. A strategy that is
    called by another one is told of them only then.
    """

    def lacking(self, spec: SearchSpec) -> Iterator[tuple[str, str]]:
        """Where a search asks for more: the field, and what is said of the strategy then."""
        if self.max_objectives and len(spec.objectives) > self.max_objectives:
            limit = "one objective" if self.max_objectives == 1 else f"{self.max_objectives} objectives"
            yield "objectives", f"takes at most {limit}, not {len(spec.objectives)}"
        if spec.constraints and not self.constraints:
            yield "constraints", "takes no constraints"
        if spec.space.continuous and self.discrete_only:
            yield "space", f"takes no floats, and {spec.space.continuous[0]} is one"


class ObservationKind(Enum):
    ENQUEUED = "enqueued"
    """A user brought the trial; it is told as finished, failed or infeasible once it has ended."""
    MEASURED = "measured"
    FINISHED = "finished"
    FAILED = "failed"
    INFEASIBLE = "infeasible"
    """Evaluated, and its metrics break a constraint."""
    CANCELLED = "cancelled"
    REFUSED = "refused"
    """The proposal did not become a trial; ``reason`` says why."""
    ACCEPTED = "accepted"
    """The proposal became the trial of this number."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """One point of a trial's curve; ``progress`` is in the unit of the fidelity (epochs done)."""

    progress: float
    metrics: Mapping[str, float]
    elapsed_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Observation:
    """One event of the experiment's log. Each is told once, in the order of ``sequence``."""

    sequence: int
    kind: ObservationKind
    architecture: Architecture
    trial: int = 0
    """0 for a refused proposal."""
    step: int = 0
    """With ``ordinal``: the step that proposed it, and its place in that answer. 0 for a user's trial."""
    ordinal: int = 0
    fidelity: Fidelity = field(default_factory=Fidelity)
    metrics: Mapping[str, float] = field(default_factory=dict)
    measurements: tuple[Measurement, ...] = ()
    failure: str = ""
    """For failed trials: "out_of_memory", "diverged", "cannot_build", "data", "lost", "timeout" or
    "internal".
    """
    failure_message: str = ""
    device_seconds: float = 0.0
    reason: str = ""


@dataclass(frozen=True, slots=True)
class SearchSpec:
    """The search a strategy serves, as of one revision."""

    space: Space
    objectives: tuple[Objective, ...]
    constraints: tuple[Constraint, ...] = ()
    fidelity: Fidelity = field(default_factory=Fidelity)
    """The full fidelity of a trial."""
    trials: int = 0
    """What the strategy may spend in all."""
    parallelism: int = 1
    revision: int = 1
    proxy_trials: int = 0
    """Proxy trials that the strategy may ask for in all, beside ``trials``; more are refused."""

    def scores(self, observation: Observation) -> tuple[float, ...]:
        """The objectives' values, larger is better; a metric that was not reported counts as minus
        infinity.
        """
        return tuple(
            goal.score(observation.metrics[goal.metric]) if goal.metric in observation.metrics else -math.inf
            for goal in self.objectives
        )

    def violation(self, observation: Observation) -> float:
        """The sum of the constraints' violations; 0 when all hold. A metric that was not reported is not
        held against it.
        """
        return math.fsum(
            limit.violation(observation.metrics[limit.metric])
            for limit in self.constraints
            if limit.metric in observation.metrics
        )


@dataclass(frozen=True)
class ProposeRequest(Generic[SettingsT, StateT]):
    """All that an answer may depend on."""

    spec: SearchSpec
    settings: SettingsT
    step: int
    seed: int
    state: StateT | None
    """What the last answer gave; None in the first step."""
    observations: tuple[Observation, ...]
    """This step's events, in order."""
    count: int
    """Proposals wanted, at most; 0 only tells the observations."""
    rng: random.Random
    """Made from ``seed``; the one source of randomness."""
    read_history: Callable[[], Sequence[Observation]] = field(default=tuple, repr=False)
    memo: Callable[[Hashable, Callable[[], Any]], Any] = field(
        default=lambda key, make: make(), repr=False, compare=False
    )

    @property
    def space(self) -> Space:
        return self.spec.space

    @property
    def history(self) -> Sequence[Observation]:
        """The log before this step, oldest first; needs ``capabilities.history``. Read on first use."""
        return self.read_history()

    def of_kind(self, *kinds: ObservationKind) -> Iterator[Observation]:
        return (event for event in self.observations if event.kind in kinds)

    @property
    def finished(self) -> tuple[Observation, ...]:
        """Trials that ended with metrics and hold every constraint."""
        return tuple(self.of_kind(ObservationKind.FINISHED))

    @property
    def infeasible(self) -> tuple[Observation, ...]:
        return tuple(self.of_kind(ObservationKind.INFEASIBLE))

    @property
    def failed(self) -> tuple[Observation, ...]:
        return tuple(self.of_kind(ObservationKind.FAILED))

    @property
    def refused(self) -> tuple[Observation, ...]:
        return tuple(self.of_kind(ObservationKind.REFUSED))

    def random_stream(self, name: str) -> random.Random:
        """A generator of its own for one part of the answer, so that one part's draws do not move
        another's.
        """
        digest = hashlib.sha256(f"{self.seed}/{name}".encode()).digest()
        return random.Random(int.from_bytes(digest[:8], "big"))

    def derived(self, key: Hashable, make: Callable[[], Made]) -> Made:
        """``make()``, kept for later requests of the same space by a warm replica.

        Speed only: ``make`` must be a function of the space and ``key`` alone, since a cold replica calls
        it again.
        """
        made: Made = self.memo(key, make)
        return made


@dataclass(frozen=True, slots=True)
class SupernetJob:
    """Train a weight-sharing supernet over the space, or over the part that ``fixed`` leaves open."""

    method: str
    fixed: Architecture | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Proposal:
    """One trial that is asked for."""

    subject: Architecture | SupernetJob
    fidelity: Fidelity | None = None
    """The trial's maximum; None takes the spec's full fidelity."""
    resume_from: int = 0
    """The trial whose checkpoint it goes on from; 0 starts afresh."""
    parents: tuple[int, ...] = ()
    """The trials it was made from, by number."""
    note: str = ""

    @property
    def architecture(self) -> Architecture:
        """The architecture that is proposed. Raises TypeError for a supernet job."""
        if isinstance(self.subject, SupernetJob):
            raise TypeError("a supernet job proposes no single architecture")
        return self.subject


@dataclass(frozen=True)
class ProposeResult(Generic[StateT]):
    """An answer: proposals (none to ``count``), or ``waiting``, or ``exhausted`` with the reason."""

    proposals: Sequence[Proposal] = ()
    state: StateT | None = None
    """The new state; None keeps the old one."""
    waiting: bool = False
    """Nothing to propose until something is observed."""
    exhausted: str = ""
    """Why there is nothing left to propose, ever; empty while there may be."""
    stop: Sequence[int] = ()
    """Trials to end early, by number."""
    diagnostics: Mapping[str, float] = field(default_factory=dict)
    """Numbers for the dashboard."""
