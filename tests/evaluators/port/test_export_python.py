"""Exported files build the networks that they were written from, and need nothing but torch."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from random import Random
from types import ModuleType

import pytest
import torch
from archloom.space import Graph, Space, SpaceError, preset_names
from archloom_evaluators.build import build_module
from archloom_evaluators.port import PythonNetwork, export_python
from hypothesis import HealthCheck, given, reject, settings
from hypothesis import strategies as st
from random_spaces import spaces
from small_presets import small_preset
from torch import nn

torch.set_num_threads(1)


def loaded(text: str, folder: Path) -> ModuleType:
    path = folder / "exported_network.py"
    path.write_text(text)
    spec = importlib.util.spec_from_file_location("exported_network", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    path.unlink()
    return module


def batch(graph: Graph, size: int = 2) -> list[torch.Tensor]:
    shapes = [graph[node].shape for node in graph.inputs.values()]
    return [
        torch.randint(0, 5, (size, *shape.dims)) if shape.kind == "tokens" else torch.randn(size, *shape.dims)
        for shape in shapes
    ]


def assert_same(graph: Graph, exported: PythonNetwork, folder: Path) -> None:
    ours = build_module(graph).eval()
    with torch.no_grad():
        for weight in ours.parameters():  # so that norms and biases count too
            weight.add_(torch.randn_like(weight) * 0.05)
        for name, buffer in ours.named_buffers():
            if "running" in name:
                buffer.add_(torch.rand_like(buffer) * 0.1)
    theirs: nn.Module = loaded(exported.text, folder).Network().eval()
    mine = ours.state_dict()
    assert set(exported.weights) == set(mine)
    theirs.load_state_dict({exported.weights[name]: value for name, value in mine.items()}, strict=True)
    inputs = batch(graph)
    with torch.no_grad():
        expected, found = ours(*inputs), theirs(*inputs)
    if not isinstance(expected, dict):
        expected, found = {"": expected}, {"": found}
    assert list(expected) == list(found)
    for name, value in expected.items():
        scale = max(1.0, float(value.abs().max()))
        torch.testing.assert_close(found[name] / scale, value / scale, rtol=0, atol=1e-6)


def assert_tidy(texts: list[str], folder: Path) -> None:
    for number, text in enumerate(texts):
        (folder / f"network_{number}.py").write_text(text)
    ruff = [sys.executable, "-m", "ruff"]
    check = subprocess.run([*ruff, "check", "--isolated", folder], capture_output=True, text=True)
    assert check.returncode == 0, check.stdout
    style = subprocess.run([*ruff, "format", "--isolated", "--diff", folder], capture_output=True, text=True)
    assert style.returncode == 0, style.stdout


@pytest.mark.parametrize("name", preset_names())
def test_samples_of_presets_are_the_same_networks(name: str, tmp_path: Path) -> None:
    space = small_preset(name)
    texts = []
    for seed in range(2):
        graph = space.graph(space.sample(Random(seed)))
        exported = export_python(graph, f"{name}, sample {seed}")
        assert_same(graph, exported, tmp_path)
        texts.append(exported.text)
    assert_tidy(texts, tmp_path)


def sampled(space: Space, seed: int) -> Graph:
    """An architecture's network, where the constraints leave one that is found."""
    try:
        return space.graph(space.sample(Random(seed)))
    except SpaceError:
        reject()


@given(space=spaces(), seed=st.integers(0, 2**32))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_random_spaces_export(space: Space, seed: int, tmp_path: Path) -> None:
    graph = sampled(space, seed)
    assert_same(graph, export_python(graph), tmp_path)


def test_random_files_are_tidy(tmp_path: Path) -> None:
    texts: list[str] = []

    @given(space=spaces(), seed=st.integers(0, 2**32))
    @settings(max_examples=40, deadline=None)
    def collect(space: Space, seed: int) -> None:
        texts.append(export_python(sampled(space, seed)).text)

    collect()
    assert_tidy(texts, tmp_path)


def test_long_sums_take_several_lines(tmp_path: Path) -> None:
    convs = [{"layer": "conv", "k": 1, "name": f"a_branch_with_a_long_name_{n}"} for n in range(12)]
    space = Space.from_dict(
        {
            "input": {"x": {"kind": "image", "shape": [2, 4, 4]}},
            "body": {"sequence": [{"parallel": convs}, {"parallel": convs, "merge": "concat"}]},
        }
    )
    graph = space.graph(space.sample(Random(0)))
    exported = export_python(graph)
    assert_same(graph, exported, tmp_path)
    assert_tidy([exported.text], tmp_path)
    assert max(map(len, exported.text.splitlines())) <= 88


