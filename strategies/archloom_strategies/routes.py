"""Routes through networks, as rows of numbers: see ``features``.

Of each kind of layer, and of all: how many the network has, on which way from input to output there are
fewest, and on which most (Kadlecová et al., "Surprisingly Strong Performance Prediction with Neural Graph
Features", ICML 2024, who find that such counts predict better than other encodings where trials are few). The
least of all layers is the shortest way, which skip connections make short; the most is the depth.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from hashlib import sha256
from itertools import chain, pairwise

import numpy as np
from archloom.space import Graph
from archloom.space.networks.pieces import Piece
from archloom.space.operations import Operation
from numpy.typing import NDArray

#: Columns that kinds of layers are hashed to.
KINDS = 32
#: What brings ways together, and does nothing.
MERGES = frozenset(["sum", "concat"])

Rows = NDArray[np.float32]


def routes(graphs: Sequence[Graph]) -> Rows:
    """[graphs, 3 * (KINDS + 1)]: square roots of the numbers of layers, the fewest, and the most on a way.

    All graphs are gone through at once, level by level, since each step on an array costs as much as on some
    hundred pieces.
    """
    if not graphs:
        return np.zeros((0, 3 * (KINDS + 1)), np.float32)
    sizes = np.array([len(graph.pieces) for graph in graphs], np.intp)
    firsts = np.cumsum(sizes) - sizes
    own = np.stack([_kinds(piece) for graph in graphs for piece in graph.pieces])
    counts = np.add.reduceat(own, firsts)
    read = list(chain.from_iterable([graph.sources for graph in graphs]))
    reads = np.fromiter(map(len, read), np.intp, len(read))
    sources = np.fromiter(chain.from_iterable(read), np.intp) + np.repeat(np.repeat(firsts, sizes), reads)
    levels = np.fromiter(chain.from_iterable([_levels(graph.sources) for graph in graphs]), np.intp)
    # From here on pieces are in the order of their levels; of each, where its sources begin.
    order = np.argsort(levels, kind="stable")
    place = np.argsort(order)
    begins, reads = (np.cumsum(reads) - reads)[order], reads[order]
    sources, graph_of = place[sources], np.repeat(np.arange(len(graphs)), sizes)[order]
    # The fewest, and below zero the most: of both the least counts.
    ways = np.concatenate([own, -own], axis=1)[order]
    ends = np.cumsum(np.bincount(levels)).tolist()
    for start, end in pairwise(ends):
        begin, read_here = begins[start:end], reads[start:end]
        least = ways[sources[begin]]
        for nth in range(1, int(read_here.max())):
            some = np.flatnonzero(read_here > nth)
            least[some] = np.minimum(least[some], ways[sources[begin[some] + nth]])
        ways[start:end] += least
    # A way ends where an output goes nowhere else; where an input leads nowhere there is none.
    outputs = chain.from_iterable(
        [[first + end for end in graph.ends] for first, graph in zip(firsts, graphs, strict=True)]
    )
    last = np.zeros(len(own), bool)
    last[place[np.fromiter(outputs, np.intp)]] = True
    last[sources] = False
    least = np.full((len(graphs), ways.shape[1]), np.iinfo(np.int32).max, np.int32)
    np.minimum.at(least, graph_of[last], ways[last])
    fewest, most = np.split(least, 2, axis=1)
    found: Rows = np.sqrt(np.concatenate([counts, fewest, -most], axis=1), dtype=np.float32)
    return found


def _levels(sources: Sequence[Sequence[int]]) -> list[int]:
    """Of each piece, how many there are before it, at most."""
    found: list[int] = []
    for read in sources:
        if len(read) == 1:
            found.append(found[read[0]] + 1)
        else:
            found.append(1 + max([found[source] for source in read], default=-1))
    return found


_known: dict[bytes, NDArray[np.int32]] = {}


def _kinds(piece: Piece) -> NDArray[np.int32]:
    """How many layers of each kind, and of all."""
    found = _known.get(piece.text)
    if found is None:
        if len(_known) > 50_000:
            _known.clear()
        found = np.zeros(KINDS + 1, np.int32)
        for operation in piece.operations:
            if operation.name not in MERGES:
                found[hashed(kind(operation)) % KINDS] += 1
                found[KINDS] += 1
        _known[piece.text] = found
    return found


def kind(operation: Operation) -> str:
    """The operation and its kernel, whatever its channels."""
    return f"{operation.name}{dict(operation.parameters).get('k', '')}"


@lru_cache(maxsize=10_000)
def hashed(text: str) -> int:
    """64 bits, the same in each process."""
    return int.from_bytes(sha256(text.encode()).digest()[:8], "big")
