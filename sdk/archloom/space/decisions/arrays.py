"""Many architectures as one numpy array. The one file of the SDK that imports numpy; it is imported when
asked for.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy
from numpy.typing import NDArray

from archloom.space.architecture import Architecture
from archloom.space.decisions.encoding import Block
from archloom.space.language.domains import Uniform, literal_key

Array = NDArray[numpy.float64]


def vectors(blocks: Sequence[Block], architectures: Sequence[Architecture]) -> Array:
    """The vector encodings, [architectures, coordinates], made column by column."""
    array = numpy.zeros((len(architectures), sum(len(block.names) for block in blocks)))
    rows = [architecture.decisions for architecture in architectures]
    if not rows:
        return array
    start = 0
    for block in blocks:
        end = start + len(block.names)
        path = block.path
        column = [row.get(path) for row in rows]
        if isinstance(block.domain, Uniform):
            array[:, start:end] = [tuple(block.values(value)) for value in column]
        else:  # each value is encoded once
            numbers: dict[object, int] = {}
            table: list[tuple[float, ...]] = []
            indices = []
            for value in column:
                key = literal_key(value)
                number = numbers.get(key)
                if number is None:
                    number = numbers[key] = len(table)
                    table.append(tuple(block.values(value)))
                indices.append(number)
            array[:, start:end] = numpy.array(table)[indices]
        start = end
    return array


def stacked(rows: Sequence[tuple[float, ...]], width: int) -> Array:
    """Rows of one width, [rows, width]."""
    return numpy.array(rows, dtype=numpy.float64).reshape(len(rows), width)
