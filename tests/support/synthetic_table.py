"""A table of made-up results for every architecture of NAS-Bench-201, the same in every process."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterator
from itertools import product
from pathlib import Path

from archloom.space.nasbench201 import OPERATIONS

#: What an operation adds to the score; a 3x3 convolution helps most, as in the real table.
WORTH = {"none": 0.0, "skip_connect": 3.0, "nor_conv_1x1": 5.0, "nor_conv_3x3": 7.0, "avg_pool_3x3": 1.0}


def _noise(text: str) -> float:
    """In [0, 1), from the text alone."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:6], "big") / 2**48


def rows() -> Iterator[tuple[str, float, float]]:
    """Architecture, validation accuracy, test accuracy, in [0, 1]."""
    for a, b, c, d, e, f in product(OPERATIONS, repeat=6):
        name = f"|{a}~0|+|{b}~0|{c}~1|+|{d}~0|{e}~1|{f}~2|"
        score = 0.4 + sum(WORTH[operation] for operation in (a, b, c, d, e, f)) / 100
        yield (
            name,
            round(score + 0.1 * _noise(f"val {name}"), 6),
            round(score + 0.1 * _noise(f"test {name}"), 6),
        )


def write_table(path: Path) -> Path:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["arch", "val", "test"])
        writer.writerows(rows())
    return path
