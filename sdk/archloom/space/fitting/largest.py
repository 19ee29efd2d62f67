"""How large a network of a space may become: where none comes near the limit, decisions that change no shape
play no part in whether it fits.
"""

from __future__ import annotations

from archloom.space.building.emitting import MAX_INSTANCES
from archloom.space.language.domains import Choice
from archloom.space.language.expressions import Expression
from archloom.space.language.structure import edge_count, input_count, made_by_nodes
from archloom.space.language.tree import (
    MAX_REPEAT,
    CellNode,
    ChoiceNode,
    LayerNode,
    MapNode,
    Node,
    RepeatNode,
    SpaceTree,
    Value,
    children,
)
from archloom.space.operations import COMPOSITES
from archloom.space.operations.composites import stands_for
from archloom.space.reading.values import samples

#: Layers that one of a single operation comes with at most (a norm, an activation), or a merge or an input of
#: it (a projection, a norm).
_EACH = 4


def surely_small(space: SpaceTree) -> bool:
    """Whether no network has more layers than there may be, whatever is decided; False where unsure."""
    return largest(space) <= MAX_INSTANCES


def largest(space: SpaceTree) -> int:
    """A bound from above of the layers of a network; rather too high."""
    return _Largest().node(space.body)


class _Largest:
    """Bounds from above of the layers that a node emits and of the nodes that are walked for them."""

    def __init__(self) -> None:
        self.known: dict[int, int] = {}

    def node(self, node: Node) -> int:
        if id(node) not in self.known:
            self.known[id(node)] = _EACH + self._inside(node)
        return self.known[id(node)]

    def _inside(self, node: Node) -> int:
        match node:
            case LayerNode():
                names = map(str, _values(node.operation))
                return max(
                    [self.node(stands_for(node, name)) if name in COMPOSITES else _EACH for name in names],
                    default=MAX_INSTANCES,
                )
            case ChoiceNode():
                return max([self.node(option) for _, option in node.options], default=0)
            case RepeatNode():
                count = max(
                    [each for each in _values(node.count) if isinstance(each, int)], default=MAX_REPEAT
                )
                merged = 0 if node.links is None else _EACH * count
                return count * (self.node(node.body) + merged)
            case MapNode():
                return len(node.over) * self.node(node.body)
            case CellNode():
                return self._cell(node)
        return sum([_EACH + self.node(child) for child in children(node)])

    def _cell(self, node: CellNode) -> int:
        edge = max([self.node(operation) for _, operation in node.operations], default=0) + _EACH
        edges = sum([edge_count(node, tensor) for tensor in made_by_nodes(node)])
        pre = 0 if node.pre is None else self.node(node.pre)
        return input_count(node) * (pre + _EACH) + edges * edge + node.nodes * 2 * _EACH


def _values(value: Value) -> list[object]:
    """All that matter of a value; none of an expression's."""
    if isinstance(value, Expression):
        return []
    return list(value.values if isinstance(value, Choice) else samples(value))
