"""Recurrent cells: a network of one step, run over the time axis."""

from __future__ import annotations

from archloom.space.building.flow import Environment, Flow
from archloom.space.building.walker import WALKS, Walker
from archloom.space.errors import BuildError
from archloom.space.language.structure import root_path
from archloom.space.language.tree import ScanNode, below, enter
from archloom.space.networks.graph import Graph
from archloom.space.networks.pruning import prune
from archloom.space.networks.scans import STEP_INPUT, STEP_OUTPUT, scan_operation
from archloom.space.operations import OperationError, Shape


def scan(walker: Walker, node: ScanNode, path: str, place: str, flow: Flow, environment: Environment) -> Flow:
    """One layer of operation ``scan``, whose body is the network of a step. Paths in the body begin there, so
    that scans at two places may be equal.
    """
    x = flow.newest
    if x.shape.kind != "seq":
        raise BuildError(path, f"a scan runs over the time of a seq[c,t], the input is {x.shape}")
    widths = {
        name: walker.size(width, below(path, name), path, environment, x.shape.channels)
        for name, width in node.states
    }
    body = step_network(walker, node, path, x.shape.channels, widths, environment)
    try:
        operation = scan_operation(body, x.shape)
    except OperationError as error:
        raise BuildError(path, str(error)) from None
    return flow.step(walker.emit(operation, (walker.materialise(x),), place))


def step_network(
    walker: Walker, node: ScanNode, path: str, channels: int, widths: dict[str, int], environment: Environment
) -> Graph:
    """Inputs x and the states; outputs y and the next states that matter.

    The first state's next value is the body's output, unless a node inside has the state's name.
    """
    inner = Walker(walker.decisions, walker.patterns, walker.outer)
    inner.where = walker.where
    for name, width in ((STEP_INPUT, channels), *widths.items()):
        vector = inner.operation("input", (), (Shape("vector", (width,)),), path)
        inner.tensors[name] = inner.emit(vector, (), f"input.{name}")
    ports = {name: number for number, name in enumerate(inner.tensors)}
    inside = dict(environment)
    root = root_path(node.body)
    flow = Flow((inner.tensors[STEP_INPUT],))
    try:
        found = inner.node(node.body, enter(path, node.body), root, flow, inside)
    except BuildError as error:
        walker.where = inner.where
        raise error
    walker.read += inner.read
    y = flow.newest if found is None else found.newest
    first = next(iter(widths))
    nexts = {name: inner.tensors[name] for name in widths}
    if first not in inner.named:
        nexts[first] = y
    for name, width in widths.items():  # of those that nobody reads too
        if nexts[name].shape != Shape("vector", (width,)):
            unequal = f"state {name!r} is vector[{width}], its next value is {nexts[name].shape}"
            raise BuildError(path, f"{unequal}: they must be equal")
    outputs = {name: inner.materialise(tensor) for name, tensor in {STEP_OUTPUT: y, **nexts}.items()}
    return without_idle(inner, ports, outputs)


def without_idle(inner: Walker, ports: dict[str, int], outputs: dict[str, int]) -> Graph:
    """The network of a step, without the states that never reach its output."""
    needed = {STEP_OUTPUT}
    while True:
        kept = {name: node for name, node in outputs.items() if name in needed}
        reached = _reaching(inner, set(kept.values()))
        more = {name for name, node in ports.items() if name != STEP_INPUT and node in reached} - needed
        if not more:
            inputs = {name: node for name, node in ports.items() if name == STEP_INPUT or name in needed}
            return prune(inner.listing, inputs, kept)
        needed |= more


def _reaching(inner: Walker, targets: set[int]) -> set[int]:
    """The pieces from which one of the targets is reached."""
    found = set(targets)
    for number in range(len(inner.listing.pieces) - 1, -1, -1):
        if number in found:
            found.update(inner.listing.sources[number])
    return found


WALKS[ScanNode] = scan
