"""Searched cells: numbered tensors, first the inputs, then one a node."""

from __future__ import annotations

from collections.abc import Sequence

from archloom.space.building.emitting import Tensor
from archloom.space.building.flow import Environment, Flow
from archloom.space.building.patterns import Known
from archloom.space.building.walker import WALKS, Walker
from archloom.space.language.structure import edge_count, input_count, made_by_nodes
from archloom.space.language.tree import CellNode, below


def cell(walker: Walker, node: CellNode, path: str, place: str, flow: Flow, environment: Environment) -> Flow:
    cin = flow.newest.shape.channels
    stride = walker.size(node.input_stride or 1, below(path, "input_stride"), path, environment, cin)
    how = walker.merge_kind(node.join, below(path, "join"), "sum", environment, cin)
    output = walker.merge_kind(node.output, below(path, "output"), "last", environment, cin)
    inputs = input_count(node)
    tensors = list(flow.last(inputs))
    known = walker.table(node, stride, environment)
    if node.pre is not None:
        tensors = prepared(walker, node, path, place, tensors, environment, known)
    within: Environment = {**environment, "stride": 1}
    leaving: Environment = {**environment, "stride": stride}
    for tensor in made_by_nodes(node):
        here, there = below(path, f"node[{tensor}]"), below(place, f"node[{tensor}]")
        parts = []
        for edge, source in enumerate(sources(walker, node, tensor, here)):
            step = f".edge[{edge}]"
            variables = leaving if source < inputs else within
            parts.append(
                operation(walker, node, here + step, there + step, tensors[source], variables, known)
            )
        tensors.append(walker.join(how, node.adapt, parts, here, there))
    if output == "last":
        return flow.step(tensors[-1])
    return flow.step(walker.merge(output, tensors[inputs:], path, below(place, "output")))


def operation(
    walker: Walker, node: CellNode, path: str, place: str, x: Tensor, environment: Environment, known: Known
) -> Tensor:
    """What an edge yields: one of the cell's operations, applied to x."""
    chosen = str(walker.decided(path))
    key = (chosen, x.shape, environment["stride"])
    there = f"{place}.{chosen}"
    if key in known and x.node is not None:
        name, pattern = known[key]
        return walker.replay(pattern, (x,), below(there, name))
    y = walker.option(node.operations, path, place, Flow((x,)), environment).newest
    walker.note(known, key, dict(node.operations)[chosen], x, environment)
    return y


def prepared(
    walker: Walker,
    node: CellNode,
    path: str,
    place: str,
    tensors: Sequence[Tensor],
    environment: Environment,
    known: Known,
) -> list[Tensor]:
    """The inputs after ``pre``, which is decided once and stands once for each of them."""
    assert node.pre is not None
    found = []
    for number, tensor in enumerate(tensors):
        there = below(place, "pre") if len(tensors) == 1 else below(place, f"pre[{number}]")
        factor = shrink(tensor, tensors[-1])
        key = ("", tensor.shape, factor)
        if key in known and tensor.node is not None:
            name, pattern = known[key]
            found.append(walker.replay(pattern, (tensor,), below(there, name)))
            continue
        inside: Environment = {**environment, "shrink": factor}
        found.append(walker.output(node.pre, below(path, "pre"), there, Flow((tensor,)), inside))
        walker.note(known, key, node.pre, tensor, inside)
    return found


def shrink(tensor: Tensor, newest: Tensor) -> int:
    """How many times longer a tensor is than the newest one, rounded up; 1 where it has no length."""
    axis = 0 if tensor.shape.kind == "tokens" else 1
    if tensor.shape.kind != newest.shape.kind or len(tensor.shape.dims) <= axis:
        return 1
    return -(-tensor.shape.dims[axis] // newest.shape.dims[axis])


def sources(walker: Walker, node: CellNode, tensor: int, here: str) -> Sequence[int]:
    if node.edges is None:
        return range(tensor)
    if node.edges.distinct:
        chosen = walker.decided(f"{here}.inputs")
        assert isinstance(chosen, tuple)
        return chosen
    return [int(walker.decided(f"{here}.input[{edge}]")) for edge in range(edge_count(node, tensor))]  # type: ignore[arg-type]


WALKS[CellNode] = cell
