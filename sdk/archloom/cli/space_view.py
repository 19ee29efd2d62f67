"""One space, shown: what it is, how large, what is decided, how it is built, and an example."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Sequence
from random import Random

from rich.console import Console
from rich.table import Table
from rich.text import Text

from archloom.cli.output import cell, new_table
from archloom.cli.space_decisions import Row, decision_rows, literal_text
from archloom.cli.space_tree import space_tree
from archloom.space import Architecture, Graph, GraphNode, SizeEstimate, Space, SpaceError
from archloom.space.decisions.describing import WRITTEN_OUT, size_text

_MOST_ROWS = 60
_MOST_CHOICES = 12
_MOST_PIECES = 40
_WIDEST = 26  # of when a decision exists
_NARROWEST = 12  # of its values
_GAPS = 4
_PIPED = 240  # columns where no terminal says how many
_DEEPEST = 4
_EXACT = 10**30
"""Sizes below it are given exactly too, where ``size_text`` does not write them out."""


def print_space(space: Space, seed: int) -> None:
    # Paths in a file or a pipe stay whole, for grep.
    width = None if sys.stdout.isatty() or os.environ.get("COLUMNS") else _PIPED
    console = Console(highlight=False, markup=False, file=sys.stdout, width=width)
    console.print(Text(space.name or "A space", style="bold"))
    if space.tree.description:
        console.print(cell(space.tree.description))
    console.print()
    console.print(_facts(space))
    _heading(console, "Decisions")
    console.print(_decisions(space, console.width))
    _heading(console, "Tree")
    console.print(space_tree(space.tree))
    _heading(console, f"An example (--seed {seed})")
    try:
        architecture = space.sample(Random(seed))
        graph = space.graph(architecture)
    except SpaceError as error:
        console.print(cell(str(error)))
        return
    console.print(_choices(space, architecture))
    console.print()
    console.print(_layers(graph))


def _heading(console: Console, text: str) -> None:
    console.print()
    console.print(Text(text, style="bold"))


def _facts(space: Space) -> Table:
    table = new_table(("", ""))
    size = space.size()
    text = size_text(size)
    if WRITTEN_OUT <= size < _EXACT:
        text = f"{text} ({size:,})"
    apart = len(space.continuous)
    text += f" architectures, {apart} float{'s' * (apart > 1)} apart" if apart else " architectures"
    facts = [("size", text), ("decisions", f"{len(space.decisions()):,}")]
    if space.tree.outputs:
        facts.append(("outputs", ", ".join(space.tree.outputs)))
    facts += [("constraint", each.text.strip()) for each in space.tree.constraints]
    if space.tree.constraints:
        facts.append(("left by them", _left(space.constrained_size)))
    facts.append(("digest", space.digest[:16]))
    for name, fact in facts:
        table.add_row(cell(name), cell(fact))
    return table


def _left(found: SizeEstimate) -> str:
    if found.exact:
        return f"{size_text(found.size)} architectures ({found.share:.2%})"
    between = f"95%: {size_text(found.low)} to {size_text(found.high)}"
    return f"about {size_text(found.size)} architectures ({found.share:.2g} of all; {between})"


def _decisions(space: Space, width: int) -> Table:
    """What is decided, from which values, and when the decision exists. Where it is narrow, values are broken
    first, then paths.
    """
    rows = sorted(decision_rows(space.decisions()), key=lambda row: row.path.startswith("recipe."))
    table = new_table(("PATH", "VALUES", "EXISTS"))
    shown = rows[:_MOST_ROWS]
    paths, values, exists = [max((len(text) for text in texts), default=0) for texts in _columns(shown)]
    exists = max(6, min(exists, max(_WIDEST, width // 3)))
    values = max(6, min(values, max(_NARROWEST, width - paths - exists - _GAPS)))
    for column, size in zip(
        table.columns, (min(paths, width - values - exists - _GAPS), values, exists), strict=True
    ):
        column.width = size
    for row in shown:
        table.add_row(cell(row.path), cell(row.values), cell(row.exists))
    if len(rows) > _MOST_ROWS:
        table.add_row(cell(f"... and {len(rows) - _MOST_ROWS:,} more"), "", "")
    return table


def _columns(rows: Sequence[Row]) -> tuple[list[str], list[str], list[str]]:
    return [row.path for row in rows], [row.values for row in rows], [row.exists for row in rows]


def _choices(space: Space, architecture: Architecture) -> Text:
    """The first of the example's decisions."""
    parts = [f"{path}={literal_text(value)}" for path, value in architecture.decisions.items()]
    shown = parts[:_MOST_CHOICES]
    if len(parts) > len(shown):
        shown.append(f"... and {len(parts) - len(shown):,} more decisions")
    return cell("  ".join(shown))


def _layers(graph: Graph) -> Table:
    """The network, a line for each piece of the body."""
    table = new_table(("PIECE", "LAYERS#", "OUTPUT", "PARAMETERS#", "MULTIPLY-ADDS#"))
    pieces = list(_pieces(graph))
    for name, nodes in pieces[:_MOST_PIECES]:
        table.add_row(*map(cell, (name, len(nodes), str(nodes[-1].shape), *_costs(nodes))))
    if len(pieces) > _MOST_PIECES:
        table.add_row(cell(f"... and {len(pieces) - _MOST_PIECES:,} more"))
    layers = [node for node in graph.nodes if node.op != "input"]
    outputs = ", ".join(
        (f"{name} " if len(graph.outputs) > 1 else "") + str(graph[node].shape)
        for name, node in graph.outputs.items()
    )
    table.add_row(*map(cell, ("the whole", len(layers), outputs, graph.parameters, graph.flops)))
    return table


def _costs(nodes: Sequence[GraphNode]) -> tuple[int, int]:
    weights = {node.weights_key: node.operation.weights for node in nodes}
    return sum(weights.values()), sum(node.operation.flops for node in nodes)


def _pieces(graph: Graph) -> Iterator[tuple[str, list[GraphNode]]]:
    """Layers by the beginning of their paths, as short a one as makes more than one piece."""
    for node in graph.nodes:
        if node.op == "input":
            yield node.path, [node]
    inner = [node for node in graph.nodes if node.op != "input"]
    for depth in range(1, _DEEPEST + 1):
        pieces: dict[str, list[GraphNode]] = {}
        for node in inner:
            pieces.setdefault(_beginning(node.path, depth), []).append(node)
        if len(pieces) > 1 or depth == _DEEPEST:
            yield from pieces.items()
            return


def _beginning(path: str, depth: int) -> str:
    """The first names of a path, and every second time the number after the last of them too."""
    start = ".".join(path.split(".")[: (depth + 1) // 2])
    return start if depth % 2 == 0 else re.sub(r"\[\d+\]$", "", start)
