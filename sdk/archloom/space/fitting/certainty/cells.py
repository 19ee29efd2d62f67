"""Searched cells, the shapes of whose tensors must not depend on what is decided."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from archloom.space.fitting.certainty.explorer import (
    LAYERS,
    WALKS,
    Environment,
    Explorer,
    Flow,
    Names,
    Unsure,
    only,
)
from archloom.space.language.domains import Literal
from archloom.space.language.structure import edge_count, input_count, made_by_nodes
from archloom.space.language.tree import CellNode
from archloom.space.operations import Shape


def cell(
    explorer: Explorer, node: CellNode, flow: Flow, carry: int, environment: Environment
) -> Iterator[Flow]:
    cin = flow.newest.channels
    first = input_count(node)
    missing = first - len(flow.history)
    tensors = list((flow.history[0],) * missing + flow.history if missing > 0 else flow.history[-first:])
    if node.pre is not None:
        newest = tensors[-1]
        tensors = [
            explorer.single(node.pre, shape, flow.names, {**environment, "shrink": _shrink(shape, newest)})
            for shape in tensors
        ]
    for stride in explorer.possible(node.input_stride or 1, environment, cin):
        if type(stride) is not int or stride < 1:
            raise Unsure
        for how in explorer.possible(node.join or "sum", environment, cin):
            made = list(tensors)
            for tensor in made_by_nodes(node):
                made.append(joined(explorer, node, tensor, made, str(how), stride, flow.names, environment))
            for output in explorer.possible(node.output or "last", environment, cin):
                end = made[-1] if output == "last" else explorer.merged(str(output), made[first:])
                yield flow.step(end, carry)


def joined(
    explorer: Explorer,
    node: CellNode,
    tensor: int,
    made: Sequence[Shape],
    how: str,
    stride: Literal,
    names: Names,
    environment: Environment,
) -> Shape:
    """The shape of one of a cell's nodes, which must not depend on what is decided."""
    edges = []
    number = edge_count(node, tensor)
    before, most = explorer.layers, 0
    for source, shape in enumerate(made):
        inside = {**environment, "stride": stride if source < input_count(node) else 1}
        start = explorer.layers
        options = [(option, Flow((shape,), names)) for _, option in node.operations]
        edges.append(only(explorer.worst(options, 1, inside), names))
        most = max(most, explorer.layers - start)
    if node.edges is not None:
        if len(set(edges)) != 1:
            raise Unsure
        edges = edges[:1] * number
    explorer.layers = before + number * most + LAYERS
    return explorer.merged(how, edges, node.adapt)


def _shrink(shape: Shape, newest: Shape) -> int:
    """As a cell's ``pre`` sees it."""
    axis = 0 if shape.kind == "tokens" else 1
    if shape.kind != newest.kind or len(shape.dims) <= axis:
        return 1
    return -(-shape.dims[axis] // newest.dims[axis])


WALKS[CellNode] = cell
