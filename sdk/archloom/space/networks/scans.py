"""The operation ``scan``: a step's network, run over the time of a seq with the same weights at each step."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING

from archloom.space.operations import Operation, OperationError, Shape

if TYPE_CHECKING:
    from archloom.space.networks.graph import Graph

SCAN = "scan"
STEP_INPUT, STEP_OUTPUT = "x", "y"
"""The names in a step's network; each state has its own name there, as an input and as an output. All states
are zero before the first step.
"""


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
        label=sha256(repr((SCAN, 1, body.hash, shape, whole)).encode()).digest()[:16],
        body=body,
    )
