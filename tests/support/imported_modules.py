"""Modules that are imported: the examples, and what an import has to keep."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from random import Random
from types import ModuleType
from typing import Any

import torch
from archloom.space import Space, load_yaml
from archloom_evaluators.build import build_module
from archloom_evaluators.port import Imported
from torch import Tensor, nn

torch.set_num_threads(1)
EXAMPLES = Path(__file__).parents[2] / "examples" / "import"


def example(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def patch_of(name: str) -> Any:
    return load_yaml((EXAMPLES / f"{name}-patch.yaml").read_text())


def stirred(module: nn.Module) -> nn.Module:
    """With weights and statistics that matter, all of them."""
    with torch.no_grad():
        for weight in module.parameters():
            weight.add_(torch.randn_like(weight) * 0.1)
        for name, buffer in module.named_buffers():
            if "running" in name:
                buffer.add_(torch.rand_like(buffer) * 0.2)
    return module.eval()


def assert_imports(module: nn.Module, inputs: dict[str, str], *tensors: Tensor) -> Imported:
    """The space has one architecture, and its network computes what the module does."""
    imported = Imported(stirred(module), inputs)
    space = Space.from_yaml(imported.space().to_yaml())
    assert space.size() == 1
    graph = space.graph(space.sample(Random(0)))
    network = build_module(graph).eval()
    network.load_state_dict(imported.state_dict(graph))
    with torch.no_grad():
        torch.testing.assert_close(network(*tensors), module(*tensors), rtol=1e-4, atol=1e-5)
    return imported


IMAGE = torch.randn(3, 3, 32, 32)
TOKENS = torch.randint(0, 100, (3, 16))
