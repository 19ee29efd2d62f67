"""Operations of the user's own are exported with the source of their modules."""

from __future__ import annotations

import importlib.util
import math
from pathlib import Path
from random import Random

import networkx
import pytest
import torch
from archloom.space import OpSpec, Parameter, Space, register_spec
from archloom_evaluators.build import build_module, register_operation
from archloom_evaluators.port import ExportError, export_python
from torch import Tensor, nn

OFFSET = math.pi / 4


def turned(x: Tensor, angle: float) -> Tensor:
    """A helper that the module needs."""
    return x * math.cos(angle + OFFSET)


class Turned(nn.Module):
    """Needs a function and a constant of its file, and a module of the standard library."""

    def __init__(self, angle: float, then: nn.Module) -> None:
        super().__init__()
        self.angle = angle
        self.then = then

    def forward(self, x: Tensor) -> Tensor:
        return self.then(turned(x, self.angle))


class Foreign(nn.Module):
    """Needs a package that is neither torch nor Python's."""

    def forward(self, x: Tensor) -> Tensor:
        return x * len(networkx.path_graph(2))


def space_of(name: str, **parameters: object) -> Space:
    body = {"name": "mine", "layer": name, **parameters}
    return Space.from_dict({"input": {"x": {"kind": "vector", "shape": [4]}}, "body": {"sequence": [body]}})


def test_the_source_of_a_module_goes_along(tmp_path: Path) -> None:
    shape = {"vector": ("vector", ("c",))}
    register_spec(OpSpec("port_turned", 1, shape, (Parameter("angle", "float", 0.5),), weights="c * c + c"))
    register_operation(
        "port_turned",
        lambda parameters, inputs, output: Turned(
            parameters["angle"], nn.Sequential(nn.Linear(output.channels, output.channels), nn.Tanh())
        ),
    )
    space = space_of("port_turned", angle=0.25)
    graph = space.graph(space.sample(Random(0)))
    exported = export_python(graph)
    assert "def turned(x: Tensor, angle: float) -> Tensor:" in exported.text
    assert "OFFSET = math.pi / 4" in exported.text
    assert "import math\n" in exported.text
    (tmp_path / "mine.py").write_text(exported.text)
    spec = importlib.util.spec_from_file_location("mine", tmp_path / "mine.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    network, theirs = build_module(graph), module.Network()
    theirs.load_state_dict({exported.weights[name]: v for name, v in network.state_dict().items()})
    x = torch.randn(3, 4)
    torch.testing.assert_close(theirs(x), network(x))


def test_what_a_file_cannot_have_is_named() -> None:
    register_spec(OpSpec("port_foreign", 1, {"vector": ("vector", ("c",))}))
    register_operation("port_foreign", lambda parameters, inputs, output: Foreign())
    space = space_of("port_foreign")
    with pytest.raises(
        ExportError, match=r"layer 'mine' \(port_foreign\): Foreign .* needs 'import networkx'"
    ):
        export_python(space.graph(space.sample(Random(0))))


def test_a_class_inside_a_function_is_refused() -> None:
    class Inside(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x

    register_spec(OpSpec("port_inside", 1, {"vector": ("vector", ("c",))}))
    register_operation("port_inside", lambda parameters, inputs, output: Inside())
    space = space_of("port_inside")
    with pytest.raises(
        ExportError, match=r"layer 'mine' \(port_inside\): .*no definition at the top of its file"
    ):
        export_python(space.graph(space.sample(Random(0))))
