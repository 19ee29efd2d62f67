"""A space's decisions with a few values of each float, so that all of them can be counted and numbered."""

from __future__ import annotations

from dataclasses import dataclass, replace

from archloom.space.decisions.choices import All, Branch, Leaf, Tree
from archloom.space.decisions.sharing import Shared, Whole
from archloom.space.decisions.steps import Steps
from archloom.space.language.domains import Domain, Uniform


@dataclass(frozen=True)
class Points(Domain):
    """Values of a float from its low to its high end, evenly on its own scale; a single one is its middle."""

    of: Uniform
    count: int

    def at(self, index: int) -> float:
        return self.of.value(index / (self.count - 1) if self.count > 1 else 0.5)


def with_points(tree: Tree, points: int) -> Tree:
    """The same decisions, each float at so many values."""
    return _Pointed(points, {}).tree(tree)


@dataclass(frozen=True)
class _Pointed:
    points: int
    made: dict[int, Tree]
    """By identity: what stands at several places stays one tree."""

    def tree(self, tree: Tree) -> Tree:
        if id(tree) not in self.made:
            self.made[id(tree)] = self._new(tree)
        return self.made[id(tree)]

    def _new(self, tree: Tree) -> Tree:
        match tree:
            case Leaf(domain=Uniform() as domain):
                return Leaf(tree.path, Points(domain, self.points))
            case All():
                return All(self._trees(tree.children))
            case Branch():
                return replace(tree, options=self._trees(tree.options))
            case Steps():
                return replace(tree, rows=self._trees(tree.rows))
            case Shared() | Whole():
                return replace(tree, tree=self.tree(tree.tree))
        return tree

    def _trees(self, trees: tuple[Tree, ...]) -> tuple[Tree, ...]:
        return tuple(self.tree(tree) for tree in trees)
