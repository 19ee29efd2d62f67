"""From the tree of nodes to the tree of decisions.

Which decisions exist may hang on options, on counts and on ``when``, what they may be on divisors. All of
these may read variables; a variable that is itself a decision and is read there becomes a branch, and its
scope is compiled once for each of its values. So sizes stay exact.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from archloom.space.decisions.choices import EMPTY, Leaf, Tree, branch, flat, together
from archloom.space.decisions.scopes import Scopes, once
from archloom.space.decisions.sharing import Shared, TooManySets, finished
from archloom.space.decisions.steps import Steps
from archloom.space.errors import SpaceError, Violation, show
from archloom.space.language.domains import Choice, Divisors, Domain, Literal, literal_key
from archloom.space.language.expressions import Expression, ExpressionError
from archloom.space.language.structure import (
    Known,
    counts_of,
    edge_count,
    edge_domain,
    input_count,
    link_domain,
    made_by_nodes,
    root_path,
)
from archloom.space.language.tree import (
    Bindings,
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
    below,
    enter,
)
from archloom.space.operations import stands_for


def compile_space(space: SpaceTree) -> Tree:
    """The decisions of a space; raises SpaceError where they are not well defined."""
    return _Compiler().space(space)


@dataclass
class _Compiler(Scopes):
    outer: Known = field(default_factory=dict)  # the variables of the whole space
    parts: dict[object, Tree] = field(default_factory=dict)
    shared: dict[str, list[Shared]] = field(default_factory=dict)

    def space(self, space: SpaceTree) -> Tree:
        def body(known: Known) -> Tree:
            self.outer = known
            inside = self.node(space.body, root_path(space.body), known)
            recipe = self.scope(space.recipe, "recipe", _divided(space.recipe), known, lambda _: EMPTY)
            return self.all((inside, recipe), space.body.where)

        structural = space.body.structural | _divided(space.recipe)
        tree = self.scope(space.let, "", structural, {}, body)
        for shared in tree.shared:
            for path in sorted(tree.own_paths & shared.paths):
                self.fault("parts", f"a part and something else both decide {path!r}; name them apart")
        if self.violations:
            raise SpaceError(self.violations)
        try:
            tree = finished(tree)
            _ = tree.count
        except TooManySets:
            message = "tied uses stand under too many conditions; make the decisions of some of them free"
            raise SpaceError([Violation("parts", message)]) from None
        return tree

    # ------------------------------------------------------------------ nodes

    def node(self, node: Node, path: str, known: Known) -> Tree:
        """The decisions of a node at its path."""
        self.spend(1, node.where)
        if node.when is None and not node.let:
            return self.kind(node, path, known)

        def inner(inside: Known) -> Tree:
            if node.when is None:
                return self.kind(node, path, inside)
            if node.when.names <= inside.keys():
                try:
                    holds = node.when.evaluate(inside)
                except ExpressionError as error:
                    return self.fault(f"{node.where}.when", str(error))
                if not isinstance(holds, bool):
                    found = f"'{node.when.text.strip()}' is {show(holds)}, expected true or false"
                    return self.fault(f"{node.where}.when", f"{found}: compare it with something")
                return self.kind(node, path, inside) if holds else EMPTY
            tree = self.kind(node, path, inside)
            return tree if tree is EMPTY else self.unknown(node.when, f"{node.where}.when", inside)

        return self.scope(node.let, path, node.structural, known, inner)

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
                    parts.append(self.value(node.merge, below(path, "merge"), known))
                return self.all(parts, node.where)
            case ChoiceNode():
                return self.options(node.options, path, known)
            case RepeatNode():
                return self.repeat(node, path, known)
            case CellNode():
                return self.cell(node, path, known)
            case ResidualNode() | MapNode():
                return self.node(node.body, enter(path, node.body), known)
            case ScanNode():
                widths = [self.value(width, below(path, name), known) for name, width in node.states]
                return self.all((*widths, self.node(node.body, enter(path, node.body), known)), node.where)
            case UseNode():
                return self.use(node, path, known)
        raise TypeError(f"no node: {node!r}")

    def options(self, options: Sequence[tuple[str, Node]], path: str, known: Known) -> Tree:
        self.make(len(options), path)
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
            [self.value(value, below(path, key), known) for key, value in stands.parameters], layer.where
        )

    def use(self, node: UseNode, path: str, known: Known) -> Tree:
        """The decisions of a part: at the place of use, or the part's own, which exist once."""

        def body(inside: Known) -> Tree:
            if node.decisions == "free":
                return self.node(node.body, enter(path, node.body), inside)
            read = node.body.mentioned
            key = (node.part, *((name, literal_key(inside[name])) for name in sorted(read & inside.keys())))
            if key not in self.parts:
                tree = self.node(node.body, enter(node.part, node.body), inside)
                self.parts[key] = self.interned(node.part, tree)
            return self.parts[key]

        return self.scope(node.arguments, path, node.body.structural, self.outer, body, known)

    def interned(self, part: str, tree: Tree) -> Tree:
        """A part's decisions as a tree that may stand at several places; equal ones are one object."""
        own = _own(tree)
        others = [child for child in flat(tree) if isinstance(child, Shared)]
        if own is EMPTY:
            return together(others)
        made = self.shared.setdefault(part, [])
        found = next((shared for shared in made if shared.tree == own), None)
        if found is None:
            found = Shared(part, own)
            made.append(found)
        return together((found, *others))

    # ------------------------------------------------------ repeats and cells

    def repeat(self, node: RepeatNode, path: str, known: Known) -> Tree:
        try:
            counts = counts_of(node, known)
        except ExpressionError as error:
            given = node.count.of if isinstance(node.count, Divisors) else node.count
            where = f"{node.where}.repeat.count"
            if isinstance(given, Expression) and not given.names <= known.keys():
                body = self.node(node.body, enter(path, node.body), known)
                harmless = body is EMPTY and node.links is None and given is node.count
                return body if harmless else self.unknown(given, where, known)
            return self.fault(where, str(error))
        place = below(path, "count")
        numbers = (
            [counts] if isinstance(counts, int) else [_whole(counts.at(n)) for n in range(counts.count or 0)]
        )
        most = max(numbers)
        free = node.decisions == "free"
        copies = self.free(node, path, known, most) if free else self.tied(node, path, known, most)
        if free and not any(copy.shared for copy in copies):
            return self.steps(place, counts, numbers, copies)
        if free:
            self.make(len(copies[0].paths) * sum(numbers) if copies else 0, node.where)
        options = []
        for number in numbers:
            if free:
                options.append(together(once(copies[:number])))
            else:
                links = [self.link(node, path, known, i) for i in range(number)]
                options.append(together((_joined(copies[:number]), *links)))
        if isinstance(counts, int):
            return options[0]
        if all(option == options[0] for option in options):
            return self.all((Leaf(place, counts), options[0]), node.where)
        return branch(place, counts, options)

    def free(self, node: RepeatNode, path: str, known: Known, most: int) -> Sequence[Tree]:
        """The decisions of each repetition, at paths of their own."""
        copies: list[Tree] = []
        made, work = self.made, self.work
        for i in range(most):
            copy = self.node(node.body, enter(f"{path}[{i}]", node.body), {**known, "i": i})
            copies.append(together((self.link(node, path, known, i), copy)))
            if i == 0 and "i" not in node.body.mentioned:
                self.ahead(made, work, most - 1, node.where)
        self.all(copies, node.where)
        return copies

    def steps(self, place: str, counts: Domain | int, numbers: Sequence[int], copies: Sequence[Tree]) -> Tree:
        """The decisions of the repetitions, up to a count that may be decided."""
        if isinstance(counts, int):
            return together(copies)
        least = min(numbers)
        if all(copy is EMPTY for copy in copies[least:]):
            return self.all((Leaf(place, counts), *copies[:least]), place)
        return Steps(place, counts, tuple(numbers), tuple(copies))

    def link(self, node: RepeatNode, path: str, known: Known, i: int) -> Tree:
        """Which earlier tensors a repetition reads; with the second, also how all of them are joined."""
        if node.links is None or i == 0:
            return EMPTY
        self.make(1, node.where)
        reads = Leaf(f"{path}[{i}].links", link_domain(node.links, i))
        merge = EMPTY if i > 1 else self.value(node.links.merge, below(path, "merge"), known)
        return together((reads, merge))

    def tied(self, node: RepeatNode, path: str, known: Known, most: int) -> Sequence[Tree]:
        """The decisions of each repetition, which must be the same ones. They may differ in the parts that
        they use, since these have decisions of their own.
        """
        reads = "i" in node.body.mentioned
        place = enter(path, node.body)
        copies = [self.node(node.body, place, {**known, "i": i}) for i in range(max(1, most) if reads else 1)]
        if len(copies) < most:
            return copies * most
        own = [_own(copy) for copy in copies]
        if any(one != own[0] for one in own):
            self.fault(
                f"{node.where}.repeat",
                "repetitions have different decisions (by i), so they cannot be tied: make them free",
            )
        self.all(flat(_joined(copies)), node.where)
        return copies

    def cell(self, node: CellNode, path: str, known: Known) -> Tree:
        bare = {name: value for name, value in known.items() if name not in ("shrink", "stride")}
        parts = [self.value(node.input_stride, below(path, "input_stride"), known)]
        if node.pre is not None:
            parts.append(self.node(node.pre, enter(below(path, "pre"), node.pre), bare))
        strides = self.strides(node, bare)
        left = sum(edge_count(node, tensor) for tensor in made_by_nodes(node))
        reads_stride = any("stride" in option.mentioned for _, option in node.operations)
        made, work = self.made, self.work
        for tensor in made_by_nodes(node):
            here = below(path, f"node[{tensor}]")
            if node.edges is not None and node.edges.distinct:
                parts.append(Leaf(f"{here}.inputs", edge_domain(node, tensor)))
            for edge in range(edge_count(node, tensor)):
                if node.edges is not None and not node.edges.distinct:
                    parts.append(Leaf(f"{here}.input[{edge}]", edge_domain(node, tensor)))
                # Dense edges come from the tensor of their number; of others it is not known here.
                inside = strides if node.edges is not None else [strides[edge < input_count(node)]]
                parts.append(self.edge(node, f"{here}.edge[{edge}]", inside))
                left -= 1
                if tensor == input_count(node) and edge == 0 and not reads_stride:
                    self.ahead(made, work, left, node.where)
        parts.append(self.value(node.join, below(path, "join"), known))
        parts.append(self.value(node.output, below(path, "output"), known))
        return self.all(parts, node.where)

    def strides(self, node: CellNode, known: Known) -> list[Known]:
        """The variables on an edge inside, and on one that leaves an input."""
        stride = node.input_stride or 1
        if isinstance(stride, Expression):
            try:
                stride = stride.evaluate(known) if stride.names <= known.keys() else stride
            except ExpressionError as error:
                self.fault(f"{node.where}.cell.input_stride", str(error))
        settled = not isinstance(stride, (Expression, Domain))
        return [{**known, "stride": 1}, {**known, "stride": stride} if settled else known]  # type: ignore[dict-item]

    def edge(self, node: CellNode, path: str, known: Sequence[Known]) -> Tree:
        """The decisions of an edge's operation, which must be the same under all of these variables."""
        first = self.options(node.operations, path, known[0])
        if any("stride" in option.mentioned for _, option in node.operations):
            for other in known[1:]:
                if self.options(node.operations, path, other) != first:
                    message = "decide different things at another stride, but any edge may leave an input"
                    self.fault(f"{node.where}.cell.ops", message)
        return first


def _joined(copies: Sequence[Tree]) -> Tree:
    """Tied repetitions together: their own decisions once, and each part that one of them uses."""
    different = {id(copy): copy for copy in copies}.values()
    used = [child for copy in different for child in flat(copy) if isinstance(child, Shared)]
    return together(once((_own(copies[0]), *used))) if copies else EMPTY


def _own(tree: Tree) -> Tree:
    """The tree without the parts that it always reaches."""
    return together([child for child in flat(tree) if not isinstance(child, Shared)])


def _divided(bindings: Bindings) -> frozenset[str]:
    """Variables whose divisors are decided on."""
    return frozenset().union(*(value.of.names for _, value in bindings if isinstance(value, Divisors)))


def _whole(value: Literal) -> int:
    assert isinstance(value, int)
    return value
