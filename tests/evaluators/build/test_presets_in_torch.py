"""Every preset's networks in torch: outputs, weights, and what looks into the future."""

from __future__ import annotations

from random import Random

import pytest
import torch
from archloom.space import Architecture, Graph, Space, load_preset, preset_names
from archloom_evaluators.build import Network, build_module
from small_presets import small_preset

torch.set_num_threads(1)

_WORDS = 50


def inputs_of(graph: Graph, examples: int = 2) -> list[torch.Tensor]:
    shapes = [graph[node].shape for node in graph.inputs.values()]
    return [
        torch.randint(_WORDS, (examples, *shape.dims))
        if shape.kind == "tokens"
        else torch.randn(examples, *shape.dims)
        for shape in shapes
    ]


def outputs_of(network: Network, graph: Graph, inputs: list[torch.Tensor]) -> dict[str, torch.Tensor]:
    with torch.no_grad():
        found = network(*inputs)
    return found if isinstance(found, dict) else dict.fromkeys(graph.outputs, found)


def weights(network: Network) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize("name", preset_names())
def test_a_preset_computes_what_its_graph_says(name: str) -> None:
    torch.manual_seed(0)
    space = small_preset(name)
    rng = Random(1)
    for _ in range(3):
        graph = space.graph(space.sample(rng))
        network = build_module(graph).eval()
        outputs = outputs_of(network, graph, inputs_of(graph))
        shapes = {key: graph[node].shape.dims for key, node in graph.outputs.items()}
        assert {key: tuple(value.shape[1:]) for key, value in outputs.items()} == shapes
        assert all(bool(torch.isfinite(value).all()) for value in outputs.values())
        assert weights(network) == graph.parameters


@pytest.mark.parametrize("name", preset_names())
def test_a_preset_of_full_size_has_the_weights_and_shapes_that_were_worked_out(name: str) -> None:
    space = load_preset(name)
    if name == "speech":  # recurrences on the meta device take one step after the other
        shorter = {"frames": {"kind": "seq", "shape": [80, 100]}}
        space = Space.from_dict({**space.to_dict(), "input": shorter})
    rng = Random(2)
    for _ in range(2):
        graph = space.graph(space.sample(rng))
        with torch.device("meta"):
            network = build_module(graph).eval()
            outputs = outputs_of(network, graph, inputs_of(graph, 1))
        assert weights(network) == graph.parameters
        shapes = {key: graph[node].shape.dims for key, node in graph.outputs.items()}
        assert {key: tuple(value.shape[1:]) for key, value in outputs.items()} == shapes


@pytest.mark.parametrize("name", preset_names())
def test_a_preset_trains(name: str) -> None:
    torch.manual_seed(0)
    space = small_preset(name)
    graph = space.graph(space.sample(Random(4)))
    network = build_module(graph)
    found = network(*inputs_of(graph))
    outputs = found.values() if isinstance(found, dict) else [found]
    sum(output.square().mean() for output in outputs).backward()
    assert all(parameter.grad is not None for parameter in network.parameters())


def changed_before(graph: Graph, which: int, place: int) -> list[int]:
    """Positions of the output, on its last axis, that change with token ``place`` of one input."""
    torch.manual_seed(0)
    network = build_module(graph).eval()
    inputs = inputs_of(graph, 1)
    (before,) = outputs_of(network, graph, inputs).values()
    inputs[which] = inputs[which].clone()
    inputs[which][:, place] = (inputs[which][:, place] + 1) % _WORDS
    (after,) = outputs_of(network, graph, inputs).values()
    moved = (before - after).abs().amax(dim=(0, 1)) > 1e-5
    return [position for position, differs in enumerate(moved.tolist()) if differs]


def samples(name: str, number: int) -> list[tuple[Architecture, Graph]]:
    space = small_preset(name)
    rng = Random(5)
    found = [space.sample(rng) for _ in range(number)]
    return [(architecture, space.graph(architecture)) for architecture in found]


@pytest.mark.parametrize("name", ["language_model", "recurrent"])
def test_a_language_model_sees_no_later_token(name: str) -> None:
    for architecture, graph in samples(name, 12):
        assert graph.causal
        length = graph[graph.outputs["features"]].shape.dims[1]
        moved = changed_before(graph, 0, length // 2)
        assert moved, architecture
        assert min(moved) >= length // 2, architecture
        assert max(moved) > length // 2, architecture


def test_a_decoder_sees_no_later_target_but_the_whole_source() -> None:
    for architecture, graph in samples("encoder_decoder", 8):
        length = graph[graph.outputs["features"]].shape.dims[1]
        moved = changed_before(graph, 1, 4)
        assert moved, architecture
        assert min(moved) >= 4, architecture
        assert changed_before(graph, 0, 6) == list(range(length)), architecture
        assert not graph.causal


def test_an_encoder_looks_both_ways() -> None:
    for _, graph in samples("text_encoder", 6):
        assert min(changed_before(graph, 0, 20)) < 20
        assert not graph.causal
