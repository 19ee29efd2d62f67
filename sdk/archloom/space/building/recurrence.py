"""Recurrent cells: a network of one step, run over the time axis."""

from __future__ import annotations

from hashlib import sha256

from archloom.space.building.emitting import Tensor
from archloom.space.building.flow import Environment, Flow
from archloom.space.building.walker import WALKS, Walker
from archloom.space.errors import BuildError
from archloom.space.graph import Graph, prune
from archloom.space.operations import Operation, Shape
from archloom.space.structure import root_path
from archloom.space.tree import ScanNode, below, enter

STEP_INPUT, STEP_OUTPUT = "x", "y"
"""The names in a step's network; each state has its own name there, as an input and as an output."""


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
    operation = repeated(body, x.shape)
    return flow.step(walker.emit(operation, (walker.materialise(x),), place))


def step_network(
    walker: Walker, node: ScanNode, path: str, channels: int, widths: dict[str, int], environment: Environment
) -> Graph:
    """Inputs x and the states; outputs y and the next states that matter."""
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
    y = flow.newest if found is None else found.newest
    first = next(iter(widths))
    nexts = {name: inner.tensors[name] for name in widths}
    if first not in inner.named:
        nexts[first] = y
    check(path, y, nexts, widths)
    outputs = {name: inner.materialise(tensor) for name, tensor in {STEP_OUTPUT: y, **nexts}.items()}
    return without_idle(inner, ports, outputs)


def check(path: str, y: Tensor, nexts: dict[str, Tensor], widths: dict[str, int]) -> None:
    if y.shape.kind != "vector":
        raise BuildError(path, f"the body of a scan yields one vector a step, this one yields {y.shape}")
    for name, tensor in nexts.items():
        if tensor.shape != Shape("vector", (widths[name],)):
            found = f"state {name!r} is vector[{widths[name]}], its next value is {tensor.shape}"
            raise BuildError(path, f"{found}: they must be equal")


def without_idle(inner: Walker, ports: dict[str, int], outputs: dict[str, int]) -> Graph:
    """The network of a step, without the states that never reach its output."""
    needed = {STEP_OUTPUT}
    while True:
        kept = {name: node for name, node in outputs.items() if name in needed}
        reached = _reaching(inner, set(kept.values()))
        more = {name for name, node in ports.items() if name != STEP_INPUT and node in reached} - needed
        if not more:
            inputs = {name: node for name, node in ports.items() if name == STEP_INPUT or name in needed}
            return prune(inner.instances, inputs, kept)
        needed |= more


def _reaching(inner: Walker, targets: set[int]) -> set[int]:
    """The instances from which one of the targets is reached."""
    found = set(targets)
    for number in range(len(inner.instances) - 1, -1, -1):
        if number in found:
            found.update(inner.instances[number].inputs)
    return found


def repeated(body: Graph, shape: Shape) -> Operation:
    """The operation that runs a step's network over a seq of this shape."""
    time = shape.dims[1]
    result = Shape("seq", (body[body.outputs[STEP_OUTPUT]].shape.channels, time))
    label = sha256(repr(("scan", 1, body.hash, shape, result)).encode()).digest()[:16]
    return Operation(
        name="scan",
        version=1,
        parameters=(),
        inputs=(shape,),
        shape=result,
        weights=body.parameters,
        flops=time * body.flops,
        label=label,
        body=body,
    )


WALKS[ScanNode] = scan
