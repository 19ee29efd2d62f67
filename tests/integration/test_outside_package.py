"""A package of somebody else's, found by its entry points: an operation and an evaluator of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from archloom.client import Client
from archloom.spec import ExperimentSpec
from archloom_local.process import Process
from archloom_local.stack import LocalStack
from searches import ended
from waiting import wait_for

PACKAGE = Path(__file__).resolve().parents[1] / "support" / "outside_package"

OPERATION = """
import json
import torch
from archloom.space import Space
from archloom_evaluators.build import build_module

space = Space.from_dict({
    "input": {"x": {"kind": "image", "shape": [3, 8, 8]}},
    "body": {"name": "scaled", "layer": {"choice": ["channel_scale", "relu"]}},
})
found = {}
for architecture in space.enumerate():
    graph = space.graph(architecture)
    module = build_module(graph)
    images = torch.ones(2, 3, 8, 8)
    counted = sum(value.numel() for value in module.parameters())
    (name,) = architecture.decisions.values()
    found[name] = [graph.parameters, counted, float(module(images).mean())]
print(json.dumps(found))
"""


OPAQUE = """
import json
import sys
from archloom.space import Graph, Space

def space(**declared):
    return Space.from_dict({
        "input": {"x": {"kind": "image", "shape": [3, 8, 8]}},
        "body": {"name": "outside", "layer": "column_means", "power": 2, **declared},
    })

declared = space(out_kind="seq", out_channels=3, out_time=8)
(architecture,) = declared.enumerate()
graph = declared.graph(architecture)
message = graph.to_proto()
early = [name for name in ("torch", "outside_layers") if name in sys.modules]

import torch
from archloom_evaluators.build import BuildFailed, build_module

images = torch.full((2, 3, 8, 8), 3.0)
output = build_module(Graph.from_proto(message))(images)
wrong = space()
(architecture,) = wrong.enumerate()
try:
    build_module(wrong.graph(architecture))
    refused = ""
except BuildFailed as error:
    refused = str(error)
print(json.dumps({
    "early": early,
    "opaque": [node.path for node in graph.opaque],
    "shape": list(output.shape),
    "mean": float(output.mean()),
    "refused": refused,
}))
"""


@pytest.fixture(scope="module")
def search_path(tmp_path_factory: pytest.TempPathFactory) -> str:
    """PYTHONPATH of a process that has the package installed."""
    target = tmp_path_factory.mktemp("installed")
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", f"--target={target}", PACKAGE],
        check=True,
    )
    assert next(target.glob("outside_parts-1.0.dist-info"))
    return os.pathsep.join([str(target), *filter(None, [os.environ.get("PYTHONPATH")])])


def run(code: str, search_path: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": search_path, "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )


def test_an_operation_of_ones_own_is_counted_and_built(search_path: str) -> None:
    ran = run(OPERATION, search_path)
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout) == {"channel_scale": [3, 3, 2.0], "relu": [0, 0, 1.0]}


def test_an_operation_without_a_spec_is_opaque_and_tried_by_the_build(search_path: str) -> None:
    ran = run(OPAQUE, search_path)
    assert ran.returncode == 0, ran.stderr
    told = json.loads(ran.stdout)
    refused = told.pop("refused")
    assert told == {"early": [], "opaque": ["outside"], "shape": [2, 3, 8], "mean": 9.0}
    assert "yields [2, 3, 8] for a batch of 2; the space expects [2, 3, 8, 8]" in refused


def test_without_the_package_its_operation_is_refused() -> None:
    ran = run(OPERATION, os.environ.get("PYTHONPATH", ""))
    assert ran.returncode == 1
    assert "there is no operation 'channel_scale'" in ran.stderr


def test_an_evaluator_of_ones_own_serves_a_search(
    stack: LocalStack, client: Client, search_path: str, tmp_path: Path
) -> None:
    worker = Process(
        "outside-worker",
        [sys.executable, "-m", "archloom_evaluators"],
        tmp_path / "worker.log",
        {**stack.environment, "PYTHONPATH": search_path, "ARCHLOOM_DEVICE_CLASS": "outside"},
    )
    spec = ExperimentSpec.from_dict(
        {
            "name": "an evaluator of one's own",
            "task": {"kind": "classification", "dataset": "none"},
            "space": "nasbench201",
            "objectives": [{"maximize": "sparsity"}],
            "strategy": "random",
            "evaluator": {"kind": "sparsity", "device_class": "outside"},
            "budget": {"trials": 12},
            "parallelism": 4,
            "control": "none",
            "seed": 1,
        }
    )
    worker.start()
    try:
        wait_for(lambda: not client.experiments.validate(spec), 60, "the worker to tell what it offers")
        name = client.experiments.create(spec).name
        assert ended(client, name).state == "succeeded"
        trials = list(client.trials.list(name))
        assert len(trials) == 12
        for trial in trials:
            values = list(trial.architecture.decisions.values())
            assert trial.metrics["sparsity"] == values.count("none") / len(values)
    finally:
        worker.stop()
