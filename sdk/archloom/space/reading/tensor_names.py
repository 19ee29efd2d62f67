"""Whether each named tensor exists where it is read, and each node is given as many tensors as it takes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from archloom.space.errors import suggest
from archloom.space.language.domains import Choice, Domain
from archloom.space.language.tree import (
    CellNode,
    ChoiceNode,
    LayerNode,
    MapNode,
    Node,
    ParallelNode,
    RepeatNode,
    ResidualNode,
    ScanNode,
    SequenceNode,
    SpaceTree,
    UseNode,
    children,
)
from archloom.space.operations import COMPOSITES, operation_specs

OUTPUT = "features"
"""The body's own output, unless a tensor has this name."""

Report = Callable[[str, str], None]


def check_tensors(space: SpaceTree, report: Report) -> None:
    """Report (field, message) for each tensor that is read and does not exist there, or may not; for names
    that are given twice; and for nodes that are given too many tensors, or too few.
    """
    walk = _Walk(report, space.body)
    for port in space.inputs:
        walk.names[port.name] = _Tensor(f"input.{port.name}", frozenset())
    walk.node(space.body, 0)
    for number, name in enumerate(space.outputs):
        if name != OUTPUT or name in walk.names:
            walk.read(name, f"output[{number}]", [OUTPUT])


@dataclass(frozen=True)
class _Tensor:
    """A name given so far: the field that gave it first, the nodes that give it, and why it may not exist."""

    field: str
    givers: frozenset[int]
    doubt: str = ""


_Names = dict[str, _Tensor]


