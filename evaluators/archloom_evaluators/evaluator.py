"""What an evaluator is: values in, values out. The worker around it speaks to the controller."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from archloom.v1 import trial_pb2

if TYPE_CHECKING:
    from archloom.space import Architecture, Space


class Role(Enum):
    """Why the trial exists. TEST and EXPORT start from a finalist's checkpoint."""

    SEARCH = trial_pb2.TRIAL_ROLE_SEARCH
    CONTROL = trial_pb2.TRIAL_ROLE_CONTROL
    USER = trial_pb2.TRIAL_ROLE_USER
    FINALIST = trial_pb2.TRIAL_ROLE_FINALIST
    TEST = trial_pb2.TRIAL_ROLE_TEST
    EXPORT = trial_pb2.TRIAL_ROLE_EXPORT


@dataclass(frozen=True)
class Artifact:
    """A blob the controller keeps, by its digest (``projects/p/artifacts/{sha256}``)."""

    name: str
    size_bytes: int
    kind: str
    media_type: str = ""
    file_name: str = ""


@dataclass(frozen=True)
class Fidelity:
    """How thoroughly to evaluate. Zeros stand for the evaluator's default, or all of it."""

    epochs: int = 0
    data_fraction: float = 0.0
    resolution_fraction: float = 0.0
    proxies: tuple[str, ...] = ()


@dataclass(frozen=True)
class Context:
    """The part that an experiment's jobs have in common."""

    experiment: str
    task_kind: str
    dataset: str
    task_settings: Mapping[str, Any]
    evaluator_kind: str
    evaluator_settings: Mapping[str, Any]
    space: Space
    space_digest: str
    #: Metrics of the objectives, the first one first.
    objectives: tuple[str, ...] = ()
    #: The full fidelity of a search trial. One of fewer epochs is the beginning of such a trial: it may be
    #: promoted, and goes on from its checkpoint.
    fidelity: Fidelity = field(default_factory=Fidelity)


@dataclass(frozen=True)
class Job:
    """One attempt at a trial."""

    trial: str
    attempt: int
    context: Context
    role: Role
    architecture: Architecture
    fidelity: Fidelity = field(default_factory=Fidelity)
    seed: int = 0
    #: Where to go on from; for TEST and EXPORT the finalist's weights.
    checkpoint: Artifact | None = None
    #: The right to read the test split; empty but in TEST jobs.
    test_grant: str = ""
    exports: tuple[str, ...] = ()


@dataclass(frozen=True)
class Outcome:
    """A finished trial: its metrics, all finite, and the files it leaves."""

    metrics: Mapping[str, float]
    artifacts: tuple[Artifact, ...] = ()


class Run(Protocol):
    """An evaluator's line to the worker while a job runs."""

    @property
    def elapsed_seconds(self) -> float:
        """Device time of the trial so far, earlier attempts included."""

    def advance(self) -> None:
        """Says that the job gets on; call it every batch.

        Raises AttemptStopped, AttemptYielded (then save a checkpoint and raise it again), or
        EvaluationFailure with TIMEOUT.
        """

    def pause(self, seconds: float) -> None:
        """Waits, and ends early with what ``advance`` raises."""

    def measure(self, progress: float, metrics: Mapping[str, float]) -> None:
        """Adds a point to the trial's curve; ``progress`` grows strictly."""

    def checkpoint(self, data: bytes) -> None:
        """Stores a checkpoint to go on from. A store that is away costs the checkpoint, not the job."""

    def upload(self, data: bytes, kind: str, media_type: str, file_name: str) -> Artifact:
        """Stores a file of the result."""

    def download(self, artifact: Artifact) -> bytes:
        """Reads a file whole, digest checked."""


@dataclass(frozen=True)
class Proxy:
    """A training-free score: the more, the better the network promises to be."""

    name: str
    summary: str


@dataclass(frozen=True)
class EvaluatorInfo:
    """What an evaluator tells the controller when the worker starts."""

    kind: str
    version: str
    summary: str
    task_kinds: tuple[str, ...]
    #: Empty when they depend on the settings.
    metrics: tuple[str, ...]
    #: JSON Schema of the settings.
    settings_schema: Mapping[str, Any]
    #: Formats that finalists can be exported to.
    exports: tuple[str, ...] = ()
    #: Fields of ``Fidelity`` that mean something here; empty: every one.
    fidelities: tuple[str, ...] = ()
    #: Whether a space's recipe decides settings by their names.
    recipe: bool = False
    #: Training-free scores that ``Fidelity.proxies`` may name, whatever the settings are. A setting whose
    #: schema has the format "proxies" names others.
    proxies: tuple[Proxy, ...] = ()


@runtime_checkable
class Evaluator(Protocol):
    """Evaluates long trials, one at a time."""

    def describe(self) -> EvaluatorInfo: ...

    def evaluate(self, job: Job, run: Run) -> Outcome:
        """The trial's result. Any exception is a failure; EvaluationFailure names its reason."""


@runtime_checkable
class BatchedEvaluator(Protocol):
    """Evaluates short trials, many in one lease."""

    def describe(self) -> EvaluatorInfo: ...

    def evaluate_many(self, jobs: Sequence[Job], runs: Sequence[Run]) -> Iterator[Outcome | Exception]:
        """One answer for each job, in order, each as soon as it is known.

        An exception as an answer is that job's end (EvaluationFailure, AttemptStopped, AttemptYielded).
        """


AnyEvaluator = Evaluator | BatchedEvaluator
