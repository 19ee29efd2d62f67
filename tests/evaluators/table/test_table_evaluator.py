"""The table evaluator.

Keys, roots, sealed test columns, missing rows, and its speed through the whole loop.
"""

from __future__ import annotations

import gzip
import random
from pathlib import Path
from typing import Any

import pytest
from archloom.space import Space, load_preset, nasbench201
from archloom.tables import cell_of
from archloom.v1 import common_pb2, trial_pb2
from archloom_evaluators.data.paths import Roots
from archloom_evaluators.table.evaluator import TableEvaluator

SETTINGS = {
    "path": "table.csv.gz",
    "metrics": {"val_accuracy": "val", "parameters": "size"},
    "test_metrics": {"test_accuracy": "test"},
}


@pytest.fixture
def space() -> Space:
    return load_preset("nasbench201")


@pytest.fixture
def table(tmp_path: Path, space: Space) -> Path:
    """300 architectures; the value of a row follows from its number."""
    rng = random.Random(1)
    rows = ["index,arch,val,test,size"]
    seen: set[str] = set()
    while len(seen) < 300:
        text = nasbench201.to_arch_string(space.sample(rng))
        if text not in seen:
            rows.append(f"{len(seen)},{text},{len(seen) / 1000},{len(seen) / 2000},{len(seen) + 7}")
            seen.add(text)
    with gzip.open(tmp_path / "table.csv.gz", "wt") as file:
        file.write("\n".join(rows) + "\n")
    return tmp_path


def archs(table: Path) -> list[str]:
    with gzip.open(table / "table.csv.gz", "rt") as file:
        return [line.split(",")[1] for line in file.read().splitlines()[1:]]


def test_answers_rows_and_seals_the_test_columns(served: Any, kit: Any, table: Path, space: Space) -> None:
    controller = served.controller
    names = archs(table)
    context = kit.context(space, "table", SETTINGS)
    for number in (1, 5, 299):
        controller.add(kit.trial(number, nasbench201.from_arch_string(names[number])), context)
    test = kit.trial(300, nasbench201.from_arch_string(names[8]), trial_pb2.TRIAL_ROLE_TEST, test_grant="g")
    controller.add(test, context)
    with kit.worker(served, {"table": TableEvaluator(Roots((table,)))}) as worker:
        assert worker.loop.drain() == 4
    assert controller.metrics(f"{kit.experiment}/trials/5") == {"val_accuracy": 0.005, "parameters": 12}
    assert controller.metrics(f"{kit.experiment}/trials/300") == {"test_accuracy": 0.004}
    assert controller.calls.count("CompleteTrials") == 1


@pytest.mark.parametrize(
    ("change", "reason", "words"),
    [
        ({"path": "../table.csv.gz"}, common_pb2.FAILURE_REASON_DATA, "outside"),
        ({"path": "/etc/passwd"}, common_pb2.FAILURE_REASON_DATA, "outside"),
        ({"path": "none.csv"}, common_pb2.FAILURE_REASON_DATA, "does not exist"),
        ({"metrics": {"val_accuracy": "nowhere"}}, common_pb2.FAILURE_REASON_DATA, "no column 'nowhere'"),
        ({"metrics": {"val_accuracy": "arch"}}, common_pb2.FAILURE_REASON_CANNOT_BUILD, "no number"),
        ({"key": "decisions"}, common_pb2.FAILURE_REASON_DATA, "for the decision of that path"),
        ({"colour": "red"}, common_pb2.FAILURE_REASON_DATA, "evaluator.settings.colour"),
    ],
)
def test_faults_of_the_settings_fail_the_trial_with_a_sentence(
    served: Any,
    kit: Any,
    table: Path,
    space: Space,
    change: dict[str, Any],
    reason: int,
    words: str,
) -> None:
    name = served.controller.add(
        kit.trial(1, nasbench201.from_arch_string(archs(table)[3])),
        kit.context(space, "table", SETTINGS | change),
    )
    with kit.worker(served, {"table": TableEvaluator(Roots((table,)))}) as worker:
        worker.loop.drain()
    failure = served.controller.failures[name].failure
    assert failure.reason == reason
    assert words in failure.message


def test_an_architecture_without_a_row_fails_alone(served: Any, kit: Any, table: Path, space: Space) -> None:
    names = set(archs(table))
    rng = random.Random(2)
    draws = iter(lambda: space.sample(rng), None)
    absent = next(draw for draw in draws if nasbench201.to_arch_string(draw) not in names)
    context = kit.context(space, "table", SETTINGS)
    missing = served.controller.add(kit.trial(1, absent), context)
    present = served.controller.add(kit.trial(2, nasbench201.from_arch_string(archs(table)[0])), context)
    with kit.worker(served, {"table": TableEvaluator(Roots((table,)))}) as worker:
        worker.loop.drain()
    failure = served.controller.failures[missing].failure
    assert failure.reason == common_pb2.FAILURE_REASON_CANNOT_BUILD
    assert nasbench201.to_arch_string(absent) in failure.message
    assert served.controller.metrics(present)["parameters"] == 7


