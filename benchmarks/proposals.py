"""What one proposal costs when the log is long, in seconds of the processor.

    OMP_NUM_THREADS=1 python benchmarks/proposals.py [--strategy bayesian ...] [--preset nasbench201 darts]
        [--observations 500 5000] [--runs 5]

The log is of random architectures, each network once, whose value is made of their sizes. The first proposal
is a cold replica's, which has to read all of the log and to encode what it learns from; the others are asked
one after the other, each told the one before, as a warm replica is. Of these the median is given, with the
least and the greatest. Each row is measured in a process of its own.
"""

from __future__ import annotations

import argparse
import math
import multiprocessing
import statistics
import time
from collections.abc import Callable, Hashable, Iterator, Sequence
from functools import partial
from random import Random
from typing import Any

from archloom.space import Architecture, Space, load_preset, preset_text
from archloom.strategy import Objective, Observation, ObservationKind, ProposeRequest, SearchSpec
from archloom.strategy.load import load_strategy
from archloom.strategy.settings import read_settings

METRIC = "value"


def value(space: Space, architecture: Architecture) -> float:
    graph = space.graph(architecture)
    noise = Random(graph.hash).gauss(0.0, 0.1)
    return math.sin(math.log1p(graph.parameters)) + 0.3 * math.log1p(graph.depth) + noise


def networks(space: Space, count: int) -> Iterator[Architecture]:
    """Different ones."""
    rng, known = Random(0), set[str]()
    while len(known) < count:
        architecture = space.sample(rng)
        name = space.graph(architecture).hash
        if name not in known:
            known.add(name)
            yield architecture


def finished(space: Space, number: int, architecture: Architecture) -> list[Observation]:
    metrics = {METRIC: value(space, architecture)}
    architecture = Architecture(architecture.decisions)  # as if it came from elsewhere
    return [
        Observation(2 * number - 1, ObservationKind.ENQUEUED, architecture, number),
        Observation(2 * number, ObservationKind.FINISHED, architecture, number, metrics=metrics),
    ]


def measure(name: str, preset: str, observations: int, runs: int) -> list[float]:
    """Seconds of the cold proposal, then of the warm ones."""
    made = load_preset(preset)
    log = [
        event
        for number, architecture in enumerate(networks(made, observations), start=1)
        for event in finished(made, number, architecture)
    ]
    space = Space.from_yaml(preset_text(preset))  # of which nothing is kept yet
    strategy = load_strategy(name)
    spec = SearchSpec(space, (Objective(METRIC),), trials=2 * observations)
    kept: dict[Hashable, Any] = {}

    def memo(key: Hashable, make: Callable[[], Any]) -> Any:
        if key not in kept:
            kept[key] = make()
        return kept[key]

    state: Any = None
    seconds: list[float] = []
    past: Sequence[Observation] = ()
    for run in range(runs + 1):
        request: ProposeRequest[Any, Any] = ProposeRequest(
            spec=spec,
            settings=read_settings(strategy.settings_type, {}),
            step=run + 1,
            seed=run,
            state=state,
            observations=tuple(log[len(past) :]),
            count=1,
            rng=Random(run),
            read_history=partial(list, past),
            memo=memo,
        )
        past = tuple(log)
        started = time.process_time()
        answer = strategy.propose(request)
        seconds.append(time.process_time() - started)
        state = answer.state if answer.state is not None else state
        log += finished(made, observations + run + 1, answer.proposals[0].architecture)
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--strategy", nargs="+", default=["bayesian"])
    parser.add_argument("--preset", nargs="+", default=["nasbench201", "darts"])
    parser.add_argument("--observations", nargs="+", type=int, default=[500, 5_000])
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as alone:
        for name in options.strategy:
            for preset in options.preset:
                for observations in options.observations:
                    cold, *warm = alone.apply(measure, (name, preset, observations, options.runs))
                    middle, spread = statistics.median(warm), f"{min(warm):.2f} to {max(warm):.2f}"
                    print(
                        f"{name:<14} {preset:<14} {observations:>6} observations  "
                        f"{middle:.2f} s ({spread}), cold {cold:.2f} s",
                        flush=True,
                    )


if __name__ == "__main__":
    main()
