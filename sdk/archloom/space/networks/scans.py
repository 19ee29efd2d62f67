"""The operation ``scan``: a step's network, run over the time of a seq with the same weights at each step."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import sha256
from itertools import chain, permutations, product
from math import factorial, prod
from typing import TYPE_CHECKING

from archloom.space.operations import Operation, OperationError, Shape

if TYPE_CHECKING:
    from archloom.space.networks.graph import Graph

SCAN = "scan"
STEP_INPUT, STEP_OUTPUT = "x", "y"
"""The names in a step's network; each state has its own name there, as an input and as an output. All states
are zero before the first step.
"""
_MOST_ORDERS = 24


def scan_operation(body: Graph, shape: Shape) -> Operation:
    """The operation that runs a step's network over a seq of this shape; raises OperationError."""
    if shape.kind != "seq":
        raise OperationError(f"a scan runs over the time of a seq[c,t], the input is {shape}")
    if STEP_OUTPUT not in body.outputs or STEP_INPUT not in body.inputs:
        raise OperationError(f"the body of a scan reads {STEP_INPUT!r} and yields {STEP_OUTPUT!r}")
    channels, time = shape.dims
    given = {name: body[node].shape for name, node in body.inputs.items()}
    made = {name: body[node].shape for name, node in body.outputs.items()}
    if given.pop(STEP_INPUT) != Shape("vector", (channels,)):
        raise OperationError(f"the body of a scan over {shape} reads a vector[{channels}] each step")
    result = made.pop(STEP_OUTPUT)
    if result.kind != "vector":
        raise OperationError(f"the body of a scan yields one vector a step, this one yields {result}")
    for name in sorted(given.keys() | made.keys()):
        if given.get(name) != made.get(name):
            found = f"state {name!r} is {given.get(name)}, its next value is {made.get(name)}"
            raise OperationError(f"{found}: they must be equal")
    whole = Shape("seq", (result.channels, time))
    return Operation(
        name=SCAN,
        version=1,
        parameters=(),
        inputs=(shape,),
        shape=whole,
        weights=body.parameters,
        flops=time * body.flops,
        opaque=bool(body.opaque),
        label=sha256(repr((SCAN, 1, _form(body), shape, whole)).encode()).digest()[:16],
        body=body,
    )


def _form(body: Graph) -> str:
    """The body's hash, in which the names and the order of its states play no part: the least one of those
    under all orders of states that are alike at first sight. With more than ``_MOST_ORDERS`` of these, such
    states keep the order of their names.
    """
    readers: dict[int, int] = {}
    for node in body.nodes:
        for source in node.inputs:
            readers[source] = readers.get(source, 0) + 1
    alike: dict[tuple[str, bytes, int, bool], list[str]] = {}
    for name in sorted(body.inputs.keys() - {STEP_INPUT}):
        source, made = body.inputs[name], body.outputs[name]
        yields = made == body.outputs[STEP_OUTPUT]
        look = (str(body[source].shape), body[made].operation.label, readers.get(source, 0), yields)
        alike.setdefault(look, []).append(name)
    groups = [names for _, names in sorted(alike.items())]
    if prod(factorial(len(names)) for names in groups) > _MOST_ORDERS:
        orders: Iterable[tuple[tuple[str, ...], ...]] = [tuple(map(tuple, groups))]
    else:
        orders = product(*map(permutations, groups))
    return min(_renamed(body, list(chain.from_iterable(order))).hash for order in orders)


def _renamed(body: Graph, states: Sequence[str]) -> Graph:
    """The body with its states named by their places."""
    names = {name: f"state {place}" for place, name in enumerate(states)}
    inputs = {names.get(name, name): node for name, node in body.inputs.items()}
    outputs = {names.get(name, name): node for name, node in body.outputs.items()}
    return body.with_ports(inputs, outputs)
