# ruff: noqa: E501 - one row a line
"""The preset nasbench201 is NAS-Bench-201."""

from __future__ import annotations

from random import Random

import pytest
from archloom.space import SpaceError, load_preset
from archloom.space.nasbench201 import PATHS, from_arch_string, to_arch_string

SPACE = load_preset("nasbench201")

# Architecture, parameters and FLOPs in millions with CIFAR-10's head, as NATS-Bench publishes them (MIT).
PUBLISHED = [
    ("|nor_conv_1x1~0|+|avg_pool_3x3~0|none~1|+|none~0|nor_conv_1x1~1|nor_conv_3x3~2|", 0.372346, 51.03681),
    ("|skip_connect~0|+|nor_conv_1x1~0|nor_conv_3x3~1|+|nor_conv_1x1~0|nor_conv_3x3~1|avg_pool_3x3~2|", 0.615386, 86.42625),
    ("|skip_connect~0|+|avg_pool_3x3~0|none~1|+|avg_pool_3x3~0|nor_conv_3x3~1|nor_conv_3x3~2|", 0.559386, 78.56193),
    ("|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_1x1~1|+|nor_conv_1x1~0|nor_conv_3x3~1|skip_connect~2|", 0.858426, 121.81569),
    ("|nor_conv_3x3~0|+|skip_connect~0|skip_connect~1|+|none~0|skip_connect~1|skip_connect~2|", 0.316346, 43.17249),
    ("|avg_pool_3x3~0|+|skip_connect~0|nor_conv_3x3~1|+|skip_connect~0|nor_conv_3x3~1|avg_pool_3x3~2|", 0.559386, 78.56193),
    ("|avg_pool_3x3~0|+|nor_conv_1x1~0|avg_pool_3x3~1|+|nor_conv_1x1~0|skip_connect~1|skip_connect~2|", 0.129306, 15.64737),
    ("|nor_conv_1x1~0|+|nor_conv_1x1~0|nor_conv_1x1~1|+|nor_conv_1x1~0|none~1|nor_conv_1x1~2|", 0.213306, 27.44385),
    ("|skip_connect~0|+|none~0|avg_pool_3x3~1|+|avg_pool_3x3~0|nor_conv_1x1~1|nor_conv_3x3~2|", 0.344346, 47.10465),
    ("|skip_connect~0|+|none~0|nor_conv_1x1~1|+|none~0|avg_pool_3x3~1|skip_connect~2|", 0.101306, 11.71521),
]  # fmt: skip


@pytest.mark.parametrize(("arch", "parameters", "flops"), PUBLISHED)
def test_parameters_and_flops_are_the_published_ones(arch: str, parameters: float, flops: float) -> None:
    graph = SPACE.graph(from_arch_string(arch), classes=10)
    assert graph.parameters == round(parameters * 1e6)
    assert graph.flops + 10 == round(flops * 1e6)  # the table counts the ten biases of the head


def test_architectures_and_networks() -> None:
    names = set()
    hashes = set()
    for architecture in SPACE.enumerate():
        names.add(to_arch_string(architecture))
        hashes.add(SPACE.graph(architecture).hash)
    assert SPACE.size() == len(names) == 15_625
    assert len(hashes) == 5_425


def test_names_go_both_ways() -> None:
    rng = Random(0)
    for _ in range(100):
        architecture = SPACE.sample(rng)
        name = to_arch_string(architecture)
        assert from_arch_string(name) == architecture
        assert SPACE.check(from_arch_string(name)) == []
    assert tuple(architecture) == PATHS


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected"),
        ("|none~0|+|none~0|none~1|", "expected"),
        ("|none~1|+|none~0|none~1|+|none~0|none~1|none~2|", "expected"),
        ("|nor_conv_5x5~0|+|none~0|none~1|+|none~0|none~1|none~2|", "did you mean 'nor_conv_3x3'"),
    ],
)
def test_a_wrong_name_is_refused(text: str, message: str) -> None:
    with pytest.raises(SpaceError, match=message):
        from_arch_string(text)


def test_an_architecture_of_another_space_has_no_name() -> None:
    other = load_preset("mlp").sample(Random(0))
    with pytest.raises(SpaceError, match="is no edge of NAS-Bench-201"):
        to_arch_string(other)
