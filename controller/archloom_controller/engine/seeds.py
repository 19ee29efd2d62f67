"""Where randomness comes from: every draw is named, and derived from the experiment's seed and its name
alone.
"""

from __future__ import annotations

import hashlib
import random


def derive(seed: int, *names: object) -> int:
    """A number in [0, 2**64), independent for different names."""
    text = ":".join([str(seed), *map(str, names)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


def training_seed(seed: int, *names: object) -> int:
    """The same, in the range that seeds of trainings have: [0, 2**31)."""
    return derive(seed, *names) >> 33


def generator(seed: int, *names: object) -> random.Random:
    return random.Random(derive(seed, *names))