def test_a_row_that_stands_twice_is_no_answer(served: Any, kit: Any, tmp_path: Path, space: Space) -> None:
    """As in the bench: which of the two would be right nobody knows."""
    arch = nasbench201.to_arch_string(space.sample(random.Random(4)))
    (tmp_path / "t.csv").write_text(f"arch,val\n{arch},1\n{arch},1\n")
    context = kit.context(space, "table", {"path": "t.csv", "metrics": {"val_accuracy": "val"}})
    name = served.controller.add(kit.trial(1, nasbench201.from_arch_string(arch)), context)
    with kit.worker(served, {"table": TableEvaluator(Roots((tmp_path,)))}) as worker:
        worker.loop.drain()
    failure = served.controller.failures[name].failure
    assert failure.reason == common_pb2.FAILURE_REASON_DATA
    assert failure.message == "evaluator.settings: t.csv, line 3: the architecture is there twice"


def test_rows_are_found_by_decisions(served: Any, kit: Any, tmp_path: Path, space: Space) -> None:
    rng = random.Random(3)
    chosen = {a.key: a for a in (space.sample(rng) for _ in range(50))}
    paths = [decision.path for decision in space.decisions()]
    lines = [",".join([*paths, "score"])]
    for number, architecture in enumerate(chosen.values()):
        lines.append(",".join([*(cell_of(architecture.decisions[path]) for path in paths), str(number)]))
    (tmp_path / "t.csv").write_text("\n".join(lines))
    context = kit.context(
        space, "table", {"path": "t.csv", "key": "decisions", "metrics": {"val_accuracy": "score"}}
    )
    trials = [
        served.controller.add(kit.trial(n + 1, architecture), context)
        for n, architecture in enumerate(chosen.values())
    ]
    with kit.worker(served, {"table": TableEvaluator(Roots((tmp_path,)))}) as worker:
        worker.loop.drain()
    assert [served.controller.metrics(name)["val_accuracy"] for name in trials] == list(range(len(trials)))


def test_a_yield_in_a_slow_batch_returns_what_is_left(
    served: Any, kit: Any, table: Path, space: Space
) -> None:
    controller = served.controller
    context = kit.context(space, "table", SETTINGS | {"duration_seconds": 0.05})
    trials = [
        controller.add(kit.trial(n + 1, nasbench201.from_arch_string(arch)), context)
        for n, arch in enumerate(archs(table)[:40])
    ]
    with kit.worker(served, {"table": TableEvaluator(Roots((table,)))}) as worker:
        import threading

        thread = threading.Thread(target=worker.loop.drain)
        thread.start()
        kit.wait_until(lambda: len(controller.results) >= 3)
        worker.stop.set()
        thread.join(30.0)
    assert set(controller.results) | set(controller.released) == set(trials)
    assert not set(controller.results) & set(controller.released)
    assert controller.released
    assert not controller.failures


def test_the_schema_says_that_the_path_is_a_file() -> None:
    """So that the controller caches nothing of it: the file may be corrected."""
    assert TableEvaluator().describe().settings_schema["properties"]["path"]["format"] == "path"


SCORED = {
    **SETTINGS,
    "proxies": {"naswot": "nwot", "zen": "zen"},
    "proxy_path": "scores.csv",
}


def test_proxy_trials_read_their_own_columns(served: Any, kit: Any, table: Path, space: Space) -> None:
    controller = served.controller
    names = archs(table)
    (table / "scores.csv").write_text(f"arch,nwot,zen\n{names[1]},1.5,2.5\n{names[2]},3.5,\n{names[3]},,\n")

    def ask(number: int, settings: dict[str, Any], *proxies: str) -> str:
        architecture = nasbench201.from_arch_string(names[number])
        trial = kit.trial(len(controller.contexts), architecture)
        trial.fidelity.CopyFrom(common_pb2.Fidelity(proxies=proxies))
        name: str = controller.add(trial, kit.context(space, "table", settings))
        return name

    both, half, none, absent, unknown, unset = (
        ask(1, SCORED, "naswot", "zen"),
        ask(2, SCORED, "naswot", "zen"),
        ask(3, SCORED, "zen"),
        ask(4, SCORED, "zen"),
        ask(1, SCORED, "synflow"),
        ask(1, SETTINGS, "zen"),
    )
    with kit.worker(served, {"table": TableEvaluator(Roots((table,)))}) as worker:
        assert worker.loop.drain() == 6
    assert controller.metrics(both) == {"naswot": 1.5, "zen": 2.5}
    assert controller.metrics(half) == {"naswot": 3.5}
    words = {
        none: "the table's row has no number for zen",
        absent: "the table has no row",
        unknown: "the table's settings name no proxy 'synflow', but naswot, zen",
        unset: "the table's settings name no proxies",
    }
    for name, sentence in words.items():
        assert controller.failures[name].failure.message.startswith(sentence)
