"""The operation of docs/plug-in-an-operation.md works as it is shown."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path
from random import Random

import pytest
import torch
from archloom.space import Space, register_spec
from archloom_evaluators.build import build_module

PAGE = Path(__file__).resolve().parents[3] / "docs" / "plug-in-an-operation.md"


def test_the_example_is_counted_and_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    specs, layers = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    (tmp_path / "my_parts").mkdir()
    (tmp_path / "my_parts" / "specs.py").write_text(specs)
    (tmp_path / "my_parts" / "layers.py").write_text(layers)
    monkeypatch.syspath_prepend(tmp_path)
    register_spec(import_module("my_parts.specs").LOW_RANK)
    space = Space.from_dict(
        {
            "input": {"x": {"kind": "vector", "shape": [30]}},
            "body": {"layer": "low_rank", "name": "low", "out": 20, "rank": {"choice": [4, 25]}},
        }
    )
    (architecture,) = space.enumerate()  # rank 25 is refused
    graph = space.graph(architecture)
    module = build_module(graph)
    assert module(torch.randn(2, 30)).shape == (2, 20)
    assert sum(each.numel() for each in module.parameters()) == graph.parameters == 4 * 50
    assert graph.flops == 4 * 50
    assert space.check(space.sample(Random(0))) == []
