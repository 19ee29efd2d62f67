"""Every built-in operation, on every kind it takes, in a file that stands alone."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from random import Random
from types import ModuleType

import pytest
import torch
from archloom.space import Graph, GraphNode
from archloom.space.operations import BUILT_IN, Operation, operation_specs, resolve
from archloom_evaluators.build import build_module
from archloom_evaluators.port import export_python
from drawn_operations import draw_operation, tensors

torch.set_num_threads(1)

CASES = [(name, kind) for name in BUILT_IN for kind in operation_specs()[name].shape]


def network_of(operation: Operation) -> Graph:
    sources = tuple(range(len(operation.inputs)))
    nodes = [
        GraphNode(number, resolve("input", (), (shape,)), (), f"input.x{number}", "")
        for number, shape in enumerate(operation.inputs)
    ]
    last = GraphNode(len(nodes), operation, sources, "layer", "")
    inputs = {f"x{number}": number for number in sources}
    return Graph((*nodes, last), inputs, {"features": last.id})


def loaded(text: str, path: Path) -> ModuleType:
    path.write_text(text)
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_the_file_computes_the_same(name: str, kind: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    rng = Random(f"{name} {kind}")
    for number in range(3):
        operation = draw_operation(name, kind, rng)
        graph = network_of(operation)
        ours, exported = build_module(graph).eval(), export_python(graph)
        theirs = loaded(exported.text, tmp_path / f"network_{number}.py").Network().eval()
        mine = ours.state_dict()
        theirs.load_state_dict({exported.weights[key]: value for key, value in mine.items()})
        inputs = tensors(operation)
        with torch.no_grad():
            assert torch.allclose(theirs(*inputs), ours(*inputs), atol=1e-6), operation
