"""One search of 300 trials with one fault at a random moment, and the promises checked after it.

``python -m fault_injection --minutes N`` does this over and over.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from archloom.client import Client
from archloom_local.process import Process
from archloom_local.stack import LocalStack, StackSettings
from promises import Follower, Observer, check, owner
from searches import ended, table_search, table_settings
from synthetic_table import write_table
from waiting import wait_for

TRIALS = 300
#: A trial takes this long, so that a fault finds some under way.
TRIAL_SECONDS = 0.04
LEASE_SECONDS = 2.0
#: Every third search scores a pool in proxy trials first, and evaluates the best of it.
SCORE, POOL = "synflow", 280
SCORED: Mapping[str, Any] = {
    "name": "training-free",
    "settings": {"mode": "search", "pool": POOL, "scores": [SCORE]},
}


@dataclass(frozen=True)
class Moment:
    """A running search at the moment of its fault."""

    stack: LocalStack
    client: Client
    experiment: str
    rng: random.Random


def _owner(moment: Moment) -> Process:
    replica, _ = wait_for(
        lambda: found if (found := owner(moment.stack.mongod.uri, moment.experiment))[0] else None,
        30,
        "an owner",
    )
    return next(process for process in moment.stack.controllers if process.name == replica)


def kill_worker(moment: Moment) -> None:
    """Its trials go on elsewhere; it comes back when they have."""
    worker = moment.rng.choice(moment.stack.workers)
    worker.kill()
    ended(moment.client, moment.experiment)
    moment.stack.start_again(worker)


def kill_strategy(moment: Moment) -> None:
    strategy = moment.stack.strategies["slow-evolution"]
    strategy.kill()
    moment.stack.start_again(strategy)


def kill_owner(moment: Moment) -> None:
    controller = _owner(moment)
    controller.kill()
    moment.stack.start_again(controller)


def suspend_owner(moment: Moment) -> None:
    """Beyond its lease: another replica takes the experiment over, and then the old owner wakes up."""
    replica, epoch = owner(moment.stack.mongod.uri, moment.experiment)
    controller = _owner(moment)
    controller.suspend()
    try:
        wait_for(
            lambda: owner(moment.stack.mongod.uri, moment.experiment)[1] > epoch,
            30,
            f"another replica than {replica} to own the experiment",
        )
    finally:
        controller.resume()


FAULTS: Mapping[str, Callable[[Moment], None]] = {
    "kill-owner": kill_owner,
    "kill-strategy": kill_strategy,
    "kill-worker": kill_worker,
    "suspend-owner": suspend_owner,
}


def run_one(stack: LocalStack, table: Path, fault: str, seed: int) -> None:
    """Raises AssertionError when a promise is broken. The fault's moment derives from the seed."""
    rng = random.Random(f"{fault} {seed}")
    scored = seed % 3 == 0 and fault != "kill-strategy"
    most = TRIALS - 60 + (POOL if scored else 0)
    after, delay = rng.randrange(5, most), rng.uniform(0, 0.1)
    print(f"fault={fault} seed={seed}: after {after} ended trials and {delay * 1000:.0f} ms", flush=True)
    with Client(stack.target()) as client:
        spec = table_search(
            table,
            name=f"{fault} {seed}",
            strategy=SCORED if scored else _evolution(fault),
            evaluator={
                "kind": "table",
                "cache": False,
                "settings": {**table_settings(table, TRIAL_SECONDS), "proxies": {SCORE: "val"}},
            },
            budget={"trials": TRIALS},
            trial={"max_attempts": 5},
            seed=seed,
        )
        request = f"{fault}-{seed}"
        name = client.experiments.create(spec, request_id=request).name
        follower = Follower(client, name)
        with Observer(stack.mongod.uri, name) as observer:
            wait_for(lambda: _ended(client, name) >= after, 120, f"{after} ended trials")
            time.sleep(delay)
            FAULTS[fault](Moment(stack, client, name, rng))
            charged = ended(client, name).proxy_trials_charged
        assert charged >= POOL if scored else not charged
        check(client, observer, table)
        follower.check()
        # I5: the request, repeated after all that, finds its one effect.
        assert client.experiments.create(spec, request_id=request).name == name


def _evolution(fault: str) -> Mapping[str, Any]:
    return {
        "name": "slow-evolution" if fault == "kill-strategy" else "evolution",
        "settings": {"kind": "regularized", "population": 20, "sample": 5},
    }


def _ended(client: Client, name: str) -> int:
    """Trials and proxy trials."""
    counts = client.experiments.get(name).trials
    return counts.ended + counts.proxies_completed


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    deadline = time.monotonic() + options.minutes * 60
    with tempfile.TemporaryDirectory(prefix="archloom-faults-") as folder:
        table = write_table(Path(folder) / "nasbench201.csv")
        with LocalStack(Path(folder) / "stack", fault_settings(Path(folder))) as stack:
            seed, runs = options.seed, 0
            while time.monotonic() < deadline:
                for fault in FAULTS:
                    run_one(stack, table, fault, seed)
                    runs += 1
                seed += 1
    print(f"{runs} faults, every promise held")
    return 0


def fault_settings(data_root: Path) -> StackSettings:
    """Two of everything, leases of two seconds, and a strategy that is slow enough to be killed at work."""
    here, before = str(Path(__file__).parent), os.environ.get("PYTHONPATH")
    return StackSettings(
        replicas=2,
        workers=2,
        lease_seconds=LEASE_SECONDS,
        data_roots=[data_root],
        environment={"PYTHONPATH": f"{here}{os.pathsep}{before}" if before else here},
        strategies={
            "random": "archloom_strategies.random_search:RandomSearch",
            "evolution": "archloom_strategies.evolution.strategy:Evolution",
            "multi-fidelity": "archloom_strategies.multi_fidelity.strategy:MultiFidelity",
            "training-free": "archloom_strategies.training_free.strategy:TrainingFree",
            "slow-evolution": "slow_evolution:SlowEvolution",
        },
    )


if __name__ == "__main__":
    sys.exit(main())
