"""The walk of one node: its variables, its condition, its tensors; what was walked before, by pattern."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property

from archloom.space.building.emitting import Emitter, Tensor
from archloom.space.building.flow import Environment, Flow
from archloom.space.building.patterns import Key, Known, Patterns, Place
from archloom.space.errors import BuildError
from archloom.space.language.domains import Domain, Literal, literal_key
from archloom.space.language.expressions import Expression, ExpressionError
from archloom.space.language.tree import (
    Bindings,
    ChoiceNode,
    LayerNode,
    MapNode,
    Node,
    UseNode,
    Value,
    below,
    enter,
)
from archloom.space.operations.composites import COMPOSITES

MAX_WALKED = 400_000


class Walker(Emitter):
    """Every node has two paths: ``path`` names its decisions (one for tied repetitions), ``place`` its
    layers.
    """

    def __init__(self, decisions: Mapping[str, Literal], patterns: Patterns, outer: Environment) -> None:
        super().__init__(decisions, patterns)
        self.outer = outer  # the variables of the whole space, which parts see
        self.tensors: dict[str, Tensor] = {}  # by name
        self.named: set[str] = set()  # names that nodes gave
        self.where = ""  # the field of the node that is being walked
        self.walked = 0

    @cached_property
    def typed(self) -> Mapping[str, object]:
        """The decisions by ``literal_key``."""
        return {path: literal_key(value) for path, value in self.decisions.items()}

    # ---------------------------------------------------- values and scopes

    def value(self, value: Value, path: str, name: str, environment: Environment, cin: int) -> Literal:
        """A constant, an expression's value, or what was decided at path."""
        if isinstance(value, Expression):
            environment["cin"] = cin
            try:
                return value.evaluate(environment)
            except ExpressionError as error:
                raise BuildError(name, str(error)) from None
        return self.decided(path) if isinstance(value, Domain) else value

    def bind(self, let: Bindings, path: str, environment: Environment, cin: int) -> Environment:
        """The environment with a scope's variables."""
        inner = dict(environment)
        for name, value in let:
            place = below(path, name)
            inner[name] = self.value(value, place, place, inner, cin)
        return inner

    def size(self, value: Value, path: str, at: str, environment: Environment, cin: int) -> int:
        """A value that must be a whole number above 0."""
        found = self.value(value, path, at, environment, cin)
        if type(found) is not int or found < 1:
            raise BuildError(
                path if isinstance(value, Domain) else at, f"{found!r} is no whole number above 0"
            )
        return found

    def merge_kind(self, value: Value, path: str, default: str, environment: Environment, cin: int) -> str:
        return str(self.value(value, path, path, environment, cin) or default)

    def tensor(self, name: str, path: str) -> Tensor:
        """A tensor by its name."""
        if name not in self.tensors:
            raise BuildError(path, f"no tensor is called {name!r} here")
        return self.tensors[name]

    # --------------------------------------------------------------- nodes

    def node(self, node: Node, path: str, place: str, flow: Flow, environment: Environment) -> Flow | None:
        """The history after the node; None where its ``when`` leaves it out."""
        self.walked += 1
        if self.walked > MAX_WALKED:
            raise BuildError(place, f"the network takes more than {MAX_WALKED} nodes to build")
        before = self.where
        self.where = node.where or before
        given = flow
        if node.sources:
            given = Flow(tuple([self.tensor(name, path) for name in node.sources]), flow.carry)
        found = self.walk(node, path, place, given, environment)
        self.where = before
        if found is None:
            return None
        if node.sources:
            found = flow.step(found.newest)
        if node.tensor and not isinstance(node, MapNode):
            self.tensors[node.tensor] = found.newest
            self.named.add(node.tensor)
        return found

    def walk(self, node: Node, path: str, place: str, flow: Flow, environment: Environment) -> Flow | None:
        """As ``node``, for the tensors that it reads; what surely emits the same is not walked again."""
        x = flow.tensors[0 if node.sources and isinstance(node, LayerNode) else -1]
        if node.let:
            environment = self.bind(node.let, path, environment, x.shape.channels)
        if node.when is not None and not self.value(node.when, path, path, environment, x.shape.channels):
            return None
        walk = WALKS[type(node)]
        given = flow.last(node.reach) if self.repeatable(node, flow) else ()
        where = None if node.fixed else (id(node), path)
        unfit = not given or None in [x.node for x in given]
        if unfit or (where is not None and not self.patterns.worthwhile(where)):
            return walk(self, node, path, place, flow, environment)
        key = self.key(node, given, environment)
        pattern = self.patterns.find(key if where is None else (*key, *self.decisions_of(where)), where)
        if pattern is not None:
            return flow.step(self.replay(pattern, given, place))
        start, read = len(self.listing.pieces), len(self.read)
        found = walk(self, node, path, place, flow, environment)
        new = self.pattern(start, given, found.newest, place, self.read[read:], where is None)
        if new is not None:
            if where is not None:
                self.patterns.learn(where, new.read)
                key = (*key, *self.decisions_of(where))
            self.patterns.keep(key, new)
        return found

    def repeatable(self, node: Node, flow: Flow) -> bool:
        """Whether the node emits the same for the same newest tensors, and is one step of the history."""
        if self.sharing is not None or node.shares or not node.reach:
            return False
        if not node.fixed and isinstance(node, (UseNode, ChoiceNode)):  # walked as quickly
            return False
        if not node.fixed and isinstance(node, LayerNode) and node.operation not in COMPOSITES:
            return False
        return node.single or (flow.carry == 1 and len(flow.tensors) == 1)

    def key(self, node: Node, given: tuple[Tensor, ...], environment: Environment) -> Key:
        """By node, the shapes it is given, which of them are one tensor, and the variables it reads."""
        return (id(node), *form(given), *self.variables(node, environment))

    def variables(self, node: Node, environment: Environment) -> list[object]:
        names = [literal_key(environment.get(name)) for name in node.reads]
        if node.part_reads:
            names += [literal_key(self.outer.get(name)) for name in node.part_reads]
        return names

    def table(self, node: Node, stride: int, environment: Environment) -> Known:
        """What is known of a cell's operations under its variables; nothing where weights are shared."""
        if self.sharing is not None or node.shares:
            return {}
        return self.patterns.table((id(node), stride, *self.variables(node, environment)))

    def note(self, known: Known, key: Key, node: Node, x: Tensor, environment: Environment) -> None:
        """Put into a table what a child emitted for x, where that depends on its key alone."""
        if node.fixed and not node.let and node.when is None and self.repeatable(node, Flow((x,))):
            pattern = self.patterns.find(self.key(node, (x,), environment), None)
            if pattern is not None and x.node is not None:
                known[key] = (node.name, pattern)

    def decisions_of(self, where: Place) -> Key:
        return self.patterns.decided(where, self.typed)

    def output(self, node: Node, path: str, place: str, flow: Flow, environment: Environment) -> Tensor:
        """What an only child yields: its input where it is left out. The paths are its parent's."""
        found = self.node(node, enter(path, node), enter(place, node), flow, environment)
        return flow.newest if found is None else found.newest

    def option(
        self,
        options: Sequence[tuple[str, Node]],
        path: str,
        place: str,
        flow: Flow,
        environment: Environment,
    ) -> Flow:
        chosen = self.decided(path)
        for name, option in options:
            if name == chosen:
                inside, there = enter(f"{path}.{name}", option), enter(f"{place}.{name}", option)
                found = self.node(option, inside, there, flow, environment)
                return flow if found is None else found
        raise BuildError(path, f"there is no option {chosen!r}")

    def join(self, how: str, adapt: str, parts: Sequence[Tensor], path: str, place: str) -> Tensor:
        """A merge; with adapt: project, parts are first brought to the shape of the first."""
        if adapt == "project":
            parts = self.fitted(parts, parts[0], how, path, place)
        return self.merge(how, parts, path, below(place, how))

    def fitted(
        self, parts: Sequence[Tensor], target: Tensor, how: str, path: str, place: str
    ) -> Sequence[Tensor]:
        """The parts brought to the target's shape; they keep their channels where they are concatenated."""
        return [
            self.project(part, target.shape, how == "concat", path, f"{below(place, 'adapt')}[{number}]")
            for number, part in enumerate(parts)
        ]

    def shared_name(self, place: str) -> str:
        """The name of weights that all repetitions at a place share; inside other shared repetitions they
        share it too.
        """
        return place if self.sharing is None else f"{self.sharing[1]}{place[len(self.sharing[0]) :]}"


def form(given: tuple[Tensor, ...]) -> tuple[object, ...]:
    """The shapes of tensors, and which of them are one."""
    if len(given) == 1:
        return (given[0].shape,)
    nodes = [x.node for x in given]
    return (*[x.shape for x in given], *[nodes.index(number) for number in nodes])


WALKS: dict[type[Node], Callable[..., Flow]] = {}
"""How each kind of node is walked: (walker, node, path, place, flow, environment)."""
