"""The spaces that come with Archloom, and the one of the demonstration."""

from __future__ import annotations

import re
from itertools import islice
from math import prod
from pathlib import Path
from random import Random
from typing import Any

import pytest
from anew import faults_anew
from archloom.space import Architecture, Space, load_preset, preset_names, preset_text
from small_presets import small_preset

MNIST = Path(__file__).parents[3] / "examples/spaces/mnist_conv.yaml"
TEXTS = {name: preset_text(name) for name in preset_names()} | {"mnist_conv": MNIST.read_text()}
NAMES = (
    "autoformer",
    "darts",
    "detector",
    "encoder_decoder",
    "language_model",
    "mlp",
    "mobile",
    "nasbench201",
    "recurrent",
    "resnet",
    "speech",
    "text_encoder",
)


def test_the_presets() -> None:
    assert preset_names() == NAMES
    assert load_preset("nasbench201") is load_preset("nasbench201")


@pytest.mark.parametrize("name", NAMES)
def test_a_preset_says_what_it_is_and_whose(name: str) -> None:
    space = load_preset(name)
    assert space.name == name
    first, *others = re.split(r"(?<=\.)\s+(?=[A-Z])", space.tree.description)
    assert len(first) <= 100  # a line of `archloom spaces list`
    paper = re.search(r"\((?:[^()]*\s)?(?:and|et al\.)?[^()]*\d{4}\)", space.tree.description)
    assert name == "mlp" or paper is not None
    assert others


@pytest.mark.parametrize("name", TEXTS)
def test_a_space_comes_back_from_every_form(name: str) -> None:
    space = Space.from_yaml(TEXTS[name])
    assert Space.from_yaml(space.to_yaml()) == Space.from_proto(space.to_proto()) == space
    assert Space.from_dict(space.to_dict()).digest == space.digest


@pytest.mark.parametrize("name", NAMES)
def test_a_hundred_samples_fit(name: str) -> None:
    space = small_preset(name)
    rng = Random(0)
    kinds = ("decisions", "architectures")
    for number in range(100):
        architecture = space.sample(rng, kinds[number % 2])  # type: ignore[arg-type]
        assert faults_anew(space, architecture) == []
        assert space.graph(architecture).outputs


@pytest.mark.parametrize("name", TEXTS)
def test_children_and_neighbours_are_valid(name: str) -> None:
    space = Space.from_yaml(TEXTS[name])
    rng = Random(0)
    architecture = space.sample(rng, "architectures")
    for _ in range(15):
        child = space.mutate(architecture, rng)
        assert faults_anew(space, child) == []
        assert child != architecture
        architecture = space.cross(architecture, child, rng)
        assert faults_anew(space, architecture) == []
    neighbors = list(islice(space.neighbors(architecture), 15))
    assert len(neighbors) == 15
    for neighbor in neighbors:
        assert faults_anew(space, neighbor) == []
        assert neighbor != architecture


def test_the_sizes_are_those_of_the_tables() -> None:
    assert load_preset("darts").size() == 1_037_664_180**2
    assert load_preset("mlp").continuous == ("recipe.lr", "recipe.weight_decay")
    depths = ((2, 3, 4), (3, 4, 5), (3, 5, 6), (4, 6, 7))  # of a stage, for each phi
    assert load_preset("mobile").size() == sum(sum(18**d for d in found) ** 5 for found in depths)
    heads = {192: (3, 4, 6), 216: (3, 4, 6), 240: (3, 4, 5, 6)}  # those that divide the embedding
    layers = [2 * len(found) for found in heads.values()]
    assert load_preset("autoformer").size() == sum(n**depth for n in layers for depth in (12, 13, 14))


def test_what_is_searched_is_what_the_descriptions_say() -> None:
    """Sizes from the counts of options: a preset that loses a choice has another."""
    sizes = {name: load_preset(name).size() for name in NAMES}
    assert sizes["resnet"] == 2 * 3 * (6 * 4 * (1 + 2 * 2)) ** 3  # depths, widths, kinds of block
    mix, feed = 2 + 2 + 3, 2  # recurrences, heads, kernels; ratios
    assert sizes["speech"] == 3 * 2 * 3 * sum((mix * feed) ** depth for depth in range(4, 13))
    known, searched = sum(3**depth for depth in (1, 2, 3)), prod(4 * node for node in range(1, 9))
    assert sizes["recurrent"] == 3 * 3 * 3 * (known + searched)
    decoder = sum((2 * 2 * 3) ** depth for depth in range(1, 7))
    assert sizes["encoder_decoder"] == 2 * 2 * (2 * 3) ** 6 * decoder
    assert sizes["language_model"] == 8 * 2 * 2 * 2 * sum((3 * 2 * 16) ** depth for depth in range(2, 17))
    heads = [sum(width % n == 0 for n in (2, 4, 6, 8, 12)) for width in (128, 192, 256, 384, 512)]
    block = [3 * (found + 2 * found + 3) for found in heads]
    assert sizes["text_encoder"] == 2 * 3 * sum(n**depth for n in block for depth in range(2, 13))
    joins, links, smooth, tower = 3 * 3, 3 * 2, (1 + 2) ** 4, 4 * 2
    assert sizes["detector"] == 2 * 3 * 4**4 * joins * links * smooth * tower**2
    assert sizes["nasbench201"] == 5**6


