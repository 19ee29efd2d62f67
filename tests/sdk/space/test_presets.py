"""The spaces that come with Archloom, and the one of the demonstration."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest
from archloom.space import Space, load_preset, preset_names, preset_text

MNIST = Path(__file__).parents[3] / "examples/spaces/mnist_conv.yaml"
TEXTS = {name: preset_text(name) for name in preset_names()} | {"mnist_conv": MNIST.read_text()}


@pytest.mark.parametrize("name", TEXTS)
def test_a_space_reads_samples_mutates_and_comes_back(name: str) -> None:
    space = Space.from_yaml(TEXTS[name])
    assert space.name == name
    assert Space.from_yaml(space.to_yaml()) == Space.from_proto(space.to_proto()) == space
    rng = Random(0)
    architecture = space.sample(rng, "architectures")
    for _ in range(20):
        child = space.mutate(architecture, rng)
        assert space.check(child) == []
        assert child != architecture
        architecture = space.cross(architecture, child, rng)
    assert space.graph(architecture, 10).parameters > 0


def test_the_presets() -> None:
    assert preset_names() == ("mlp", "mobile", "nasbench201", "resnet")
    assert load_preset("mlp").continuous == ("recipe.lr", "recipe.weight_decay")
    assert load_preset("mobile").size() == (18**2 + 18**3 + 18**4) ** 5
    assert load_preset("nasbench201") is load_preset("nasbench201")


def test_digit_networks_stay_within_100_000_weights_with_their_head() -> None:
    space = Space.from_yaml(TEXTS["mnist_conv"])
    rng = Random(0)
    found = [space.graph(space.sample(rng, "architectures"), 10) for _ in range(100)]
    assert max(graph.parameters for graph in found) <= 100_000
    assert {graph[0].shape.dims for graph in found} == {(1, 28, 28)}
    words = " ".join(info.path for info in space.decisions())
    assert all(word in words for word in ("layer", "count", "residual", "kernel", "width", "activation"))
