"""Strategies on five objectives of known optimum, in spaces too large for tables; random beside each.

    python benchmarks/synthetic.py [--strategy NAME|NAME={SETTINGS} ...] [--preset darts ...]
        [--function sizes ...] [--seeds 20] [--first-seed 1000] [--queries 100] [--parallel 1] [--json]

A seed draws the hidden member, the function's weights and noise, and the search's own randomness, so a
strategy and random meet the same problems. What counts is the true value of the trial that looked best. The
difference to random is paired by seed; its 95% interval and the probability that the strategy is worse are
by bootstrap over the seeds. A query is a trial of full fidelity, 27 epochs; a shorter one costs its share,
and one that goes on from another's checkpoint what is added to that. An equal architecture, or a score that
is not offered, is refused and costs nothing.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import statistics
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

import objectives
from archloom.space import Architecture, load_preset
from archloom.strategy.load import installed_strategies, load_strategy
from archloom.strategy.runtime import StrategyRuntime
from archloom.strategy.values import Fidelity, Objective, SearchSpec
from archloom.testing.rehearsal import fidelity_of
from archloom.testing.session import Session, SessionTrial
from archloom.v1 import strategy_pb2

PRESETS = ("darts", "mobile", "text_encoder")
BASELINE = "random"
METRIC = "value"
FULL = Fidelity(epochs=27)
#: Steps in a row without a new trial after which a search ends.
PATIENCE = 300
RESAMPLES = 4_000
MILESTONES = (25, 50, 100)


@dataclass(frozen=True)
class Contender:
    label: str
    plugin: StrategyRuntime
    settings: Mapping[str, Any]

    @staticmethod
    def named(text: str) -> Contender:
        name, _, settings = text.partition("=")
        return Contender(text, StrategyRuntime(load_strategy(name)), json.loads(settings or "{}"))


@dataclass(frozen=True)
class Result:
    """One search: what the trial that looked best after each query is worth."""

    curve: tuple[float, ...]
    repeated: int
    """Trials whose network and recipe an earlier one had."""
    refused: int
    seconds: float
    """Of the processor, in the strategy."""

    def after(self, queries: int) -> float:
        return self.curve[min(queries, len(self.curve)) - 1] if self.curve else 0.0


@dataclass(frozen=True)
class Running:
    trial: SessionTrial
    found: objectives.Features
    epochs: int
    cost: float
    """In queries."""


class Search:
    """The evaluator's side of one search."""

    def __init__(
        self, contender: Contender, network: objectives.Network, problem: objectives.Objective, seed: int
    ) -> None:
        self.network, self.problem = network, problem
        self._contender, self._seed = contender, seed
        self._order = Random(f"order/{seed}")
        self._asked: set[tuple[str, Fidelity]] = set()
        self._networks: set[tuple[str, Fidelity]] = set()
        self._epochs: dict[int, int] = {}
        self._curve: list[float] = []
        self._best, self._value = float("-inf"), 0.0
        self._spent = self._ended = 0.0
        self._repeated = self._refused = 0

    def run(self, queries: int, parallel: int) -> Result:
        fidelities = self._contender.plugin.describe().capabilities.multi_fidelity
        spec = SearchSpec(
            space=self.network.space,
            objectives=(Objective(METRIC),),
            fidelity=FULL,
            # Where trials have several prices, how many there are is for the strategy to decide.
            trials=0 if fidelities else queries,
            parallelism=parallel,
        )
        # A name of its own: replicas keep the log of an experiment under its uid.
        name = hashlib.sha256(self.problem.seed.encode()).hexdigest()[:16]
        session = Session(self._contender.plugin, spec, self._contender.settings, seed=self._seed, name=name)
        running: list[Running] = []
        seconds, idle, over = 0.0, 0, False
        while running or (self._spent < queries - 1e-9 and not over):
            free = parallel - len(running)
            if not fidelities:
                free = min(free, queries - round(self._spent))
            if free > 0 and self._spent < queries - 1e-9 and not over:
                started = time.process_time()
                answer = session.ask(free)
                seconds += time.process_time() - started
                running += self._taken(session, spec, answer)
                idle = 0 if running else idle + 1
                over = answer.HasField("exhausted") or idle > PATIENCE
            if running:
                self._end(session, running.pop(self._order.randrange(len(running))))
        return Result(tuple(self._curve), self._repeated, self._refused, seconds)

    def _taken(
        self, session: Session, spec: SearchSpec, answer: strategy_pb2.ProposeResponse
    ) -> Iterator[Running]:
        for ordinal, proposal in enumerate(answer.proposals.proposals):
            architecture = Architecture.from_proto(proposal.architecture)
            fidelity = fidelity_of(proposal, spec)
            if fidelity.proxies:
                self._refused += 1
                session.refuse(ordinal, proposal, f"there is no proxy {fidelity.proxies[0]!r}")
            elif (architecture.key, fidelity) in self._asked:
                self._refused += 1
                session.refuse(ordinal, proposal, "an equal trial exists")
            else:
                found = self.network(architecture)
                self._repeated += (found.network, fidelity) in self._networks
                self._asked.add((architecture.key, fidelity))
                self._networks.add((found.network, fidelity))
                trial = session.accept(ordinal, proposal)
                self._epochs[trial.number] = fidelity.epochs
                cost = (fidelity.epochs - self._epochs.get(proposal.resume_from, 0)) / FULL.epochs
                self._spent += cost
                yield Running(trial, found, fidelity.epochs, cost)

    def _end(self, session: Session, running: Running) -> None:
        told = self.problem.told(running.found, running.epochs / FULL.epochs)
        session.finish(running.trial, {METRIC: told})
        if running.epochs == FULL.epochs and told > self._best:
            self._best, self._value = told, self.problem.value(running.found)
        self._ended += running.cost
        while len(self._curve) < int(self._ended + 1e-9):
            self._curve.append(self._value)


