"""What an import refuses, and in which words; parts that are operations of the user's own."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
import torch
from archloom.space import Space
from archloom_evaluators.build import build_module
from archloom_evaluators.port import Imported, ImportFailed, import_module
from imported_modules import example
from torch import Tensor, nn


def resnet(patch: Any) -> Space:
    return import_module(example("resnet").small(), {"x": "image:3x32x32"}, patch=patch)


@pytest.mark.parametrize(
    ("patch", "told"),
    [
        (
            {"layer1.*.conv3": {"k": 3}},
            r"no layer 'layer1\.\*\.conv3' \(did you mean 'layer1\.\*\.conv[12]'\?\)",
        ),
        (
            {"layer1.0.conv1": {"kk": 3}},
            r"'layer1\.0\.conv1' \(conv\) has no parameter 'kk' \(did you mean 'k'",
        ),
        ({"layer1.0.bn1": {"out": 3}}, "keeps its input's"),
        ({"layer1": {"out": {"choice": [8, 16]}}}, "is a block: patch its layers"),
        ({"layer4": {"depth": {"int": [1, 2]}}}, "no chain of blocks 'layer4'"),
        ({"layer2": {"depth": {"int": [1, 2]}, "k": 3}}, "'k' does not go with depth"),
        ({"layer1.0": {"depth": {"int": [1, 2]}}}, "has no depth"),
        ({"conv1": 3}, "expected a map"),
        ([], "a patch maps names"),
        (
            {
                "layer2.0.conv2": {"out": {"choice": [16, 32]}},
                "layer2.1.conv2": {"out": {"choice": [32, 48]}},
            },
            r"widths of 'layer2\.0\.conv2' and 'layer2\.1\.conv2' must agree \(they meet in 'layer2",
        ),
        ({"layer2.0.conv2": {"ratio": 2}}, "`ratio` cannot be used here; use `let: {wide: .*`out: =wide`"),
        ({"layer2.0.conv2": {"out": "=2*cin"}}, "must read variables of the patch's `let` alone"),
        ({"layer2.1.conv1": {"k": 5}, "layer2.0.conv1": {"k": 3}, "layer2": {"depth": 2}}, ""),
    ],
)
def test_patches_that_do_not_fit_say_why(patch: Any, told: str) -> None:
    if not told:
        assert resnet(patch).size() == 1
        return
    with pytest.raises(ImportFailed, match=told):
        resnet(patch)


def test_a_width_that_an_input_fixes_is_told_with_both_names() -> None:
    class Shortcut(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 3, 3, padding=1)

        def forward(self, x: Tensor) -> Tensor:
            return x + self.conv(x)

    with pytest.raises(
        ImportFailed, match=r"width of 'conv' must agree with that of the input 'x'.*meet in 'sum'"
    ):
        import_module(Shortcut(), {"x": "image:3x8x8"}, patch={"conv": {"out": {"choice": [3, 6]}}})


class Strange(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.fft.fft(x).real


class Holder(nn.Module):
    """One part inside a network."""

    def __init__(self, part: nn.Module) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 4, 3, padding=1)
        self.part = part

    def forward(self, x: Tensor) -> Tensor:
        return self.part(self.first(x))


@pytest.mark.parametrize(
    ("part", "told"),
    [
        (Strange(), "fft.*in the module 'part' is no operation that spaces know"),
        (nn.LPPool2d(2, 3), r"the module 'part' \(LPPool2d\) is no operation.*--opaque part=my_op"),
        (nn.Conv2d(4, 4, (3, 5)), r"the module 'part' \(Conv2d\): the kernel \(3, 5\) differs"),
        (nn.Conv2d(4, 4, 3, padding=2), "padding 2 is neither 0 nor half"),
        (nn.Conv2d(4, 4, 3, padding_mode="reflect"), "padding_mode 'reflect'"),
        (nn.LeakyReLU(0.3), "negative_slope is 0.01 in spaces, here it is 0.3"),
        (nn.AvgPool2d(3, 1, 1), "count_include_pad"),
        (nn.BatchNorm2d(4, affine=False), "affine"),
        (nn.Linear(32, 3), "channels of image"),
        (nn.BatchNorm2d(4, eps=1.0), "another eps"),
    ],
)
def test_what_cannot_be_said_is_named(part: nn.Module, told: str) -> None:
    with pytest.raises(ImportFailed, match=told):
        import_module(Holder(part), {"x": "image:3x32x32"})


def test_a_layer_that_is_called_twice_is_refused() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 3, 3, padding=1)
            self.act = nn.ReLU()

        def forward(self, x: Tensor) -> Tensor:
            return self.act(self.conv(self.act(self.conv(x))))

    with pytest.raises(ImportFailed, match=r"'conv'.*is called twice with the same weights"):
        import_module(Twice(), {"x": "image:3x8x8"})


def test_branches_on_values_are_told() -> None:
    class Branches(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x if x.sum() > 0 else -x

    with pytest.raises(ImportFailed, match=r"torch\.fx cannot follow Branches"):
        import_module(Branches(), {"x": "vector:3"})


@pytest.mark.parametrize("text", ["image:3x32", "picture:3x3x3", "vector:", "seq:0x3", "image:3 x 3 x 3"])
def test_shapes_that_are_none_are_told(text: str) -> None:
    with pytest.raises(ImportFailed, match="is no shape of an input"):
        import_module(nn.Identity(), {"x": text})


def test_a_part_may_be_an_operation_of_the_users() -> None:
    from archloom.space.operations import opaque, register
    from archloom_evaluators.build import register_operation

    register(opaque("imported_strange", builder="tests:none"))
    register_operation("imported_strange", lambda parameters, inputs, output: Strange())
    imported = Imported(Holder(Strange()), {"x": "image:3x8x8"}, opaque={"part": "imported_strange"})
    space = imported.space({"first": {"k": {"choice": [1, 3]}}})
    assert space.size() == 2
    graph = space.graph(space.sample(Random(0)))
    assert build_module(graph)(torch.randn(2, 3, 8, 8)).shape == (2, 4, 8, 8)
