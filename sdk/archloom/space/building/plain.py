"""Layers, and the nodes that put others one after the other or side by side."""

from __future__ import annotations

from archloom.space.building.emitting import Tensor
from archloom.space.building.flow import Environment, Flow
from archloom.space.building.walker import WALKS, Walker
from archloom.space.errors import BuildError
from archloom.space.language.domains import Domain, Literal
from archloom.space.language.expressions import Expression
from archloom.space.language.tree import (
    ChoiceNode,
    LayerNode,
    ParallelNode,
    ResidualNode,
    SequenceNode,
    below,
)
from archloom.space.operations import MERGES, NORMS, stands_for


def layer(
    walker: Walker, node: LayerNode, path: str, place: str, flow: Flow, environment: Environment
) -> Flow:
    """One layer, the norm and the activation that follow it; or what a composite layer stands for."""
    name = node.operation
    if isinstance(name, Domain):
        name = walker.decided(below(path, "layer"))
    stands = stands_for(node, str(name))
    if not isinstance(stands, LayerNode):
        found = walker.node(stands, path, place, flow, environment)
        return flow if found is None else found
    inputs = flow.tensors if node.sources else flow.tensors[-1:]
    cin = inputs[0].shape.channels
    given: list[tuple[str, type, Literal]] = []
    norm = activation = "none"
    for key, value in stands.parameters:
        if isinstance(value, (Expression, Domain)):
            value = walker.value(value, f"{path}.{key}", path, environment, cin)
        if key == "norm":
            norm = str(value)
        elif key == "activation":
            activation = str(value)
        else:
            given.append((key, type(value), value))
    if name in MERGES:
        x = walker.merge(str(name), inputs, path, place)
    else:
        x = walker.apply(str(name), tuple(given), inputs, path, place, norm != "none")
    if norm != "none":
        x = walker.apply(NORMS.get(norm, norm), (), (x,), path, f"{place}.norm")
    if activation != "none":
        x = walker.apply(activation, (), (x,), path, f"{place}.activation")
    return flow.step(x)


def sequence(
    walker: Walker, node: SequenceNode, path: str, place: str, flow: Flow, environment: Environment
) -> Flow:
    inner = flow.inside(node.carry or 1)
    for segment, child in zip(node.segments, node.nodes, strict=True):
        found = walker.node(child, below(path, segment), below(place, segment), inner, environment)
        inner = inner if found is None else found
    return flow.step(inner.newest)


def choice(
    walker: Walker, node: ChoiceNode, path: str, place: str, flow: Flow, environment: Environment
) -> Flow:
    return walker.option(node.options, path, place, flow, environment)


def residual(
    walker: Walker, node: ResidualNode, path: str, place: str, flow: Flow, environment: Environment
) -> Flow:
    x = flow.newest
    y = walker.output(node.body, path, place, flow.inside(), environment)
    if x.shape != y.shape:
        if node.adapt == "skip":
            return flow.step(y)
        if node.adapt != "project":
            found = f"the shortcut is {x.shape}, the body yields {y.shape}"
            raise BuildError(path, f"{found}; adapt: project or skip would fit them")
        x = walker.project(x, y.shape, False, path, below(place, "adapt"))
    return flow.step(walker.merge("sum", (x, y), path, below(place, "sum")))


def parallel(
    walker: Walker, node: ParallelNode, path: str, place: str, flow: Flow, environment: Environment
) -> Flow:
    parts: list[Tensor] = []
    for segment, child in zip(node.segments, node.nodes, strict=True):
        found = walker.node(child, below(path, segment), below(place, segment), flow.inside(), environment)
        if found is not None:
            parts.append(found.newest)
    if not parts:
        raise BuildError(path, "every child of this parallel is left out here, so there is nothing to merge")
    cin = flow.newest.shape.channels
    how = walker.merge_kind(node.merge, below(path, "merge"), "sum", environment, cin)
    return flow.step(walker.join(how, node.adapt, parts, path, place))


WALKS[LayerNode] = layer
WALKS[SequenceNode] = sequence
WALKS[ChoiceNode] = choice
WALKS[ResidualNode] = residual
WALKS[ParallelNode] = parallel
