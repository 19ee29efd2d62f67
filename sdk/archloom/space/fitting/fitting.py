"""Whether decisions fit together and keep the constraints, by how much they miss them, and what is at fault
where they do not fit.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from functools import cached_property
from hashlib import sha256
from random import Random

from archloom.space.building import Patterns, build_graph, resolve_recipe
from archloom.space.decisions.choices import Decisions, Tree
from archloom.space.errors import BuildError, SpaceError, Violation
from archloom.space.fitting.certainty import surely_fits
from archloom.space.fitting.relevance import shape_relevant
from archloom.space.language.domains import Domain, Literal, literal_key
from archloom.space.language.expressions import Expression, ExpressionError, Scalar
from archloom.space.language.structure import root_path
from archloom.space.language.tree import SpaceTree
from archloom.space.networks.graph import Graph
from archloom.space.reading.scoping import MEASURES

_PROBES = 50
_PROBED_LAYERS = 20_000  # a space that cannot build is refused within a second
_REMEMBERED = 20_000
_ASKED = 8  # so many networks are built before it is found out whether all fit


class Fitting:
    """The networks of one space. All decisions given are complete and in their domains.

    It remembers which decisions fit, and parts of networks; what it answers does not depend on that.
    """

    def __init__(self, space: SpaceTree, tree: Tree) -> None:
        self.space = space
        self.tree = tree
        self._patterns = Patterns()
        self._fits: dict[tuple[object, ...], bool] = {}
        self._asked = 0
        self._measures: dict[bytes, Mapping[str, Literal] | None] = {}
        self._computed_recipe = any(isinstance(value, Expression) for _, value in space.recipe)
        self._cheap = [one for one in space.constraints if not one.names & MEASURES]
        self._built = [one for one in space.constraints if one.names & MEASURES]

    def build(self, decisions: Mapping[str, Literal], classes: int | None = None) -> Graph:
        """Raises BuildError."""
        return build_graph(self.space, decisions, classes, self._patterns)

    def fault(self, decisions: Mapping[str, Literal], classes: int | None = None) -> BuildError | None:
        """Why these decisions do not fit together, or None."""
        try:
            self.build(decisions, classes)
            resolve_recipe(self.space, decisions)
        except BuildError as error:
            return error
        return None

    @property
    def constrained(self) -> bool:
        return bool(self.space.constraints)

    @property
    def measured(self) -> bool:
        """Whether a constraint reads what only the network tells."""
        return bool(self._built)

    def holds(self, decisions: Mapping[str, Literal]) -> bool:
        """Whether they fit together and keep the constraints.

        What is cheap comes first: constraints over variables alone need no network, and of the others only
        what can change a shape is looked up.
        """
        try:
            if self._computed_recipe:
                resolve_recipe(self.space, decisions)
            if self._cheap:
                variables = self.variables(decisions)
                if not all(constraint.evaluate(variables) for constraint in self._cheap):
                    return False
            if self._built:
                measures = self.measures(decisions)
                return measures is not None and all(one.evaluate(measures) for one in self._built)
        except (BuildError, ExpressionError):
            return False
        self._asked += 1
        if self._asked > _ASKED and self.always:
            return True
        key = tuple([literal_key(decisions[path]) if path in decisions else None for path in self.relevant])
        found = self._fits.get(key)
        if found is None:
            if len(self._fits) >= _REMEMBERED:
                self._fits.clear()
            found = self._fits[key] = self._builds(decisions)
        return found

    def miss(self, decisions: Mapping[str, Literal]) -> float:
        """By how much the constraints are missed, all added up; infinite where the decisions do not fit."""
        if self.holds(decisions):
            return 0.0
        try:
            if self._computed_recipe:
                resolve_recipe(self.space, decisions)
            known: Mapping[str, Literal] | None = self.variables(decisions)
        except (BuildError, ExpressionError):
            return math.inf
        if self._built:
            known = self.measures(decisions)
        elif not self._builds(decisions):
            known = None
        if known is None:
            return math.inf
        return sum(_miss(constraint, known) for constraint in self.space.constraints)

    def variables(self, decisions: Mapping[str, Literal]) -> Mapping[str, Scalar]:
        """The space's own variables; raises ExpressionError."""
        found: dict[str, Literal] = {"cin": 0}
        for name, value in self.space.let:
            if isinstance(value, Expression):
                found[name] = value.evaluate(found)
            else:
                found[name] = decisions[name] if isinstance(value, Domain) else value
        return found  # type: ignore[return-value]

    def measures(self, decisions: Mapping[str, Literal]) -> Mapping[str, Literal] | None:
        """What constraints may read of the network, and the space's variables; None where it does not fit."""
        network = [(path, value) for path, value in decisions.items() if not path.startswith("recipe.")]
        key = sha256(repr(network).encode()).digest()
        known = self._measures
        if key in known:
            return known[key]
        found: Mapping[str, Literal] | None
        try:
            graph = self.build(decisions)
            found = {**self.variables(decisions), **self.of_network(graph)}
        except (BuildError, ExpressionError):
            found = None
        if len(known) >= _REMEMBERED:
            self._measures = known = {}  # another thread may be reading the old ones
        known[key] = found
        return found

    def of_network(self, graph: Graph) -> dict[str, int]:
        """params, flops and depth, where a constraint reads them."""
        names = frozenset().union(*(constraint.names for constraint in self._built))
        found: dict[str, int] = {}
        if "params" in names:
            found["params"] = graph.parameters
        if "flops" in names:
            found["flops"] = graph.flops
        if "depth" in names:
            found["depth"] = graph.depth
        return found

    def _builds(self, decisions: Mapping[str, Literal]) -> bool:
        try:
            self.build(decisions)
        except BuildError:
            return False
        return True

    @cached_property
    def always(self) -> bool:
        """Whether all architectures surely fit together."""
        return surely_fits(self.space)

    @cached_property
    def relevant(self) -> tuple[str, ...]:
        """Paths of the decisions that can change a shape."""
        return tuple(sorted(shape_relevant(self.space, self.tree, root_path(self.space.body))))

    def broken(self, decisions: Mapping[str, Literal]) -> Iterator[str]:
        """For each constraint what is wrong, or an empty text; the decisions fit together."""
        known = self.measures(decisions) if self._built else self.variables(decisions)
        assert known is not None
        for constraint in self.space.constraints:
            try:
                holds = bool(constraint.evaluate(known))
            except ExpressionError as error:
                yield str(error)
                continue
            found = ", ".join(f"{name} = {known[name]!r}" for name in sorted(constraint.names))
            yield "" if holds else f"'{constraint.text.strip()}' does not hold: {found}"

    def probe(self) -> None:
        """Raises SpaceError where nothing builds. Constraints are left to the sampler."""
        start: Decisions = {}
        self.tree.complete({}, None, start)
        first = error = self.fault(start)
        if error is None or first is None:
            return
        rng = Random(0)
        tried, layers = 1, error.layers
        while tried < min(_PROBES, self.tree.count) and layers <= _PROBED_LAYERS:
            out: Decisions = {}
            self.tree.draw(rng, out)
            error = self.fault(out)
            if error is None:
                return
            tried, layers = tried + 1, layers + error.layers
        message = str(first)
        if self.tree.count > 1:
            if self.remedy(start) is not None:
                return
            message += f" (none of {tried} architectures tried fits together)"
        raise SpaceError([Violation(first.where or first.violation.field, message)])

    def culprit(
        self, decisions: Mapping[str, Literal], fault: BuildError, classes: int | None = None
    ) -> Violation:
        """Lay a fault at the decision with which it goes away, where there is one; else at the layer."""
        remedy = self.remedy(decisions, classes)
        field, message = fault.violation.field, fault.violation.message
        if remedy is None:
            return Violation(field, message)
        path, value = remedy
        at = f"at {field}: " if field and field != path else ""
        return Violation(path, f"{at}{message}; {decisions[path]!r} does not fit, {value!r} would")

    def remedy(
        self, decisions: Mapping[str, Literal], classes: int | None = None
    ) -> tuple[str, Literal] | None:
        """A decision and another value of it with which everything fits, among the first fifty tried."""
        paths = {*self.relevant, *(path for path in decisions if path.startswith("recipe."))}
        tries = layers = 0
        for path, domain in self.tree.reachable(decisions):
            for value in domain.near(decisions[path]) if path in paths else ():
                out: Decisions = {}
                self.tree.complete({**decisions, path: value}, None, out)
                error = self.fault(out, classes)
                if error is None:
                    return path, value
                tries, layers = tries + 1, layers + error.layers
                if tries >= _PROBES or layers > _PROBED_LAYERS:
                    return None
        return None


def _miss(constraint: Expression, known: Mapping[str, Literal]) -> float:
    try:
        return constraint.miss(known)
    except ExpressionError:  # it has no value here, such as a division by zero
        return 1.0
