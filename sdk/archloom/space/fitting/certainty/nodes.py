"""Nodes that put others one after the other, side by side, again, or over time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import product

from archloom.space.fitting.certainty.explorer import (
    LAYERS,
    WALKS,
    Environment,
    Explorer,
    Flow,
    Names,
    Unsure,
    renamed,
)
from archloom.space.language.structure import counts_of
from archloom.space.language.tree import (
    CellNode,
    ChoiceNode,
    MapNode,
    Node,
    ParallelNode,
    RepeatNode,
    ResidualNode,
    ScanNode,
    SequenceNode,
    UseNode,
    children,
)
from archloom.space.operations import Shape


def sequence(
    explorer: Explorer, node: SequenceNode, flow: Flow, carry: int, environment: Environment
) -> Iterator[Flow]:
    states = {flow}
    for child in node.nodes:
        ends = explorer.worst([(child, state) for state in states], node.carry or 1, environment)
        states = {Flow(end.history, end.names) for end in ends}
    for end in states:
        yield flow.step(end.newest, carry, end.names)


def choice(
    explorer: Explorer, node: ChoiceNode, flow: Flow, carry: int, environment: Environment
) -> Iterable[Flow]:
    return explorer.worst([(option, flow) for _, option in node.options], carry, environment)


def parallel(
    explorer: Explorer, node: ParallelNode, flow: Flow, carry: int, environment: Environment
) -> Iterator[Flow]:
    found: set[tuple[Names, tuple[Shape, ...]]] = {(flow.names, ())}
    for child in node.nodes:
        found = {
            (end.names, (*parts, end.newest) if end.there else parts)
            for names, parts in found
            for end in explorer.after(child, Flow(flow.history, names), 1, environment)
        }
    explorer.layers += LAYERS
    for how in explorer.possible(node.merge or "sum", environment, flow.newest.channels):
        for names, parts in found:
            if not parts:
                raise Unsure
            yield flow.step(explorer.merged(str(how), parts, node.adapt), carry, names)


def residual(
    explorer: Explorer, node: ResidualNode, flow: Flow, carry: int, environment: Environment
) -> Iterator[Flow]:
    x = flow.newest
    explorer.layers += LAYERS
    for end in explorer.after(node.body, flow, 1, environment):
        y = end.newest
        if x != y and node.adapt == "project":
            explorer.merged("sum", (y, x), "project")
        elif x != y and node.adapt != "skip":
            raise Unsure
        yield flow.step(y, carry, end.names)


def repeat(
    explorer: Explorer, node: RepeatNode, flow: Flow, carry: int, environment: Environment
) -> Iterator[Flow]:
    counts = counts_of(node, {**environment, "cin": flow.newest.channels})
    numbers = {counts} if isinstance(counts, int) else set(explorer.possible(counts, environment, 0))
    if node.links is not None:
        merges = explorer.possible(node.links.merge or "sum", environment, flow.newest.channels)
        if "concat" in merges:
            raise Unsure
    most = max(number for number in numbers if isinstance(number, int))
    states = {flow}
    ends: set[Flow] = set(states) if 0 in numbers else set()
    for i in range(most):
        before, layers = states, explorer.layers
        found = explorer.worst([(node.body, state) for state in before], carry, {**environment, "i": i})
        states = {Flow(end.history, end.names) for end in found}
        explorer.layers += LAYERS
        if node.links is not None and {end.newest for end in states} != {flow.newest}:
            raise Unsure
        if i + 1 in numbers:
            ends |= states
        if states == before and "i" not in node.body.reads | node.body.own_names:
            explorer.layers += (explorer.layers - layers) * (most - i - 1)
            ends |= states
            break
    yield from ends


def use(
    explorer: Explorer, node: UseNode, flow: Flow, carry: int, environment: Environment
) -> Iterator[Flow]:
    cin = flow.newest.channels
    values = [explorer.possible(value, environment, cin) for _, value in node.arguments]
    for found in product(*values):
        explorer.bind()
        arguments = {name: value for (name, _), value in zip(node.arguments, found, strict=True)}
        yield from explorer.after(node.body, flow, carry, {**explorer.outer, **arguments})


def map_over(
    explorer: Explorer, node: MapNode, flow: Flow, carry: int, environment: Environment
) -> Iterator[Flow]:
    named = dict(flow.names)
    if any(name not in named for name in node.over):
        raise Unsure
    given = [named[name] for name in node.over]
    if node.weights == "shared" and len({(x.kind, x.channels) for x in given}) > 1:
        raise Unsure
    results = {}
    for name, x in zip(node.over, given, strict=True):
        results[name] = explorer.single(node.body, x, flow.names, environment)
    prefix = f"{node.tensor}_" if node.tensor else ""
    names = renamed(flow.names, {prefix + name: shape for name, shape in results.items()})
    yield flow.step(results[node.over[-1]], carry, names)


def scan(
    explorer: Explorer, node: ScanNode, flow: Flow, carry: int, environment: Environment
) -> Iterator[Flow]:
    x = flow.newest
    if x.kind != "seq":
        raise Unsure
    step = Shape("vector", x.dims[:1])
    widths = [explorer.possible(value, environment, x.channels) for _, value in node.states]
    for found in product(*widths):
        explorer.bind()
        sizes = [width for width in found if type(width) is int and width > 0]
        if len(sizes) < len(found):
            raise Unsure
        states = {name: Shape("vector", (size,)) for (name, _), size in zip(node.states, sizes, strict=True)}
        inner = Flow((step,), frozenset({"x": step, **states}.items()))
        for end in explorer.after(node.body, inner, 1, environment):
            first = node.states[0][0]
            nexts = dict(end.names)
            if not _names_surely(node.body, first):
                nexts[first] = end.newest
            if end.newest.kind != "vector" or any(nexts[name] != states[name] for name in states):
                raise Unsure
            explorer.layers += LAYERS
            yield flow.step(Shape("seq", (end.newest.channels, x.dims[1])), carry)


def _names_surely(body: Node, name: str) -> bool:
    """Whether a tensor is named in a body, in whatever way it goes."""
    if body.tensor == name and body.when is None:
        return True
    if body.when is not None or isinstance(body, (ChoiceNode, RepeatNode, CellNode)):
        return False
    return any(_names_surely(child, name) for child in children(body))


WALKS[SequenceNode] = sequence
WALKS[ChoiceNode] = choice
WALKS[ParallelNode] = parallel
WALKS[ResidualNode] = residual
WALKS[RepeatNode] = repeat
WALKS[UseNode] = use
WALKS[MapNode] = map_over
WALKS[ScanNode] = scan
