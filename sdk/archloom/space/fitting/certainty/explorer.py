"""What is known while the tree is walked with all decisions open: the shapes that there may be."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from archloom.space.building.emitting import MAX_INSTANCES, Emitter, Tensor
from archloom.space.language.domains import Divisors, Domain, Literal, literal_key
from archloom.space.language.expressions import Expression
from archloom.space.language.tree import Bindings, LayerNode, MapNode, Node, SpaceTree, Value, names_of
from archloom.space.operations import Operation, Shape

MOST_VALUES = 300
"""Of one decision, and of one layer's together."""
LAYERS = 3
"""The most that one layer of the tree emits: with a norm and an activation."""
_MOST_STEPS = 5_000
_MOST_VISITS = 5  # of each node besides
_MOST_BINDINGS = 5_000

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


class Unsure(Exception):
    """Something may fail, or nothing can be said."""


class _Shapes(Emitter):
    """Resolves operations and shapes. It emits nothing, so it needs nothing of what emitters collect."""

    def __init__(self) -> None:
        self.decisions: Mapping[str, Literal] = {}

    def emit(self, operation: Operation, inputs: tuple[int, ...], place: str) -> Tensor:
        return Tensor(0, operation.shape)

    def materialise(self, x: Tensor) -> int:
        return 0


class Explorer:
    def __init__(self, space: SpaceTree) -> None:
        self.space = space
        self.shapes = _Shapes()
        self.outer: Environment = {}
        self.known: dict[tuple[object, ...], tuple[frozenset[Flow], int]] = {}
        self.steps = 0
        self.bindings = 0
        self.met: set[int] = set()  # nodes
        self.layers = 0  # a bound on how many layers there may be so far

    def explore(self) -> None:
        body = self.space.body
        reads = body.reads | body.own_names | body.part_reads
        reads |= {name for port in self.space.inputs for size in port.shape for name in names_of(size)}
        for environment in self.bound(self.space.let, {}, 0, reads):
            self.outer = environment
            self.layers = 0
            ports = []
            for port in self.space.inputs:
                dims = tuple([self.one(size, environment, 0) for size in port.shape])
                if any(type(size) is not int or size < 1 for size in dims):
                    raise Unsure
                ports.append((port.name, Shape(port.kind, dims)))  # type: ignore[arg-type]
            for end in self.after(body, Flow((ports[0][1],), frozenset(ports)), 1, environment):
                names = dict(end.names)
                if any(name not in names and name != "features" for name in self.space.outputs):
                    raise Unsure

    # ---------------------------------------------------------------- values

    def possible(self, value: Value, environment: Environment, cin: int) -> Sequence[Literal]:
        """Every value that there may be here."""
        if isinstance(value, Expression):
            return (value.evaluate({**environment, "cin": cin}),)
        if isinstance(value, Divisors):
            return value.settle({**environment, "cin": cin}).values
        if isinstance(value, Domain):
            if value.count is None or value.count > MOST_VALUES:
                raise Unsure
            return [value.at(index) for index in range(value.count)]
        return (value,)

    def one(self, value: Value, environment: Environment, cin: int) -> Literal:
        """The only possible value."""
        found = self.possible(value, environment, cin)
        if len(found) != 1:
            raise Unsure
        return found[0]

    def bound(
        self, let: Bindings, environment: Environment, cin: int, reads: frozenset[str]
    ) -> Iterator[Environment]:
        """The environment with a scope's variables, for all their values. What nothing reads stays out, but
        for what is computed, which may fail.
        """
        reads |= {name for _, value in let for name in names_of(value)}
        taken = [
            (name, value)
            for name, value in let
            if name in reads or isinstance(value, Divisors) or not isinstance(value, Domain)
        ]
        if not taken:
            yield environment
            return
        names = [name for name, _ in taken]
        for values in self.products([value for _, value in taken], names, environment, cin):
            yield {**environment, **values}

    def products(
        self, values: Sequence[Value], names: Sequence[str], environment: Environment, cin: int
    ) -> Iterator[dict[str, Literal]]:
        """Names with values, in all combinations; a value may read the names before it."""
        if not values:
            self.bind()
            yield {}
            return
        for first in self.possible(values[0], environment, cin):
            inside = {**environment, names[0]: first}
            for rest in self.products(values[1:], names[1:], inside, cin):
                yield {names[0]: first, **rest}

    def bind(self) -> None:
        """Count one more combination of values; raises Unsure where they become too many."""
        self.bindings += 1
        if self.bindings > _MOST_BINDINGS:
            raise Unsure

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
            raise Unsure
        return found[0]

    def walk(self, node: Node, flow: Flow, carry: int, environment: Environment) -> Iterator[Flow]:
        self.steps += 1
        self.layers += 1
        self.met.add(id(node))
        if self.steps > _MOST_STEPS + _MOST_VISITS * len(self.met):
            raise Unsure
        given = flow
        if node.sources:
            named = dict(flow.names)
            if any(name not in named for name in node.sources):
                raise Unsure
            given = Flow(tuple([named[name] for name in node.sources]), flow.names)
        cin = given.history[0 if node.sources and isinstance(node, LayerNode) else -1].channels
        before, most = self.layers, 0
        for inner in self.bound(node.let, environment, cin, node.reads | names_of(node.when)):
            if node.when is not None and not node.when.evaluate({**inner, "cin": cin}):
                yield flow._replace(there=False)
                continue
            self.layers = before
            for end in WALKS[type(node)](self, node, given, carry, inner):
                names = end.names
                if node.tensor and not isinstance(node, MapNode):
                    names = renamed(names, {node.tensor: end.newest})
                yield flow.step(end.newest, carry, names) if node.sources else Flow(end.history, names)
            most = max(most, self.layers - before)
        self.layers = before + most

    def worst(
        self, pairs: Iterable[tuple[Node, Flow]], carry: int, environment: Environment
    ) -> frozenset[Flow]:
        """All states after one of these nodes in a state; of the layers, those of the largest count."""
        before, most = self.layers, 0
        ends: set[Flow] = set()
        for node, flow in pairs:
            self.layers = before
            ends |= self.after(node, flow, carry, environment)
            most = max(most, self.layers - before)
        self.layers = before + most
        return frozenset(ends)

    def single(self, node: Node, shape: Shape, names: Names, environment: Environment) -> Shape:
        """The one shape that a node surely makes of another; it names nothing."""
        return only(self.after(node, Flow((shape,), names), 1, environment), names)

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


def only(ends: frozenset[Flow], names: Names) -> Shape:
    """The newest shape of all ends, in none of which a tensor was named."""
    if len({end.newest for end in ends}) != 1 or any(end.names != names for end in ends):
        raise Unsure
    return next(iter(ends)).newest


def renamed(names: Names, new: Mapping[str, Shape]) -> Names:
    return frozenset({**dict(names), **new}.items())


WALKS: dict[type[Node], Callable[..., Iterable[Flow]]] = {}
"""How each kind of node is walked: (explorer, node, flow, carry, environment)."""
