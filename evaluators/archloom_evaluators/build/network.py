"""A graph as a torch module."""

from __future__ import annotations

from archloom.space import Graph
from torch import Tensor, nn

from archloom_evaluators.build import layers as layers  # registers the built-in operations
from archloom_evaluators.build.registry import build_operation


class Network(nn.Module):
    """Called with the graph's inputs, in order; returns its output, or name -> output where it has several.

    Each layer is kept under its path in the space (a group's name for shared weights), so its weights in
    ``state_dict()`` are called ``layers.<path>.weight``, with "/" for the dots in the path: the same layer
    has the same name in every architecture of a space.
    """

    def __init__(self, graph: Graph) -> None:
        super().__init__()
        self.layers = nn.ModuleDict()
        self.input_ids = list(graph.inputs.values())
        self.output_ids = dict(graph.outputs)
        self.steps: list[
            tuple[int, str, tuple[int, ...], tuple[int, ...]]
        ] = []  # id, layer, inputs, what is done with
        kept = {*self.output_ids.values()}
        last: dict[int, int] = {}
        for node in graph.nodes:
            last.update(dict.fromkeys(node.inputs, node.id))
        for node in graph.nodes:
            if node.op == "input":
                continue
            key = layer_key(node.weights_key)
            if key not in self.layers:
                self.layers[key] = build_operation(node.operation)
            done = tuple({source for source in node.inputs if last[source] == node.id and source not in kept})
            self.steps.append((node.id, key, node.inputs, done))

    def forward(self, *inputs: Tensor) -> Tensor | dict[str, Tensor]:
        if len(inputs) != len(self.input_ids):
            raise TypeError(f"the network takes {len(self.input_ids)} inputs, here are {len(inputs)}")
        values = dict(zip(self.input_ids, inputs, strict=True))
        for number, key, sources, done in self.steps:
            values[number] = self.layers[key](*[values[source] for source in sources])
            for source in done:
                del values[source]
        outputs = {name: values[number] for name, number in self.output_ids.items()}
        return outputs if len(outputs) > 1 else next(iter(outputs.values()))


def layer_key(path: str) -> str:
    """A path as a name of ``Network.layers``, where dots are not allowed."""
    return path.replace(".", "/")


def build_module(graph: Graph) -> Network:
    """A fresh network with torch's usual initial weights; raises BuildFailed."""
    return Network(graph)
