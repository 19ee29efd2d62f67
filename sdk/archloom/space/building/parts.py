"""Parts, used at several places, and bodies that are applied to several tensors."""

from __future__ import annotations

from archloom.space.building.flow import Environment, Flow
from archloom.space.building.walker import WALKS, Walker
from archloom.space.errors import BuildError
from archloom.space.language.tree import MapNode, UseNode, below, enter


def use(walker: Walker, node: UseNode, path: str, place: str, flow: Flow, environment: Environment) -> Flow:
    """A part sees the variables of the whole space and its arguments, no others."""
    cin = flow.newest.shape.channels
    inside: Environment = dict(walker.outer)
    for name, value in node.arguments:
        at = below(path, name)
        inside[name] = walker.value(value, at, at, environment, cin)
    outer = walker.sharing
    if node.weights == "shared":
        walker.sharing = (place, shared_part(node.part))
    here = enter(path if node.decisions == "free" else node.part, node.body)
    found = walker.node(node.body, here, enter(place, node.body), flow, inside)
    walker.sharing = outer
    return flow if found is None else found


def shared_part(part: str) -> str:
    """Where the weights of all shared uses of a part are kept; no layer has a path that begins so."""
    return f"parts:{part}"


def map_over(
    walker: Walker, node: MapNode, path: str, place: str, flow: Flow, environment: Environment
) -> Flow:
    """The body on each tensor; the results take the tensors' names, after the node's own where it has one."""
    given = [(name, walker.tensor(name, path)) for name in node.over]
    shared = node.weights == "shared"
    wide = {(x.shape.kind, x.shape.channels): name for name, x in reversed(given)}
    if shared and len(wide) > 1:
        found = ", ".join(f"{name} is {x.shape}" for name, x in given)
        raise BuildError(path, f"weights shared over tensors need equal channels: {found}")
    outer = walker.sharing
    group = walker.shared_name(place)
    results = []
    for name, x in given:
        there = below(place, name)
        if shared:
            walker.sharing = (there, group)
        results.append((name, walker.output(node.body, path, there, Flow((x,)), environment)))
    walker.sharing = outer
    for name, y in results:
        walker.tensors[f"{node.tensor}_{name}" if node.tensor else name] = y
    return flow.step(results[-1][1])


WALKS[UseNode] = use
WALKS[MapNode] = map_over
