"""From decisions to the network: the tree is walked once, and each layer is emitted with its shape resolved.

Identity and zero parts vanish while walking (a sum forgets a zero term, a product with a zero is zero); what
nothing reads is pruned at the end.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from archloom.space.compiling import counts_of, edge_count, root_path
from archloom.space.domains import Domain, Literal, literal_key
from archloom.space.emitting import MAX_INSTANCES, Emitter, Patterns, Tensor
from archloom.space.errors import BuildError
from archloom.space.expressions import Expression, ExpressionError
from archloom.space.graph import Graph, prune
from archloom.space.operations import NORMS, Shape, stands_for
from archloom.space.tree import (
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
)

Environment = dict[str, Literal]


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
    builder = _Builder(space, decisions, {} if patterns is None else patterns)
    try:
        return builder.graph(classes)
    except BuildError as error:
        error.where, error.layers = builder.where, len(builder.instances)
        raise


def resolve_recipe(space: SpaceTree, decisions: Mapping[str, Literal]) -> dict[str, Literal]:
    """The recipe's names and values under these decisions; raises BuildError."""
    builder = _Builder(space, decisions, {})
    environment = builder.bind(space.let, "", {}, 0)
    whole = builder.bind(space.recipe, "recipe", environment, 0)
    return {name: whole[name] for name, _ in space.recipe}


