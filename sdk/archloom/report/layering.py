"""Placing a network's nodes for drawing: layers from top to bottom, few crossings, straight long edges.

After Sugiyama, Tagawa and Toda, "Methods for Visual Understanding of Hierarchical System Structures" (1981):
layers by longest path, bends of long edges as nodes of their own, order by barycentres, then positions by
barycentres under a least distance. Departure: a fixed number of sweeps, as networks are narrow.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

_ORDERING_SWEEPS = 8
_POSITION_SWEEPS = 60


@dataclass(frozen=True)
class Placed:
    """Centres of nodes by id, in node widths and layer heights; bends of edges by (source, target)."""

    centres: Mapping[int, tuple[float, float]]
    bends: Mapping[tuple[int, int], Sequence[tuple[float, float]]]
    width: float
    layers: int


def place(inputs: Mapping[int, Sequence[int]], bend_width: float = 0.35) -> Placed:
    """Places a graph without cycles; `inputs` has each node's sources, nodes in topological order."""
    ranks = _ranks(inputs)
    chains, layers = _with_bends(inputs, ranks)
    above, below = _neighbours(chains)
    for sweep in range(_ORDERING_SWEEPS):
        downwards = sweep % 2 == 0
        _order(layers if downwards else layers[::-1], above if downwards else below)
    widths = {key: 1.0 if key[1] < 0 else bend_width for layer in layers for key in layer}
    xs = _positions(layers, widths, above, below)
    left = min(xs[key] - widths[key] / 2 for key in xs)
    right = max(xs[key] + widths[key] / 2 for key in xs)
    depth = {key: float(number) for number, layer in enumerate(layers) for key in layer}
    centres = {key[0]: (xs[key] - left, depth[key]) for key in xs if key[1] < 0}
    bends = {edge: [(xs[key] - left, depth[key]) for key in chain[1:-1]] for edge, chain in chains.items()}
    return Placed(centres, bends, right - left, len(layers))


# A node of the drawing: (node, -1), or a bend of an edge: (number of the edge, layer).
_Key = tuple[int, int]


def _ranks(inputs: Mapping[int, Sequence[int]]) -> dict[int, int]:
    ranks: dict[int, int] = {}
    for node, sources in inputs.items():
        ranks[node] = 1 + max((ranks[each] for each in sources), default=-1)
    return ranks


def _with_bends(
    inputs: Mapping[int, Sequence[int]], ranks: Mapping[int, int]
) -> tuple[dict[tuple[int, int], list[_Key]], list[list[_Key]]]:
    """Each edge as the chain of keys it passes, and the keys of each layer in a first order."""
    layers: list[list[_Key]] = [[] for _ in range(max(ranks.values(), default=-1) + 1)]
    for node, rank in ranks.items():
        layers[rank].append((node, -1))
    chains: dict[tuple[int, int], list[_Key]] = {}
    edges = [(source, target) for target, sources in inputs.items() for source in dict.fromkeys(sources)]
    for number, (source, target) in enumerate(edges):
        bends: list[_Key] = [(number, rank) for rank in range(ranks[source] + 1, ranks[target])]
        for bend in bends:
            layers[bend[1]].append(bend)
        chains[source, target] = [(source, -1), *bends, (target, -1)]
    return chains, layers


def _neighbours(
    chains: Mapping[tuple[int, int], Sequence[_Key]],
) -> tuple[dict[_Key, list[_Key]], dict[_Key, list[_Key]]]:
    above: dict[_Key, list[_Key]] = {}
    below: dict[_Key, list[_Key]] = {}
    for chain in chains.values():
        for upper, lower in pairwise(chain):
            below.setdefault(upper, []).append(lower)
            above.setdefault(lower, []).append(upper)
    return above, below


def _order(layers: Sequence[list[_Key]], neighbours: Mapping[_Key, Sequence[_Key]]) -> None:
    """Sorts each layer by the mean place of its neighbours in the layer before it."""
    for before, layer in pairwise(layers):
        places = {key: number for number, key in enumerate(before)}
        own = {key: float(number) for number, key in enumerate(layer)}
        for key in layer:
            known = [places[each] for each in neighbours.get(key, ()) if each in places]
            if known:
                own[key] = sum(known) / len(known)
        layer.sort(key=own.__getitem__)


def _positions(
    layers: Sequence[Sequence[_Key]],
    widths: Mapping[_Key, float],
    above: Mapping[_Key, Sequence[_Key]],
    below: Mapping[_Key, Sequence[_Key]],
) -> dict[_Key, float]:
    xs: dict[_Key, float] = {}
    for layer in layers:
        total = sum(widths[key] for key in layer)
        at = -total / 2
        for key in layer:
            xs[key] = at + widths[key] / 2
            at += widths[key]
    for sweep in range(_POSITION_SWEEPS):
        for layer in layers if sweep % 2 == 0 else reversed(layers):
            wanted = []
            for key in layer:
                near = [xs[each] for each in (*above.get(key, ()), *below.get(key, ()))]
                wanted.append(sum(near) / len(near) if near else xs[key])
            for key, x in zip(layer, _spread(wanted, [widths[key] for key in layer]), strict=True):
                xs[key] = x
    return xs


def _spread(wanted: Sequence[float], widths: Sequence[float]) -> list[float]:
    """Centres in the given order, as near to the wanted as widths allow (pooling adjacent violators)."""
    offsets, at = [], 0.0
    for width in widths:
        offsets.append(at + width / 2)
        at += width
    # Without the offsets the least distance becomes "not decreasing": isotonic regression.
    blocks: list[tuple[float, int]] = []
    for want, offset in zip(wanted, offsets, strict=True):
        total, count = want - offset, 1
        while blocks and blocks[-1][0] / blocks[-1][1] >= total / count:
            other, size = blocks.pop()
            total, count = total + other, count + size
        blocks.append((total, count))
    shifts = [total / count for total, count in blocks for _ in range(count)]
    return [shift + offset for shift, offset in zip(shifts, offsets, strict=True)]
