"""A space's tree as an indented drawing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from rich.text import Text
from rich.tree import Tree

from archloom.cli.output import cell
from archloom.cli.space_decisions import domain_text, literal_text
from archloom.space.language.domains import Domain
from archloom.space.language.expressions import Expression
from archloom.space.language.tree import (
    CellNode,
    ChoiceNode,
    InputPort,
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
    Value,
)
from archloom.space.reading.layers import parameters_of

_MOST_LINES = 200
_LATER = {"norm": 1, "activation": 2}
"""Parameters that are read last, as they act last."""


def space_tree(space: SpaceTree) -> Tree:
    """The body and the parts, at most 200 lines of them. Braces hold what is searched."""
    lines = _Lines()
    tree = Tree(Text(space.name or "space", style="bold"), guide_style="dim", highlight=False)
    for port in space.inputs:
        tree.add(cell(f"input {port_text(port)}"))
    for name, value in space.let:
        tree.add(cell(f"let {name} = {value_text(value)}"))
    for title, child in _unwrapped(space.body):
        lines.draw(child, tree, title)
    for name, part in space.parts:
        lines.draw(part, tree, f"part {name}")
    if lines.left:
        tree.add(Text(f"... and {lines.left:,} more; --yaml shows everything", style="dim"))
    return tree


class _Lines:
    """Draws nodes until there are enough lines, then only counts them."""

    def __init__(self) -> None:
        self.drawn = 0
        self.left = 0

    def draw(self, node: Node, above: Tree, title: str = "") -> None:
        if self.drawn >= _MOST_LINES:
            self.left += 1
            return
        self.drawn += 1
        label = Text()
        for part in (title, node.name):
            if part:
                label.append_text(cell(part)).append(": ")
        label.stylize("bold", 0, len(label))
        label.append_text(cell(" ".join([_heading(node), *_suffix(node)])))
        branch = above.add(label)
        for name, child in _inside(node):
            self.draw(child, branch, name)


def _inside(node: Node) -> Iterator[tuple[str, Node]]:
    """What is drawn below a node, with the title of each. A part is drawn once, at the end of all; an only
    child that is a plain sequence gives way to its own children.
    """
    match node:
        case SequenceNode() | ParallelNode():
            for child in node.nodes:
                yield "", child
        case ChoiceNode():
            yield from node.options
        case CellNode():
            if node.pre is not None:
                yield "pre", node.pre
            yield from node.operations
        case RepeatNode() | ResidualNode() | ScanNode() | MapNode():
            yield from _unwrapped(node.body)


def _unwrapped(body: Node) -> Iterator[tuple[str, Node]]:
    plain = isinstance(body, SequenceNode) and not body.name and not body.carry and not _suffix(body)
    return _inside(body) if plain else iter([("", body)])


def _heading(node: Node) -> str:
    match node:
        case LayerNode():
            order = parameters_of(node.operation) if isinstance(node.operation, str) else ()
            given = sorted(node.parameters, key=lambda item: (_LATER.get(item[0], 0), _place(item[0], order)))
            return f"{value_text(node.operation)} {_pairs(given)}".rstrip()
        case SequenceNode():
            return f"sequence, each reads the last {node.carry}" if node.carry > 1 else "sequence"
        case ChoiceNode():
            return f"one of {len(node.options)}"
        case ParallelNode():
            return f"parallel, joined by {value_text(node.merge or 'sum')}"
        case ResidualNode():
            return "residual"
        case RepeatNode():
            return _repeat(node)
        case CellNode():
            return _cell(node)
        case UseNode():
            return _use(node)
        case ScanNode():
            states = ", ".join(f"{name}[{value_text(width)}]" for name, width in node.states)
            return f"scan over time, state {states}"
        case MapNode():
            return f"for each of {', '.join(node.over)}" + (
                ", weights shared" if node.weights == "shared" else ""
            )
    return type(node).__name__


def _place(name: str, order: tuple[str, ...]) -> int:
    return order.index(name) if name in order else 0


def _repeat(node: RepeatNode) -> str:
    words = [f"repeat {value_text(node.count)} times"]
    if node.decisions == "free":
        words.append("each decided alone")
    if node.weights == "shared":
        words.append("weights shared")
    if node.links is not None:
        most = "any" if node.links.most is None else f"up to {node.links.most}"
        words.append(f"links to {most} earlier outputs, joined by {value_text(node.links.merge or 'sum')}")
    return ", ".join(words)


def _cell(node: CellNode) -> str:
    read = "all earlier tensors"
    if node.edges is not None:
        read = f"{node.edges.k} earlier tensor{'s' * (node.edges.k > 1)}"
    words = [f"cell of {node.nodes} nodes", f"each reads {read}"]
    if node.inputs > 1:
        words.insert(1, f"{node.inputs} inputs")
    if node.input_stride not in ("", 1):
        words.append(f"stride {value_text(node.input_stride)} at its inputs")
    words.append(f"joined by {value_text(node.join or 'sum')}")
    words.append(f"output {value_text(node.output or 'last')}; operations:")
    return ", ".join(words)


def _use(node: UseNode) -> str:
    words = [f"part {node.part}"]
    if node.arguments:
        words.append(f"with {_pairs(node.arguments)}")
    if node.decisions == "free":
        words.append("decided alone")
    if node.weights == "shared":
        words.append("weights shared")
    return ", ".join(words)


def _suffix(node: Node) -> list[str]:
    """What every node may say."""
    words = [f"from {', '.join(node.sources)}"] if node.sources else []
    if node.let:
        words.append(f"let {_pairs(node.let)}")
    if node.when is not None:
        words.append(f"when {node.when.text.strip()}")
    if node.adapt:
        words.append(f"adapt {node.adapt}")
    if node.tensor:
        words.append(f"-> {node.tensor}")
    return words


def _pairs(bindings: Iterable[tuple[str, Value]]) -> str:
    return " ".join(f"{name}={value_text(value)}" for name, value in bindings)


def value_text(value: Value) -> str:
    """A constant, an expression's text, or in braces what is decided here."""
    if isinstance(value, Expression):
        text = value.text.strip()
        return text if text.isidentifier() else f"({text})"
    if isinstance(value, Domain):
        return f"{{{domain_text(value)}}}"
    return literal_text(value)


def port_text(port: InputPort) -> str:
    """``x: image[3, 32, 32]``."""
    return f"{port.name}: {port.kind}[{', '.join(map(value_text, port.shape))}]"