class _Walk:
    """Walks the tree as the builder does. Parts are walked at each use: there they read what exists there."""

    def __init__(self, report: Report, body: Node) -> None:
        self.report = report
        self.body = body
        self.names: _Names = {}
        self.changes: list[tuple[str, _Tensor | None]] = []  # what names were before
        self.uses: list[UseNode] = []
        self.faulty: set[str] = set()
        self.local = ""  # what there is inside a scan

    def fault(self, field: str, message: str) -> None:
        """One fault a field, however often a part is used."""
        if field not in self.faulty:
            self.faulty.add(field)
            inside = f" (used at {self.uses[-1].where})" if self.uses else ""
            self.report(field, message + inside)

    # -------------------------------------------------------------- names

    def read(self, name: str, field: str, others: Sequence[str] = ()) -> None:
        found = self.names.get(name)
        if found is None:
            hint = self.meant(name, [*self.names, *others])
            self.fault(field, f"no tensor is called {name!r} here{hint}{self.local}")
        elif found.doubt:
            self.fault(field, f"the tensor {name!r} may not exist here: {found.doubt}")

    def meant(self, name: str, known: Sequence[str]) -> str:
        """What to do about a name that no tensor has here."""
        visible = [] if self.local else _outside_scans(self.body)
        for node in visible:
            if node.tensor == name and not isinstance(node, MapNode):
                return f"; it stands further down, at {node.where}.as"
        for node in visible:
            if node.name == name:
                return f"; {node.where} is a node of this name: write as: {name} there"
        return suggest(name, known) or "; a node gives its output a name by as"

    def give(self, name: str, field: str, giver: Node, over: bool = False) -> None:
        """A node gives its output a name; with ``over``, one that may be taken over from another tensor."""
        found = self.names.get(name)
        if found is not None and not over and id(giver) not in found.givers:
            self.fault(field, f"{name!r} is given twice: also at {found.field}")
            return
        before = frozenset() if found is None else found.givers
        self.set(name, _Tensor(field if found is None else found.field, before | {id(giver)}))

    def set(self, name: str, tensor: _Tensor) -> None:
        self.changes.append((name, self.names.get(name)))
        self.names[name] = tensor

    def undo(self, mark: int) -> _Names:
        """Forget what was given since ``mark``; answers it."""
        given: _Names = {}
        while len(self.changes) > mark:
            name, before = self.changes.pop()
            given.setdefault(name, self.names[name])
            if before is None:
                self.names.pop(name, None)
            else:
                self.names[name] = before
        return dict(reversed(given.items()))

    @contextmanager
    def doubtful(self, doubt: str) -> Iterator[None]:
        """Names that are new inside may not exist afterwards, for this reason (none where it is empty)."""
        mark = len(self.changes)
        yield
        if doubt:
            for name, tensor in self.undo(mark).items():
                known = self.names.get(name)
                self.set(
                    name, replace(tensor, doubt=(tensor.doubt or doubt) if known is None else known.doubt)
                )

    def alternatives(self, options: Sequence[Node], given: int, doubt: str) -> None:
        """One of these is walked: what all of them name exists afterwards."""
        found: list[_Names] = []
        for option in options:
            mark = len(self.changes)
            self.node(option, given)
            found.append(self.undo(mark))
        for name in dict.fromkeys(name for names in found for name in names):
            tensors = [names[name] for names in found if name in names]
            doubts = [tensor.doubt for tensor in tensors if tensor.doubt]
            if len(tensors) < len(found) and (known := self.names.get(name)) is None:
                doubts.append(doubt)
            elif len(tensors) < len(found) and known is not None and known.doubt:
                doubts.append(known.doubt)
            givers = frozenset().union(*(tensor.givers for tensor in tensors))
            self.set(name, _Tensor(tensors[0].field, givers, doubts[0] if doubts else ""))

    # -------------------------------------------------------------- nodes

    def node(self, node: Node, given: int) -> None:
        """``given``: how many tensors it was given by name, at itself or what it stands in; 0: the newest."""
        with self.doubtful("" if node.when is None else f"it is named under the when of {node.where}"):
            for number, name in enumerate(node.sources):
                field = f"{node.where}.from"
                self.read(name, field if len(node.sources) == 1 else f"{field}[{number}]")
            if node.sources:
                given = len(node.sources)
            self.kind(node, given)
            if node.tensor and not isinstance(node, MapNode):
                self.give(node.tensor, f"{node.where}.as", node)

    def kind(self, node: Node, given: int) -> None:
        match node:
            case LayerNode():
                self.layer(node, given)
            case SequenceNode():
                for number, child in enumerate(node.nodes):
                    self.node(child, given if number == 0 or node.carry > 1 else 0)
            case ParallelNode():
                for child in node.nodes:
                    self.node(child, given)
            case ChoiceNode():
                doubt = f"only some options of the choice at {node.where} name it"
                self.alternatives(children(node), given, doubt)
            case RepeatNode():
                empty = node.count == 0 or (
                    isinstance(node.count, Domain) and node.count.index(0) is not None
                )
                doubt = f"it is named in the repeat at {node.where}, whose count may be 0" if empty else ""
                with self.doubtful(doubt):
                    self.node(node.body, given)
            case UseNode():
                self.uses.append(node)
                self.node(node.body, given)
                self.uses.pop()
            case CellNode():
                self.cell(node, given)
            case ResidualNode():
                self.one(node, "a residual", given)
                self.node(node.body, 0)
            case ScanNode():
                self.one(node, "a scan", given)
                self.scan(node)
            case MapNode():
                self.map(node)

    def one(self, node: Node, what: str, given: int) -> None:
        if given > 1:
            self.fault(
                f"{node.where}.from",
                f"{what} takes one tensor, here are {given}; join them with layer: sum, concat or mul",
            )

    def layer(self, node: LayerNode, given: int) -> None:
        names = node.operation.values if isinstance(node.operation, Choice) else (node.operation,)
        for name in names:
            spec = operation_specs().get(str(name))
            if spec is None and name not in COMPOSITES:
                continue
            arity = 1 if spec is None else spec.arity
            here = len(node.sources)
            if arity == 1:
                self.one(node, str(name), given)
            elif here < 2 if arity == "many" else here != arity:
                takes = "two tensors or more" if arity == "many" else f"{arity} tensors"
                found = "is one" if here < 2 else f"are {here}"
                self.fault(node.where, f"{name} takes {takes}, here {found}; name them by from: [a, b]")

    def cell(self, node: CellNode, given: int) -> None:
        inputs = node.inputs or 1
        if given > inputs:
            takes = "one tensor" if inputs == 1 else f"{inputs} tensors"
            self.fault(
                f"{node.where}.from", f"the cell takes {takes}, here are {given}: write inputs: {given}"
            )
        doubt = f"it is named inside the cell at {node.where}"
        with self.doubtful(doubt):
            self.alternatives(children(node), 0, doubt)

    def scan(self, node: ScanNode) -> None:
        """The body sees the step's input x and the states, and nothing else; its names stay inside."""
        outside, changes, local = self.names, self.changes, self.local
        states = {name: _Tensor(f"{node.where}.scan.state.{name}", frozenset()) for name, _ in node.states}
        self.names = {"x": _Tensor(f"{node.where}.scan", frozenset()), **states}
        self.changes = []
        self.local = "; inside a scan only x and the states can be read"
        for name in states:
            self.setters(node.body, name)
        self.node(node.body, 0)
        self.names, self.changes, self.local = outside, changes, local

    def setters(self, node: Node, state: str) -> None:
        """The nodes named like a state set it: they do not give a name that is taken."""
        if node.tensor == state:
            found = self.names[state]
            self.names[state] = replace(found, givers=found.givers | {id(node)})
        for child in children(node):
            if not isinstance(child, ScanNode):
                self.setters(child, state)

    def map(self, node: MapNode) -> None:
        for number, name in enumerate(node.over):
            self.read(name, f"{node.where}.map.over[{number}]")
        self.node(node.body, 0)
        for name in node.over:
            if node.tensor:
                self.give(f"{node.tensor}_{name}", f"{node.where}.as", node)
            elif name in self.names:
                self.give(name, f"{node.where}.map", node, over=True)


def _outside_scans(body: Node) -> list[Node]:
    """All nodes whose tensors can be seen outside of scans, parts once each, as they are met."""
    seen: set[int] = set()
    found: list[Node] = []
    left = [body]
    while left:
        node = left.pop()
        if id(node) not in seen:
            seen.add(id(node))
            found.append(node)
            left.extend(() if isinstance(node, ScanNode) else reversed(children(node)))
    return found
