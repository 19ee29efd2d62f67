"""Networks of several kinds are read: dense, channels last, over positions, with functions and defaults."""

from __future__ import annotations

from random import Random

import pytest
import torch
from archloom_evaluators.build import build_module
from archloom_evaluators.port import Imported, ImportFailed
from torch import Tensor, nn
from torch.nn import functional

torch.set_num_threads(1)
IMAGE = torch.randn(2, 3, 32, 32)


class Dense(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.convs = nn.ModuleList([nn.Conv2d(3 + 4 * number, 4, 3, padding=1) for number in range(3)])
        self.head = nn.Linear(15, 2)

    def forward(self, x: Tensor) -> Tensor:
        for conv in self.convs:
            x = torch.cat([x, functional.relu(conv(x))], 1)
        return self.head(x.mean([2, 3]))


class UNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Conv2d(3, 8, 3, padding=1)
        self.down = nn.MaxPool2d(2)
        self.b = nn.Conv2d(8, 16, 3, padding=1)
        self.up = nn.ConvTranspose2d(16, 8, 2, stride=2)
        self.c = nn.Conv2d(16, 8, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.elu(self.a(x))
        y = functional.leaky_relu(self.b(self.down(x)))
        return functional.softplus(self.c(torch.cat((x, self.up(y)), dim=1)))


class ChannelsLast(nn.Module):
    """As ConvNeXt has it (Liu et al. 2022)."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 4, stride=4)
        self.depthwise = nn.Conv2d(8, 8, 7, padding=3, groups=8)
        self.norm = nn.LayerNorm(8)
        self.up = nn.Linear(8, 32)
        self.down = nn.Linear(32, 8)
        self.head = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        y = self.norm(self.depthwise(x).permute(0, 2, 3, 1))
        y = self.down(functional.gelu(self.up(y))).permute(0, 3, 1, 2)
        return self.head((x + y).mean((-2, -1)))


class Mixer(nn.Module):
    """Linear layers over positions and over channels in turn (Tolstikhin et al. 2021)."""

    def __init__(self) -> None:
        super().__init__()
        self.patch = nn.Conv2d(3, 8, 8, stride=8)
        self.norm = nn.LayerNorm(8)
        self.over_positions = nn.Sequential(nn.Linear(16, 20), nn.GELU(), nn.Linear(20, 16))
        self.over_channels = nn.Sequential(nn.Linear(8, 12), nn.GELU(), nn.Linear(12, 8))

    def forward(self, x: Tensor) -> Tensor:
        x = self.patch(x).flatten(2).transpose(1, 2)
        x = x + self.over_positions(self.norm(x).transpose(1, 2)).transpose(1, 2)
        return (x + self.over_channels(x)).mean(1)


class LeNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 6, 5), nn.Tanh(), nn.AvgPool2d(2), nn.Conv2d(6, 4, 5, stride=2)
        )
        self.classifier = nn.Sequential(nn.Linear(100, 20), nn.ReLU(), nn.Dropout(0.2), nn.Linear(20, 10))

    def forward(self, x: Tensor, scale: float | None = None) -> Tensor:
        x = self.features(x)
        x = self.classifier(x.view(x.size(0), -1))
        return x if scale is None else x * scale


@pytest.mark.parametrize(
    ("module", "patch", "size"),
    [
        (Dense(), {"convs.*": {"out": {"choice": [4, 6]}}}, 8),
        (UNet(), {"a": {"out": {"choice": [4, 8]}}, "b": {"k": {"choice": [3, 5]}}}, 4),
        (ChannelsLast(), {"stem": {"out": {"choice": [8, 12]}}, "up": {"ratio": {"choice": [2, 4]}}}, 4),
        (Mixer(), {"patch": {"out": {"choice": [8, 16]}}, "over_positions.0": {"out": {"int": [20, 22]}}}, 6),
        (
            LeNet(),
            {"features.0": {"out": {"choice": [6, 8]}}, "classifier.2": {"p": {"choice": [0.1, 0.2]}}},
            4,
        ),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, nn.Module) else "",
)
def test_it_is_the_same_and_opens(module: nn.Module, patch: dict[str, object], size: int) -> None:
    imported = Imported(module.eval(), {"x": "image:3x32x32"})
    space = imported.space()
    graph = space.graph(space.sample(Random(0)))
    network = build_module(graph).eval()
    network.load_state_dict(imported.state_dict(graph))
    with torch.no_grad():
        torch.testing.assert_close(network(IMAGE), module(IMAGE), rtol=1e-4, atol=1e-5)
    opened = imported.space(patch)
    assert opened.size() == size
    for architecture in opened.enumerate():
        build_module(opened.graph(architecture)).eval()(IMAGE)


def test_the_mode_of_the_module_stays_its_own() -> None:
    module = LeNet().train()
    Imported(module, {"x": "image:3x32x32"})
    assert module.training
    with pytest.raises(ImportFailed):
        Imported(module, {"x": "image:3x32x32", "scale": "vector:1", "more": "vector:1"})
    assert module.training


class DropPath(nn.Module):
    """By this name and ``drop_prob`` timm's is known."""

    def __init__(self, drop_prob: float) -> None:
        super().__init__()
        self.drop_prob = drop_prob

    def forward(self, x: Tensor) -> Tensor:
        return x if not self.training else x * (torch.rand(len(x), 1) > self.drop_prob)


def test_stochastic_depth_is_known_by_its_name() -> None:
    module = nn.Sequential(nn.Linear(4, 4), DropPath(0.2), nn.Dropout(0.0), DropPath(0.0), nn.Identity())
    text = Imported(module, {"x": "vector:4"}).space().to_yaml()
    assert text.count("layer:") == 2
    assert "layer: drop_path, p: 0.2" in text
