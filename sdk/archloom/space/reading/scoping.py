"""Whether each variable that is read exists where it is read."""

from __future__ import annotations

from collections.abc import Callable

from archloom.space.errors import show, suggest
from archloom.space.language.expressions import Expression
from archloom.space.language.tree import (
    Bindings,
    CellNode,
    LayerNode,
    Node,
    RepeatNode,
    ScanNode,
    SpaceTree,
    UseNode,
    Value,
    children,
    names_of,
)
from archloom.space.reading.values import samples

MEASURES = frozenset(("params", "flops", "depth"))
"""What constraints may read besides the space's own variables."""

Report = Callable[[str, str], None]
Missing = Callable[[str, str, frozenset[str]], None]
"""Told (name, field that reads it, names known there)."""

_PLACES = {
    "i": " (i exists inside a repeat)",
    "cin": " (cin exists inside the body)",
    "stride": " (stride exists in the ops of a cell)",
    "shrink": " (shrink exists in the pre of a cell)",
}


def check_names(space: SpaceTree, report: Report) -> None:
    """Report (field, message) for each unknown variable.

    Inside nodes there are cin, i inside repetitions, and what cells add. A part sees the variables of the
    space and what its use gives it, nothing else of the place of use.
    """

    def unknown(name: str, field: str, known: frozenset[str]) -> None:
        report(field, f"there is no variable {name!r} here{_PLACES.get(name) or suggest(name, known)}")

    checker = _Checker(space, report)
    outer = checker.bindings(space.let, "let", frozenset(), unknown)
    checker.outer = outer
    for port in space.inputs:
        for number, size in enumerate(port.shape):
            checker.value(size, f"input.{port.name}.shape[{number}]", outer, unknown)
    checker.node(space.body, outer | {"cin"}, unknown)
    for name, part in space.parts:  # those that are not used too; what a part lacks is its uses' fault
        checker.lacks(name, part)
    checker.bindings(space.recipe, "recipe", outer, unknown)
    for number, constraint in enumerate(space.constraints):
        field = f"constraints[{number}]"
        checker.value(constraint, field, outer | MEASURES, unknown)
        if wrong := _no_truth(constraint, space):
            hint = f": compare it, such as {constraint.text.strip()} < 1000" if constraint.names else ""
            report(field, f"expected true or false, found {wrong}{hint}")
        for name in sorted(constraint.names & outer & MEASURES):
            report(field, f"{name!r} is a measure of the network and a variable too; rename the variable")


class _Checker:
    def __init__(self, space: SpaceTree, report: Report) -> None:
        self.report = report
        self.outer: frozenset[str] = frozenset()
        self.found: dict[str, dict[str, str]] = {}

    def value(self, value: Value | None, field: str, known: frozenset[str], missing: Missing) -> None:
        for name in sorted(names_of(value) - known):
            missing(name, field, known)

    def bindings(self, let: Bindings, field: str, known: frozenset[str], missing: Missing) -> frozenset[str]:
        """The names known after these."""
        for number, (name, value) in enumerate(let):
            lacks = names_of(value) - known
            later = lacks & {other for other, _ in let[number:]} if lacks else lacks
            for read in sorted(later):
                self.report(f"{field}.{name}", f"{read!r} stands further down: a variable reads earlier ones")
            self.value(value, f"{field}.{name}", known | later, missing)
            known |= {name}
        return known

    def node(self, node: Node, known: frozenset[str], missing: Missing) -> None:
        where = node.where
        known = self.bindings(node.let, f"{where}.let", known, missing)
        self.value(node.when, f"{where}.when", known, missing)
        if isinstance(node, UseNode):
            self.use(node, known, missing)
            return
        for field, value in _values(node):
            self.value(value, f"{where}.{field}", known, missing)
        for child in children(node):
            self.node(child, known | _added(node, child), missing)

    def use(self, node: UseNode, known: frozenset[str], missing: Missing) -> None:
        field = f"{node.where}.use"
        for name, value in node.arguments:
            self.value(value, f"{field}.with.{name}", known, missing)
        lacks = self.lacks(node.part, node.body)
        given = {name for name, _ in node.arguments}
        for name in sorted(given - lacks.keys()):
            self.report(
                f"{field}.with.{name}", f"part {node.part!r} reads no {name!r}{suggest(name, lacks.keys())}"
            )
        for name in sorted(lacks.keys() - given - self.outer):
            near = suggest(name, self.outer | given)
            hint = near if "mean" in near else ""
            how = f"{{{name}: ...}}" if name != "i" else "{n: =i} and read n (i stays outside of a part)"
            self.report(
                field, f"part {node.part!r} reads {name!r} ({lacks[name]}){hint}: give it by with: {how}"
            )

    def lacks(self, part: str, body: Node) -> dict[str, str]:
        """The variables that a part reads and does not set, those of the space too, with the field that reads
        them.
        """
        if part not in self.found:
            found: dict[str, str] = {}

            def missing(name: str, field: str, known: frozenset[str]) -> None:
                found.setdefault(name, field)

            self.node(body, frozenset(("cin",)), missing)
            self.found[part] = found
        return self.found[part]


def _no_truth(constraint: Expression, space: SpaceTree) -> str:
    """What a constraint yields that is neither true nor false, as far as that is known."""
    if constraint.kind:
        return "" if constraint.kind == "truth" else f"a {constraint.kind}"
    name = constraint.text.strip().strip("()")
    if name in MEASURES:
        return "a number"
    given = dict(space.let).get(name, True)
    return next((show(value) for value in samples(given) if not isinstance(value, bool)), "")


def _added(node: Node, child: Node) -> frozenset[str]:
    """The variables that a node adds for a child."""
    if isinstance(node, RepeatNode):
        return frozenset(("i",))
    if isinstance(node, CellNode):
        return frozenset(("shrink",) if child is node.pre else ("stride",))
    return frozenset()


def _values(node: Node) -> tuple[tuple[str, Value], ...]:
    """The node's own values that may be expressions, by their fields; variables and ``when`` apart."""
    match node:
        case LayerNode():
            return node.parameters
        case RepeatNode():
            return (("repeat.count", node.count),)
        case CellNode():
            return (("cell.input_stride", node.input_stride),)
        case ScanNode():
            return tuple((f"scan.state.{name}", width) for name, width in node.states)
    return ()
