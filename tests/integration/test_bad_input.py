"""Bad specs through the command line: one readable line for each fault, and nothing stored."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from archloom.client import Client
from archloom_local.stack import LocalStack
from celery import Celery
from command_line import archloom
from searches import digits_space, ended, table_search

GOOD: Mapping[str, Any] = {
    "name": "bad input",
    "task": {"kind": "classification", "dataset": "digits"},
    "space": digits_space(),
    "objectives": [{"maximize": "val_accuracy"}],
    "strategy": {"name": "random"},
    "evaluator": {"kind": "train"},
    "budget": {"trials": 4},
    "parallelism": 1,
}


INPUT = {"x": {"kind": "image", "shape": [1, 8, 8]}}
CONV = {"layer": "conv", "k": 3, "out": 4}

#: 1,000 sequences in one another. Text, since the JSON encoder itself gives up before that.
DEEP = '{"body": ' + '{"sequence": [' * 1000 + '{"layer": "relu"}' + "]}" * 1000 + "}"


BAD: Mapping[str, tuple[Mapping[str, Any], str]] = {
    "unknown field": ({"budgett": {"trials": 4}}, "budgett"),
    "budget of nothing": ({"budget": {"trials": 0}}, "budget.trials"),
    "not a number": ({"constraints": ["parameters <= nan"]}, "constraints[0]"),
    "unknown strategy": ({"strategy": {"name": "regularised-evolution"}}, "strategy.name"),
    "unknown setting": (
        {"strategy": {"name": "evolution", "settings": {"populaton": 3}}},
        "strategy.settings.populaton",
    ),
    "unknown data set": ({"task": {"kind": "classification", "dataset": "digit"}}, "task.dataset"),
    "unknown metric": ({"objectives": [{"maximize": "val_acuracy"}]}, "objectives[0].metric"),
    "a metric that the table's settings do not name": (
        {
            "space": "nasbench201",
            "objectives": [{"maximize": "accuracy"}, {"minimize": "parameters"}],
            "task": {"kind": "classification", "dataset": "table"},
            "evaluator": {"kind": "table", "settings": {"path": "x.csv", "metrics": {"accuracy": "val"}}},
        },
        "objectives[1].metric: evaluator 'table' does not report 'parameters' (known: accuracy)",
    ),
    "folder outside the roots": (
        {"task": {"kind": "classification", "dataset": "folder:/etc"}},
        "task.dataset",
    ),
    "a domain without a value": (
        {"space": {"input": INPUT, "body": {"layer": "conv", "k": {"choice": []}, "out": 4}}},
        "space.body.k.choice: expected a list of 1 to 10000 values, found an empty list",
    ),
    "shapes that do not fit": (
        {"space": {"input": INPUT, "body": {"sequence": [CONV, {"layer": "linear", "out": 10}]}}},
        "space.body.sequence[1]: linear takes vector or seq, the input is image[4,8,8]",
    ),
    "another shape than the data's": (
        {"space": {"input": {"x": {"kind": "image", "shape": [3, 8, 8]}}, "body": CONV}},
        "space.input.x.shape: ",
    ),
    "unknown export": (
        {"finalists": {"count": 1, "exports": ["onnxx"]}},
        "finalists.exports[0]: evaluator 'train' exports no 'onnxx'",
    ),
    "data of one's own without their classes": (
        {"task": {"kind": "classification", "dataset": "npz:ROOT/x.npz"}},
        "task.settings.classes: say how many classes",
    ),
    "other classes than the data's": (
        {"task": {"kind": "classification", "dataset": "digits", "settings": {"classes": 3}}},
        "task.settings.classes: 'digits' has 10 classes, not 3",
    ),
    "a tree too deep": ({"space": "DEEP"}, "nested too deeply"),
}


@pytest.mark.parametrize("fault", sorted(BAD))
def test_a_fault_is_a_line_with_its_path(
    fault: str, stack: LocalStack, client: Client, data_root: Path, tmp_path: Path
) -> None:
    changes, path = BAD[fault]
    spec = tmp_path / "spec.json"
    spec.write_text(json.dumps({**GOOD, **changes}).replace('"DEEP"', DEEP).replace("ROOT", str(data_root)))
    before = [experiment.name for experiment in client.experiments.list()]
    ran = archloom("run", spec, "--no-watch", environment=stack.environment)
    assert ran.returncode == 1, ran.stderr + ran.stdout
    assert "Traceback" not in ran.stderr
    lines = ran.stderr.strip().splitlines()
    assert any(path in line for line in lines), ran.stderr
    assert len(lines) <= 5
    assert all(len(line) < 500 for line in lines)
    assert [experiment.name for experiment in client.experiments.list()] == before


def test_the_good_spec_is_good(stack: LocalStack, client: Client, tmp_path: Path) -> None:
    """Else the bad ones would prove nothing."""
    spec = tmp_path / "spec.json"
    spec.write_text(json.dumps(GOOD))
    ran = archloom("run", spec, "--no-watch", "--json", environment=stack.environment)
    assert ran.returncode == 0, ran.stderr
    client.experiments.cancel(json.loads(ran.stdout)["experiment"])


def test_a_server_that_is_away_is_one_sentence(tmp_path: Path) -> None:
    ran = archloom("experiments", "list", environment={"ARCHLOOM_SERVER": "127.0.0.1:9"})
    assert ran.returncode == 1
    assert len(ran.stderr.strip().splitlines()) == 1
    assert "127.0.0.1:9" in ran.stderr


def test_a_worker_rejects_what_it_cannot_read_and_goes_on(
    stack: LocalStack, client: Client, table: Path
) -> None:
    with Celery("stranger", broker=stack.redis.url) as stranger:
        for arguments in ([], [None], [{"no": "class"}], ["x" * 1000], [1, 2, 3]):
            stranger.send_task("archloom.wake", args=arguments, queue="archloom.cpu")
        stranger.send_task("no.such.task", args=[], queue="archloom.cpu")
    name = client.experiments.create(table_search(table, budget={"trials": 30}, seed=7)).name
    assert ended(client, name).state == "succeeded"
    assert all(worker.alive for worker in stack.workers)
