"""Whether all architectures of a space surely fit together, so that none needs to be built to know it.

The tree is walked once with all decisions open at the same time: what flows are the shapes that there may be.
Each decision is followed where it stands, for all of its values, and forgotten as soon as nothing depends on
it; tied decisions are followed as if they were free. So more is looked at than there is, and where nothing of
it fails, nothing ever fails. Where something may fail, or there is too much to follow, the answer is no.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import product
from typing import NamedTuple

from archloom.space.building.emitting import MAX_INSTANCES, Emitter, Tensor
from archloom.space.domains import Divisors, Domain, Literal, literal_key
from archloom.space.errors import BuildError
from archloom.space.expressions import Expression, ExpressionError
from archloom.space.operations import MERGES, NORMS, Operation, Shape, operation_specs, stands_for
from archloom.space.read_values import samples
from archloom.space.structure import counts_of, edge_count, input_count, made_by_nodes
from archloom.space.tree import (
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
    Value,
    children,
)

_MOST_STEPS = 5_000
_MOST_VALUES = 300  # of one decision, and of one layer's together
_LAYERS = 3  # the most that one layer of the tree emits: with a norm and an activation

Environment = Mapping[str, Literal]
Names = frozenset[tuple[str, Shape]]


class Flow(NamedTuple):
    """One state: the history of shapes, oldest first, the named tensors' shapes, and whether the node that
    yielded it was there (its ``when`` held).
    """

    history: tuple[Shape, ...]
    names: Names
    there: bool = True

    @property
    def newest(self) -> Shape:
        return self.history[-1]

    def step(self, shape: Shape, carry: int, names: Names | None = None) -> Flow:
        return Flow((*self.history, shape)[-carry:], self.names if names is None else names)


class _Unsure(Exception):
    """Something may fail, or nothing can be said."""


def surely_fits(space: SpaceTree) -> bool:
    """Whether every architecture's network can be built. False where that is not sure."""
    try:
        _Explorer(space).explore()
    except (_Unsure, BuildError, ExpressionError):
        return False
    return True


class _Shapes(Emitter):
    """Resolves operations and their shapes, and emits nothing."""

    def __init__(self) -> None:
        super().__init__({}, {})

    def emit(self, operation: Operation, inputs: tuple[int, ...], place: str) -> Tensor:
        return Tensor(0, operation.shape)

    def materialise(self, x: Tensor) -> int:
        return 0


