"""Which decisions can change a shape: the others need no look at the network when an architecture is drawn.

The judgement is by form alone, and errs on the side of relevant: a node keeps its input's shape when every
part of it surely does.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from archloom.space.decisions.choices import Tree
from archloom.space.fitting.largest import surely_small
from archloom.space.language.domains import Choice, Domain, Integer
from archloom.space.language.expressions import Expression
from archloom.space.language.structure import edge_count, made_by_nodes
from archloom.space.language.tree import (
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
    below,
    children,
    enter,
)
from archloom.space.operations import COMPOSITES, operation_specs
from archloom.space.reading.values import samples

_ELEMENTWISE = {"identity", "zero", "dropout", "batch_norm", "layer_norm", "rms_norm"}
_NEVER_SHAPES = {"norm", "activation", "bias", "reduction", "squeeze", "gated", "dropout", "kind"}
_SURE_NORMS = {"none", "batch", "layer", "rms"}  # others refuse some shapes
_STEPS = re.compile(r"[.\[]")
_FOLLOWED = 100  # repetitions looked at one by one; further ones are taken as relevant


def shape_relevant(space: SpaceTree, tree: Tree, root: str) -> frozenset[str]:
    """Paths of the decisions that may change a shape, or whether shapes fit."""
    neutral: list[str] = []
    exact: set[str] = set()
    if surely_small(space):  # else each may make the network too large
        _collect(space.body, root, neutral, exact)
    prefixes = frozenset(neutral)

    def spared(path: str) -> bool:
        if path in exact or path.startswith("recipe."):
            return True
        above = (path[: step.start()] for step in _STEPS.finditer(path))
        return path in prefixes or any(prefix in prefixes for prefix in above)

    return frozenset(path for path in tree.paths if not spared(path))


def _collect(node: Node, path: str, neutral: list[str], exact: set[str], shared: bool = False) -> None:
    """Note the paths under which nothing matters, and the single decisions that do not. ``shared``: a node
    around this one has the same path, and decisions there that may matter.
    """
    if path and not shared and keeps_shape(node):
        neutral.append(path)
        return
    decides = shared or bool(node.let) or isinstance(node, RepeatNode)

    def inside(child: Node, place: str) -> None:
        _collect(child, place, neutral, exact, decides and place == path)

    match node:
        case SequenceNode() | ParallelNode():
            for segment, child in zip(node.segments, node.nodes, strict=True):
                inside(child, below(path, segment))
        case ChoiceNode():
            for name, option in node.options:
                inside(option, enter(below(path, name), option))
        case RepeatNode():
            free = node.decisions == "free"
            for step in [f"[{i}]" for i in range(_most(node.count))] if free else [""]:
                inside(node.body, enter(path + step, node.body))
        case ResidualNode() | MapNode() | ScanNode():
            inside(node.body, enter(path, node.body))
        case UseNode():
            here = path if node.decisions == "free" else node.part
            inside(node.body, enter(here, node.body))
        case CellNode():
            for place, child in _cell_paths(node, path):
                inside(child, place)
        case LayerNode():
            keys = {key for key, _ in node.parameters}
            whole = node.operation in COMPOSITES  # where an expansion of at least 1 leaves channels
            for key, value in node.parameters:
                if (
                    _never_shapes(node.operation, key, value)
                    or (key == "k" and "padding" not in keys and _odd(value))
                    or (whole and key == "expand" and all(type(s) is int and s > 0 for s in samples(value)))
                ):
                    exact.add(below(path, key))


def _cell_paths(node: CellNode, path: str) -> Iterator[tuple[str, Node]]:
    """What stands in a cell, and where its decisions are."""
    if node.pre is not None:
        yield enter(below(path, "pre"), node.pre), node.pre
    for tensor in made_by_nodes(node):
        for edge in range(edge_count(node, tensor)):
            for name, option in node.operations:
                yield enter(f"{below(path, f'node[{tensor}]')}.edge[{edge}].{name}", option), option


def _most(count: Value) -> int:
    if isinstance(count, Expression):
        return 0
    return min(_FOLLOWED, max((value for value in samples(count) if isinstance(value, int)), default=0))


def keeps_shape(node: Node) -> bool:
    """Whether the node surely yields its input's shape and cannot fail, whatever is decided inside."""
    if any(isinstance(value, Expression) for _, value in node.let) or node.when is not None:
        return False
    if not node.local or (isinstance(node, RepeatNode) and node.links is not None):
        return False
    match node:
        case LayerNode():
            return not isinstance(node.operation, Domain) and _layer_keeps(node, str(node.operation))
        case SequenceNode():
            return all(map(keeps_shape, node.nodes))
        case ParallelNode():
            return node.merge in ("", "sum", "mul") and all(map(keeps_shape, node.nodes))
        case CellNode():
            if node.input_stride not in ("", 1):
                return False
            return node.join in ("", "sum", "mul") and node.output in ("", "last", "sum") and _all_keep(node)
        case RepeatNode():
            return not isinstance(node.count, Expression) and keeps_shape(node.body)
        case ChoiceNode() | ResidualNode() | UseNode():
            return _all_keep(node)
    return False


def _all_keep(node: Node) -> bool:
    return all(map(keeps_shape, children(node)))


def _layer_keeps(layer: LayerNode, name: str) -> bool:
    given = dict(layer.parameters)
    if any(isinstance(value, Expression) for value in given.values()):
        return False
    if not _sure("norm", given.get("norm", "none")):
        return False
    if name in _ELEMENTWISE or name in ("relu", "silu", "gelu"):
        return given.get("stride", 1) == 1
    if name in ("conv", "depthwise", "separable", "max_pool", "avg_pool"):
        pooled = name.endswith("pool")
        plain = not {"out", "stride", "padding", "groups"} & given.keys()
        return plain and _odd(given.get("k", 3)) and (pooled or name in COMPOSITES or "k" in given)
    return False


def _never_shapes(operation: Value, key: str, value: Value) -> bool:
    """Whether a parameter changes no shape, nor whether the layer fits, whichever operation it is."""
    for name in operation.values if isinstance(operation, Choice) else (operation,):
        spec = operation_specs().get(str(name))
        if key in ("norm", "activation") or spec is None:
            if key not in _NEVER_SHAPES or not _sure(key, value):
                return False
        elif key in spec.shaping:
            return False
    return True


def _sure(key: str, value: Value) -> bool:
    """Whether a norm, of whatever value, takes every shape; other parameters do."""
    return key != "norm" or (not isinstance(value, Expression) and _SURE_NORMS.issuperset(samples(value)))


def _odd(value: Value) -> bool:
    """Whether every value is an odd number, for which a window is padded evenly."""
    if isinstance(value, (int, Choice)) or (isinstance(value, Integer) and value.count <= 100):
        return all(type(sample) is int and sample % 2 == 1 for sample in samples(value))
    return False
