"""Tokens and positions."""

from __future__ import annotations

import torch
from archloom.space import Shape
from torch import Tensor, nn

from archloom_evaluators.build.layers.signature import Parameters, Shapes
from archloom_evaluators.build.registry import register_operation


class TokenEmbedding(nn.Embedding):
    """[n, t] whole numbers -> [n, c, t]"""

    def forward(self, tokens: Tensor) -> Tensor:
        return super().forward(tokens).transpose(1, 2)


class LearnedPosition(nn.Module):
    """Adds a learnt vector a position."""

    def __init__(self, channels: int, positions: int) -> None:
        super().__init__()
        self.vectors = nn.Parameter(torch.randn(channels, positions) * 0.02)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.vectors


class SinusoidalPosition(nn.Module):
    """Adds sines and cosines of the position (Vaswani et al. 2017)."""

    waves: Tensor

    def __init__(self, channels: int, positions: int) -> None:
        super().__init__()
        pairs = torch.arange(0, channels, 2) / channels
        angles = torch.arange(positions) / 10_000 ** pairs.unsqueeze(1)
        waves = torch.stack((angles.sin(), angles.cos()), 1).flatten(0, 1)[:channels]
        self.register_buffer("waves", waves, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.waves


class ClassToken(nn.Module):
    """A learnt position before the first: [n, c, t] -> [n, c, t + 1]"""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.vector = nn.Parameter(torch.randn(channels, 1) * 0.02)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat((self.vector.expand(x.shape[0], -1, -1), x), 2)


class NgramBag(nn.Module):
    """The mean of the vectors of all runs of 1 to ``longest`` tokens.

    [n, t] whole numbers -> [n, c]; a run's number is a polynomial of its tokens, modulo
    a large prime, then modulo ``buckets``.
    """

    def __init__(self, longest: int, buckets: int, channels: int) -> None:
        super().__init__()
        self.longest = longest
        self.buckets = buckets
        self.vectors = nn.Embedding(buckets, channels)

    def forward(self, tokens: Tensor) -> Tensor:
        numbers = torch.zeros_like(tokens)
        runs = []
        for length in range(self.longest):
            kept = tokens.shape[1] - length
            numbers = (
                numbers[:, :kept] * 1_000_003 + tokens[:, length:] + 1
            ) % 2_147_483_647
            runs.append(numbers % self.buckets)
        vectors: Tensor = self.vectors(torch.cat(runs, 1))
        return vectors.mean(1)


def embedding(parameters: Parameters, inputs: Shapes, output: Shape) -> nn.Module:
    return TokenEmbedding(parameters["vocabulary"], output.channels)


def position(parameters: Parameters, inputs: Shapes, output: Shape) -> nn.Module:
    kind = LearnedPosition if parameters["kind"] == "learned" else SinusoidalPosition
    return kind(*output.dims)


def ngram_bag(parameters: Parameters, inputs: Shapes, output: Shape) -> nn.Module:
    return NgramBag(parameters["n"], parameters["buckets"], output.channels)


register_operation("embedding", embedding)
register_operation("position", position)
register_operation(
    "class_token", lambda parameters, inputs, output: ClassToken(output.channels)
)
register_operation("ngram_bag", ngram_bag)