class _Explorer:
    def __init__(self, space: SpaceTree) -> None:
        self.space = space
        self.shapes = _Shapes()
        self.outer: Environment = {}
        self.known: dict[tuple[object, ...], tuple[frozenset[Flow], int]] = {}
        self.steps = 0
        self.layers = 0  # a bound on how many layers there may be so far

    def explore(self) -> None:
        for environment in self.bound(self.space.let, {}, 0):
            self.outer = environment
            self.layers = 0
            ports = []
            for port in self.space.inputs:
                dims = tuple([self.one(size, environment, 0) for size in port.shape])
                if any(type(size) is not int or size < 1 for size in dims):
                    raise _Unsure
                ports.append((port.name, Shape(port.kind, dims)))  # type: ignore[arg-type]
            for end in self.after(self.space.body, Flow((ports[0][1],), frozenset(ports)), 1, environment):
                names = dict(end.names)
                if any(name not in names and name != "features" for name in self.space.outputs):
                    raise _Unsure

    # ---------------------------------------------------------------- values

    def possible(self, value: Value, environment: Environment, cin: int) -> Sequence[Literal]:
        """Every value that there may be here."""
        if isinstance(value, Expression):
            return (value.evaluate({**environment, "cin": cin}),)
        if isinstance(value, Divisors):
            return value.settle({**environment, "cin": cin}).values
        if isinstance(value, Domain):
            if value.count is None or value.count > _MOST_VALUES:
                raise _Unsure
            return [value.at(index) for index in range(value.count)]
        return (value,)

    def one(self, value: Value, environment: Environment, cin: int) -> Literal:
        """The only possible value."""
        found = self.possible(value, environment, cin)
        if len(found) != 1:
            raise _Unsure
        return found[0]

    def bound(self, let: Bindings, environment: Environment, cin: int) -> Iterator[Environment]:
        """The environment with a scope's variables, for all their values."""
        if not let:
            yield environment
            return
        (name, value), rest = let[0], let[1:]
        for found in self.possible(value, environment, cin):
            yield from self.bound(rest, {**environment, name: found}, cin)

    # ----------------------------------------------------------------- nodes

    def after(self, node: Node, flow: Flow, carry: int, environment: Environment) -> frozenset[Flow]:
        """All states after a node; what was found once is kept."""
        inner = node.reads | node.own_names
        key = (
            id(node),
            flow.history,
            flow.names,
            carry,
            *[(name, literal_key(environment[name])) for name in sorted(inner) if name in environment],
            *[(name, literal_key(self.outer.get(name))) for name in sorted(node.part_reads)],
        )
        found = self.known.get(key)
        if found is None:
            before = self.layers
            states = frozenset(self.walk(node, flow, carry, environment))
            found = self.known[key] = (states, self.layers - before)
        else:
            self.layers += found[1]
        if self.layers > MAX_INSTANCES:
            raise _Unsure
        return found[0]

    def walk(self, node: Node, flow: Flow, carry: int, environment: Environment) -> Iterator[Flow]:
        self.steps += 1
        self.layers += 1
        if self.steps > _MOST_STEPS:
            raise _Unsure
        given = flow
        if node.sources:
            named = dict(flow.names)
            if any(name not in named for name in node.sources):
                raise _Unsure
            given = Flow(tuple([named[name] for name in node.sources]), flow.names)
        cin = given.history[0 if node.sources and isinstance(node, LayerNode) else -1].channels
        for inner in self.bound(node.let, environment, cin):
            if node.when is not None and not node.when.evaluate({**inner, "cin": cin}):
                yield flow._replace(there=False)
                continue
            for end in self.kind(node, given, carry, inner):
                names = end.names
                if node.tensor and not isinstance(node, MapNode):
                    names = _renamed(names, {node.tensor: end.newest})
                if node.sources:
                    yield flow.step(end.newest, carry, names)
                else:
                    yield Flow(end.history, names)

    def kind(self, node: Node, flow: Flow, carry: int, environment: Environment) -> Iterable[Flow]:
        match node:
            case LayerNode():
                return self.layer(node, flow, carry, environment)
            case SequenceNode():
                return self.sequence(node, flow, carry, environment)
            case ChoiceNode():
                options = [option for _, option in node.options]
                return [end for option in options for end in self.after(option, flow, carry, environment)]
            case ParallelNode():
                return self.parallel(node, flow, carry, environment)
            case ResidualNode():
                return self.residual(node, flow, carry, environment)
            case RepeatNode():
                return self.repeat(node, flow, carry, environment)
            case CellNode():
                return self.cell(node, flow, carry, environment)
            case UseNode():
                return self.use(node, flow, carry, environment)
            case MapNode():
                return self.map(node, flow, carry, environment)
            case ScanNode():
                return self.scan(node, flow, carry, environment)
        raise _Unsure

    def layer(self, node: LayerNode, flow: Flow, carry: int, environment: Environment) -> Iterator[Flow]:
        inputs = flow.history if node.sources else flow.history[-1:]
        cin = inputs[0].channels
        for name in self.possible(node.operation, environment, cin):
            stands = stands_for(node, str(name))
            if not isinstance(stands, LayerNode):
                yield from self.after(stands, flow, carry, environment)
                continue
            self.layers += _LAYERS
            given = dict(stands.parameters)
            follow = [
                self.possible(given.pop(key, "none"), environment, cin) for key in ("norm", "activation")
            ]
            results = set(self.operations(str(name), given, inputs, environment, cin))
            for following in follow:
                results |= {
                    self.operation(NORMS.get(str(each), str(each)), (), (shape,))
                    for each in following
                    if each != "none"
                    for shape in results
                }
            for shape in results:
                yield flow.step(shape, carry)

    def operations(
        self,
        name: str,
        given: Mapping[str, Value],
        inputs: tuple[Shape, ...],
        environment: Environment,
        cin: int,
    ) -> Iterator[Shape]:
        """The shapes of an operation for all values of the parameters that matter for it."""
        if name in MERGES:
            yield self.merged(name, inputs)
            return
        spec = operation_specs()[name]
        if spec.opaque:
            raise _Unsure
        matter = _mattering(name)
        values: list[Sequence[Literal]] = []
        for key, value in given.items():
            if key in matter or not isinstance(value, Domain):
                values.append(self.possible(value, environment, cin))
                continue
            some = list(samples(value))
            if any(spec.by_name[key].check(each) for each in some):
                raise _Unsure
            values.append(some[:1])
        total = 1
        for each in values:
            total *= len(each)
        if total > _MOST_VALUES:
            raise _Unsure
        for found in product(*values):
            pairs = zip(given, found, strict=True)
            yield self.operation(name, tuple([(key, type(each), each) for key, each in pairs]), inputs)

    def operation(
        self, name: str, given: tuple[tuple[str, type, Literal], ...], inputs: tuple[Shape, ...]
    ) -> Shape:
        self.steps += 1
        return self.shapes.apply(name, given, tuple([Tensor(0, each) for each in inputs]), "", "").shape

    def merged(self, how: str, shapes: Sequence[Shape], adapt: str = "") -> Shape:
        parts = [Tensor(0, shape) for shape in shapes]
        if adapt == "project":
            parts = [self.shapes.project(part, shapes[0], how == "concat", "", "") for part in parts]
        return self.shapes.merge(how, parts, "", "").shape

    def sequence(
        self, node: SequenceNode, flow: Flow, carry: int, environment: Environment
    ) -> Iterator[Flow]:
        states = {flow}
        for child in node.nodes:
            states = {
                end for state in states for end in self.after(child, state, node.carry or 1, environment)
            }
            states = {Flow(end.history, end.names) for end in states}
        for end in states:
            yield flow.step(end.newest, carry, end.names)

    def parallel(
        self, node: ParallelNode, flow: Flow, carry: int, environment: Environment
    ) -> Iterator[Flow]:
        found: set[tuple[Names, tuple[Shape, ...]]] = {(flow.names, ())}
        for child in node.nodes:
            found = {
                (end.names, (*parts, end.newest) if end.there else parts)
                for names, parts in found
                for end in self.after(child, Flow(flow.history, names), 1, environment)
            }
        self.layers += _LAYERS
        for how in self.possible(node.merge or "sum", environment, flow.newest.channels):
            for names, parts in found:
                if not parts:
                    raise _Unsure
                yield flow.step(self.merged(str(how), parts, node.adapt), carry, names)

    def residual(
        self, node: ResidualNode, flow: Flow, carry: int, environment: Environment
    ) -> Iterator[Flow]:
        x = flow.newest
        self.layers += _LAYERS
        for end in self.after(node.body, flow, 1, environment):
            y = end.newest
            if x != y and node.adapt == "project":
                self.merged("sum", (y, x), "project")
            elif x != y and node.adapt != "skip":
                raise _Unsure
            yield flow.step(y, carry, end.names)

    def repeat(self, node: RepeatNode, flow: Flow, carry: int, environment: Environment) -> Iterator[Flow]:
        counts = counts_of(node, {**environment, "cin": flow.newest.channels})
        numbers = {counts} if isinstance(counts, int) else set(self.possible(counts, environment, 0))
        if node.links is not None:
            merges = self.possible(node.links.merge or "sum", environment, flow.newest.channels)
            if "concat" in merges:
                raise _Unsure
        most = max(number for number in numbers if isinstance(number, int))
        states = {flow}
        ends: set[Flow] = set(states) if 0 in numbers else set()
        for i in range(most):
            before, layers = states, self.layers
            states = {
                Flow(end.history, end.names)
                for state in before
                for end in self.after(node.body, state, carry, {**environment, "i": i})
            }
            self.layers += _LAYERS
            if node.links is not None and {end.newest for end in states} != {flow.newest}:
                raise _Unsure
            if i + 1 in numbers:
                ends |= states
            if states == before and "i" not in node.body.reads | node.body.own_names:
                self.layers += (self.layers - layers) * (most - i - 1)
                ends |= states
                break
        yield from ends

    def cell(self, node: CellNode, flow: Flow, carry: int, environment: Environment) -> Iterator[Flow]:
        cin = flow.newest.channels
        first = input_count(node)
        missing = first - len(flow.history)
        tensors = list((flow.history[0],) * missing + flow.history if missing > 0 else flow.history[-first:])
        if node.pre is not None:
            newest = tensors[-1]
            tensors = [
                self.single(node.pre, shape, flow.names, {**environment, "shrink": _shrink(shape, newest)})
                for shape in tensors
            ]
        for stride in self.possible(node.input_stride or 1, environment, cin):
            if type(stride) is not int or stride < 1:
                raise _Unsure
            for how in self.possible(node.join or "sum", environment, cin):
                made = list(tensors)
                for tensor in made_by_nodes(node):
                    made.append(self.joined(node, tensor, made, str(how), stride, flow.names, environment))
                for output in self.possible(node.output or "last", environment, cin):
                    end = made[-1] if output == "last" else self.merged(str(output), made[first:])
                    yield flow.step(end, carry)

    def joined(
        self,
        node: CellNode,
        tensor: int,
        made: Sequence[Shape],
        how: str,
        stride: Literal,
        names: Names,
        environment: Environment,
    ) -> Shape:
        """The shape of one of a cell's nodes, which must not depend on what is decided."""
        edges = []
        for source, shape in enumerate(made):
            inside = {**environment, "stride": stride if source < input_count(node) else 1}
            found = {self.single(option, shape, names, inside) for _, option in node.operations}
            if len(found) != 1:
                raise _Unsure
            edges.append(found.pop())
        if node.edges is not None:
            if len(set(edges)) != 1:
                raise _Unsure
            edges = edges[:1] * edge_count(node, tensor)
        self.layers += _LAYERS
        return self.merged(how, edges, node.adapt)

    def single(self, node: Node, shape: Shape, names: Names, environment: Environment) -> Shape:
        """The one shape that a node surely makes of another; it names nothing."""
        ends = self.after(node, Flow((shape,), names), 1, environment)
        if len({end.newest for end in ends}) != 1 or any(end.names != names for end in ends):
            raise _Unsure
        return next(iter(ends)).newest

    def use(self, node: UseNode, flow: Flow, carry: int, environment: Environment) -> Iterator[Flow]:
        cin = flow.newest.channels
        values = [self.possible(value, environment, cin) for _, value in node.arguments]
        for found in product(*values):
            arguments = {name: value for (name, _), value in zip(node.arguments, found, strict=True)}
            yield from self.after(node.body, flow, carry, {**self.outer, **arguments})

    def map(self, node: MapNode, flow: Flow, carry: int, environment: Environment) -> Iterator[Flow]:
        named = dict(flow.names)
        if any(name not in named for name in node.over):
            raise _Unsure
        given = [named[name] for name in node.over]
        if node.weights == "shared" and len({(x.kind, x.channels) for x in given}) > 1:
            raise _Unsure
        results = {}
        for name, x in zip(node.over, given, strict=True):
            results[name] = self.single(node.body, x, flow.names, environment)
        prefix = f"{node.tensor}_" if node.tensor else ""
        names = _renamed(flow.names, {prefix + name: shape for name, shape in results.items()})
        yield flow.step(results[node.over[-1]], carry, names)

    def scan(self, node: ScanNode, flow: Flow, carry: int, environment: Environment) -> Iterator[Flow]:
        x = flow.newest
        if x.kind != "seq":
            raise _Unsure
        step = Shape("vector", x.dims[:1])
        widths = [self.possible(value, environment, x.channels) for _, value in node.states]
        for found in product(*widths):
            sizes = [width for width in found if type(width) is int and width > 0]
            if len(sizes) < len(found):
                raise _Unsure
            states = {
                name: Shape("vector", (size,)) for (name, _), size in zip(node.states, sizes, strict=True)
            }
            inner = Flow((step,), frozenset({"x": step, **states}.items()))
            for end in self.after(node.body, inner, 1, environment):
                first = node.states[0][0]
                nexts = dict(end.names)
                if not _names_surely(node.body, first):
                    nexts[first] = end.newest
                if end.newest.kind != "vector" or any(nexts[name] != states[name] for name in states):
                    raise _Unsure
                self.layers += _LAYERS
                yield flow.step(Shape("seq", (end.newest.channels, x.dims[1])), carry)


def _renamed(names: Names, new: Mapping[str, Shape]) -> Names:
    return frozenset({**dict(names), **new}.items())


def _shrink(shape: Shape, newest: Shape) -> int:
    """As a cell's ``pre`` sees it."""
    axis = 0 if shape.kind == "tokens" else 1
    if shape.kind != newest.kind or len(shape.dims) <= axis:
        return 1
    return -(-shape.dims[axis] // newest.dims[axis])


def _names_surely(body: Node, name: str) -> bool:
    """Whether a tensor is named in a body, in whatever way it goes."""
    if body.tensor == name and body.when is None:
        return True
    if body.when is not None or isinstance(body, (ChoiceNode, RepeatNode, CellNode)):
        return False
    return any(_names_surely(child, name) for child in children(body))


def _mattering(name: str) -> frozenset[str]:
    """The parameters of an operation that its shape, or whether it can be used, depends on."""
    spec = operation_specs()[name]
    rules = [rule for _, sizes in spec.shape.values() for rule in sizes]
    rules += [condition for condition, _ in spec.requires]
    rules += [each.default[1:] for each in spec.parameters if str(each.default).startswith("=")]  # type: ignore[index]
    return frozenset(read for rule in rules for read in spec.rule(rule).names)
