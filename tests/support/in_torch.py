"""Networks that torch runs, with weights that matter, and inputs for them."""

from __future__ import annotations

import torch
from archloom.space import Graph
from archloom_evaluators.build import Network, build_module
from torch import Tensor


def built(graph: Graph, seed: int = 0) -> Network:
    torch.manual_seed(seed)
    network = build_module(graph)
    with torch.no_grad():  # norms begin as the identity; random constants show which channel meets which
        for weights in network.parameters():
            weights.copy_(0.5 * torch.randn_like(weights) + 0.1)
    return network.eval()


def inputs_of(graph: Graph, batch: int = 2, seed: int = 1) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    made = []
    for node in graph.inputs.values():
        shape = graph[node].shape
        if shape.kind == "tokens":
            made.append(torch.randint(0, 10, (batch, *shape.dims), generator=generator))
        else:
            made.append(torch.randn(batch, *shape.dims, generator=generator))
    return made


def check(graph: Graph) -> dict[str, Tensor]:
    """Shapes and parameters are as counted."""
    network = built(graph)
    assert sum(weights.numel() for weights in network.parameters()) == graph.parameters
    with torch.no_grad():
        results = network.outputs(*inputs_of(graph))
    assert list(results) == list(graph.outputs)
    for name, result in results.items():
        assert tuple(result.shape[1:]) == graph[graph.outputs[name]].shape.dims
    return results
