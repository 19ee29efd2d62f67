"""The whole network of an architecture: inputs, body, outputs, and a task's head."""

from __future__ import annotations

from collections.abc import Mapping

from archloom.space.building import cells, parts, plain, recurrence, repeats
from archloom.space.building.emitting import Tensor
from archloom.space.building.flow import Environment, Flow
from archloom.space.building.patterns import Patterns
from archloom.space.building.walker import Walker
from archloom.space.errors import BuildError, suggest
from archloom.space.language.domains import Literal
from archloom.space.language.structure import root_path
from archloom.space.language.tree import InputPort, SpaceTree
from archloom.space.networks.graph import Graph
from archloom.space.networks.pruning import prune
from archloom.space.operations import Shape

__all__ = ["build_graph", "cells", "parts", "plain", "recurrence", "repeats", "resolve_recipe"]

DEFAULT_OUTPUT = "features"


def build_graph(
    space: SpaceTree,
    decisions: Mapping[str, Literal],
    classes: int | None = None,
    patterns: Patterns | None = None,
) -> Graph:
    """The canonical graph of complete decisions; raises BuildError at what does not fit.

    With classes, the head of a classification task follows: a global average pool where needed, and a linear
    layer. ``patterns`` is kept by the caller, for one space; it makes the next graph quicker.
    """
    walker = Walker(decisions, patterns or Patterns(), {})
    try:
        return _graph(walker, space, classes)
    except BuildError as error:
        error.where, error.layers = walker.where, walker.listing.layers
        raise


def resolve_recipe(space: SpaceTree, decisions: Mapping[str, Literal]) -> dict[str, Literal]:
    """The recipe's names and values under these decisions; raises BuildError."""
    walker = Walker(decisions, Patterns(), {})
    environment = walker.bind(space.let, "", {}, 0)
    whole = walker.bind(space.recipe, "recipe", environment, 0)
    return {name: whole[name] for name, _ in space.recipe}


def _graph(walker: Walker, space: SpaceTree, classes: int | None) -> Graph:
    environment = walker.outer = walker.bind(space.let, "", {}, 0)
    for port in space.inputs:
        walker.tensors[port.name] = _input(walker, port, environment)
    ports = {port.name: number for number, port in enumerate(space.inputs)}
    flow = Flow((walker.tensors[space.inputs[0].name],))
    path = root_path(space.body)
    found = walker.node(space.body, path, path, flow, dict(environment))
    y = flow.newest if found is None else found.newest
    outputs = {name: _output(walker, name, y) for name in space.outputs or (DEFAULT_OUTPUT,)}
    if classes is not None:
        if len(outputs) != 1:
            listed = ", ".join(outputs)
            raise BuildError("output", f"a task with classes needs one output, the space has {listed}")
        outputs = {"logits": _head(walker, next(iter(outputs.values())), classes)}
    return prune(
        walker.listing, ports, {name: walker.materialise(tensor) for name, tensor in outputs.items()}
    )


def _input(walker: Walker, port: InputPort, environment: Environment) -> Tensor:
    where = f"input.{port.name}"
    dims = [walker.value(size, where, where, environment, 0) for size in port.shape]
    whole = tuple(
        int(size) for size in dims if isinstance(size, (int, float)) and size >= 1 and size % 1 == 0
    )
    if len(whole) != len(dims):
        raise BuildError(f"{where}.shape", f"{dims} is no shape: sizes are whole numbers above 0")
    return walker.emit(walker.operation("input", (), (Shape(port.kind, whole),), where), (), where)


def _output(walker: Walker, name: str, y: Tensor) -> Tensor:
    if name in walker.tensors:
        return walker.tensors[name]
    if name == DEFAULT_OUTPUT:
        return y
    known = suggest(name, [*walker.tensors, DEFAULT_OUTPUT])
    raise BuildError("output", f"no tensor is called {name!r}{known}")


def _head(walker: Walker, x: Tensor, classes: int) -> Tensor:
    if x.shape.kind != "vector":
        x = walker.apply("global_pool", (), (x,), "task.pool", "task.pool")
    return walker.apply("linear", (("out", int, classes),), (x,), "task.linear", "task.linear")
