"""What is measured: a space, the numbers that a table has for it, and how much may be asked."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from archloom.bench.hypervolume import Losses, front_of, hypervolume
from archloom.bench.proxies import Scorer
from archloom.space import Architecture, Space
from archloom.strategy.values import Fidelity, Goal, Objective, SearchSpec
from archloom.tables import Key, Keys

#: What a table says of a device that cannot run an architecture.
UNSUPPORTED = -1.0
#: Scores are free here: no strategy asks for so many.
PROXY_TRIALS = 10_000_000
#: Of a share or a percentage that is maximised: its error counts up to this share of the whole.
CLIPPED_AT = 0.2


@dataclass(frozen=True)
class Metric:
    """A column that the strategy is told."""

    column: str
    goal: Goal
    values: Mapping[Key, float]

    @cached_property
    def name(self) -> str:
        return re.sub(r"[^a-z0-9_]", "_", self.column.lower()).lstrip("_0123456789") or "metric"

    @cached_property
    def has_unsupported(self) -> bool:
        """-1 means "not supported" in a minimised column that has no other negative number."""
        return self.goal is Goal.MINIMIZE and {v for v in self.values.values() if v < 0} == {UNSUPPORTED}

    def supports(self, key: Key) -> bool:
        return not (self.has_unsupported and self.values.get(key) == UNSUPPORTED)

    def loss(self, key: Key) -> float:
        """From 0 to 1, where the reference point of the hypervolume is.

        Minimised: as a share of the column's maximum. Maximised: the error (100 less a percentage, 1 less a
        share, else the column's best less the value), clipped at a fifth of the whole, as a share of that.
        """
        value = self.values[key]
        if self.goal is Goal.MINIMIZE:
            return value / self._greatest if self._greatest > 0 else 0.0
        clip = CLIPPED_AT * self._whole
        return min(max(self._whole - value, 0.0), clip) / clip

    @cached_property
    def _greatest(self) -> float:
        return max(self.values.values())

    @cached_property
    def _whole(self) -> float:
        return next((whole for whole in (1.0, 100.0) if self._greatest <= whole), self._greatest)


@dataclass(frozen=True)
class Benchmark:
    """With one metric, the queries to the table's best are counted; with several, the hypervolume of what
    was found is taken as a share of the true front's.
    """

    space: Space
    keys: Keys
    metrics: tuple[Metric, ...]
    queries: int
    reports: Mapping[Key, float] = field(default_factory=dict)
    """What is reported of the best so far, of one metric; never shown to the strategy."""
    parallel: int = 1
    epochs: int = 0
    """Of the full fidelity, the one that ``metrics`` are of; 0 where there is no other."""
    lower: Mapping[int, tuple[Mapping[Key, float], ...]] = field(default_factory=dict)
    """Of each lower fidelity, by its epochs, what the metrics are there. A trial costs its share of the
    full epochs, from the start: the table's trainings went on from no other.
    """
    scorer: Scorer | None = None
    """Computes training-free scores; without one they are looked up."""
    proxies: Mapping[str, Mapping[Key, float]] = field(default_factory=dict)
    """Training-free scores by name and key. They are free, and counted beside the queries."""

    @property
    def several(self) -> bool:
        return len(self.metrics) > 1

    @property
    def metric(self) -> Metric:
        """The first, by which a search of one metric is judged."""
        return self.metrics[0]

    def spec(self) -> SearchSpec:
        return SearchSpec(
            space=self.space,
            objectives=tuple(Objective(metric.name, metric.goal) for metric in self.metrics),
            fidelity=Fidelity(epochs=self.epochs),
            # Where trials have several prices, how many there are is for the strategy to decide.
            trials=0 if self.lower else self.queries,
            parallelism=self.parallel,
            proxy_trials=PROXY_TRIALS,
        )

    def columns(self, epochs: int) -> tuple[Mapping[Key, float], ...]:
        """The metrics' values at a fidelity."""
        return self.lower.get(epochs) or tuple(metric.values for metric in self.metrics)

    def cost(self, epochs: int) -> float:
        """Of a trial, in trials of the full fidelity."""
        return epochs / self.epochs if epochs in self.lower else 1.0

    @property
    def cheapest(self) -> float:
        return min((self.cost(epochs) for epochs in self.lower), default=1.0)

    def offers(self, proxy: str) -> bool:
        """Whether there is such a score at all."""
        return proxy in (self.proxies if self.scorer is None else self.scorer.names)

    def scores(self, architecture: Architecture, proxies: Sequence[str]) -> Mapping[str, float]:
        """Those that are known of it: a cell without a row has none."""
        if self.scorer is not None:
            return self.scorer(architecture, proxies)
        key, columns = self.keys.of(architecture), {name: self.proxies[name] for name in proxies}
        return {name: column[key] for name, column in columns.items() if key in column}

    def has(self, key: Key, epochs: int = 0) -> bool:
        """Whether the table has every metric of it."""
        return all(key in column for column in self.columns(epochs))

    def feasible(self, key: Key) -> bool:
        return all(metric.supports(key) for metric in self.metrics)

    def told(self, key: Key, epochs: int = 0) -> dict[str, float]:
        """What the strategy is told of a query; nothing of what is not supported."""
        columns = zip(self.metrics, self.columns(epochs), strict=True)
        return {metric.name: column[key] for metric, column in columns if metric.supports(key)}

    def losses(self, key: Key) -> Losses:
        return tuple(metric.loss(key) for metric in self.metrics)

    def volume(self, points: Iterable[Losses]) -> float:
        """The hypervolume of points as a share of that of the table's whole front."""
        return hypervolume(points, self._reference) / self._whole if self._whole else 0.0

    @cached_property
    def optimum(self) -> float:
        """The first metric's best."""
        found = [value for key, value in self.metric.values.items() if self.feasible(key)]
        return max(found) if self.metric.goal is Goal.MAXIMIZE else min(found)

    @cached_property
    def _reference(self) -> Losses:
        return (1.0,) * len(self.metrics)

    @cached_property
    def _whole(self) -> float:
        everything = (self.losses(key) for key in self.metric.values if self.has(key) and self.feasible(key))
        return hypervolume(front_of(everything), self._reference)
