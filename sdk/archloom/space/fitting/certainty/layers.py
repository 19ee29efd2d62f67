"""Layers: an operation for all values of its parameters that matter."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import product

from archloom.space.fitting.certainty.explorer import (
    LAYERS,
    MOST_VALUES,
    WALKS,
    Environment,
    Explorer,
    Flow,
    Unsure,
)
from archloom.space.language.domains import Domain, Literal
from archloom.space.language.tree import LayerNode, Value
from archloom.space.operations import MERGES, NORMS, Shape, operation_specs, stands_for
from archloom.space.reading.values import samples


def layer(
    explorer: Explorer, node: LayerNode, flow: Flow, carry: int, environment: Environment
) -> Iterator[Flow]:
    inputs = flow.history if node.sources else flow.history[-1:]
    cin = inputs[0].channels
    for name in explorer.possible(node.operation, environment, cin):
        stands = stands_for(node, str(name))
        if not isinstance(stands, LayerNode):
            yield from explorer.after(stands, flow, carry, environment)
            continue
        explorer.layers += LAYERS
        given = dict(stands.parameters)
        follow = [
            explorer.possible(given.pop(key, "none"), environment, cin) for key in ("norm", "activation")
        ]
        results = set(operations(explorer, str(name), given, inputs, environment, cin))
        for following in follow:
            results |= {
                explorer.operation(NORMS.get(str(each), str(each)), (), (shape,))
                for each in following
                if each != "none"
                for shape in results
            }
        for shape in results:
            yield flow.step(shape, carry)


def operations(
    explorer: Explorer,
    name: str,
    given: Mapping[str, Value],
    inputs: tuple[Shape, ...],
    environment: Environment,
    cin: int,
) -> Iterator[Shape]:
    """The shapes of an operation for all values of the parameters that matter for it."""
    if name in MERGES:
        yield explorer.merged(name, inputs)
        return
    spec = operation_specs()[name]
    if spec.opaque:
        raise Unsure
    values: list[Sequence[Literal]] = []
    for key, value in given.items():
        if key in spec.shaping or not isinstance(value, Domain):
            values.append(explorer.possible(value, environment, cin))
            continue
        some = list(samples(value))
        if any(spec.by_name[key].check(each) for each in some):
            raise Unsure
        values.append(some[:1])
    total = 1
    for each in values:
        total *= len(each)
    if total > MOST_VALUES:
        raise Unsure
    for found in product(*values):
        pairs = zip(given, found, strict=True)
        yield explorer.operation(name, tuple([(key, type(each), each) for key, each in pairs]), inputs)


WALKS[LayerNode] = layer
