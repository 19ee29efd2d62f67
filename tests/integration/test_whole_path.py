"""From a spec to exported models, with every part real: servers, controllers, strategies, workers."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnxruntime
from archloom.client import Client
from archloom_local.stack import LocalStack
from command_line import archloom
from promises import Observer, check
from searches import ended, table_search
from sklearn.datasets import load_digits

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def test_a_search_on_digits_ends_with_an_exported_model(
    stack: LocalStack, client: Client, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    ran = archloom("run", EXAMPLES / "digits.yaml", "--out", out, environment=stack.environment)
    assert ran.returncode == 0, ran.stderr + ran.stdout

    result = json.loads((out / "result.json").read_text())
    assert result["state"] == "succeeded"
    budget = result["spec"]["budget"]["trials"]
    trials = list(client.trials.list(result["experiment"]))
    roles = [trial.role for trial in trials]
    assert roles.count("search") + roles.count("control") == budget
    assert roles.count("control") == round(budget * result["spec"]["control"]["share"])

    # The winner is fixed before the test opens; only finalists' runs are scored on the test split, once each.
    assert result["winner"]["fixed_time"] <= result["test"]["opened_time"]
    finalists = {trial.number for trial in trials if trial.role == "finalist"}
    tested = [trial.source_trial for trial in trials if trial.role == "test"]
    assert len(tested) == len(set(tested))
    assert set(tested) <= finalists
    assert not any("test_accuracy" in trial.metrics for trial in trials if trial.role != "test")

    test = result["test"]
    assert test["lower"] <= test["value"] <= test["upper"]
    assert test["value"] > 0.5  # chance is 0.1
    assert all(trial["metrics"]["parameters"] <= 50_000 for trial in result["front"])
    assert "not identified" in result["control"]["statement"]
    for name in ("model.onnx", "weights.safetensors", "report.html"):
        assert (out / name).stat().st_size > 0
    assert "<svg" in (out / "report.html").read_text()
    assert f"{test['value']:.3f}"[:4] in ran.stdout or f"{test['value']:.1%}" in ran.stdout

    session = onnxruntime.InferenceSession(out / "model.onnx", providers=["CPUExecutionProvider"])
    (given,) = session.get_inputs()
    images = load_digits().images[:64, None].astype(np.float32) / 16
    (scores,) = session.run(None, {given.name: images})
    assert scores.shape == (64, 10)


def test_a_table_search_keeps_the_promises(stack: LocalStack, client: Client, table: Path) -> None:
    name = client.experiments.create(table_search(table)).name
    with Observer(stack.mongod.uri, name) as observer:
        experiment = ended(client, name)
    assert experiment.winner
    check(client, observer, table)


def test_the_command_line_replays(stack: LocalStack, client: Client, table: Path) -> None:
    name = client.experiments.create(table_search(table, budget={"trials": 20}, seed=2)).name
    ended(client, name)
    ran = archloom("replay", name, environment=stack.environment)
    assert ran.returncode == 0, ran.stderr + ran.stdout


def test_one_replica_sees_what_the_other_did(stack: LocalStack, table: Path) -> None:
    with Client(stack.addresses[0]) as first, Client(stack.addresses[1]) as second:
        spec = table_search(table, budget={"trials": 40}, seed=3)
        created = first.experiments.create(spec, request_id="the-same-request")
        # I5: the same request, to the other replica, has the one effect.
        assert second.experiments.create(spec, request_id="the-same-request").name == created.name
        sequences = [
            event.sequence for update in second.experiments.watch(created.name) for event in update.events
        ]
        assert sequences == list(range(1, len(sequences) + 1))
        assert first.experiments.get(created.name) == second.experiments.get(created.name)
        assert list(first.trials.list(created.name)) == list(second.trials.list(created.name))
        assert first.experiments.report(created.name).winner == second.experiments.get(created.name).winner


def test_pause_holds_the_search_and_resume_ends_it(stack: LocalStack, table: Path) -> None:
    with Client(stack.addresses[0]) as first, Client(stack.addresses[1]) as second:
        spec = table_search(table, budget={"trials": 400}, parallelism=4, seed=4)
        name = first.experiments.create(spec).name
        second.experiments.pause(name)
        assert first.experiments.get(name).state == "paused"
        assert not first.experiments.get(name).ended
        second.experiments.resume(name)
        assert ended(first, name).state == "succeeded"
        assert first.experiments.get(name).trials_charged == 400
