"""Training through the whole worker: search, sealed test, export, and a trial that outlives its worker."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from archloom.space import Space
from archloom.v1 import common_pb2, trial_pb2
from archloom_evaluators.data import digits
from archloom_evaluators.data.paths import Roots
from archloom_evaluators.scores import NAMES
from archloom_evaluators.train.evaluator import METRICS, TrainEvaluator
from safetensors.numpy import load as load_safetensors

SPACE = """
name: tiny
input:
  x: {kind: image, shape: [1, 8, 8]}
body:
  sequence:
    - {name: stem, layer: conv, k: 3, out: {choice: [8, 16]}, norm: batch, activation: relu}
    - {name: down, layer: conv, k: 3, out: 16, stride: 2, norm: batch, activation: relu}
recipe:
  lr: {choice: [0.01, 0.02]}
"""
SETTINGS = {
    "augment": False,
    "batch_size": 64,
    "checkpoint_epochs": 1,
    "checkpoint_seconds": 0,
    "latency_runs": 5,
}
EPOCHS = 6


@pytest.fixture(scope="module")
def space() -> Space:
    return Space.from_yaml(SPACE)


def fidelity(epochs: int = EPOCHS) -> common_pb2.Fidelity:
    return common_pb2.Fidelity(epochs=epochs)


def evaluator() -> TrainEvaluator:
    return TrainEvaluator(Roots(), threads=1)


def test_a_finalist_is_trained_tested_once_and_exported(served: Any, kit: Any, space: Space) -> None:
    controller = served.controller
    architecture = space.sample(random.Random(1))
    context = kit.context(space, "train", SETTINGS)
    finalist = controller.add(
        kit.trial(1, architecture, trial_pb2.TRIAL_ROLE_FINALIST, fidelity=fidelity()), context
    )
    with kit.worker(served, {"train": evaluator()}) as worker:
        worker.loop.drain()
        metrics = controller.metrics(finalist)
        assert set(metrics) == set(METRICS)
        assert metrics["val_accuracy"] > 0.85
        graph = space.graph(architecture, classes=10)
        assert (metrics["parameters"], metrics["flops"]) == (graph.parameters, graph.flops)
        assert metrics["latency_ms"] > 0
        assert metrics["peak_memory_mb"] > 0
        checkpoint = controller.results[finalist].checkpoint

        test = kit.trial(
            2, architecture, trial_pb2.TRIAL_ROLE_TEST, checkpoint=checkpoint, test_grant="granted"
        )
        export = kit.trial(
            3, architecture, trial_pb2.TRIAL_ROLE_EXPORT, checkpoint=checkpoint, exports=["onnx"]
        )
        sealed = kit.trial(4, architecture, trial_pb2.TRIAL_ROLE_TEST, checkpoint=checkpoint)
        tested, exported, refused = (controller.add(trial, context) for trial in (test, export, sealed))
        assert worker.loop.drain() == 3

    scores = controller.metrics(tested)
    assert scores["test_examples"] == 359
    assert scores["test_accuracy"] > 0.8
    assert "sealed" in controller.failures[refused].failure.message
    check_export(controller, exported, scores["test_accuracy"])


def check_export(controller: Any, exported: str, test_accuracy: float) -> None:
    """Whoever has the files alone gets the same answers: the card says how to prepare an input."""
    files = {artifact.file_name: artifact for artifact in controller.results[exported].artifacts}
    assert {name: file.kind for name, file in files.items()} == {
        "weights.safetensors": "weights",
        "model.onnx": "onnx",
        "model.json": "model",
    }
    metrics = controller.metrics(exported)
    assert metrics["export_max_difference"] < 1e-3
    assert metrics["latency_ms"] > 0
    card = json.loads(controller.blob(files["model.json"]))
    assert card["classes"] == [str(digit) for digit in range(10)]
    weights = load_safetensors(controller.blob(files["weights.safetensors"]))
    assert sum(value.size for name, value in weights.items() if "running" not in name) > 0

    session = onnxruntime.InferenceSession(controller.blob(files["model.onnx"]))
    split = digits.load().test("granted")
    for size in (1, 7, 359):
        answers = session.run(None, {"input": np.array(split.inputs[:size])})[0]
        assert answers.shape == (size, 10)
    accuracy = float((answers.argmax(axis=1) == split.targets).mean())
    assert accuracy == pytest.approx(test_accuracy, abs=1 / 359 + 1e-9)


def test_a_recipe_decides_and_equal_trials_are_equal(served: Any, kit: Any, space: Space) -> None:
    controller = served.controller
    architecture = space.sample(random.Random(2))
    other = next(a for a in space.neighbors(architecture) if space.recipe(a) != space.recipe(architecture))
    context = kit.context(space, "train", SETTINGS | {"lr": 1e-9})
    names = []
    for number, chosen in enumerate((architecture, architecture, other), start=1):
        trial = kit.trial(number, chosen, fidelity=fidelity(2))
        trial.seed = 5
        names.append(controller.add(trial, context))
    with kit.worker(served, {"train": evaluator()}) as worker:
        assert worker.loop.drain() == 3
    first, second, third = (controller.metrics(name) for name in names)
    # The setting alone would learn nothing.
    assert first["val_accuracy"] > 0.3
    assert first["val_loss"] == second["val_loss"]
    assert first["val_loss"] != third["val_loss"]


@pytest.mark.parametrize(
    ("change", "reason", "words"),
    [
        ({"dataset": "nowhere"}, common_pb2.FAILURE_REASON_DATA, "no data set 'nowhere'"),
        ({"dataset": "mnist5k"}, common_pb2.FAILURE_REASON_CANNOT_BUILD, "[1, 28, 28]"),
        ({"lr": "fast"}, common_pb2.FAILURE_REASON_DATA, "evaluator.settings.lr"),
        ({"device": "cuda"}, common_pb2.FAILURE_REASON_DATA, "no CUDA device"),
        (
            {"proxies": ["synflo"]},
            common_pb2.FAILURE_REASON_DATA,
            "train knows no proxy 'synflo', only param",
        ),
    ],
)
def test_what_cannot_be_trained_is_a_sentence(
    served: Any, kit: Any, space: Space, change: dict[str, Any], reason: int, words: str
) -> None:
    dataset, proxies = change.pop("dataset", "digits"), change.pop("proxies", [])
    trial = kit.trial(
        1, space.sample(random.Random(1)), fidelity=common_pb2.Fidelity(epochs=1, proxies=proxies)
    )
    name = served.controller.add(trial, kit.context(space, "train", SETTINGS | change, dataset))
    with kit.worker(served, {"train": evaluator()}) as worker:
        worker.loop.drain()
    assert served.controller.failures[name].failure.reason == reason
    assert words in served.controller.failures[name].failure.message


def test_proxy_trials_are_scored_many_to_a_lease(served: Any, kit: Any, space: Space) -> None:
    controller = served.controller
    controller.long_kinds = set()
    context = kit.context(space, "train", SETTINGS | {"proxy_batch_size": 16})
    architectures = [space.at(0), space.at(3), space.at(0)]
    names = []
    for number, each in enumerate(architectures, start=1):
        trial = kit.trial(number, each, fidelity=common_pb2.Fidelity(proxies=NAMES))
        trial.seed = 5
        names.append(controller.add(trial, context))
    with kit.worker(served, {"train": evaluator()}) as worker:
        assert worker.loop.drain() == 3
    assert controller.calls.count("LeaseTrials") == 2
    first, second, third = (controller.metrics(name) for name in names)
    assert set(first) == set(NAMES)
    assert first == third
    assert first["synflow"] != second["synflow"]
    assert architectures[0] is not None
    graph = space.graph(architectures[0], classes=10)
    assert (first["parameters"], first["flops"]) == (graph.parameters, graph.flops)
    assert not controller.blobs


WORKER = """
import sys, threading
from archloom_evaluators.data.paths import Roots
from archloom_evaluators.registry import Registry
from archloom_evaluators.settings import WorkerSettings
from archloom_evaluators.train.evaluator import TrainEvaluator
from archloom_evaluators.worker.process import WorkerProcess
process = WorkerProcess(
    WorkerSettings(server=sys.argv[1]), threading.Event(), Registry({"train": TrainEvaluator(Roots(), 1)})
)
process.heartbeat.start()
process.drain()
"""


def test_a_trial_outlives_its_worker_and_ends_as_if_nothing_had_happened(
    served: Any, kit: Any, space: Space, tmp_path: Path
) -> None:
    controller = served.controller
    controller.lease_seconds = 0.6
    context = kit.context(space, "train", SETTINGS)
    architecture = space.sample(random.Random(3))
    whole = kit.trial(1, architecture, fidelity=fidelity(30))
    broken = kit.trial(2, architecture, fidelity=fidelity(30))
    whole.seed = broken.seed = 11
    interrupted = controller.add(broken, context)

    command = [sys.executable, "-c", WORKER, served.address]
    victim = subprocess.Popen(command, env=os.environ | {"OMP_NUM_THREADS": "1"})
    try:
        kit.wait_until(lambda: len(controller.checkpoints.get(interrupted, ())) >= 2, 60.0)
    finally:
        os.kill(victim.pid, signal.SIGKILL)
        victim.wait(30.0)
    assert not controller.ended(interrupted)
    newest = common_pb2.ArtifactRef(name=controller.checkpoints[interrupted][-1])
    reached = controller.measured[interrupted][-1].progress
    controller.again(broken, newest)

    uninterrupted = controller.add(whole, context)
    with kit.worker(served, {"train": evaluator()}) as worker:
        assert worker.loop.drain() == 2
    result, expected = controller.metrics(interrupted), controller.metrics(uninterrupted)
    for name in ("val_accuracy", "val_loss", "train_loss"):
        assert result[name] == expected[name]
    assert controller.results[interrupted].attempt.attempt == 2
    curve = [*controller.measured[interrupted], *controller.results[interrupted].measurements]
    assert {point.progress for point in curve} == set(map(float, range(1, 31)))
    assert 1 <= reached < 30
