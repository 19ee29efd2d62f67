"""A search space, and what a strategy does with it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import cached_property
from hashlib import sha256
from random import Random
from typing import TYPE_CHECKING, Any, Literal

from archloom.space import choices, encoding
from archloom.space.architecture import Architecture
from archloom.space.building import build_graph, resolve_recipe
from archloom.space.choices import Tree
from archloom.space.compiling import compile_space, root_path
from archloom.space.describing import DecisionInfo, describe
from archloom.space.domains import Literal as Constant
from archloom.space.emitting import Patterns
from archloom.space.errors import BuildError, SpaceError, Violation, suggest
from archloom.space.expressions import ExpressionError
from archloom.space.graph import Graph
from archloom.space.reading import read_space
from archloom.space.relevance import shape_relevant
from archloom.space.tree import SpaceTree
from archloom.space.writing import write_space
from archloom.space.yaml_text import dump_yaml, load_yaml

if TYPE_CHECKING:
    from archloom.v1 import space_pb2

Uniform = Literal["decisions", "architectures"]
Encoding = Literal["vector", "path", "graph"]

MAX_TRIES = 1_000
"""How often a draw is repeated until it fits together and keeps the constraints."""
_PROBES = 50
_PROBED_LAYERS = 20_000  # a space that cannot build is refused within a second
_REMEMBERED = 20_000


class Space:
    """Immutable. Each method is a function of its arguments; randomness comes from the generator given."""

    def __init__(self, tree: SpaceTree) -> None:
        """Raises SpaceError where the tree makes no space: decisions not well defined, or nothing in it fits
        together.
        """
        self.tree = tree
        self._choices = compile_space(tree)
        self._patterns: Patterns = {}
        self._fits: dict[tuple[object, ...], bool] = {}
        self._probe()

    # --------------------------------------------------------------- forms

    @staticmethod
    def from_dict(data: object) -> Space:
        return Space(read_space(data))

    @staticmethod
    def from_yaml(text: str) -> Space:
        return Space.from_dict(load_yaml(text))

    @staticmethod
    def from_proto(message: space_pb2.Space) -> Space:
        from archloom.space.protos import space_data

        return Space.from_dict(space_data(message))

    def to_dict(self) -> dict[str, Any]:
        return write_space(self.tree)

    def to_yaml(self) -> str:
        return dump_yaml(self.to_dict())

    def to_proto(self) -> space_pb2.Space:
        from archloom.space.protos import write_space as write

        return write(self.tree)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Space) and self.tree == other.tree

    def __hash__(self) -> int:
        return hash(self.digest)

    def __repr__(self) -> str:
        return f"Space({self.tree.name or self.digest[:8]!r}, {self.size()} architectures)"

    @property
    def name(self) -> str:
        return self.tree.name

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the canonical form, hex; name and description are no part of it."""
        data = {key: value for key, value in self.to_dict().items() if key not in ("name", "description")}
        return sha256(json.dumps(data, separators=(",", ":")).encode()).hexdigest()

    # ----------------------------------------------------------- decisions

    def decisions(self) -> tuple[DecisionInfo, ...]:
        """Every decision that can exist, in the order of the space."""
        return describe(self._choices)

    def size(self) -> int:
        """The exact number of architectures over discrete decisions; constraints and shapes are not looked
        at, a float counts 1.
        """
        return self._choices.count

    @cached_property
    def continuous(self) -> tuple[str, ...]:
        """Paths of the decisions that are floats, which ``size`` leaves out."""
        return tuple(info.path for info in self.decisions() if info.domain.count is None)

    def enumerate(self, start: int = 0) -> Iterator[Architecture]:
        """All architectures that fit and keep the constraints, from number ``start`` of all ``size()``;
        floats at their low ends.
        """
        for index in range(start, self._choices.count):
            if (found := self.at(index)) is not None:
                yield found

    def at(self, index: int) -> Architecture | None:
        """Number index of all, 0 <= index < size(); None where it does not fit or breaks a constraint."""
        out: choices.Decisions = {}
        self._choices.at(index, None, out)
        return Architecture(out) if self._holds(out) else None

    def sample(self, rng: Random, uniform: Uniform = "decisions") -> Architecture:
        """One architecture: each decision uniform as it becomes reachable, or all architectures equally
        likely.

        What does not fit or breaks a constraint is drawn again, so the distribution is the uniform one on the
        rest. Raises SpaceError after 1,000 draws, with a bound on the share that is left.
        """
        tree = self._choices
        for _ in range(MAX_TRIES):
            out: choices.Decisions = {}
            if uniform == "decisions":
                tree.draw(rng, out)
            else:
                tree.at(rng.randrange(tree.count), rng, out)
            if self._holds(out):
                return Architecture(out)
        raise self._nothing_found("sample")

    def mutate(self, architecture: Architecture, rng: Random, rate: float | None = None) -> Architecture:
        """A valid architecture that differs: one decision is redrawn, or each with probability ``rate`` and
        at least one.

        Decisions that become reachable are drawn, the others stay. Raises SpaceError for an architecture of
        another space, one without a second value anywhere, or when 1,000 tries keep no constraint.
        """
        self.require(architecture)
        given = architecture.decisions
        movable = [(path, domain) for path, domain in self._choices.reachable(given) if domain.movable]
        if not movable:
            raise SpaceError(
                [Violation("", "the architecture cannot change: no decision has a second value")]
            )
        for attempt in range(MAX_TRIES):
            if rate is None or attempt >= MAX_TRIES // 2:  # so many changes at once may never fit
                chosen = [movable[rng.randrange(len(movable))]]
            else:
                chosen = [item for item in movable if rng.random() < rate] or [
                    movable[rng.randrange(len(movable))]
                ]
            changed = {path: domain.redraw(given[path], rng) for path, domain in chosen}
            out: choices.Decisions = {}
            self._choices.complete({**given, **changed}, rng, out)
            if self._holds(out):
                return Architecture(out)
        found = next(self.neighbors(architecture), None)
        if found is None:
            raise self._nothing_found("mutation")
        return found

    def cross(self, first: Architecture, second: Architecture, rng: Random) -> Architecture:
        """A valid child: each decision from either parent by a fair coin (from the one that has it; drawn
        where none has).
        """
        self.require(first)
        self.require(second)
        paths = sorted(first.decisions.keys() | second.decisions.keys())
        for _ in range(MAX_TRIES):
            given = {}
            for path in paths:
                parents = (first, second) if rng.random() < 0.5 else (second, first)
                given[path] = next(p.decisions[path] for p in parents if path in p.decisions)
            out: choices.Decisions = {}
            self._choices.complete(given, rng, out)
            if self._holds(out):
                return Architecture(out)
        for parent in (first, second):
            if self._holds(parent.decisions):
                return parent
        raise self._nothing_found("child")

    def neighbors(self, architecture: Architecture) -> Iterator[Architecture]:
        """Every valid architecture that differs in the value of one decision.

        A decision that thereby becomes reachable takes its domain's first value; a float moves by a tenth of
        its range.
        """
        self.require(architecture)
        given = architecture.decisions
        for path, domain in self._choices.reachable(given):
            for value in domain.near(given[path]):
                out: choices.Decisions = {}
                self._choices.complete({**given, path: value}, None, out)
                if self._holds(out):
                    yield Architecture(out)

    # ------------------------------------------------------------ checking

    def check(self, architecture: Architecture) -> list[Violation]:
        """What is wrong: decisions missing, out of domain or unreachable; shapes that do not fit; constraints
        broken.
        """
        given = architecture.decisions
        seen: set[str] = set()
        faults = [Violation(path, message) for path, message in self._choices.faults(given, seen)]
        faults += [Violation(path, self._unreachable(path)) for path in given if path not in seen]
        if faults:
            return faults
        try:
            graph = self._build(given)
            resolve_recipe(self.tree, given)
        except BuildError as error:
            return [self._culprit(given, error)]
        return [
            Violation(f"constraints[{number}]", message)
            for number, message in enumerate(self._broken(graph))
            if message
        ]

    def require(self, architecture: Architecture) -> None:
        """Raises SpaceError where the architecture's decisions are not those of this space."""
        seen: set[str] = set()
        given = architecture.decisions
        faults = [Violation(path, message) for path, message in self._choices.faults(given, seen)]
        faults += [Violation(path, self._unreachable(path)) for path in given if path not in seen]
        if faults:
            raise SpaceError(faults)

    def _unreachable(self, path: str) -> str:
        if path in self._choices.paths:
            return "is decided, but does not exist under the other decisions"
        return f"is no decision of this space{suggest(path, self._choices.paths)}"

    def _build(self, decisions: Mapping[str, Constant], classes: int | None = None) -> Graph:
        return build_graph(self.tree, decisions, classes, self._patterns)

    def _holds(self, decisions: Mapping[str, Constant]) -> bool:
        """Whether complete decisions fit together and keep the constraints. Only what can change a shape is
        looked up.
        """
        if self.tree.constraints:
            try:
                return not any(self._broken(self._build(decisions)))
            except BuildError:
                return False
        key = tuple([decisions.get(path) for path in self._relevant])
        found = self._fits.get(key)
        if found is None:
            try:
                self._build(decisions)
                found = True
            except BuildError:
                found = False
            if len(self._fits) >= _REMEMBERED:
                self._fits.clear()
            self._fits[key] = found
        return found

    @cached_property
    def _relevant(self) -> tuple[str, ...]:
        return tuple(sorted(shape_relevant(self.tree, self._choices, root_path(self.tree.body))))

    def _broken(self, graph: Graph) -> Iterator[str]:
        """For each constraint what is wrong, or an empty text."""
        facts = {"params": graph.parameters, "flops": graph.flops}
        for constraint in self.tree.constraints:
            try:
                holds = bool(constraint.evaluate(facts))
            except ExpressionError as error:
                yield str(error)
                continue
            found = ", ".join(f"{name} = {facts[name]}" for name in sorted(constraint.names))
            yield "" if holds else f"'{constraint.text.strip()}' does not hold: {found}"

    def _probe(self) -> None:
        """Refuse a space of which nothing builds. Constraints are left to the sampler."""
        first: BuildError | None = None
        rng = Random(0)
        tried = layers = 0
        for probe in range(min(_PROBES, self.size())):
            out: choices.Decisions = {}
            if probe == 0:
                self._choices.complete({}, None, out)
            else:
                self._choices.draw(rng, out)
            error = self._fault(out)
            if error is None:
                return
            first = first or error
            tried, layers = tried + 1, layers + error.layers
            if layers > _PROBED_LAYERS:
                break
        assert first is not None
        message = str(first)
        if self.size() > 1:
            if self._remedy(self._first(), first) is not None:
                return
            message += f" (none of {tried} architectures tried fits together)"
        raise SpaceError([Violation(first.where or first.violation.field, message)])

    def _first(self) -> choices.Decisions:
        out: choices.Decisions = {}
        self._choices.complete({}, None, out)
        return out

    def _fault(self, decisions: Mapping[str, Constant]) -> BuildError | None:
        """Why complete decisions do not fit together, or None."""
        try:
            self._build(decisions)
            resolve_recipe(self.tree, decisions)
        except BuildError as error:
            return error
        return None

    def _culprit(self, decisions: Mapping[str, Constant], fault: BuildError) -> Violation:
        """Lay a fault at the decision with which it goes away, where there is one; else at the layer."""
        remedy = self._remedy(decisions, fault)
        field, message = fault.violation.field, fault.violation.message
        if remedy is None:
            return Violation(field, message)
        path, value = remedy
        at = f"at {field}: " if field and field != path else ""
        return Violation(path, f"{at}{message}; {decisions[path]!r} does not fit, {value!r} would")

    def _remedy(self, decisions: Mapping[str, Constant], fault: BuildError) -> tuple[str, Constant] | None:
        """A decision and another value of it with which everything fits."""
        relevant = set(self._relevant)
        tries = layers = 0
        for path, domain in self._choices.reachable(decisions):
            for value in domain.near(decisions[path]) if path in relevant else ():
                out: choices.Decisions = {}
                self._choices.complete({**decisions, path: value}, None, out)
                error = self._fault(out)
                if error is None:
                    return path, value
                tries, layers = tries + 1, layers + error.layers
                if tries >= _PROBES or layers > _PROBED_LAYERS:
                    return None
        return None

    def _nothing_found(self, what: str) -> SpaceError:
        broken = " and ".join(f"'{c.text.strip()}'" for c in self.tree.constraints) or "the shapes"
        share = 100 * 3 / MAX_TRIES  # the rule of three: a 95% bound when none of n was found
        left = f"at most about {share:.1g}% of what was drawn from does"
        return SpaceError([Violation("constraints", f"no {what} of {MAX_TRIES:,} keeps {broken}: {left}")])

    # ----------------------------------------------------------- what it is

    def graph(self, architecture: Architecture, classes: int | None = None) -> Graph:
        """The canonical network; with classes, the head of a classification task is added and counted. Raises
        SpaceError.
        """
        try:
            return self._build(architecture.decisions, classes)
        except BuildError as error:
            self.require(architecture)
            raise SpaceError([self._culprit(architecture.decisions, error)]) from None
        except KeyError:
            self.require(architecture)
            raise

    def recipe(self, architecture: Architecture) -> dict[str, Constant]:
        """The resolved recipe, name -> value."""
        self.require(architecture)
        return resolve_recipe(self.tree, architecture.decisions)

    @cached_property
    def _blocks(self) -> tuple[encoding.Block, ...]:
        return encoding.blocks(self._choices)

    @cached_property
    def vector_names(self) -> tuple[str, ...]:
        """Names of the coordinates of the vector encoding: path, path=value, and path? where a decision may
        not exist.
        """
        return tuple(name for block in self._blocks for name in block.names)

    def encode(self, architecture: Architecture, kind: Encoding = "vector") -> tuple[float, ...]:
        """A row of numbers, of one length for all architectures of a space."""
        if kind == "vector":
            return encoding.vector(self._blocks, architecture.decisions)
        graph = self.graph(architecture)
        return encoding.path_encoding(graph) if kind == "path" else encoding.graph_encoding(graph)

    @property
    def choices(self) -> Tree:
        """The decisions as an and-or tree, for tools of one's own."""
        return self._choices
