"""Trials a second over the whole path: propose, dispatch, lease, complete, observe; all of it durable.

One controller, the table evaluator on two Celery workers, a real mongod and Redis, on this machine. The rate
is taken from the event log: trials that ended within a window of 2,000, once from the 100th trial of the
experiment on and once from the 20,000th.

    python benchmarks/throughput.py [--runs 3] [--strategy random] [--settings '{}'] [--json]
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import itertools
import json
import statistics
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from archloom.client import Client
from archloom.spec import ExperimentSpec
from archloom_local.stack import LocalStack, StackSettings

LAYERS = 8
KERNELS = (1, 3, 5, 7)
WINDOW = 2_000
STARTS = (100, 20_000)
TRIALS = STARTS[-1] + WINDOW + 500

#: 65,536 architectures, so that 22,500 trials without a repeat are found at random.
SPACE: dict[str, Any] = {
    "name": "kernels",
    "input": {"x": {"kind": "image", "shape": [1, 8, 8]}},
    "body": {
        "sequence": [
            {"name": f"layer{place}", "layer": "conv", "k": {"choice": list(KERNELS)}, "out": 8}
            for place in range(LAYERS)
        ]
    },
}


def write_table(path: Path) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([*(f"layer{place}.k" for place in range(LAYERS)), "val"])
        for kernels in itertools.product(KERNELS, repeat=LAYERS):
            noise = int.from_bytes(hashlib.sha256(bytes(kernels)).digest()[:4], "big") / 2**32
            writer.writerow([*kernels, f"{(sum(kernels) / (7 * LAYERS) + noise) / 2:.6f}"])


def spec(table: Path, strategy: Mapping[str, Any], parallelism: int, seed: int) -> ExperimentSpec:
    return ExperimentSpec.from_dict(
        {
            "name": "throughput",
            "task": {"kind": "classification", "dataset": "digits"},
            "space": SPACE,
            "objectives": [{"maximize": "val_accuracy"}],
            "strategy": strategy,
            "evaluator": {
                "kind": "table",
                "cache": False,
                "settings": {"path": str(table), "key": "decisions", "metrics": {"val_accuracy": "val"}},
            },
            "budget": {"trials": TRIALS},
            "parallelism": parallelism,
            "control": {"share": 0.1},
            "finalists": {"count": 0},
            "seed": seed,
        }
    )


def measure(client: Client, wanted: ExperimentSpec) -> dict[str, float]:
    """Trials a second from each start on, and over the whole experiment."""
    experiment = client.experiments.create(wanted)
    while not client.experiments.get(experiment.name).ended:
        time.sleep(0.5)
    ended = client.experiments.get(experiment.name)
    if ended.state != "succeeded":
        raise SystemExit(f"The experiment {ended.state}: {ended.state_reason}")
    times = [
        event.time.timestamp()
        for event in client.experiments.events(experiment.name, page_size=1000)
        if event.kind == "trial_finished" and event.time is not None
    ]
    rates = {f"from_{start}": WINDOW / (times[start + WINDOW] - times[start]) for start in STARTS}
    assert ended.create_time is not None
    rates["whole"] = len(times) / (times[-1] - ended.create_time.timestamp())
    return rates


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--strategy", default="random")
    parser.add_argument("--settings", type=json.loads, default={}, help="the strategy's, a JSON object")
    parser.add_argument("--parallelism", type=int, default=512)
    parser.add_argument("--json", action="store_true", help="print one JSON object a run")
    options = parser.parse_args()
    strategy = {"name": options.strategy, "settings": options.settings}
    with tempfile.TemporaryDirectory(prefix="archloom-throughput-") as folder:
        table = Path(folder) / "kernels.csv"
        write_table(table)
        settings = StackSettings(workers=2, data_roots=[Path(folder)])
        runs = []
        with LocalStack(Path(folder) / "stack", settings) as stack, Client(stack.server) as client:
            for seed in range(1, options.runs + 1):
                rates = measure(client, spec(table, strategy, options.parallelism, seed))
                runs.append(rates)
                if options.json:
                    print(json.dumps({"strategy": options.strategy, "seed": seed, **rates}), flush=True)
    if not options.json:
        for name in runs[0]:
            values = sorted(run[name] for run in runs)
            middle = statistics.median(values)
            print(f"{name:<12} {middle:6.0f} trials a second ({values[0]:.0f} to {values[-1]:.0f})")


if __name__ == "__main__":
    main()
