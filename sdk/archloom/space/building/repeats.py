"""Repetitions, and the links between them."""

from __future__ import annotations

from archloom.space.building.emitting import Tensor
from archloom.space.building.flow import Environment, Flow
from archloom.space.building.walker import WALKS, Walker, form
from archloom.space.errors import BuildError
from archloom.space.language.expressions import ExpressionError
from archloom.space.language.structure import counts_of
from archloom.space.language.tree import RepeatNode, below, enter


def repeat(
    walker: Walker, node: RepeatNode, path: str, place: str, flow: Flow, environment: Environment
) -> Flow:
    """The body so many times; each repetition is a step of the history that the repeat stands in."""
    number = count(walker, node, path, flow, environment)
    outer = walker.sharing
    group = walker.shared_name(place)
    reach = node.body.reach if node.uniform and outer is None else 0
    made = [flow.newest]
    pattern = None  # what the last repetition emitted
    shapes: tuple[object, ...] = ()  # of the tensors that it read
    for i in range(number):
        here, there = (f"{path}[{i}]" if node.decisions == "free" else path), f"{place}[{i}]"
        if node.weights == "shared":
            walker.sharing = (there, group)
        inside: Environment = {**environment, "i": i}
        given = flow.last(reach) if reach else ()
        if pattern is not None and form(given) == shapes:
            flow = flow.step(walker.replay(pattern, given, there))
            continue
        start, read = len(walker.listing.pieces), len(walker.read)
        if node.links is not None:
            flow = linked(walker, node, path, there, here, made, flow, inside)
        else:
            found = walker.node(node.body, enter(here, node.body), enter(there, node.body), flow, inside)
            flow = flow if found is None else found
            if reach and found is not None and None not in [x.node for x in (*given, flow.newest)]:
                pattern = walker.pattern(start, given, flow.newest, there, walker.read[read:])
                shapes = form(given)
        made.append(flow.newest)
    walker.sharing = outer
    return flow


def count(walker: Walker, node: RepeatNode, path: str, flow: Flow, environment: Environment) -> int:
    try:
        environment["cin"] = flow.newest.shape.channels
        counts = counts_of(node, environment)
    except ExpressionError as error:
        raise BuildError(path, str(error)) from None
    number = counts if isinstance(counts, int) else walker.decided(below(path, "count"))
    assert isinstance(number, int)
    return number


def linked(
    walker: Walker,
    node: RepeatNode,
    path: str,
    there: str,
    here: str,
    made: list[Tensor],
    flow: Flow,
    environment: Environment,
) -> Flow:
    """The history after one repetition, which reads its own input and the earlier tensors chosen, joined.

    made: the repeat's input and the outputs so far.
    """
    assert node.links is not None
    i = len(made) - 1
    x = made[i]
    chosen = walker.decided(f"{path}[{i}].links") if i else ()
    assert isinstance(chosen, tuple)
    if chosen:
        cin = x.shape.channels
        how = walker.merge_kind(node.links.merge, below(path, "merge"), "sum", environment, cin)
        place = below(there, "links")
        parts = [made[int(source)] for source in chosen]
        if node.adapt == "project":
            parts = list(walker.fitted(parts, x, how, path, place))
        x = walker.merge(how, (*parts, x), path, below(place, how))
    given = Flow((*flow.tensors[:-1], x), flow.carry)
    found = walker.node(node.body, enter(here, node.body), enter(there, node.body), given, environment)
    return flow.step(x if found is None else found.newest)


WALKS[RepeatNode] = repeat
