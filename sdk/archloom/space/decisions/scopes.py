"""Scopes of variables as trees of decisions: the part of the compiler that knows no nodes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

from archloom.space.decisions.choices import EMPTY, Leaf, Tree, branch, flat, together
from archloom.space.decisions.sharing import Shared
from archloom.space.errors import SpaceError, Violation
from archloom.space.language.domains import Divisors, Domain, Literal
from archloom.space.language.expressions import Expression, ExpressionError
from archloom.space.language.structure import Known
from archloom.space.language.tree import Bindings, Value, below

MAX_TREE = 200_000
MAX_WORK = 40_000  # about half a second; a tree of 20,000 nodes that are compiled once fits twice
_PATHS = 200  # paths that are looked at while one node is compiled
MAX_BRANCHES = 1_000

Inner = Callable[[Known], Tree]


@dataclass
class Scopes:
    """Collects faults. ``made`` counts decisions, ``work`` nodes, each time that they are compiled, and what
    takes as long.
    """

    violations: list[Violation] = field(default_factory=list)
    made: int = 0
    work: float = 0.0

    def fault(self, path: str, message: str) -> Tree:
        if Violation(path, message) not in self.violations and len(self.violations) < 100:
            self.violations.append(Violation(path, message))
        return EMPTY

    def stop(self, where: str, message: str) -> SpaceError:
        return SpaceError([*self.violations, Violation(where, message)])

    def spend(self, amount: float, where: str) -> None:
        """So much more work; raises SpaceError past the limit."""
        self.work += amount
        if self.work > MAX_WORK:
            what = "repetitions, parts, and variables that decide what exists"
            raise self.stop(where, f"{what} make more than {MAX_WORK} nodes; see the limits")

    def make(self, number: int, where: str) -> None:
        """So many more decisions; raises SpaceError past the limit."""
        self.made += number
        if self.made > MAX_TREE:
            raise self.stop(where, f"the space has more than {MAX_TREE} decisions")

    def ahead(self, made: int, work: float, times: int, where: str) -> None:
        """Refuse at once what will be made so many times more than it was since ``made`` and ``work``."""
        if self.made + (self.made - made) * times > MAX_TREE:
            self.make(MAX_TREE, where)
        if self.work + (self.work - work) * times > MAX_WORK:
            self.spend(MAX_WORK, where)

    def all(self, children: Sequence[Tree], where: str) -> Tree:
        """All of these, whose paths must differ, those of one part apart."""
        self.make(len(children), where)
        children = [child for child in children if child is not EMPTY]
        if len(children) < 2:
            return children[0] if children else EMPTY
        self.spend(sum(len(child.own_paths) for child in children) / _PATHS, where)
        seen: set[str] = set()
        parts: dict[str, set[Shared]] = {}
        for child in children:
            for path in seen & child.own_paths:
                self.fault(where, f"two decisions are called {path!r}; name the nodes or variables apart")
            seen |= child.own_paths
            inside = _by_part(child)
            for part, trees in inside.items():
                if part in parts and len(parts[part] | trees) > 1:
                    message = f"the uses of part {part!r} decide different things (by their arguments)"
                    self.fault(where, f"{message}, so they cannot be tied: make them free")
                parts.setdefault(part, set()).update(trees)
        return together(once(children))

    # --------------------------------------------------- variables and values

    def scope(
        self,
        let: Bindings,
        path: str,
        structural: frozenset[str],
        known: Known,
        inner: Inner,
        outside: Known | None = None,
    ) -> Tree:
        """The decisions of variables, and of what is inside their scope.

        Each variable may read the ones before it; arguments are read ``outside``, by the variables there.
        """
        deciding = _deciding(let, structural, outside is None)
        self.check_ways(let, deciding, path)
        leaves: list[Tree] = []
        inside = dict(known)
        for number, (name, value) in enumerate(let):
            place = below(path, name)
            readable = inside if outside is None else outside
            settled: dict[str, Literal] = {}
            if isinstance(value, Domain):
                domain = self.domain(value, place, readable)
                if domain is None:
                    return EMPTY
                self.made += 1
                if deciding[number] and domain.count is not None and domain.count > 1:
                    inside.pop(name, None)
                    further = partial(self.further, let[number:], path, structural, inside, inner, outside)
                    return self.all((*leaves, self.branches(place, domain, further)), place)
                leaves.append(Leaf(place, domain))
                if deciding[number] and domain.count == 1:
                    settled = {name: domain.at(0)}
            elif isinstance(value, Expression):
                try:
                    settled = {name: value.evaluate(readable)} if value.names <= readable.keys() else {}
                except ExpressionError as error:
                    return self.fault(place, str(error))
            else:
                settled = {name: value}
            inside.pop(name, None)
            inside.update(settled)
        tree = inner(inside)
        return self.all((*leaves, tree), path or "let") if leaves else tree

    def further(
        self,
        let: Bindings,
        path: str,
        structural: frozenset[str],
        known: Known,
        inner: Inner,
        outside: Known | None,
        chosen: Literal,
    ) -> Tree:
        """The rest of a scope, where the first of these variables has a value."""
        return self.scope(let[1:], path, structural, {**known, let[0][0]: chosen}, inner, outside)

    def check_ways(self, let: Bindings, deciding: Sequence[bool], path: str) -> None:
        """Whether what is inside would be compiled too often, once for each combination of variables."""
        ways = 1
        for (name, value), decides in zip(let, deciding, strict=True):
            if decides and isinstance(value, Domain):
                ways *= value.count or 1
            if ways > MAX_TREE:
                found = f"decides, with those before it, which decisions exist, in more than {MAX_TREE} ways"
                raise self.stop(below(path, name), found)

    def branches(self, place: str, domain: Domain, inside: Callable[[Literal], Tree]) -> Tree:
        """A decision by whose value others exist or not."""
        if domain.count is None or domain.count > MAX_BRANCHES:
            return self.fault(
                place, f"decides which decisions exist, and has more than {MAX_BRANCHES} values"
            )
        self.spend(2 * domain.count, place)
        options = [inside(domain.at(number)) for number in range(domain.count)]
        if all(option == options[0] for option in options):
            return self.all((Leaf(place, domain), options[0]), place)
        return branch(place, domain, options)

    def domain(self, value: Domain, place: str, known: Known) -> Domain | None:
        """The domain itself; of divisors, those that there are; None after a fault."""
        if not isinstance(value, Divisors):
            return value
        if not value.of.names <= known.keys():
            missing = ", ".join(sorted(value.of.names - known.keys()))
            self.fault(
                place, f"divisors may not be of {missing}: only of variables that shapes do not decide"
            )
            return None
        try:
            return value.settle(known)
        except ExpressionError as error:
            self.fault(place, str(error))
            return None

    def value(self, value: Value, path: str, known: Known) -> Tree:
        if not isinstance(value, Domain):
            return EMPTY
        self.made += 1
        domain = self.domain(value, path, known)
        return EMPTY if domain is None else Leaf(path, domain)


def _deciding(let: Bindings, structural: frozenset[str], chained: bool) -> list[bool]:
    """Which of these variables decide which decisions exist: what is structural inside, and what a later one
    that is structural reads (if they may read each other).
    """
    names = set(structural)
    found: list[bool] = []
    for name, value in reversed(let):
        found.append(name in names)
        if chained and isinstance(value, Divisors):
            names |= value.of.names
        elif chained and name in names and isinstance(value, Expression):
            names |= value.names
    return found[::-1]


def _by_part(tree: Tree) -> dict[str, set[Shared]]:
    found: dict[str, set[Shared]] = {}
    for shared in tree.shared:
        assert isinstance(shared, Shared)
        found.setdefault(shared.part, set()).add(shared)
    return found


def once(children: Sequence[Tree]) -> list[Tree]:
    """The children, flat, each shared tree once."""
    seen: set[int] = set()
    kept: list[Tree] = []
    for child in (inner for outer in children for inner in flat(outer)):
        if isinstance(child, Shared):
            if id(child) in seen:
                continue
            seen.add(id(child))
        kept.append(child)
    return kept
