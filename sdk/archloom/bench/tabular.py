"""A search over a table of trained architectures: how many queries a strategy needs, without training
anything.

A query is an architecture asked for the first time. Asking an equal one again is free, and is told again;
isomorphic ones that are written differently are queries of their own. With lower fidelities a query is the
epochs of one trial of the full fidelity, and an architecture is asked for at each fidelity by itself.
"""

from __future__ import annotations

import math
import random
import statistics
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from archloom.bench.benchmark import Benchmark
from archloom.bench.hypervolume import Losses, covers
from archloom.errors import InternalError
from archloom.space import Architecture, SpaceError
from archloom.strategy.plugin import Plugin
from archloom.strategy.values import Goal
from archloom.tables import Key
from archloom.testing.session import Session, SessionTrial
from archloom.v1 import strategy_pb2

#: Proposals in a row that bring no new query; then a run ends.
REPEATS = 1_000
#: Where ``mean_report`` is read off, beside the last query.
MILESTONES = (25, 50, 100, 150, 300)
#: Of sums of shares.
ROUNDING = 1e-9


@dataclass(frozen=True)
class Run:
    """One seed's search."""

    seed: int
    queries: int
    """In trials of the full fidelity, rounded up."""
    queries_to_best: int | None
    """The query that found the table's best value; None when none did, and with several metrics."""
    curve: tuple[tuple[int, float, float | None], ...]
    """(query, metric, report) at each improvement of the metric; with several, (query, share, None) at each
    of the hypervolume, as a share of the true front's.
    """
    repeats: int
    proxy_evaluations: int
    end: str
    """Why it ended: "queries", "repeats", or what the strategy said when it was exhausted."""
    trials: Mapping[int, int] = field(default_factory=dict)
    """How many there were of each fidelity, by epochs."""
    lacking: tuple[str, ...] = ()
    """Scores that the strategy asked for and the benchmark does not offer."""

    def report_after(self, queries: int) -> float | None:
        """What is reported of the best of the first ``queries``."""
        return next((report for at, _, report in reversed(self.curve) if at <= queries), None)

    def best_after(self, queries: int) -> float | None:
        """The metric, or the share of the hypervolume, after so many."""
        return next((best for at, best, _ in reversed(self.curve) if at <= queries), None)


def run_seeds(
    plugin: Plugin, benchmark: Benchmark, settings: Mapping[str, Any], seeds: Sequence[int]
) -> Iterator[Run]:
    """One run for each seed, as they end. Raises InvalidInput when the strategy refuses the search."""
    for seed in seeds:
        session = Session(plugin, benchmark.spec(), settings, seed=seed, name=f"tabular-{seed}")
        if seed == seeds[0]:
            session.check()
        yield _Search(benchmark, session, seed).run()


def summary(strategy: str, benchmark: Benchmark, runs: Sequence[Run]) -> dict[str, object]:
    """All seeds in one line; a seed that did not find the best counts as one query more than it had."""
    milestones = {each: each <= benchmark.queries for each in sorted({*MILESTONES, benchmark.queries})}
    if benchmark.several:
        shares = {
            str(each): _mean([run.best_after(each) or 0.0 for run in runs]) if reached else None
            for each, reached in milestones.items()
        }
        return {"strategy": strategy, "mean_hypervolume": shares}
    needed = [benchmark.queries + 1 if run.queries_to_best is None else run.queries_to_best for run in runs]
    return {
        "strategy": strategy,
        "median_queries_to_best": statistics.median(needed),
        "least_queries_to_best": min(needed),
        "most_queries_to_best": max(needed),
        "found": sum(run.queries_to_best is not None for run in runs),
        "mean_report": {
            str(each): _mean([run.report_after(each) for run in runs]) if reached else None
            for each, reached in milestones.items()
        },
    }


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.fmean(known) if known else None


@dataclass(frozen=True)
class Query:
    """An architecture at a fidelity."""

    key: Key
    epochs: int