GENOTYPE = {
    # DARTS_V2, the network that Liu, Simonyan and Yang (2019) found by second-order search.
    "normal": [
        (("sep_conv_3x3", 0), ("sep_conv_3x3", 1)),
        (("sep_conv_3x3", 0), ("sep_conv_3x3", 1)),
        (("skip_connect", 0), ("sep_conv_3x3", 1)),
        (("skip_connect", 0), ("dil_conv_3x3", 2)),
    ],
    "reduction": [
        (("max_pool_3x3", 0), ("max_pool_3x3", 1)),
        (("max_pool_3x3", 1), ("skip_connect", 2)),
        (("max_pool_3x3", 0), ("skip_connect", 2)),
        (("max_pool_3x3", 1), ("skip_connect", 2)),
    ],
}


def test_the_genotype_of_the_paper_has_its_3_3_million_weights() -> None:
    decisions: dict[str, object] = {}
    for cell, nodes in GENOTYPE.items():
        for number, edges in enumerate(nodes, 2):
            decisions[f"{cell}.node[{number}].inputs"] = tuple(source for _, source in edges)
            for edge, (operation, _) in enumerate(edges):
                decisions[f"{cell}.node[{number}].edge[{edge}]"] = operation
    space = load_preset("darts")
    architecture = Architecture(decisions)  # type: ignore[arg-type]
    assert space.check(architecture) == []
    graph = space.graph(architecture, 10)
    assert graph.parameters == 3_349_342
    assert [str(graph[node].shape) for node in graph.outputs.values()] == ["vector[10]"]


def test_resolution_depth_and_width_grow_together() -> None:
    space = load_preset("mobile")
    base = space.sample(Random(0)).decisions
    found = []
    for phi in range(4):
        decisions = {path: value for path, value in base.items() if ".depth" in path} | {"phi": phi}
        decisions |= {
            info.path: info.domain.at(0) for info in space.decisions() if info.path not in decisions
        }
        grown = _existing(space, decisions)
        graph = space.graph(grown)
        found.append((graph[0].shape.dims[1], len(graph.nodes), graph.parameters))
    assert [resolution for resolution, _, _ in found] == [224, 256, 296, 344]
    assert found == sorted(found)
    assert len(set(found)) == 4


def _existing(space: Space, decisions: dict[str, Any]) -> Architecture:
    """The decisions that exist among these."""
    unreachable = {fault.field for fault in space.check(Architecture(decisions))}
    return Architecture({p: v for p, v in decisions.items() if p not in unreachable})


@pytest.mark.parametrize("name", ["language_model", "recurrent"])
def test_decoders_are_causal(name: str) -> None:
    space = small_preset(name)
    rng = Random(3)
    assert all(space.graph(space.sample(rng)).causal for _ in range(50))


def test_a_detector_names_boxes_and_classes_of_three_levels() -> None:
    space = load_preset("detector")
    graph = space.graph(space.sample(Random(0)))
    sides = [graph[0].shape.dims[1] // stride for stride in (8, 16, 32)]
    shapes = {name: graph[node].shape.dims for name, node in graph.outputs.items()}
    for level, side in zip((3, 4, 5), sides, strict=True):
        assert shapes[f"boxes_p{level}"] == (36, side, side)
        assert shapes[f"classes_p{level}"] == (720, side, side)


def test_digit_networks_stay_within_100_000_weights_with_their_head() -> None:
    space = Space.from_yaml(TEXTS["mnist_conv"])
    rng = Random(0)
    found = [space.graph(space.sample(rng, "architectures"), 10) for _ in range(100)]
    assert max(graph.parameters for graph in found) <= 100_000
    assert {graph[0].shape.dims for graph in found} == {(1, 28, 28)}
    words = " ".join(info.path for info in space.decisions())
    assert all(word in words for word in ("layer", "count", "residual", "kernel", "width", "activation"))
