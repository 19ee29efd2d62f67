"""The log by rungs: which architecture has come how far, with what results."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from archloom.space import Architecture
from archloom.strategy import Observation, ObservationKind, SearchSpec

from archloom_strategies.multi_fidelity.ladder import Ladder
from archloom_strategies.multi_fidelity.ranking import Metrics, ordered, violation_of

#: A promotion that was refused from its checkpoint is asked for once more without; then it is let be.
TRIES = 2


@dataclass
class Configuration:
    """An architecture on its way up. ``architecture`` is None while it is only planned."""

    architecture: Architecture | None
    start: int
    """The rung it began at, which is its bracket under Hyperband."""
    own: bool = True
    """The search's, not a user's."""
    trials: dict[int, int] = field(default_factory=dict)
    """Rung to the number of its trial; -1 of a planned one."""
    results: dict[int, Metrics] = field(default_factory=dict)
    pending: set[int] = field(default_factory=set)
    refusals: dict[int, int] = field(default_factory=dict)
    curve: dict[float, Metrics] = field(default_factory=dict)
    """What was measured along the way, by progress, over all of its trials."""
    failed: bool = False
    stopped: bool = False

    @property
    def reached(self) -> int:
        """The highest rung with a result; -1 without any."""
        return max(self.results, default=-1)

    def may_go_to(self, rung: int) -> bool:
        if self.failed or self.stopped or self.pending or self.refusals.get(rung, 0) >= TRIES:
            return False
        return self.reached >= 0 and max(self.trials) < rung


class Board:
    def __init__(self, spec: SearchSpec, ladder: Ladder, events: Iterable[Observation]) -> None:
        self.spec = spec
        self.ladder = ladder
        self.configurations: list[Configuration] = []
        self.known: dict[str, Configuration] = {}
        """By the key of the architecture."""
        self.charged = 0
        """Trials of the budget so far."""
        self._rungs: dict[int, tuple[Configuration, int]] = {}
        self._orders: dict[tuple[int, ...], list[Configuration]] = {}
        for event in events:
            self._take(event)

    def _take(self, event: Observation) -> None:
        rung = self.ladder.rung(event.fidelity)
        if event.kind in (ObservationKind.ACCEPTED, ObservationKind.ENQUEUED):
            self.charged += not event.fidelity.proxies
            if rung is not None:
                self._begin(event, rung)
        elif event.kind is ObservationKind.REFUSED:
            refused = self.known.get(event.architecture.key)
            if refused is not None and rung is not None and event.step:
                refused.refusals[rung] = refused.refusals.get(rung, 0) + 1
        elif event.trial in self._rungs:
            self._go_on(event, *self._rungs[event.trial])

    def _begin(self, event: Observation, rung: int) -> None:
        key = event.architecture.key
        found = self.known.get(key)
        if found is None:
            found = Configuration(event.architecture, rung, event.kind is ObservationKind.ACCEPTED)
            self.known[key] = found
            self.configurations.append(found)
        found.trials[rung] = event.trial
        found.pending.add(rung)
        self._rungs[event.trial] = (found, rung)

    def _go_on(self, event: Observation, found: Configuration, rung: int) -> None:
        for point in event.measurements:
            found.curve[point.progress] = point.metrics
        if event.kind is ObservationKind.MEASURED:
            return
        found.pending.discard(rung)
        match event.kind:
            case ObservationKind.FINISHED | ObservationKind.INFEASIBLE:
                found.results[rung] = event.metrics
            case ObservationKind.FAILED:
                found.failed = True
            case ObservationKind.CANCELLED:
                found.stopped = True
                self._keep_partial(found)

    def _keep_partial(self, found: Configuration) -> None:
        """A trial that was ended early stands where its curve has come to."""
        if self.ladder.dimension != "epochs" or not found.curve:
            return
        progress = max(found.curve)
        rung = self.ladder.reached(progress)
        if rung is not None and rung > found.reached:
            found.results[rung] = found.curve[progress]

    # What is planned in this step.

    def start(self, rung: int) -> Configuration:
        planned = Configuration(None, rung, trials={rung: -1}, pending={rung})
        self.configurations.append(planned)
        self.charged += 1
        return planned

    def promote(self, configuration: Configuration, rung: int) -> None:
        configuration.trials[rung] = -1
        configuration.pending.add(rung)
        self.charged += 1

    def drop(self, planned: Iterable[Configuration]) -> None:
        """What was planned and did not come about."""
        gone = {id(each) for each in planned}
        self.configurations = [each for each in self.configurations if id(each) not in gone]
        self.charged -= len(gone)

    # What schedulers ask.

    @property
    def running(self) -> bool:
        return any(each.pending for each in self.configurations)

    def at_top(self) -> int:
        """Architectures that have reached the full fidelity, or are on the way to it."""
        top = self.ladder.top
        return sum(top in each.results or top in each.pending for each in self.configurations)

    def ordered_at(self, rung: int, among: Iterable[Configuration]) -> list[Configuration]:
        """Those with a result at ``rung``, best first; what was ended early on the way to it, last."""
        some = [each for each in among if rung in each.trials and (rung in each.results or each.stopped)]
        # A step asks for the same order for each of its proposals, and plans change no result.
        key = (rung, *(id(each) for each in some))
        if key not in self._orders:
            whole = [each for each in some if not each.stopped]
            order = ordered(self.spec, [each.results[rung] for each in whole])
            self._orders[key] = [whole[place] for place in order] + [each for each in some if each.stopped]
        return self._orders[key]

    def promotable(self, configuration: Configuration, rung: int) -> bool:
        """Whether it may go to ``rung``, and training on can make it feasible."""
        if not configuration.may_go_to(rung):
            return False
        metrics = configuration.results[configuration.reached]
        fixed = {name: metrics[name] for name in self.fixed_metrics if name in metrics}
        return violation_of(self.spec, fixed) == 0.0

    @cached_property
    def fixed_metrics(self) -> frozenset[str]:
        """Metrics of constraints that no promotion has changed so far, as parameters."""
        pairs = [each.results for each in self.configurations if len(each.results) > 1]
        limited = {limit.metric for limit in self.spec.constraints}
        return frozenset(name for name in limited if pairs and not any(_changes(name, one) for one in pairs))


def _changes(name: str, results: Mapping[int, Metrics]) -> bool:
    values = {metrics.get(name) for metrics in results.values()}
    return len(values) > 1
