"""Who orders the boxes of each layer and says where they stand from left to right: graphviz's ``dot`` where
it is installed, else graphlay, both after Sugiyama, Tagawa and Toda, "Methods for Visual Understanding of
Hierarchical System Structures" (1981).

All edges lead from one layer to the next; long ones were given bends, which are narrow boxes.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from archloom.errors import ArchloomError

_DOT_SECONDS = 60
_INCH = 72.0
GAP = 26.0
"""Between neighbours in a layer."""


class DrawingUnavailable(ArchloomError):
    """There is no layout engine, it failed, or the network is too large. Installing an engine helps; trying
    again does not.
    """

    code = "FAILED_PRECONDITION"
    reason = "DRAWING_UNAVAILABLE"


@dataclass(frozen=True)
class Layered:
    """``layers`` hold nodes, numbered from 0; ``edges`` are (upper, lower, weight): the heavier the
    straighter.
    """

    layers: Sequence[Sequence[int]]
    widths: Sequence[float]
    edges: Sequence[tuple[int, int, int]]


Engine = Callable[[Layered], Mapping[int, float]]
"""Centres from left to right by node. They may still be too near to each other."""


def engine_named(name: str = "") -> Engine:
    """``dot``, ``graphlay``, or the one that is there ("")."""
    if name not in ("", *ENGINES):
        raise DrawingUnavailable(f"there is no layout engine {name!r}: take {' or '.join(ENGINES)}")
    if name == "dot" or (not name and shutil.which("dot") is not None):
        return by_dot
    return by_graphlay


def by_dot(graph: Layered) -> Mapping[int, float]:
    """Raises DrawingUnavailable where ``dot`` is not on PATH, or fails."""
    lines = [
        "digraph {",
        f"graph [nodesep={GAP / _INCH:.4f} ranksep=0.4]",
        'node [shape=box fixedsize=true label="" height=0.3]',
        "edge [arrowhead=none]",
    ]
    for layer in graph.layers:
        lines.append("{rank=same")
        lines += [f"{node} [width={graph.widths[node] / _INCH:.4f}]" for node in layer]
        lines.append("}")
    lines += [f"{upper} -> {lower} [weight={weight}]" for upper, lower, weight in graph.edges]
    command = ["dot", "-Tplain"]
    try:
        done = subprocess.run(
            command, input="\n".join([*lines, "}"]), capture_output=True, text=True, timeout=_DOT_SECONDS
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise DrawingUnavailable(f"graphviz's dot cannot be run: {error}") from None
    rows = [line.split() for line in done.stdout.splitlines()]
    places = {int(row[1]): float(row[2]) * _INCH for row in rows if row[:1] == ["node"]}
    if done.returncode or len(places) != len(graph.widths):
        raise DrawingUnavailable(
            f"graphviz's dot failed: {done.stderr.strip()[:200] or 'no layout came back'}"
        )
    return places


def by_graphlay(graph: Layered) -> Mapping[int, float]:
    """Raises DrawingUnavailable where graphlay is not installed, or fails."""
    try:
        from graphlay import GraphlayError, layout
    except ImportError:
        raise DrawingUnavailable(
            "drawing needs a layout engine: put graphviz's dot on PATH, or pip install 'archloom[drawing]'"
        ) from None
    nodes = [
        {"size": {"width": width, "height": 20.0}, "key": str(n)} for n, width in enumerate(graph.widths)
    ]
    edges = [{"source": upper, "target": lower, "weight": weight} for upper, lower, weight in graph.edges]
    options = {
        "direction": "topbottom",
        "spacing": {"node_gap": GAP},
        "coords": {"branch_style": "straight_main"},
    }
    try:
        placed = layout({"nodes": nodes, "edges": edges}, options=options)
    except GraphlayError as error:
        raise DrawingUnavailable(f"graphlay failed: {error}") from None
    return {int(node): float(x) for node, (x, _) in placed.positions().items()}


ENGINES: Mapping[str, Engine] = {"dot": by_dot, "graphlay": by_graphlay}
