"""A search space, and what a strategy does with it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from functools import cached_property
from hashlib import sha256
from itertools import islice
from random import Random
from typing import TYPE_CHECKING, Any, Literal

from archloom.space.architecture import Architecture
from archloom.space.building import resolve_recipe
from archloom.space.decisions import choices, encoding
from archloom.space.decisions.choices import Tree
from archloom.space.decisions.compiling import compile_space
from archloom.space.decisions.describing import DecisionInfo, describe, size_text
from archloom.space.errors import BuildError, SpaceError, Violation, suggest
from archloom.space.fitting.fitting import Fitting
from archloom.space.fitting.sampling import MAX_TRIES, Sampler, SizeEstimate, Uniform
from archloom.space.language.domains import Literal as Constant
from archloom.space.language.tree import SpaceTree
from archloom.space.networks.graph import Graph
from archloom.space.reading.spaces import read_space
from archloom.space.reading.writing import write_space
from archloom.space.reading.yaml_text import dump_yaml, load_yaml

if TYPE_CHECKING:
    from archloom.space.decisions.arrays import Array
    from archloom.v1 import space_pb2

Encoding = Literal["vector", "path", "graph"]

_NEAREST, _LOOKED_AT = 1_000, 50_000


class Space:
    """Immutable. Each method is a function of its arguments; randomness comes from the generator given."""

    def __init__(self, tree: SpaceTree) -> None:
        """Raises SpaceError where the tree makes no space: decisions not well defined, or nothing in it fits
        together.
        """
        self.tree = tree
        self._choices = compile_space(tree)
        self._fitting = Fitting(tree, self._choices)
        self._fitting.probe()
        self._sampler = Sampler(self._choices, self._fitting)
        self._mark = object()  # on architectures that are known to be of this space

    # --------------------------------------------------------------- forms

    @staticmethod
    def from_dict(data: object) -> Space:
        return Space(read_space(data))

    @staticmethod
    def from_yaml(text: str) -> Space:
        return Space.from_dict(load_yaml(text))

    @staticmethod
    def from_proto(message: space_pb2.Space) -> Space:
        from archloom.space.messages.spaces import space_data

        return Space.from_dict(space_data(message))

    def to_dict(self) -> dict[str, Any]:
        return write_space(self.tree)

    def to_yaml(self) -> str:
        return dump_yaml(self.to_dict())

    def to_proto(self) -> space_pb2.Space:
        from archloom.space.messages.spaces import write_space as write

        return write(self.tree)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Space) and self.tree == other.tree

    def __hash__(self) -> int:
        return hash(self.digest)

    def __repr__(self) -> str:
        return f"Space({self.tree.name or self.digest[:8]!r}, {size_text(self.size())} architectures)"

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
        return self._described

    @cached_property
    def _described(self) -> tuple[DecisionInfo, ...]:
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
        return self._own(out) if self._fitting.holds(out) else None

    def estimate_size(self, rng: Random, draws: int = 1_000) -> SizeEstimate:
        """How many architectures fit and keep the constraints: counted where there are at most ``draws``,
        else an estimate with a 95% interval, by as many uniform draws. Where these find next to none: counted
        too where there are at most 100,000 and constraints read variables alone, else by subset simulation,
        which may miss members that lie apart. Never less than the members found.
        """
        return self._sampler.estimate(rng, draws)

    @cached_property
    def constrained_size(self) -> SizeEstimate:
        """``estimate_size`` by a generator of its own, looked at once; for descriptions."""
        return self.estimate_size(Random(0))

    def sample(self, rng: Random, uniform: Uniform = "decisions") -> Architecture:
        """One architecture: each decision uniform as it becomes reachable, or all architectures equally
        likely.

        What does not fit or breaks a constraint is drawn again, so the distribution is the uniform one on the
        rest. Where constraints leave less than about 1%, it is so too in spaces of at most 100,000 without
        floats whose constraints read variables alone; in others a Markov chain within the constraints comes
        near to it, and members that it cannot reach are missed (``sampling``). Raises SpaceError where
        nothing is found, with a bound on the share that is left.
        """
        found = self._sampler.sample(rng, uniform)
        if found is None:
            raise self._nothing_found("sample", uniform)
        return self._own(found)

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
                if attempt % 4 == 3:  # nor may one
                    chosen += [movable[rng.randrange(len(movable))] for _ in range(1 + attempt // 250)]
            else:
                chosen = [item for item in movable if rng.random() < rate] or [
                    movable[rng.randrange(len(movable))]
                ]
            changed = {path: domain.redraw(given[path], rng) for path, domain in chosen}
            out: choices.Decisions = {}
            self._choices.complete({**given, **changed}, rng, out)
            if self._fitting.holds(out):
                return self._own(out)
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
            if self._fitting.holds(out):
                return self._own(out)
        for parent in (first, second):
            if self._fitting.holds(parent.decisions):
                return parent
        raise self._nothing_found("child")

    def neighbors(self, architecture: Architecture) -> Iterator[Architecture]:
        """Every valid architecture that differs in the value of one decision.

        A decision that thereby becomes reachable takes its domain's first value; a float moves by a tenth of
        its range. Of a decision the 1,000 nearest values are looked at, of all decisions 50,000.
        """
        self.require(architecture)
        given = architecture.decisions
        left = _LOOKED_AT
        for path, domain in self._choices.reachable(given):
            for value in islice(domain.near(given[path]), min(left, _NEAREST)):
                left -= 1
                out: choices.Decisions = {}
                self._choices.complete({**given, path: value}, None, out)
                if self._fitting.holds(out):
                    yield self._own(out)

    # ------------------------------------------------------------ checking

    def check(self, architecture: Architecture) -> list[Violation]:
        """What is wrong: decisions missing, out of domain or unreachable; shapes that do not fit; constraints
        broken.
        """
        given = architecture.decisions
        if faults := self._undecided(architecture):
            return faults
        if self._fitting.holds(given):
            return []
        if (error := self._fitting.fault(given)) is not None:
            return [self._fitting.culprit(given, error)]
        broken = self._fitting.broken(given)
        return [
            Violation(f"constraints[{number}]", message) for number, message in enumerate(broken) if message
        ]

    def holds(self, architecture: Architecture) -> bool:
        """Whether ``check`` finds nothing wrong, often without the network; the decisions are those of this
        space.
        """
        return self._fitting.holds(architecture.decisions)

    def require(self, architecture: Architecture) -> None:
        """Raises SpaceError where the architecture's decisions are not those of this space."""
        if faults := self._undecided(architecture):
            raise SpaceError(faults)

    def _own(self, decisions: choices.Decisions) -> Architecture:
        """Of complete decisions."""
        architecture = Architecture(decisions)
        architecture.vouch(self._mark)
        return architecture

    def _undecided(self, architecture: Architecture) -> list[Violation]:
        if architecture.vouched(self._mark):
            return []
        given = architecture.decisions
        whole: choices.Decisions = {}
        self._choices.complete(given, None, whole)  # what is reachable and in its domain stays as it is
        if len(whole) == len(given) and all(whole.get(path) is value for path, value in given.items()):
            architecture.vouch(self._mark)
            return []
        seen: set[str] = set()
        faults = [Violation(path, message) for path, message in self._choices.faults(given, seen)]
        return faults + [Violation(path, self._unreachable(path)) for path in given if path not in seen]

    def _unreachable(self, path: str) -> str:
        if path in self._choices.paths:
            return "is decided, but does not exist under the other decisions"
        return f"is no decision of this space{suggest(path, self._choices.paths)}"

    def _nothing_found(self, what: str, uniform: Uniform = "decisions") -> SpaceError:
        broken = " and ".join(f"'{c.text.strip()}'" for c in self.tree.constraints) or "the shapes"
        left = f"{self._sampler.left(uniform)} of what was drawn from does"
        return SpaceError([Violation("constraints", f"no {what} of {MAX_TRIES:,} keeps {broken}: {left}")])

    # ----------------------------------------------------------- what it is

    def graph(self, architecture: Architecture, classes: int | None = None) -> Graph:
        """The canonical network; with classes, the head of a classification task is added and counted. Raises
        SpaceError.
        """
        self.require(architecture)
        try:
            return self._fitting.build(architecture.decisions, classes)
        except BuildError as error:
            raise SpaceError([self._fitting.culprit(architecture.decisions, error, classes)]) from None

    def recipe(self, architecture: Architecture) -> dict[str, Constant]:
        """The resolved recipe, name -> value. Raises SpaceError."""
        self.require(architecture)
        try:
            return resolve_recipe(self.tree, architecture.decisions)
        except BuildError as error:
            raise SpaceError([error.violation]) from None

    @cached_property
    def _blocks(self) -> tuple[encoding.Block, ...]:
        return encoding.blocks(self.decisions())

    @cached_property
    def vector_names(self) -> tuple[str, ...]:
        """Names of the coordinates of the vector encoding: path, path=value, and path? where a decision may
        not exist.
        """
        return tuple(name for block in self._blocks for name in block.names)

    def encode(self, architecture: Architecture, kind: Encoding = "vector") -> tuple[float, ...]:
        """A row of numbers, of one length for all architectures of a space. Raises SpaceError."""
        if kind == "vector":
            self.require(architecture)
            return encoding.vector(self._blocks, architecture.decisions)
        graph = self.graph(architecture)
        return encoding.path_encoding(graph) if kind == "path" else encoding.graph_encoding(graph)

    def encode_many(self, architectures: Sequence[Architecture], kind: Encoding = "vector") -> Array:
        """A float64 array [architectures, width] whose rows are ``encode``'s. Needs numpy. Raises
        SpaceError.
        """
        from archloom.space.decisions import arrays

        if kind == "vector":
            for architecture in architectures:
                self.require(architecture)
            return arrays.vectors(self._blocks, architectures)
        width = encoding.PATH_WIDTH if kind == "path" else encoding.GRAPH_WIDTH
        return arrays.stacked([self.encode(architecture, kind) for architecture in architectures], width)

    @property
    def choices(self) -> Tree:
        """The decisions as an and-or tree, for tools of one's own."""
        return self._choices
