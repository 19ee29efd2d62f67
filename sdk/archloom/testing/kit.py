"""What the requirements on a strategy are made of: searches that several of them look at, and replicas."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from archloom.errors import ArchloomError, InvalidInput
from archloom.space import Architecture
from archloom.strategy.base import Strategy
from archloom.strategy.convert import capabilities_value
from archloom.strategy.plugin import Plugin
from archloom.strategy.runtime import StrategyRuntime
from archloom.strategy.values import Capabilities, Constraint, Fidelity, Goal, Objective, SearchSpec
from archloom.testing.rehearsal import Ending, Rehearsal, rehearse
from archloom.testing.session import Session
from archloom.testing.spaces import space_named
from archloom.v1 import strategy_pb2

ACCURACY = Objective("val_accuracy", Goal.MAXIMIZE)
#: How the trials of a rough search end, by their number.
ROUGH: tuple[Ending, ...] = (
    "finish",
    "fail",
    "finish",
    "infeasible",
    "cancel",
    "finish",
    "nan",
    "finish",
    "missing",
    "infinite",
)
#: The full fidelity of the kit's searches.
FULL = Fidelity(epochs=9)
#: Proxy trials that the kit's searches allow for each trial, as the controller does by default.
PROXIES = 100
#: Steps without a new trial after which a search is given up.
PATIENCE = 200


class Broken(Exception):
    """A requirement is not met; the message says what was seen."""


class Idle(Exception):
    """A requirement asks nothing of this strategy; the message says why."""


def rough(trial: int) -> Ending:
    return ROUGH[trial % len(ROUGH)]


@dataclass
class Kit:
    """One plugin under test. Searches are made once, and kept for the requirements that come after."""

    plugin: Plugin
    settings: Mapping[str, Any] = field(default_factory=dict)
    trials: int = 40
    """The length of each search."""
    repeats_networks: bool = False
    """Whether it may ask for one network twice when it is written differently: an honest baseline's right."""
    strategy: Strategy[Any, Any] | None = None
    """The object behind the plugin, where it is in this process."""
    replica: Callable[[], Plugin] | None = None
    """Makes a replica that has seen nothing, where the plugin is in this process."""
    _searches: dict[object, Rehearsal | ArchloomError] = field(default_factory=dict, repr=False)

    @staticmethod
    def of(strategy: type[Strategy[Any, Any]] | Strategy[Any, Any], **fields: Any) -> Kit:
        """For a strategy in this process; ``fields`` as of Kit."""

        def made() -> Strategy[Any, Any]:
            return strategy() if isinstance(strategy, type) else strategy

        first = made()
        return Kit(StrategyRuntime(first), strategy=first, replica=lambda: StrategyRuntime(made()), **fields)

    @property
    def capabilities(self) -> Capabilities:
        return capabilities_value(self.plugin.describe().capabilities)

    def spec(
        self,
        space: str = "tree",
        objectives: tuple[Objective, ...] = (ACCURACY,),
        constraints: tuple[Constraint, ...] = (),
        trials: int = 0,
    ) -> SearchSpec:
        return SearchSpec(
            space=space_named(space),
            objectives=objectives,
            constraints=constraints,
            fidelity=FULL,
            trials=trials or self.trials,
            proxy_trials=PROXIES * (trials or self.trials),
            parallelism=4,
        )

    def session(self, spec: SearchSpec, seed: int = 7, name: str = "kit") -> Session:
        return Session(self.plugin, spec, self.settings, seed=seed, name=name)

    def search(
        self,
        space: str = "tree",
        *,
        objectives: tuple[Objective, ...] = (ACCURACY,),
        constraints: tuple[Constraint, ...] = (),
        seed: int = 7,
        trials: int = 0,
        **options: Any,
    ) -> Rehearsal:
        """A whole search; the same one when it is asked for again. ``options`` are those of ``rehearse``."""
        options = {"parallel": 4, "patience": PATIENCE, "trials": trials or self.trials, **options}
        key = (space, objectives, constraints, seed, str(sorted(options.items())))
        if key not in self._searches:
            try:
                spec = self.spec(space, objectives, constraints, trials)
                session = self.session(spec, seed, f"kit-{len(self._searches)}")
                self._searches[key] = rehearse(session, spec, **options)
            except ArchloomError as error:
                self._searches[key] = error
        found = self._searches[key]
        if isinstance(found, ArchloomError):
            raise found
        return found

    def must_end(self, space: str = "tree", **options: Any) -> Rehearsal:
        """``search``, all of whose trials came to an end. Raises Broken."""
        result = self.search(space, **options)
        wanted = options.get("trials") or self.trials
        if result.ended < wanted:
            raise Broken(
                f"{space}: after {result.ended} of {wanted} trials it had no more: {result.exhausted}"
            )
        return result

    def faults(self, spec: SearchSpec, settings: Mapping[str, Any] | None = None) -> list[str]:
        """The fields that the plugin finds fault with, as ``Validate`` answers."""
        try:
            Session(self.plugin, spec, self.settings if settings is None else settings).check()
        except InvalidInput as refusal:
            return [fault.field for fault in refusal.violations]
        return []

    def cold(
        self, session: Session, request: strategy_pb2.ProposeRequest, suffix: str = "cold"
    ) -> strategy_pb2.ProposeResponse:
        """A step's answer from a replica that knows nothing of the experiment."""
        if self.replica is not None:
            return session.exchange(request, self.replica())
        # A uid that it has not met: nothing that it keeps can be this experiment's.
        stranger = strategy_pb2.ProposeRequest()
        stranger.CopyFrom(request)
        stranger.experiment_uid = f"{request.experiment_uid[:40]}-{suffix}-{request.step}"
        return session.exchange(stranger)


def bytes_of(answer: strategy_pb2.ProposeResponse) -> bytes:
    return hashlib.sha256(answer.SerializeToString(deterministic=True)).digest()


def architectures_of(answer: strategy_pb2.ProposeResponse) -> Iterator[Architecture]:
    for proposal in answer.proposals.proposals:
        if proposal.HasField("architecture"):
            yield Architecture.from_proto(proposal.architecture)


@dataclass(frozen=True)
class Requirement:
    """One promise that the controller relies on."""

    name: str
    title: str
    """What holds, as a sentence."""
    remedy: str
    """What to do where it does not, as a sentence."""
    check: Callable[[Kit], None]
    """Raises Broken, or the plugin's own error; Idle where there is nothing to ask."""


@dataclass(frozen=True)
class Outcome:
    """What became of a requirement."""

    requirement: Requirement
    status: str
    """"passed", "failed" or "not asked"."""
    found: str = ""
    """What was seen, or why it was not asked."""
    seconds: float = 0.0


def judge(requirement: Requirement, kit: Kit) -> Outcome:
    """Whether the plugin meets it. Raises Unavailable when nothing answers any more."""
    import time

    from archloom.errors import Unavailable

    started = time.monotonic()
    status, found = "passed", ""
    try:
        requirement.check(kit)
    except Idle as reason:
        status, found = "not asked", str(reason)
    except Unavailable:
        raise
    except (Broken, ArchloomError) as fault:
        status, found = "failed", str(fault)
    return Outcome(requirement, status, found, time.monotonic() - started)