class _Builder(Emitter):
    """Every node has two paths: ``path`` names its decisions (one for tied repetitions), ``place`` its
    layers.
    """

    def __init__(self, space: SpaceTree, decisions: Mapping[str, Literal], patterns: Patterns) -> None:
        super().__init__(decisions, patterns)
        self.space = space
        self.where = ""  # the field of the node that is being walked

    def graph(self, classes: int | None) -> Graph:
        environment = self.bind(self.space.let, "", {}, 0)
        port = self.space.inputs[0]
        where = f"input.{port.name}"
        dims = [self.value(size, where, where, environment, 0) for size in port.shape]
        whole = tuple(int(size) for size in dims if isinstance(size, (int, float)) and size >= 1)
        if len(whole) != len(dims):
            raise BuildError(f"{where}.shape", f"{dims} is no shape")
        source = self.emit(self.operation("input", (), (Shape(port.kind, whole),), where), (), where)
        body = self.space.body
        path = root_path(body)
        output = self.node(body, path, path, source, environment)
        name = self.space.outputs[0] if self.space.outputs else "features"
        if classes is not None:
            output, name = self.head(output, classes), "logits"
        return prune(self.instances, {port.name: 0}, {name: self.materialise(output)})

    def head(self, x: Tensor, classes: int) -> Tensor:
        if x.shape.kind != "vector":
            x = self.apply("global_pool", (), x, "task.pool", "task.pool")
        return self.apply("linear", (("out", int, classes),), x, "task.linear", "task.linear")

    # ---------------------------------------------------- values and scopes

    def value(self, value: Value, path: str, name: str, environment: Environment, cin: int) -> Literal:
        """A constant, an expression's value, or what was decided at path."""
        if isinstance(value, Expression):
            environment["cin"] = cin
            try:
                return value.evaluate(environment)
            except ExpressionError as error:
                raise BuildError(name, str(error)) from None
        return self.decisions[path] if isinstance(value, Domain) else value

    def bind(self, let: Bindings, path: str, environment: Environment, cin: int) -> Environment:
        """The environment with a scope's variables."""
        inner = dict(environment)
        for name, value in let:
            place = below(path, name)
            inner[name] = self.value(value, place, place, inner, cin)
        return inner

    def merge_kind(self, value: Value, path: str, default: str) -> str:
        return str(self.decisions[path]) if isinstance(value, Domain) else str(value or default)

    # --------------------------------------------------------------- nodes

    def node(self, node: Node, path: str, place: str, x: Tensor, environment: Environment) -> Tensor:
        outer = self.where
        self.where = node.where or outer
        y = self.walk(node, path, place, x, environment)
        self.where = outer
        return y

    def walk(self, node: Node, path: str, place: str, x: Tensor, environment: Environment) -> Tensor:
        """The node's output; of a node in which nothing is decided, by what it emitted before."""
        if node.let:
            environment = self.bind(node.let, path, environment, x.shape.channels)
        if node.when is not None and not self.value(node.when, path, path, environment, x.shape.channels):
            return x
        walk = _WALKS[type(node)]
        if x.node is None or self.sharing is not None or not node.settled:
            return walk(self, node, path, place, x, environment)
        key = (id(node), x.shape, *[literal_key(environment.get(name)) for name in node.reads])
        pattern = self.patterns.get(key)
        if pattern is not None:
            return self.replay(pattern, x, place)
        start, zeroes = len(self.instances), len(self.zeroes)
        y = walk(self, node, path, place, x, environment)
        if len(self.zeroes) == zeroes:
            self.remember(key, start, x, y, place)
        return y

    def layer(self, node: LayerNode, path: str, place: str, x: Tensor, environment: Environment) -> Tensor:
        name = node.operation
        if isinstance(name, Domain):
            name = self.decisions[below(path, "layer")]
        stands = stands_for(node, str(name))
        if not isinstance(stands, LayerNode):
            return self.node(stands, path, place, x, environment)
        given: list[tuple[str, type, Literal]] = []
        norm = activation = "none"
        for key, value in stands.parameters:
            if isinstance(value, (Expression, Domain)):
                value = self.value(value, f"{path}.{key}", path, environment, x.shape.channels)
            if key == "norm":
                norm = str(value)
            elif key == "activation":
                activation = str(value)
            else:
                given.append((key, type(value), value))
        x = self.apply(str(name), tuple(given), x, path, place, norm != "none")
        if norm != "none":
            x = self.apply(NORMS.get(norm, norm), (), x, path, f"{place}.norm")
        return x if activation == "none" else self.apply(activation, (), x, path, f"{place}.activation")

    def sequence(
        self, node: SequenceNode, path: str, place: str, x: Tensor, environment: Environment
    ) -> Tensor:
        for segment, child in zip(node.segments, node.nodes, strict=True):
            x = self.node(child, below(path, segment), below(place, segment), x, environment)
        return x

    def option(
        self, options: Sequence[tuple[str, Node]], path: str, place: str, x: Tensor, environment: Environment
    ) -> Tensor:
        chosen = self.decisions[path]
        for name, option in options:
            if name == chosen:
                inside, there = f"{path}.{name}", f"{place}.{name}"
                return self.node(option, enter(inside, option), enter(there, option), x, environment)
        raise BuildError(path, f"there is no option {chosen!r}")

    def choice(self, node: ChoiceNode, path: str, place: str, x: Tensor, environment: Environment) -> Tensor:
        return self.option(node.options, path, place, x, environment)

    def repeat(self, node: RepeatNode, path: str, place: str, x: Tensor, environment: Environment) -> Tensor:
        try:
            environment["cin"] = x.shape.channels
            counts = counts_of(node, environment)
        except ExpressionError as error:
            raise BuildError(path, str(error)) from None
        number = counts if isinstance(counts, int) else self.decisions[below(path, "count")]
        assert isinstance(number, int)
        free = node.decisions == "free"
        outer = self.sharing
        alike = node.uniform and outer is None
        for i in range(number):
            here, there = (f"{path}[{i}]" if free else path), f"{place}[{i}]"
            if node.weights == "shared":
                self.sharing = (there, self.shared_name(place, outer))
            before, start, zeroes = x, len(self.instances), len(self.zeroes)
            x = self.node(
                node.body, enter(here, node.body), enter(there, node.body), x, {**environment, "i": i}
            )
            if alike and x.shape == before.shape and x.node is not None and len(self.zeroes) == zeroes:
                return self.copies(start, before, x, place, range(i, number))
        self.sharing = outer
        return x

    def copies(self, start: int, x: Tensor, y: Tensor, place: str, numbers: range) -> Tensor:
        """The same repetition again, without walking it: the instances from start led from x to y in the one
        numbered first.
        """
        pattern = self.instances[start:]
        cut = len(f"{place}[{numbers[0]}]")
        source, target = x.node, y.node
        assert target is not None
        if len(self.instances) + len(pattern) * (len(numbers) - 1) > MAX_INSTANCES:
            raise BuildError(place, f"the network has more than {MAX_INSTANCES} layers")
        if target < start:  # it yields its input
            return y
        for i in numbers[1:]:
            there = f"{place}[{i}]"
            shift = len(self.instances) - start
            previous = target
            for _, operation, inputs, path, _ in pattern:
                moved = tuple([previous if s == source else s + shift if s >= start else s for s in inputs])
                self.add(operation, moved, there + path[cut:], "")
            target = y.node + shift  # type: ignore[operator]
        return Tensor(target, y.shape)

    def shared_name(self, place: str, outer: tuple[str, str] | None) -> str:
        """The name of weights that all repetitions at a place share; inside other shared repetitions they
        share it too.
        """
        return place if outer is None else f"{outer[1]}{place[len(outer[0]) :]}"

    def residual(
        self, node: ResidualNode, path: str, place: str, x: Tensor, environment: Environment
    ) -> Tensor:
        y = self.node(node.body, enter(path, node.body), enter(place, node.body), x, environment)
        if x.shape != y.shape:
            if node.adapt == "skip":
                return y
            if node.adapt == "project":
                x = self.project(x, y.shape, False, path, below(place, "adapt"))
            else:
                found = f"the shortcut is {x.shape}, the body yields {y.shape}"
                raise BuildError(path, f"{found}; adapt: project or skip would fit them")
        return self.merge("sum", (x, y), path, below(place, "sum"))

    def join(self, how: str, adapt: str, parts: Sequence[Tensor], path: str, place: str) -> Tensor:
        """A merge; with adapt: project, parts are first brought to the shape of the first."""
        if adapt == "project":
            target = parts[0].shape
            parts = [
                self.project(part, target, how == "concat", path, f"{below(place, 'adapt')}[{number}]")
                for number, part in enumerate(parts)
            ]
        return self.merge(how, parts, path, below(place, how))

    def parallel(
        self, node: ParallelNode, path: str, place: str, x: Tensor, environment: Environment
    ) -> Tensor:
        parts = [
            self.node(child, below(path, segment), below(place, segment), x, environment)
            for segment, child in zip(node.segments, node.nodes, strict=True)
        ]
        how = self.merge_kind(node.merge, below(path, "merge"), "sum")
        return self.join(how, node.adapt, parts, path, place)

    def cell(self, node: CellNode, path: str, place: str, x: Tensor, environment: Environment) -> Tensor:
        if node.pre is not None:
            pre = "pre"
            x = self.node(
                node.pre,
                enter(below(path, pre), node.pre),
                enter(below(place, pre), node.pre),
                x,
                environment,
            )
        how = self.merge_kind(node.join, below(path, "join"), "sum")
        tensors = [x]
        for tensor in range(1, node.nodes + 1):
            here, there = below(path, f"node[{tensor}]"), below(place, f"node[{tensor}]")
            parts = []
            for edge, source in enumerate(self.sources(node, tensor, here)):
                step = f".edge[{edge}]"
                parts.append(
                    self.option(node.operations, here + step, there + step, tensors[source], environment)
                )
            tensors.append(self.join(how, node.adapt, parts, here, there))
        output = self.merge_kind(node.output, below(path, "output"), "last")
        return (
            tensors[-1] if output == "last" else self.merge(output, tensors[1:], path, below(place, "output"))
        )

    def sources(self, node: CellNode, tensor: int, here: str) -> Sequence[int]:
        if node.edges is None:
            return range(tensor)
        if node.edges.distinct:
            chosen = self.decisions[f"{here}.inputs"]
            assert isinstance(chosen, tuple)
            return chosen
        return [int(self.decisions[f"{here}.input[{edge}]"]) for edge in range(edge_count(node, tensor))]  # type: ignore[arg-type]


_WALKS: Mapping[type[Node], Callable[..., Tensor]] = {
    LayerNode: _Builder.layer,
    SequenceNode: _Builder.sequence,
    ChoiceNode: _Builder.choice,
    RepeatNode: _Builder.repeat,
    ParallelNode: _Builder.parallel,
    ResidualNode: _Builder.residual,
    CellNode: _Builder.cell,
}
