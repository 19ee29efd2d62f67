"""From the tree of nodes to the tree of decisions.

Which decisions exist may hang on options, on counts and on ``when``. Counts and ``when`` may read variables;
a variable that is itself a decision and is read there becomes a branch, and its scope is compiled once for
each of its values. So sizes stay exact.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from archloom.space.choices import EMPTY, Leaf, Tree, branch, together
from archloom.space.domains import Choice, Domain, Literal, Subset
from archloom.space.errors import SpaceError, Violation
from archloom.space.expressions import Expression, ExpressionError
from archloom.space.operations import stands_for
from archloom.space.tree import (
    MAX_REPEAT,
    Bindings,
    CellNode,
    ChoiceNode,
    LayerNode,
    Node,
    ParallelNode,
    RepeatNode,
    ResidualNode,
    SequenceNode,
    SpaceTree,
    Value,
    below,
    enter,
    kind_of,
    mentions,
    structural_names,
)

MAX_TREE = 200_000

Known = Mapping[str, Literal]
"""Variables whose values are settled where a node is compiled."""
Inner = Callable[[Known], Tree]


def compile_space(space: SpaceTree) -> Tree:
    """The decisions of a space; raises SpaceError where they are not well defined."""
    compiler = _Compiler()
    names = frozenset(structural_names(space.body))

    def body(known: Known) -> Tree:
        return compiler.node(space.body, root_path(space.body), known)

    def recipe(known: Known) -> Tree:
        return compiler.scope(space.recipe, "recipe", frozenset(), known, lambda _: EMPTY)

    tree = compiler.scope(
        space.let, "", names, {}, lambda known: compiler.all((body(known), recipe(known)), space.body.where)
    )
    if compiler.violations:
        raise SpaceError(compiler.violations)
    return tree


def root_path(body: Node) -> str:
    """The path of the body: empty for a sequence, whose children are named, else its name or kind."""
    return body.name or ("" if isinstance(body, SequenceNode) else kind_of(body))


def counts_of(node: RepeatNode, known: Known) -> Domain | int:
    """The count as a domain, or as a number where nothing is to be decided; raises ExpressionError."""
    if isinstance(node.count, Domain):
        return node.count
    value = node.count.evaluate(known) if isinstance(node.count, Expression) else node.count
    if type(value) is not int or not 0 <= value <= MAX_REPEAT:
        raise ExpressionError(f"expected a count from 0 to {MAX_REPEAT}, found {value!r}")
    return value


def edge_domain(node: CellNode, tensor: int) -> Domain:
    """For sparse edges, which earlier tensors the node that makes ``tensor`` reads."""
    assert node.edges is not None
    sources = tuple(range(tensor))
    k = min(node.edges.k, tensor) if node.edges.distinct else node.edges.k
    return Subset(sources, k, k) if node.edges.distinct else Choice(sources)


def edge_count(node: CellNode, tensor: int) -> int:
    """How many edges enter the node that makes ``tensor``."""
    if node.edges is None:
        return tensor
    return min(node.edges.k, tensor) if node.edges.distinct else node.edges.k


@dataclass
class _Compiler:
    violations: list[Violation] = field(default_factory=list)
    made: int = 0

    def fault(self, path: str, message: str) -> Tree:
        if Violation(path, message) not in self.violations and len(self.violations) < 100:
            self.violations.append(Violation(path, message))
        return EMPTY

    def all(self, children: Sequence[Tree], where: str) -> Tree:
        """All of these, whose paths must differ."""
        seen: set[str] = set()
        for child in children:
            for path in seen & child.paths:
                self.fault(where, f"two decisions are called {path!r}; name the nodes or variables apart")
            seen |= child.paths
        self.made += len(children)
        if self.made > MAX_TREE:
            raise SpaceError(
                [*self.violations, Violation(where, f"the space has more than {MAX_TREE} decisions")]
            )
        return together(children)

    def scope(self, let: Bindings, path: str, structural: frozenset[str], known: Known, inner: Inner) -> Tree:
        """The decisions of variables, and of what is inside their scope."""
        if not let:
            return inner(known)
        (name, value), rest = let[0], let[1:]
        # A name that is read by a later variable which is structural is structural too.
        for later, other in reversed(rest):
            if later in structural and isinstance(other, Expression):
                structural |= other.names
        place = below(path, name)
        hidden = {key: item for key, item in known.items() if key != name}
        if isinstance(value, Domain):
            self.made += 1
            if name not in structural or value.count is None:
                return self.all(
                    (Leaf(place, value), self.scope(rest, path, structural, hidden, inner)), place
                )
            if value.count > 1_000:
                return self.fault(place, "decides which decisions exist, and has more than 1000 values")
            options = [
                self.scope(rest, path, structural, {**hidden, name: value.at(number)}, inner)
                for number in range(value.count)
            ]
            if all(option == options[0] for option in options):
                return self.all((Leaf(place, value), options[0]), place)
            return branch(place, value, options)
        if isinstance(value, Expression):
            try:
                settled = {name: value.evaluate(known)} if value.names <= known.keys() else {}
            except ExpressionError as error:
                return self.fault(place, str(error))
            return self.scope(rest, path, structural, {**hidden, **settled}, inner)
        return self.scope(rest, path, structural, {**hidden, name: value}, inner)

    def node(self, node: Node, path: str, known: Known) -> Tree:
        """The decisions of a node at its path."""
        names = frozenset(structural_names(node))

        def inner(inside: Known) -> Tree:
            if node.when is None:
                return self.kind(node, path, inside)
            if node.when.names <= inside.keys():
                try:
                    return self.kind(node, path, inside) if node.when.evaluate(inside) else EMPTY
                except ExpressionError as error:
                    return self.fault(f"{node.where}.when", str(error))
            tree = self.kind(node, path, inside)
            return tree if tree is EMPTY else self.unknown(node.when, f"{node.where}.when", inside)

        return self.scope(node.let, path, names, known, inner)

    def unknown(self, expression: Expression, where: str, known: Known) -> Tree:
        missing = ", ".join(sorted(expression.names - known.keys()))
        return self.fault(
            where, f"decides which decisions exist, so it may not read {missing}: only variables and i"
        )

    def kind(self, node: Node, path: str, known: Known) -> Tree:
        match node:
            case LayerNode():
                return self.layer(node, path, known)
            case SequenceNode() | ParallelNode():
                pairs = zip(node.nodes, node.segments, strict=True)
                parts = [self.node(child, below(path, segment), known) for child, segment in pairs]
                if isinstance(node, ParallelNode):
                    parts.append(self.value(node.merge, below(path, "merge")))
                return self.all(parts, node.where)
            case ChoiceNode():
                return self.options(node.options, path, known)
            case RepeatNode():
                return self.repeat(node, path, known)
            case CellNode():
                return self.cell(node, path, known)
            case ResidualNode():
                return self.node(node.body, enter(path, node.body), known)
        raise TypeError(f"no node: {node!r}")

    def value(self, value: Value, path: str) -> Tree:
        if not isinstance(value, Domain):
            return EMPTY
        self.made += 1
        return Leaf(path, value)

    def options(self, options: Sequence[tuple[str, Node]], path: str, known: Known) -> Tree:
        self.made += len(options)
        trees = [self.node(option, enter(below(path, name), option), known) for name, option in options]
        return branch(path, Choice(tuple(name for name, _ in options)), trees)

    def layer(self, layer: LayerNode, path: str, known: Known) -> Tree:
        if isinstance(layer.operation, Choice):
            names = [str(name) for name in layer.operation.values]
            options = [self.operation(layer, name, path, known) for name in names]
            return branch(below(path, "layer"), layer.operation, options)
        return self.operation(layer, str(layer.operation), path, known)

    def operation(self, layer: LayerNode, name: str, path: str, known: Known) -> Tree:
        stands = stands_for(layer, name)
        if not isinstance(stands, LayerNode):
            return self.node(stands, path, known)
        return self.all(
            [self.value(value, below(path, key)) for key, value in stands.parameters], layer.where
        )

    def repeat(self, node: RepeatNode, path: str, known: Known) -> Tree:
        try:
            counts = counts_of(node, known)
        except ExpressionError as error:
            if isinstance(node.count, Expression) and not node.count.names <= known.keys():
                body = self.node(node.body, enter(path, node.body), known)
                return (
                    body if body is EMPTY else self.unknown(node.count, f"{node.where}.repeat.count", known)
                )
            return self.fault(f"{node.where}.repeat.count", str(error))
        place = below(path, "count")
        numbers = (
            [counts] if isinstance(counts, int) else [_whole(counts.at(n)) for n in range(counts.count or 0)]
        )
        most = max(numbers)
        if node.decisions == "free":
            steps = [f"[{i}]" for i in range(most)]
            copies = [
                self.node(node.body, enter(path + s, node.body), {**known, "i": i})
                for i, s in enumerate(steps)
            ]
            if isinstance(counts, int):
                return self.all(copies, node.where)
            self.all(copies, node.where)
            return branch(place, counts, [together(copies[:number]) for number in numbers])
        body = self.tied(node, path, known, most)
        if isinstance(counts, int):
            return body if most else EMPTY
        if min(numbers) > 0:
            return self.all((Leaf(place, counts), body), node.where)
        return branch(place, counts, [body if number else EMPTY for number in numbers])

    def tied(self, node: RepeatNode, path: str, known: Known, most: int) -> Tree:
        """The decisions of all repetitions at once, which must then be the same ones."""
        reads = mentions(node.body, "i")
        place = enter(path, node.body)
        copies = [self.node(node.body, place, {**known, "i": i}) for i in range(max(1, most) if reads else 1)]
        if any(copy != copies[0] for copy in copies):
            return self.fault(
                f"{node.where}.repeat",
                "repetitions have different decisions (by i), so they cannot be tied: make them free",
            )
        return copies[0]

    def cell(self, node: CellNode, path: str, known: Known) -> Tree:
        parts = [] if node.pre is None else [self.node(node.pre, enter(below(path, "pre"), node.pre), known)]
        for tensor in range(1, node.nodes + 1):
            here = below(path, f"node[{tensor}]")
            if node.edges is not None and node.edges.distinct:
                parts.append(Leaf(f"{here}.inputs", edge_domain(node, tensor)))
            for edge in range(edge_count(node, tensor)):
                if node.edges is not None and not node.edges.distinct:
                    parts.append(Leaf(f"{here}.input[{edge}]", edge_domain(node, tensor)))
                parts.append(self.options(node.operations, f"{here}.edge[{edge}]", known))
        parts.append(self.value(node.join, below(path, "join")))
        parts.append(self.value(node.output, below(path, "output")))
        return self.all(parts, node.where)


def _whole(value: Literal) -> int:
    assert isinstance(value, int)
    return value
