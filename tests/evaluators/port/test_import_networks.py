"""Modules of several kinds are read, and compute the same as the space of one architecture."""

from __future__ import annotations

from random import Random

import pytest
import torch
from archloom_evaluators.build import build_module
from imported_modules import IMAGE, TOKENS, assert_imports
from torch import Tensor, nn
from torch.nn import functional


class Squeezed(nn.Module):
    """Depthwise and grouped convolutions, a squeeze-excite by hand, functional calls, a concatenation."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.expand = nn.Conv2d(8, 24, 1)
        self.depthwise = nn.Conv2d(24, 24, 5, padding=2, groups=24)
        self.reduce = nn.Conv2d(24, 6, 1)
        self.restore = nn.Conv2d(6, 24, 1)
        self.project = nn.Conv2d(24, 8, 1)
        self.grouped = nn.Conv2d(8, 8, 3, padding=2, dilation=2, groups=2)
        self.head = nn.Linear(16, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.max_pool2d(functional.silu(self.stem(x)), 3, stride=2, padding=1)
        y = torch.relu(self.depthwise(self.expand(x)))
        gate = self.restore(functional.relu(self.reduce(y.mean((2, 3), keepdim=True))))
        x = x + self.project(y * gate.sigmoid())
        x = torch.cat([x, self.grouped(x)], dim=1)
        return self.head(functional.adaptive_avg_pool2d(x, 1).flatten(1))


def test_functions_gates_and_groups_are_read() -> None:
    module = Squeezed()
    imported = assert_imports(module, {"x": "image:3x32x32"}, IMAGE)
    space = imported.space({"expand": {"out": {"choice": [16, 24, 48]}}})
    assert space.size() == 3
    for architecture in space.enumerate():
        graph = space.graph(architecture)
        build_module(graph)(IMAGE)
        depthwise = next(node for node in graph.nodes if node.path.endswith("depthwise"))
        assert depthwise.params["groups"] == depthwise.shape.channels
    imported.space({"project": {"out": {"choice": [8, 16]}}})


class Patches(nn.Module):
    """A vision transformer with a class token, and attention as timm writes it."""

    class Attention(nn.Module):
        def __init__(self, dim: int, num_heads: int) -> None:
            super().__init__()
            self.num_heads = num_heads
            self.qkv = nn.Linear(dim, 3 * dim)
            self.proj = nn.Linear(dim, dim)

        def forward(self, x: Tensor) -> Tensor:
            n, t, c = x.shape
            q, k, v = self.qkv(x).reshape(n, t, 3, self.num_heads, -1).permute(2, 0, 3, 1, 4).unbind(0)
            return self.proj(
                functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(n, t, c)
            )

    def __init__(self) -> None:
        super().__init__()
        self.patch = nn.Conv2d(3, 16, 8, stride=8)
        self.token = nn.Parameter(torch.randn(1, 1, 16))
        self.position = nn.Parameter(torch.randn(1, 17, 16))
        self.norm = nn.LayerNorm(16)
        self.attention = self.Attention(16, 4)
        self.head = nn.Linear(16, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patch(x).flatten(2).transpose(1, 2)
        x = torch.cat((self.token.expand(x.shape[0], -1, -1), x), dim=1) + self.position
        x = x + self.attention(self.norm(x))
        return self.head(x[:, 0])


def test_a_vision_transformer_is_read() -> None:
    imported = assert_imports(Patches(), {"x": "image:3x32x32"}, IMAGE)
    space = imported.space(
        {"patch": {"out": {"choice": [16, 32]}}, "attention": {"heads": {"choice": [2, 4]}}}
    )
    for architecture in space.enumerate():
        build_module(space.graph(architecture))(IMAGE)
    assert space.size() == 4


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(50, 12)
        self.conv = nn.Conv1d(12, 12, 3, padding=1)
        self.lstm = nn.LSTM(12, 10, 2, batch_first=True, bidirectional=True)
        self.mask: Tensor
        self.register_buffer("mask", torch.full((16, 16), float("-inf")).triu(1))
        self.attn = nn.MultiheadAttention(20, 4, batch_first=True, bias=False)
        self.out = nn.Linear(20, 3)

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.conv(self.embed(tokens).transpose(1, 2)).permute(0, 2, 1)
        x, _ = self.lstm(x)
        y, _ = self.attn(x, x, x, attn_mask=self.mask)
        return self.out(y[:, -1])


def test_recurrence_and_causal_attention_are_read() -> None:
    imported = assert_imports(Recurrent(), {"tokens": "tokens:16"}, TOKENS % 50)
    text = imported.space().to_yaml()
    assert "causal: true" in text
    assert "layer: lstm" in text


class TwoInputs(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.left = nn.Linear(6, 8)
        self.right = nn.Linear(4, 8)
        self.last = nn.Linear(8, 2)

    def forward(self, a: Tensor, b: Tensor) -> dict[str, Tensor]:
        both = torch.tanh(self.left(a)) * self.right(b)
        return {"both": both, "scores": self.last(both)}


def test_several_inputs_and_outputs_are_read() -> None:
    a, b = torch.randn(3, 6), torch.randn(3, 4)
    imported = assert_imports(TwoInputs(), {"a": "vector:6", "b": "vector:4"}, a, b)
    assert imported.space().tree.outputs == ("both", "scores")


class Tangled(nn.Module):
    """What is neither a residual nor a parallel: branches that read each other."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = (nn.Conv2d(4, 4, 3, padding=1) for _ in range(3))
        self.first = nn.Conv2d(3, 4, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        one = self.a(x)
        two = self.b(x + one)
        return torch.relu(one + two * x + self.c(two))


def test_any_flow_is_read_by_names() -> None:
    imported = assert_imports(Tangled(), {"x": "image:3x32x32"}, IMAGE)
    assert "from:" in imported.space().to_yaml()
    space = imported.space({"first": {"out": {"choice": [4, 6]}}})  # everything is tied to it
    for architecture in space.enumerate():
        build_module(space.graph(architecture))(IMAGE)
    assert space.size() == 2


class Encoder(nn.Module):
    """torch's own encoder layers, with a causal mask."""

    def __init__(self, norm_first: bool) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(
            16, 4, 32, dropout=0.1, activation="gelu", batch_first=True, norm_first=norm_first
        )
        self.embed = nn.Embedding(100, 16)
        self.mask: Tensor
        self.register_buffer("mask", nn.Transformer.generate_square_subsequent_mask(16))
        self.encoder = nn.TransformerEncoder(layer, 2, nn.LayerNorm(16), enable_nested_tensor=False)
        self.last = nn.TransformerEncoderLayer(16, 2, 24, dropout=0.0, batch_first=True)
        self.head = nn.Linear(16, 7)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.head(self.last(self.encoder(self.embed(tokens), mask=self.mask))).transpose(1, 2)


@pytest.mark.parametrize("norm_first", [False, True])
def test_torchs_encoder_layers_are_taken_apart(norm_first: bool) -> None:
    imported = assert_imports(Encoder(norm_first), {"tokens": "tokens:16"}, TOKENS)
    patch = {
        "embed": {"out": {"choice": [16, 32]}},
        "encoder.layers.*.self_attn": {"heads": {"choice": [2, 4]}},
        "encoder.layers.*.linear1": {"ratio": {"choice": [1, 2, 3]}},
        "encoder.layers": {"depth": {"int": [1, 3]}},
    }
    space = imported.space(patch)
    assert space.size() == 2 * 2 * 3 * 3
    for seed in range(5):
        graph = space.graph(space.sample(Random(seed)))
        assert build_module(graph)(TOKENS).shape == (3, 7, 16)
    assert "causal: true" in space.to_yaml()
