"""Imported examples: the space of one architecture is the module; a patch opens what it says."""

from __future__ import annotations

from random import Random

import pytest
import torch
from archloom_evaluators.build import build_module
from archloom_evaluators.port import Imported, import_module
from imported_modules import IMAGE, TOKENS, assert_imports, example, patch_of, stirred
from torch import Tensor


def test_the_residual_network_is_the_same() -> None:
    imported = assert_imports(example("resnet").small(), {"x": "image:3x32x32"}, IMAGE)
    text = imported.space().to_yaml()
    assert "residual:" in text
    assert "parallel:" in text
    assert "from:" not in text


def test_the_transformer_is_the_same() -> None:
    imported = assert_imports(example("transformer").small(), {"tokens": "tokens:16"}, TOKENS)
    assert "layer: attention" in imported.space().to_yaml()


@pytest.mark.parametrize(
    ("name", "inputs", "tensor"),
    [("resnet", {"x": "image:3x32x32"}, IMAGE), ("transformer", {"tokens": "tokens:16"}, TOKENS)],
)
def test_patched_spaces_sample_and_build(name: str, inputs: dict[str, str], tensor: Tensor) -> None:
    space = import_module(example(name).small(), inputs, patch=patch_of(name))
    rng = Random(0)
    hashes = set()
    for _ in range(50):
        graph = space.graph(space.sample(rng))
        hashes.add(graph.hash)
        with torch.no_grad():
            build_module(graph).eval()(tensor[:1])
    assert len(hashes) > 25


def test_the_resnet_patch_decides_what_it_says() -> None:
    space = import_module(example("resnet").small(), {"x": "image:3x32x32"}, patch=patch_of("resnet"))
    domains = {info.path: info.domain for info in space.decisions()}
    assert "layer2.depth" in domains
    assert "layer3.rest[1].residual.conv1.k" in domains
    architecture = space.sample(Random(1))
    graph = space.graph(architecture)
    widths = {node.path: node.shape.channels for node in graph.nodes}
    assert widths["conv1"] == widths["layer1.block1.residual.conv2"] == architecture["width1"]
    assert (
        widths["layer2.block0.parallel.downsample.conv0"] == widths["layer2.block0.parallel.branch.conv2"]
        == architecture["layer2_0_conv2_out"]
    )  # fmt: skip


def test_an_open_architecture_takes_the_weights_that_fit() -> None:
    module = stirred(example("transformer").small())
    imported = Imported(module, {"tokens": "tokens:16"})
    patch = {"blocks.*.fc1": {"ratio": {"choice": [2, 4]}}, "blocks": {"depth": {"int": [1, 3]}}}
    space = imported.space(patch)
    given = {"blocks.depth": 2, "blocks.residual_2.fc1.ratio": 4}
    same = next(each for each in space.enumerate() if dict(each.decisions) == given)
    graph = space.graph(same)
    network = build_module(graph).eval()
    network.load_state_dict(imported.state_dict(graph, patch))
    with torch.no_grad():
        torch.testing.assert_close(network(TOKENS), module(TOKENS), rtol=1e-4, atol=1e-5)
    other = next(each for each in space.enumerate() if each["blocks.residual_2.fc1.ratio"] == 2)
    kept = imported.state_dict(space.graph(other), patch)
    assert any("attn" in name for name in kept)
    assert not any("fc1" in name for name in kept)
