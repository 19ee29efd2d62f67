"""A graph as a torch module."""

from __future__ import annotations

import torch
from archloom.space import Graph
from archloom.space.networks.scans import STEP_INPUT, STEP_OUTPUT
from torch import Tensor, nn

from archloom_evaluators.build import layers as layers  # registers the built-in operations
from archloom_evaluators.build.registry import build_operation

_EMPTY = nn.ModuleDict()


class Network(nn.Module):
    """Called with the graph's inputs, in order; returns its output, or name -> output where it has several.

    Each layer is kept under its path in the space (a group's name for shared weights), so its weights in
    ``state_dict()`` are called ``layers.<path>.weight``, with "/" for the dots in the path: the same layer
    has the same name in every architecture of a space. A layer that is called as torch's containers call
    something of their own, such as ``type``, is kept under ``/type``.
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
                body = node.operation.body
                self.layers[key] = build_operation(node.operation) if body is None else Scan(body)
            done = tuple({source for source in node.inputs if last[source] == node.id and source not in kept})
            self.steps.append((node.id, key, node.inputs, done))

    def forward(self, *inputs: Tensor) -> Tensor | dict[str, Tensor]:
        if len(inputs) != len(self.input_ids):
            raise TypeError(f"the network takes {len(self.input_ids)} inputs, here are {len(inputs)}")
        outputs = self.outputs(*inputs)
        return outputs if len(outputs) > 1 else next(iter(outputs.values()))

    def outputs(self, *inputs: Tensor) -> dict[str, Tensor]:
        """name -> output, also where there is one alone."""
        values = dict(zip(self.input_ids, inputs, strict=True))
        for number, key, sources, done in self.steps:
            values[number] = self.layers[key](*[values[source] for source in sources])
            for source in done:
                del values[source]
        return {name: values[number] for name, number in self.output_ids.items()}


class Scan(nn.Module):
    """[n, c, t] -> [n, width, t]: a step's network at one time after the other, with states that are zero at
    first.

    The weights of the step are called ``step.layers.<path in the body>``.
    """

    def __init__(self, body: Graph) -> None:
        super().__init__()
        self.step = Network(body)
        self.names = list(body.inputs)
        self.widths = {
            name: body[node].shape.channels for name, node in body.inputs.items() if name != STEP_INPUT
        }

    def forward(self, x: Tensor) -> Tensor:
        states = {name: x.new_zeros(x.shape[0], width) for name, width in self.widths.items()}
        found = []
        for now in x.unbind(-1):
            given = {STEP_INPUT: now, **states}
            states = self.step.outputs(*[given[name] for name in self.names])
            found.append(states.pop(STEP_OUTPUT))
        return torch.stack(found, -1)


def layer_key(path: str) -> str:
    """A path as a name of ``Network.layers``, where neither dots nor names of attributes are allowed."""
    return f"/{path}" if hasattr(_EMPTY, path) else path.replace(".", "/")


def build_module(graph: Graph) -> Network:
    """A fresh network with torch's usual initial weights; raises BuildFailed."""
    return Network(graph)
