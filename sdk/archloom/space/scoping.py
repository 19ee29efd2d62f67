"""Whether each variable that is read exists where it is read."""

from __future__ import annotations

from collections.abc import Callable

from archloom.space.errors import suggest
from archloom.space.expressions import Expression
from archloom.space.tree import (
    Bindings,
    CellNode,
    LayerNode,
    Node,
    ParallelNode,
    RepeatNode,
    SpaceTree,
    children,
)

_PLACES = {"i": " (i exists inside a repeat)", "cin": " (cin exists inside the body)"}
MEASURES = frozenset(("params", "flops", "depth"))
"""What constraints may read besides the space's own variables."""
Report = Callable[[str, str], None]


def check_names(space: SpaceTree, report: Report) -> None:
    """Report (field, message) for each unknown name. Inside nodes there are cin, and i inside repetitions."""
    outer = _check_bindings(space.let, "let", frozenset(), report)
    for port in space.inputs:
        for number, size in enumerate(port.shape):
            _check(size, f"input.{port.name}.shape[{number}]", outer, report)
    _check_node(space.body, outer | {"cin"}, report)
    _check_bindings(space.recipe, "recipe", outer, report)
    for number, constraint in enumerate(space.constraints):
        _check(constraint, f"constraints[{number}]", outer | MEASURES, report)


def _check(value: object, path: str, known: frozenset[str], report: Report) -> None:
    if isinstance(value, Expression):
        for name in sorted(value.names - known):
            hint = _PLACES.get(name) or suggest(name, known)
            report(path, f"there is no variable {name!r} here{hint}")


def _check_bindings(let: Bindings, path: str, known: frozenset[str], report: Report) -> frozenset[str]:
    """The names known after these."""
    for name, value in let:
        _check(value, f"{path}.{name}", known, report)
        known |= {name}
    return known


def _check_node(node: Node, known: frozenset[str], report: Report) -> None:
    where = node.where
    known = _check_bindings(node.let, f"{where}.let", known, report)
    _check(node.when, f"{where}.when", known, report)
    match node:
        case LayerNode():
            for name, value in node.parameters:
                _check(value, f"{where}.{name}", known, report)
        case ParallelNode():
            _check(node.merge, f"{where}.merge", known, report)
        case CellNode():
            _check(node.join, f"{where}.cell.join", known, report)
            _check(node.output, f"{where}.cell.output", known, report)
        case RepeatNode():
            _check(node.count, f"{where}.repeat.count", known, report)
            known |= {"i"}
    for child in children(node):
        _check_node(child, known, report)
