"""Whether decisions fit together and keep the constraints, and what is at fault where they do not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from random import Random

from archloom.space.building import build_graph, resolve_recipe
from archloom.space.building.emitting import Patterns
from archloom.space.choices import Decisions, Tree
from archloom.space.domains import Literal, literal_key
from archloom.space.errors import BuildError, SpaceError, Violation
from archloom.space.expressions import Expression, ExpressionError
from archloom.space.graph import Graph
from archloom.space.relevance import shape_relevant
from archloom.space.structure import root_path
from archloom.space.tree import SpaceTree

_PROBES = 50
_PROBED_LAYERS = 20_000  # a space that cannot build is refused within a second
_REMEMBERED = 20_000


class Fitting:
    """The networks of one space. All decisions given are complete and in their domains.

    It remembers which decisions fit, and parts of networks; what it answers does not depend on that.
    """

    def __init__(self, space: SpaceTree, tree: Tree) -> None:
        self.space = space
        self.tree = tree
        self._patterns: Patterns = {}
        self._fits: dict[tuple[object, ...], bool] = {}
        self._computed_recipe = any(isinstance(value, Expression) for _, value in space.recipe)

    def build(self, decisions: Mapping[str, Literal], classes: int | None = None) -> Graph:
        """Raises BuildError."""
        return build_graph(self.space, decisions, classes, self._patterns)

    def fault(self, decisions: Mapping[str, Literal]) -> BuildError | None:
        """Why these decisions do not fit together, or None."""
        try:
            self.build(decisions)
            resolve_recipe(self.space, decisions)
        except BuildError as error:
            return error
        return None

    def holds(self, decisions: Mapping[str, Literal]) -> bool:
        """Whether they fit together and keep the constraints. Only what can change a shape is looked up."""
        try:
            if self._computed_recipe:
                resolve_recipe(self.space, decisions)
            if self.space.constraints:
                return not any(self.broken(self.build(decisions)))
        except BuildError:
            return False
        key = tuple([literal_key(decisions[path]) if path in decisions else None for path in self.relevant])
        found = self._fits.get(key)
        if found is None:
            if len(self._fits) >= _REMEMBERED:
                self._fits.clear()
            found = self._fits[key] = self._builds(decisions)
        return found

    def _builds(self, decisions: Mapping[str, Literal]) -> bool:
        try:
            self.build(decisions)
        except BuildError:
            return False
        return True

    @cached_property
    def relevant(self) -> tuple[str, ...]:
        """Paths of the decisions that can change a shape."""
        return tuple(sorted(shape_relevant(self.space, self.tree, root_path(self.space.body))))

    def broken(self, graph: Graph) -> Iterator[str]:
        """For each constraint what is wrong, or an empty text."""
        facts = {"params": graph.parameters, "flops": graph.flops}
        for constraint in self.space.constraints:
            try:
                holds = bool(constraint.evaluate(facts))
            except ExpressionError as error:
                yield str(error)
                continue
            found = ", ".join(f"{name} = {facts[name]}" for name in sorted(constraint.names))
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

    def culprit(self, decisions: Mapping[str, Literal], fault: BuildError) -> Violation:
        """Lay a fault at the decision with which it goes away, where there is one; else at the layer."""
        remedy = self.remedy(decisions)
        field, message = fault.violation.field, fault.violation.message
        if remedy is None:
            return Violation(field, message)
        path, value = remedy
        at = f"at {field}: " if field and field != path else ""
        return Violation(path, f"{at}{message}; {decisions[path]!r} does not fit, {value!r} would")

    def remedy(self, decisions: Mapping[str, Literal]) -> tuple[str, Literal] | None:
        """A decision and another value of it with which everything fits, among the first fifty tried."""
        paths = {*self.relevant, *(path for path in decisions if path.startswith("recipe."))}
        tries = layers = 0
        for path, domain in self.tree.reachable(decisions):
            for value in domain.near(decisions[path]) if path in paths else ():
                out: Decisions = {}
                self.tree.complete({**decisions, path: value}, None, out)
                error = self.fault(out)
                if error is None:
                    return path, value
                tries, layers = tries + 1, layers + error.layers
                if tries >= _PROBES or layers > _PROBED_LAYERS:
                    return None
        return None
