"""A small transformer that classifies texts (Vaswani et al. 2017, with norms first)."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Block(nn.Module):
    """Attention and a feed-forward part, each with a norm before it and a shortcut around it."""

    def __init__(self, dim: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim)
        self.attn = nn.MultiheadAttention(dim, heads, batch_first=True)
        self.norm2 = nn.LayerNorm(dim)
        self.fc1 = nn.Linear(dim, hidden)
        self.act = nn.GELU()
        self.fc2 = nn.Linear(hidden, dim)

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm1(x)
        y, _ = self.attn(y, y, y, need_weights=False)
        x = x + y
        return x + self.fc2(self.act(self.fc1(self.norm2(x))))


class Transformer(nn.Module):
    """[n, length] whole numbers -> [n, classes]"""

    def __init__(
        self,
        vocabulary: int = 100,
        length: int = 16,
        dim: int = 32,
        heads: int = 4,
        ratio: int = 4,
        blocks: int = 2,
        classes: int = 5,
    ) -> None:
        super().__init__()
        self.embed = nn.Embedding(vocabulary, dim)
        self.position = nn.Parameter(torch.randn(1, length, dim) * 0.02)
        self.blocks = nn.Sequential(*[Block(dim, heads, ratio * dim) for _ in range(blocks)])
        self.norm = nn.LayerNorm(dim)
        self.head = nn.Linear(dim, classes)

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.embed(tokens) + self.position
        x = self.norm(self.blocks(x))
        return self.head(x.mean(1))


def small() -> nn.Module:
    """Two blocks of 32 channels with 4 heads."""
    return Transformer()
