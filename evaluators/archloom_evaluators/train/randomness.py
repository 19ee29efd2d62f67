"""All randomness of a training run, derived from (seed, purpose, step).

A run that goes on from step k draws what the uninterrupted run draws, so that a checkpoint carries no
generator's state.
"""

from __future__ import annotations

import hashlib

import torch


def derived_seed(seed: int, *purpose: object) -> int:
    """A 63-bit seed for a purpose, independent of the others."""
    text = ":".join(str(part) for part in (seed, *purpose))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def generator(seed: int, *purpose: object) -> torch.Generator:
    """A CPU generator for a purpose."""
    return torch.Generator().manual_seed(derived_seed(seed, *purpose))


def seed_torch(seed: int, *purpose: object) -> None:
    """Seeds torch's own generators (initial weights, dropout) for a purpose."""
    torch.manual_seed(derived_seed(seed, *purpose))


def epoch_order(examples: int, seed: int, epoch: int) -> torch.Tensor:
    """The order of the training examples in an epoch, [examples]."""
    return torch.randperm(examples, generator=generator(seed, "order", epoch))