@dataclass(frozen=True)
class Case:
    """All seeds of one strategy in one function and preset."""

    strategy: str
    preset: str
    function: str
    results: Sequence[Result]
    baseline: Sequence[Result]

    def summary(self) -> dict[str, object]:
        values = [each.after(len(each.curve)) for each in self.results]
        at_random = [each.after(len(each.curve)) for each in self.baseline]
        differences = [mine - its for mine, its in zip(values, at_random, strict=True)]
        resampled = bootstrap(differences)
        return {
            "strategy": self.strategy,
            "preset": self.preset,
            "function": self.function,
            "seeds": len(values),
            "mean": statistics.fmean(values),
            "interval": interval(bootstrap(values)),
            "random": statistics.fmean(at_random),
            "difference": statistics.fmean(differences),
            "difference_interval": interval(resampled),
            "probability_worse": statistics.fmean((each < 0) + 0.5 * (each == 0) for each in resampled),
            "mean_after": {
                str(at): statistics.fmean(each.after(at) for each in self.results)
                for at in MILESTONES
                if at <= max(len(each.curve) for each in self.results)
            },
            "repeated_networks": sum(each.repeated for each in self.results),
            "refused": sum(each.refused for each in self.results),
            "seconds_a_search": statistics.fmean(each.seconds for each in self.results),
            "values": [round(value, 4) for value in values],
            "random_values": [round(value, 4) for value in at_random],
        }


def bootstrap(values: Sequence[float]) -> list[float]:
    """Means of resamples, in ascending order."""
    rng = Random(0)
    return sorted(statistics.fmean(rng.choices(values, k=len(values))) for _ in range(RESAMPLES))


def interval(means: Sequence[float]) -> tuple[float, float]:
    """The middle 95% of means in ascending order."""
    return means[round(0.025 * (len(means) - 1))], means[round(0.975 * (len(means) - 1))]


def cases(contenders: Sequence[Contender], options: argparse.Namespace) -> Iterator[Case]:
    """As they are done, one preset and function after the other."""
    random = Contender.named(BASELINE)
    for preset in options.preset:
        network = objectives.Network(load_preset(preset))
        found: dict[tuple[str, str], list[Result]] = {}
        for seed in range(options.first_seed, options.first_seed + options.seeds):
            for function in options.function:
                problem = objectives.objective(function, network, seed)
                for contender in (random, *contenders):
                    search = Search(contender, network, problem, seed)
                    result = search.run(options.queries, options.parallel)
                    found.setdefault((function, contender.label), []).append(result)
            done = seed - options.first_seed + 1
            print(f"{preset}: {done} of {options.seeds} seeds", file=sys.stderr, flush=True)
        for function in options.function:
            at_random = found[function, BASELINE]
            for contender in contenders or (random,):
                yield Case(contender.label, preset, function, found[function, contender.label], at_random)


def show(summary: Mapping[str, Any]) -> None:
    low, high = summary["interval"]
    least, most = summary["difference_interval"]
    verdict = "better" if least > 0 else "WORSE" if most < 0 else "-"
    parts = [
        f"{summary['strategy']:<24} {summary['preset']:<13} {summary['function']:<15}",
        f"{summary['mean']:.3f} ({low:.3f} to {high:.3f})",
        f"random {summary['random']:.3f}",
        f"{summary['difference']:+.3f} ({least:+.3f} to {most:+.3f})",
        f"worse with {summary['probability_worse']:.3f}",
        f"{verdict:<6} {summary['repeated_networks']} repeated",
        f"{summary['seconds_a_search']:.2f} s",
    ]
    print("  ".join(parts), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--strategy", nargs="+", default=[], help="all installed ones when left out")
    parser.add_argument("--preset", nargs="+", default=PRESETS, choices=PRESETS)
    parser.add_argument(
        "--function",
        nargs="+",
        default=list(objectives.FUNCTIONS),
        choices=list(objectives.FUNCTIONS),
    )
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--first-seed", type=int, default=1000)
    parser.add_argument("--queries", type=int, default=100)
    parser.add_argument("--parallel", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="print one JSON object for each case")
    options = parser.parse_args()
    names = options.strategy or [name for name in sorted(installed_strategies()) if name != BASELINE]
    contenders = [Contender.named(name) for name in names if name != BASELINE]
    for case in cases(contenders, options):
        if options.json:
            print(json.dumps(case.summary()), flush=True)
        else:
            show(case.summary())


if __name__ == "__main__":
    main()
