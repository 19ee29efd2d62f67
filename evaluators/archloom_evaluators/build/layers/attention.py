"""Attention."""

from __future__ import annotations

import torch
from archloom.space import Shape
from torch import Tensor, nn
from torch.nn import functional

from archloom_evaluators.build.layers.signature import Parameters, Shapes
from archloom_evaluators.build.registry import register_operation


class Attention(nn.Module):
    """Multi-head self-attention (Vaswani et al. 2017): [n, c, t] -> [n, out, t]

    kv_heads: heads of keys and values, each for heads / kv_heads heads of queries
        (Ainslie et al. 2023).
    window: a position sees those nearer than so many (Beltagy et al. 2020); 0: all.
    causal: whether a position sees none after it.
    rotary: whether queries and keys are turned by their positions (Su et al. 2021).
    """

    def __init__(
        self,
        channels: int,
        heads: int,
        kv_heads: int,
        head_dim: int,
        out: int,
        bias: bool = True,
        window: int = 0,
        causal: bool = False,
        rotary: bool = False,
    ) -> None:
        super().__init__()
        self.heads = heads
        self.kv_heads = kv_heads
        self.window = window
        self.causal = causal
        self.rotary = rotary
        self.query = nn.Linear(channels, heads * head_dim, bias)
        self.key = nn.Linear(channels, kv_heads * head_dim, bias)
        self.value = nn.Linear(channels, kv_heads * head_dim, bias)
        self.output = nn.Linear(heads * head_dim, out, bias)

    def forward(self, x: Tensor) -> Tensor:
        x = x.transpose(1, 2)
        # Queries, keys and values are [n, heads, t, head_dim].
        queries = self.query(x).unflatten(2, (self.heads, -1)).transpose(1, 2)
        keys = self.key(x).unflatten(2, (self.kv_heads, -1)).transpose(1, 2)
        values = self.value(x).unflatten(2, (self.kv_heads, -1)).transpose(1, 2)
        if self.rotary:
            queries, keys = self.turned(queries), self.turned(keys)
        if self.kv_heads < self.heads:
            keys = keys.repeat_interleave(self.heads // self.kv_heads, 1)
            values = values.repeat_interleave(self.heads // self.kv_heads, 1)
        spans = 2 if self.causal else 3
        if self.window and spans * self.window < x.shape[1]:
            seen = self.seen_by_blocks(queries, keys, values, spans)
        else:
            seen = self.seen(queries, keys, values)
        mixed: Tensor = self.output(seen.transpose(1, 2).flatten(2))
        return mixed.transpose(1, 2)

    def seen(self, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """Each position's mean of the values that it sees, all pairs at once."""
        if not self.window:
            return functional.scaled_dot_product_attention(
                queries, keys, values, is_causal=self.causal
            )
        places = torch.arange(queries.shape[2], device=queries.device)
        distance = places.unsqueeze(1) - places
        near = distance.abs() < self.window
        if self.causal:
            near = near & (distance >= 0)
        return functional.scaled_dot_product_attention(
            queries, keys, values, attn_mask=near
        )

    def seen_by_blocks(
        self, queries: Tensor, keys: Tensor, values: Tensor, spans: int
    ) -> Tensor:
        """The same, where each block of ``window`` queries meets the keys of its own
        block and its neighbours alone: time grows with t * window.
        """
        window, (batch, heads, length, width) = self.window, queries.shape
        blocks = -(-length // window)
        rest = blocks * window - length
        after = rest if self.causal else rest + window
        queries = functional.pad(queries, (0, 0, 0, rest)).reshape(
            batch, heads * blocks, window, width
        )
        keys = (
            functional.pad(keys, (0, 0, window, after))
            .unfold(2, spans * window, window)
            .flatten(1, 2)
        )
        values = (
            functional.pad(values, (0, 0, window, after))
            .unfold(2, spans * window, window)
            .flatten(1, 2)
        )
        place = torch.arange(blocks * window, device=queries.device).view(
            blocks, window, 1
        )
        other = (
            place[:, :1] - window + torch.arange(spans * window, device=queries.device)
        )
        near = ((place - other).abs() < window) & (other >= 0) & (other < length)
        if self.causal:
            near = near & (other <= place)
        near = near | (
            place == other
        )  # places past the end see themselves, for a mean of nothing is none
        seen = functional.scaled_dot_product_attention(
            queries,
            keys.transpose(2, 3),
            values.transpose(2, 3),
            attn_mask=near.repeat(heads, 1, 1),
        )
        return seen.reshape(batch, heads, blocks * window, width)[:, :, :length]

    def turned(self, x: Tensor) -> Tensor:
        """[n, heads, t, head_dim], turned in pairs of a channel of each half."""
        half = x.shape[3] // 2
        speeds = 10_000 ** -(torch.arange(half, device=x.device) / half)
        angles = torch.arange(x.shape[2], device=x.device).unsqueeze(1) * speeds
        sine, cosine = angles.sin().to(x.dtype), angles.cos().to(x.dtype)
        first, second = x[..., :half], x[..., half:]
        return torch.cat(
            (first * cosine - second * sine, first * sine + second * cosine), 3
        )


class CrossAttention(nn.Module):
    """Attention to a memory (Vaswani et al. 2017).

    [n, c, t], [n, memory, t2] -> [n, out, t]

    kv_heads: heads of keys and values, each for heads / kv_heads heads of queries
        (Ainslie et al. 2023).
    """

    def __init__(
        self,
        channels: int,
        memory: int,
        heads: int,
        kv_heads: int,
        head_dim: int,
        out: int,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.heads = heads
        self.kv_heads = kv_heads
        self.query = nn.Linear(channels, heads * head_dim, bias)
        self.key = nn.Linear(memory, kv_heads * head_dim, bias)
        self.value = nn.Linear(memory, kv_heads * head_dim, bias)
        self.output = nn.Linear(heads * head_dim, out, bias)

    def forward(self, x: Tensor, memory: Tensor) -> Tensor:
        x, memory = x.transpose(1, 2), memory.transpose(1, 2)
        # Queries, keys and values are [n, heads, t, head_dim].
        queries = self.query(x).unflatten(2, (self.heads, -1)).transpose(1, 2)
        keys = self.key(memory).unflatten(2, (self.kv_heads, -1)).transpose(1, 2)
        values = self.value(memory).unflatten(2, (self.kv_heads, -1)).transpose(1, 2)
        if self.kv_heads < self.heads:
            keys = keys.repeat_interleave(self.heads // self.kv_heads, 1)
            values = values.repeat_interleave(self.heads // self.kv_heads, 1)
        seen = functional.scaled_dot_product_attention(queries, keys, values)
        mixed: Tensor = self.output(seen.transpose(1, 2).flatten(2))
        return mixed.transpose(1, 2)


def attention(parameters: Parameters, inputs: Shapes, output: Shape) -> nn.Module:
    return Attention(
        inputs[0].channels,
        parameters["heads"],
        parameters["kv_heads"],
        parameters["head_dim"],
        output.channels,
        bias=parameters["bias"],
        window=parameters["window"],
        causal=parameters["causal"],
        rotary=parameters["rotary"],
    )


def cross_attention(parameters: Parameters, inputs: Shapes, output: Shape) -> nn.Module:
    return CrossAttention(
        inputs[0].channels,
        inputs[1].channels,
        parameters["heads"],
        parameters["kv_heads"],
        parameters["head_dim"],
        output.channels,
        bias=parameters["bias"],
    )


register_operation("attention", attention)
register_operation("cross_attention", cross_attention)