def test_weights_may_be_shared_by_repetitions_that_differ(tmp_path: Path) -> None:
    """One with a dropout after the shared layer and one without: no module of the whole, one of the layer."""
    linear = {"sequence": [{"layer": "linear", "out": 2}], "name": "a"}
    body = {"sequence": [linear, {"layer": "dropout", "p": {"choice": [0.0, 0.5]}}], "name": "b"}
    space = Space.from_dict(
        {
            "input": {"x": {"kind": "vector", "shape": [2]}},
            "body": {"repeat": {"count": 2, "body": body, "decisions": "free", "weights": "shared"}},
        }
    )
    graphs = [space.graph(architecture) for architecture in space.enumerate()]
    assert sorted(sum(node.op == "dropout" for node in graph.nodes) for graph in graphs) == [0, 1, 1, 2]
    for place, graph in enumerate(graphs):
        (folder := tmp_path / str(place)).mkdir()
        assert_same(graph, export_python(graph), folder)


def test_weights_that_are_shared_are_one_module(tmp_path: Path) -> None:
    def nested(inner: str, outer: str) -> Graph:
        block = {"residual": {"sequence": [{"layer": "conv", "k": 3, "norm": "batch"}, {"layer": "relu"}]}}
        loop = {"name": "inner", "repeat": {"count": 3, "weights": inner, "body": block}}
        pair = {"sequence": [loop, {"name": "mix", "layer": "conv", "k": 1}]}
        body = {"name": "outer", "repeat": {"count": 2, "weights": outer, "body": pair}}
        shape = {"kind": "image", "shape": [4, 8, 8]}
        space = Space.from_dict({"input": {"x": shape}, "body": {"sequence": [body]}})
        return space.graph(space.sample(Random(0)))

    for inner in ("shared", "separate"):
        for outer in ("shared", "separate"):
            graph = nested(inner, outer)
            exported = export_python(graph)
            assert_same(graph, exported, tmp_path)
            assert_tidy([exported.text], tmp_path)
            count = sum(weight.numel() for weight in loaded(exported.text, tmp_path).Network().parameters())
            assert count == graph.parameters
            assert ("    for _ in range(" in exported.text) == ("shared" in (inner, outer))


def test_a_scan_is_a_loop(tmp_path: Path) -> None:
    gate = {"sequence": [{"from": ["x", "h"], "layer": "concat"}, {"layer": "linear", "out": 6}]}
    cell = [
        {"name": "forget", **gate, "as": "f"},
        {"layer": "sigmoid", "as": "g"},
        {"name": "next", **gate},
        {"layer": "tanh", "as": "n"},
        {"from": ["g", "n"], "layer": "mul", "as": "h"},
        {"from": "h", "layer": "linear", "out": 5},
    ]
    scan = {"name": "cell", "scan": {"state": {"h": 6}, "body": {"sequence": cell}}}
    space = Space.from_dict(
        {"input": {"x": {"kind": "seq", "shape": [3, 7]}}, "body": {"sequence": [scan, {"layer": "relu"}]}}
    )
    graph = space.graph(space.sample(Random(0)), classes=2)
    exported = export_python(graph)
    assert "for now in x.unbind(-1):" in exported.text
    assert_same(graph, exported, tmp_path)
    assert_tidy([exported.text], tmp_path)


def test_several_inputs_and_outputs_keep_their_names(tmp_path: Path) -> None:
    space = Space.from_dict(
        {
            "input": {
                "left": {"kind": "image", "shape": [2, 4, 4]},
                "right": {"kind": "image", "shape": [3, 4, 4]},
            },
            "body": {
                "sequence": [
                    {"from": "right", "layer": "conv", "k": 3, "out": 2, "as": "lifted"},
                    {"from": ["left", "lifted"], "layer": "sum", "as": "both"},
                    {"layer": "relu"},
                ]
            },
            "output": ["features", "lifted"],
        }
    )
    graph = space.graph(space.sample(Random(0)))
    exported = export_python(graph)
    assert "def forward(self, left: Tensor, right: Tensor) -> dict[str, Tensor]:" in exported.text
    assert_same(graph, exported, tmp_path)
    assert_tidy([exported.text], tmp_path)
