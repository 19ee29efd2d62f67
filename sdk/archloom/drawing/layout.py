"""Where boxes stand and how edges run: layers from top to bottom, bends of long edges as narrow boxes, so
that no edge crosses a box.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from archloom.drawing.engines import GAP, Engine, Layered

_BEND = 8.0
_BEND_GAP = 10.0
_STRAIGHT = 6
_LEAST_ROW_GAP, _MOST_ROW_GAP = 26.0, 64.0
_FAN = 14.0


@dataclass(frozen=True)
class Box:
    """Sizes in pixels. ``end``: "top" for what stands in the first layer, "bottom" for the last."""

    width: float
    height: float
    end: str = ""


@dataclass(frozen=True)
class Edge:
    """From box to box. Shifts say how far from the box's middle it leaves and arrives; without one, edges
    leave from the middle, and arrive side by side.
    """

    source: int
    target: int
    leaves: float = 0.0
    arrives: float | None = None
    status: str = ""


@dataclass(frozen=True)
class Arranged:
    """Left upper corners by box; for each edge its way: (x, y) where it starts, (x, top, bottom) of each
    straight piece, the last of which ends at the target.
    """

    corners: Sequence[tuple[float, float]]
    ways: Sequence[Sequence[tuple[float, float, float]]]
    width: float
    height: float


def arrange(boxes: Sequence[Box], edges: Sequence[Edge], engine: Engine) -> Arranged:
    """Places an acyclic graph."""
    ranks = _ranks(boxes, edges)
    layers: list[list[int]] = [[] for _ in range(max(ranks, default=-1) + 1)]
    for box, rank in enumerate(ranks):
        layers[rank].append(box)
    widths = [box.width for box in boxes]
    chains, links = _bent(edges, ranks, layers, widths)
    anchors = _anchors(edges)
    found = engine(Layered(layers, widths, links)) if widths else {}
    centres = [0.0] * len(widths)
    for layer in layers:
        layer.sort(key=lambda node: (found[node], node))
        wanted = [found[node] - anchors.get(node, 0.0) for node in layer]
        sizes = [widths[node] for node in layer]
        gaps = [_BEND_GAP if max(a, b) >= len(boxes) else GAP for a, b in pairwise(layer)]
        for node, x in zip(layer, _spread(wanted, sizes, gaps), strict=True):
            centres[node] = x
    left = min((centres[n] - widths[n] / 2 for n in range(len(widths))), default=0.0)
    centres = [x - left for x in centres]
    width = max((centres[n] + widths[n] / 2 for n in range(len(widths))), default=0.0)
    tops, heights = _rows(boxes, layers, links, centres)
    corners = [
        (centres[n] - box.width / 2, tops[ranks[n]] + (heights[ranks[n]] - box.height) / 2)
        for n, box in enumerate(boxes)
    ]
    ways = _ways(boxes, edges, chains, ranks, centres, corners, tops, heights)
    return Arranged(corners, ways, width, tops[-1] + heights[-1] if tops else 0.0)


def _ranks(boxes: Sequence[Box], edges: Sequence[Edge]) -> list[int]:
    """Layers by longest path; what has fewer inputs than readers then sinks to its readers."""
    before: list[list[int]] = [[] for _ in boxes]
    after: list[list[int]] = [[] for _ in boxes]
    for edge in edges:
        before[edge.target].append(edge.source)
        after[edge.source].append(edge.target)
    order = _sorted(before, after)
    ranks = [0] * len(boxes)
    tops = any(box.end == "top" for box in boxes)
    for box in order:
        least = int(tops and boxes[box].end != "top")
        ranks[box] = max([ranks[source] + 1 for source in before[box]], default=least)
    for box in reversed(order):
        if boxes[box].end != "top" and len(before[box]) < len(after[box]):
            ranks[box] = min(ranks[reader] for reader in after[box]) - 1
    last = max((rank for box, rank in enumerate(ranks) if boxes[box].end != "bottom"), default=-1) + 1
    last = max([last, *(ranks[box] for box in order if boxes[box].end == "bottom")])
    return [last if boxes[box].end == "bottom" else rank for box, rank in enumerate(ranks)]


def _sorted(before: Sequence[Sequence[int]], after: Sequence[Sequence[int]]) -> list[int]:
    missing = [len(sources) for sources in before]
    order = [box for box, count in enumerate(missing) if not count]
    for box in order:
        for reader in after[box]:
            missing[reader] -= 1
            if not missing[reader]:
                order.append(reader)
    return order


def _anchors(edges: Sequence[Edge]) -> dict[int, float]:
    """Where a box is tied to others, from its middle: at the first port that an edge arrives at, or
    leaves.
    """
    anchors: dict[int, float] = {}
    for edge in edges:
        anchors.setdefault(edge.source, edge.leaves)
    anchors |= {edge.target: edge.arrives for edge in reversed(edges) if edge.arrives is not None}
    return anchors


def _bent(
    edges: Sequence[Edge], ranks: Sequence[int], layers: list[list[int]], widths: list[float]
) -> tuple[list[list[int]], list[tuple[int, int, int]]]:
    """The nodes that each edge passes, bends included, which edges from one place share; and all steps."""
    bends: dict[tuple[int, float, str, int], int] = {}
    steps: dict[tuple[int, int], int] = {}
    chains = []
    for edge in edges:
        chain = [edge.source]
        for rank in range(ranks[edge.source] + 1, ranks[edge.target]):
            key = (edge.source, edge.leaves, edge.status, rank)
            if key not in bends:
                bends[key] = len(widths)
                layers[rank].append(len(widths))
                widths.append(_BEND)
            chain.append(bends[key])
        chain.append(edge.target)
        for number, step in enumerate(pairwise(chain)):
            inner = 0 < number < len(chain) - 2
            steps[step] = max(steps.get(step, 1), _STRAIGHT if inner else 2 if len(chain) == 2 else 1)
        chains.append(chain)
    return chains, [(upper, lower, weight) for (upper, lower), weight in steps.items()]


def _rows(
    boxes: Sequence[Box],
    layers: Sequence[Sequence[int]],
    links: Sequence[tuple[int, int, int]],
    centres: Sequence[float],
) -> tuple[list[float], list[float]]:
    """Top and height of each layer; edges that lean need room between layers."""
    heights = [
        max([boxes[node].height for node in layer if node < len(boxes)], default=0.0) for layer in layers
    ]
    rows = {node: number for number, layer in enumerate(layers) for node in layer}
    leaning = [0.0] * len(layers)
    for upper, lower, _ in links:
        row = rows[upper]
        leaning[row] = max(leaning[row], abs(centres[upper] - centres[lower]))
    tops, y = [], 0.0
    for height, lean in zip(heights, leaning, strict=True):
        tops.append(y)
        y += height + min(_MOST_ROW_GAP, _LEAST_ROW_GAP + 0.09 * lean)
    return tops, heights


def _ways(
    boxes: Sequence[Box],
    edges: Sequence[Edge],
    chains: Sequence[Sequence[int]],
    ranks: Sequence[int],
    centres: Sequence[float],
    corners: Sequence[tuple[float, float]],
    tops: Sequence[float],
    heights: Sequence[float],
) -> list[list[tuple[float, float, float]]]:
    arriving: dict[int, list[int]] = {}
    for number, edge in enumerate(edges):
        if edge.arrives is None:
            arriving.setdefault(edge.target, []).append(number)
    shifts: dict[int, float] = {}
    for target, numbers in arriving.items():
        numbers.sort(key=lambda number: (centres[chains[number][-2]], number))
        step = min(_FAN, boxes[target].width * 0.7 / max(1, len(numbers) - 1))
        for place, number in enumerate(numbers):
            shifts[number] = (place - (len(numbers) - 1) / 2) * step
    ways = []
    for number, (edge, chain) in enumerate(zip(edges, chains, strict=True)):
        row = ranks[edge.source]
        x = centres[edge.source] + edge.leaves
        way = [(x, corners[edge.source][1] + boxes[edge.source].height, tops[row] + heights[row])]
        for bend in chain[1:-1]:
            row += 1
            way.append((centres[bend], tops[row], tops[row] + heights[row]))
        x = centres[edge.target] + (shifts[number] if edge.arrives is None else edge.arrives)
        way.append((x, tops[row + 1], corners[edge.target][1]))
        ways.append(way)
    return ways


def _spread(wanted: Sequence[float], widths: Sequence[float], gaps: Sequence[float]) -> list[float]:
    """Centres in the given order, as near to the wanted as widths and gaps allow (pooling adjacent
    violators).
    """
    offsets, at = [], 0.0
    for width, gap in zip(widths, (*gaps, 0.0), strict=False):
        offsets.append(at + width / 2)
        at += width + gap
    blocks: list[tuple[float, int]] = []
    for want, offset in zip(wanted, offsets, strict=True):
        total, count = want - offset, 1
        while blocks and blocks[-1][0] / blocks[-1][1] >= total / count:
            other, size = blocks.pop()
            total, count = total + other, count + size
        blocks.append((total, count))
    shifts = [total / count for total, count in blocks for _ in range(count)]
    return [shift + offset for shift, offset in zip(shifts, offsets, strict=True)]
