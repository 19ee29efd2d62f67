"""What goes wrong, and what is spared, stands on the Prometheus pages."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from archloom.client import Client, Trial
from archloom.spec import ExperimentSpec
from archloom_local.stack import LocalStack
from metric_pages import readings, total
from searches import digits_space, ended, table_search, table_settings
from waiting import wait_for

TRIALS = 40


class Growth:
    """By how much a sum over pages has grown since this was made."""

    def __init__(self, stack: LocalStack, kind: str, sample: str, **labels: str) -> None:
        self._read = partial(total, stack, kind, sample, **labels)
        self._sample = sample
        self._before = self._read()

    def now(self) -> float:
        return self._read() - self._before

    def reaches(self, count: int) -> None:
        """The pages may be a moment behind what a client sees."""
        wait_for(lambda: self.now() >= count, 20, f"{self._sample} to grow by {count}")
        assert self.now() == count


def small_search(table: Path, seconds: float, **changes: Any) -> Any:
    evaluator = {"kind": "table", "settings": table_settings(table, seconds), **changes.pop("evaluator", {})}
    return table_search(
        table,
        strategy={"name": "random"},
        evaluator=evaluator,
        budget={"trials": TRIALS},
        control="none",
        finalists={"count": 0},
        trial={"max_attempts": 5},
        **changes,
    )


def run(client: Client, spec: Any) -> list[Trial]:
    name = client.experiments.create(spec).name
    assert ended(client, name).state == "succeeded"
    return list(client.trials.list(name))


def test_failures(stack: LocalStack, client: Client, data_root: Path, table: Path) -> None:
    """A table without every fourth row."""
    header, *lines = table.read_text().splitlines()
    holed = data_root / "holed.csv"
    holed.write_text("\n".join([header, *(line for place, line in enumerate(lines) if place % 4)]))
    failures = [
        Growth(stack, "controller", "archloom_trials_failed_total", reason="cannot_build"),
        Growth(stack, "controller", "archloom_attempts_failed_total", reason="cannot_build"),
        Growth(stack, "worker", "archloom_evaluator_trials_failed_total", reason="cannot_build"),
    ]
    evaluated = Growth(stack, "controller", "archloom_evaluate_seconds_count", evaluator="table")
    states = [trial.state for trial in run(client, small_search(holed, 0.0, seed=61))]
    assert 0 < states.count("failed") < TRIALS
    for each in failures:
        each.reaches(states.count("failed"))
    evaluated.reaches(states.count("completed"))


def test_cache_hits(stack: LocalStack, client: Client) -> None:
    """One search twice: what was trained is not trained again, and is no evaluation."""
    spec = ExperimentSpec.from_dict(
        {
            "name": "cached",
            "task": {"kind": "classification", "dataset": "digits"},
            "space": digits_space(),
            "objectives": [{"maximize": "val_accuracy"}],
            "strategy": "random",
            "budget": {"trials": 3},
            "fidelity": {"epochs": 1},
            "control": "none",
            "seed": 63,
        }
    )
    hits = Growth(stack, "controller", "archloom_cache_hits_total")
    evaluated = Growth(stack, "controller", "archloom_evaluate_seconds_count", evaluator="train")
    finished = Growth(stack, "controller", "archloom_trials_finished_total", role="search")
    first, second = run(client, spec), run(client, spec)
    assert [trial.cache_hit for trial in first] == [False] * 3
    assert [trial.cache_hit for trial in second] == [True] * 3
    hits.reaches(3)
    evaluated.reaches(3)
    finished.reaches(6)


def test_lost_leases_and_a_queue_that_ages(stack: LocalStack, client: Client, table: Path) -> None:
    lost = Growth(stack, "controller", "archloom_leases_lost_total")
    attempts_lost = Growth(stack, "controller", "archloom_attempts_failed_total", reason="lost")
    spec = small_search(table, 0.2, seed=62, evaluator={"cache": False})
    name = client.experiments.create(spec).name

    def leased() -> bool:
        return any(trial.state == "leased" for trial in client.trials.list(name))

    wait_for(leased, 60, "a trial to be leased")
    for worker in stack.workers:
        worker.kill()
    try:
        # Every replica shows the whole store's queue and experiments: none of them is to be added up.
        wait_for(
            lambda: min(readings(stack, "archloom_queue_depth", device_class="cpu"), default=0) > 0,
            30,
            "a queue that nobody works on",
        )
        wait_for(
            lambda: min(readings(stack, "archloom_queue_age_seconds", device_class="cpu"), default=0) > 2,
            30,
            "the queue to age",
        )
        wait_for(
            lambda: min(readings(stack, "archloom_experiments", state="running"), default=0) >= 1,
            30,
            "the running experiment to be shown",
        )
        wait_for(lost.now, 30, "a lease to be lost")
    finally:
        for worker in stack.workers:
            stack.start_again(worker)
    assert ended(client, name).state == "succeeded"
    again = sum(trial.attempt - 1 for trial in client.trials.list(name))
    assert again > 0
    # Once each, although both replicas look for lost leases.
    wait_for(lambda: lost.now() == attempts_lost.now() == again, 20, "every lost lease to be counted once")
    succeeded = len(list(client.experiments.list(["succeeded"])))
    wait_for(
        lambda: set(readings(stack, "archloom_experiments", state="succeeded")) == {float(succeeded)},
        30,
        "the pages to show what succeeded",
    )
    wait_for(
        lambda: not any(readings(stack, "archloom_queue_depth", device_class="cpu")), 30, "an empty queue"
    )
    shares = wait_for(
        lambda: readings(stack, "archloom_evaluator_busy_share", kind="worker", device="cpu"),
        30,
        "the workers to tell how busy they are",
    )
    assert all(0 <= share <= 1 for share in shares)