class _Search:
    """The table's side of one run."""

    def __init__(self, benchmark: Benchmark, session: Session, seed: int) -> None:
        self._benchmark = benchmark
        self._session = session
        self._seed = seed
        self._order = random.Random(f"order/{seed}")
        self._waiting: list[tuple[SessionTrial, Query]] = []
        self._known: set[Query] = set()
        self._front: list[Losses] = []
        self._scored: set[tuple[Key, tuple[str, ...]]] = set()
        self._curve: list[tuple[int, float, float | None]] = []
        self._to_best: int | None = None
        self._asked: set[Query] = set()
        self._spent = self._promised = 0.0
        self._lacking: dict[str, None] = {}
        self._in_a_row = self._repeats = self._proxy_evaluations = 0

    def run(self) -> Run:
        benchmark, end = self._benchmark, ""
        while not end:
            left = math.ceil((benchmark.queries - self._promised) / benchmark.cheapest - ROUNDING)
            free = min(benchmark.parallel - len(self._waiting), left)
            end = self._ask(free) if free > 0 else ""
            if self._waiting:
                self._finish_one()
            if self._in_a_row >= REPEATS:
                end = "repeats"
            elif self._spent >= benchmark.queries - ROUNDING:
                end = "queries"
        while self._waiting:
            self._finish_one()
        return Run(
            self._seed,
            self._queries,
            self._to_best,
            tuple(self._curve),
            self._repeats,
            self._proxy_evaluations,
            end,
            Counter(query.epochs for query in self._known),
            tuple(self._lacking),
        )

    @property
    def _queries(self) -> int:
        return math.ceil(self._spent - ROUNDING)

    def _ask(self, free: int) -> str:
        """Asks for up to ``free`` proposals; answers why the strategy has no more, or nothing."""
        answer = self._session.ask(free)
        match answer.WhichOneof("answer"):
            case "exhausted":
                return answer.exhausted.reason or "exhausted"
            case "wait" if not self._waiting:
                raise InternalError("the strategy waits, but nothing is running and everything was told")
        if not answer.proposals.proposals and not self._waiting:
            self._in_a_row += 1
        for ordinal, proposal in enumerate(answer.proposals.proposals):
            self._take(ordinal, proposal)
        return ""

    def _take(self, ordinal: int, proposal: strategy_pb2.Proposal) -> None:
        if not proposal.HasField("architecture"):
            self._refuse(ordinal, proposal, "a table has no supernets")
            return
        architecture = Architecture.from_proto(proposal.architecture)
        try:
            self._benchmark.space.require(architecture)
        except SpaceError as error:
            fault = error.violations[0]
            raise InternalError(f"the strategy proposed what is not in the space: {fault}") from None
        benchmark = self._benchmark
        query = Query(benchmark.keys.of(architecture), proposal.fidelity.epochs or benchmark.epochs)
        proxies = tuple(proposal.fidelity.proxies)
        if proxies:
            self._score(ordinal, proposal, query.key, proxies)
        elif query.epochs not in (*benchmark.lower, benchmark.epochs):
            self._refuse(ordinal, proposal, f"the table has no trainings of {query.epochs} epochs")
        elif not benchmark.has(query.key, query.epochs):
            self._refuse(ordinal, proposal, "the table does not have it")
        elif query in self._known:
            self._repeat()
            self._tell(self._session.accept(ordinal, proposal), query)
        elif query in self._asked:
            self._refuse(ordinal, proposal, "an equal trial is running")
        else:
            self._in_a_row = 0
            self._asked.add(query)
            self._promised += benchmark.cost(query.epochs)
            self._waiting.append((self._session.accept(ordinal, proposal), query))

    def _finish_one(self) -> None:
        trial, query = self._waiting.pop(self._order.randrange(len(self._waiting)))
        benchmark, key = self._benchmark, query.key
        self._known.add(query)
        self._spent += benchmark.cost(query.epochs)
        self._tell(trial, query)
        if query.epochs in benchmark.lower or not benchmark.feasible(key):
            return
        if benchmark.several:
            self._extend_front(key)
        else:
            self._compare(key)

    def _tell(self, trial: SessionTrial, query: Query) -> None:
        benchmark, key = self._benchmark, query.key
        self._session.finish(trial, benchmark.told(key, query.epochs), feasible=benchmark.feasible(key))

    def _compare(self, key: Key) -> None:
        benchmark, value = self._benchmark, self._benchmark.metric.values[key]
        better = value.__gt__ if benchmark.metric.goal is Goal.MAXIMIZE else value.__lt__
        if not self._curve or better(self._curve[-1][1]):
            self._curve.append((self._queries, value, benchmark.reports.get(key)))
        if self._to_best is None and value == benchmark.optimum:
            self._to_best = self._queries

    def _extend_front(self, key: Key) -> None:
        losses = self._benchmark.losses(key)
        if any(covers(other, losses) for other in self._front):
            return
        self._front = [other for other in self._front if not covers(losses, other)] + [losses]
        share = self._benchmark.volume(self._front)
        if not self._curve or share > self._curve[-1][1]:
            self._curve.append((self._queries, share, None))

    def _score(
        self, ordinal: int, proposal: strategy_pb2.Proposal, key: Key, proxies: tuple[str, ...]
    ) -> None:
        unknown = [name for name in proxies if not self._benchmark.offers(name)]
        if unknown:
            self._lacking |= dict.fromkeys(unknown)
            self._refuse(ordinal, proposal, f"the benchmark has no proxy {unknown[0]!r}")
            return
        scores = self._benchmark.scores(Architecture.from_proto(proposal.architecture), proxies)
        if (key, proxies) in self._scored:
            self._repeat()
        else:
            self._in_a_row = 0
            self._scored.add((key, proxies))
            self._proxy_evaluations += len(scores)
        # Without a row it has no score: the trial ends with none.
        self._session.finish(self._session.accept(ordinal, proposal), scores)

    def _refuse(self, ordinal: int, proposal: strategy_pb2.Proposal, reason: str) -> None:
        self._repeat()
        self._session.refuse(ordinal, proposal, reason)

    def _repeat(self) -> None:
        self._repeats += 1
        self._in_a_row += 1
