"""A scan as two classes: its step, and the loop over time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from archloom.space import Graph, GraphNode
from archloom.space.networks.scans import STEP_INPUT, STEP_OUTPUT

from archloom_evaluators.port.folding import split_path
from archloom_evaluators.port.layout import call, lay_out
from archloom_evaluators.port.recording import Construction
from archloom_evaluators.port.sources import Sources


def write_scan(node: GraphNode, sources: Sources) -> tuple[Construction, Mapping[str, str]]:
    """Adds the classes to the file. Answers how the loop is made, and its weights' names here and there."""
    from archloom_evaluators.port.writing import NetworkWriter

    body = node.operation.body
    assert body is not None
    words = [word for word in split_path(node.path) if not word.startswith("[")]
    base = "".join(part.title() for part in words[-1].strip("'").split("_")) or "Scan"
    name = sources.free(base)
    step = sources.free(f"{name}Step")
    writer = NetworkWriter(body, sources, step, "tuple")
    for each, text in writer.definitions().items():
        sources.add(each, text)
    kind = sources.add(name, "\n".join(_loop(body, name, step)))
    sources.imports.add("import torch")
    return Construction(kind, ()), {
        f"step.{here}": f"step.{there}" for here, there in writer.weights().items()
    }


def _loop(body: Graph, name: str, step: str) -> list[str]:
    states = {each: body[number].shape.channels for each, number in body.inputs.items() if each != STEP_INPUT}
    local = dict(zip(states, _local_names(list(states)), strict=True))
    given = ["now" if each == STEP_INPUT else local[each] for each in body.inputs]
    results = ["y" if each == STEP_OUTPUT else local[each] for each in body.outputs]
    return [
        f"class {name}(nn.Module):",
        '    """[n, c, t] -> [n, width, t]; the states are zero at first."""',
        "",
        "    def __init__(self) -> None:",
        "        super().__init__()",
        f"        self.step = {step}()",
        "",
        "    def forward(self, x: Tensor) -> Tensor:",
        *(f"        {local[each]} = x.new_zeros(x.shape[0], {width})" for each, width in states.items()),
        "        found = []",
        "        for now in x.unbind(-1):",
        *lay_out(f"{', '.join(results)} = ", call("self.step", given), "", 12),
        "            found.append(y)",
        "        return torch.stack(found, -1)",
    ]


def _local_names(names: Sequence[str]) -> list[str]:
    """Names of states as variables of the loop."""
    return [
        f"{name}_state" if name in ("x", "y", "now", "found", "self", "torch") else name for name in names
    ]
