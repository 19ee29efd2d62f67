"""From the tree to plain data, the inverse of ``reading``: reading what was written gives an equal tree."""

from __future__ import annotations

from typing import Any

from archloom.space.domains import Choice, Domain, Flag, Integer, Log, Subset, Uniform
from archloom.space.expressions import Expression
from archloom.space.tree import (
    Bindings,
    CellNode,
    ChoiceNode,
    LayerNode,
    Node,
    ParallelNode,
    RepeatNode,
    ResidualNode,
    SequenceNode,
    SpaceTree,
    Value,
)


def write_space(tree: SpaceTree) -> dict[str, Any]:
    """The space as maps, lists and constants; fields that were left out stay out."""
    return _filled(
        name=tree.name,
        description=tree.description,
        let=write_bindings(tree.let),
        input={
            port.name: {"kind": port.kind, "shape": [write_value(size) for size in port.shape]}
            for port in tree.inputs
        },
        body=write_node(tree.body),
        output=list(tree.outputs),
        recipe=write_bindings(tree.recipe),
        constraints=[constraint.text for constraint in tree.constraints],
    )


def write_bindings(bindings: Bindings) -> dict[str, Any]:
    return {name: write_value(value) for name, value in bindings}


def write_value(value: Value) -> Any:
    """A constant, "=expression" or {domain: ...}."""
    if isinstance(value, Expression):
        return f"={value.text}"
    if isinstance(value, Domain):
        return write_domain(value)
    return list(value) if isinstance(value, tuple) else value


def write_domain(domain: Domain) -> dict[str, Any]:
    match domain:
        case Choice():
            return {"choice": [write_value(value) for value in domain.values]}
        case Integer():
            return {"int": [domain.low, domain.high, *([] if domain.step is None else [domain.step])]}
        case Log():
            return {"log": [domain.low, domain.high]}
        case Uniform():
            return {"float": [domain.low, domain.high]}
        case Flag():
            return {"bool": [False, True]}
        case Subset():
            return {
                "subset": {"of": [write_value(v) for v in domain.of], "min": domain.least, "max": domain.most}
            }
    raise TypeError(f"no domain: {domain!r}")


def write_node(node: Node) -> dict[str, Any]:
    return {**_filled(name=node.name), **_own(node), **_common(node)}


def _common(node: Node) -> dict[str, Any]:
    return _filled(
        adapt=node.adapt, let=write_bindings(node.let), when=None if node.when is None else node.when.text
    )


def _own(node: Node) -> dict[str, Any]:
    match node:
        case LayerNode():
            return {"layer": write_value(node.operation), **write_bindings(node.parameters)}
        case SequenceNode():
            return {"sequence": [write_node(child) for child in node.nodes]}
        case ChoiceNode():
            return {"choice": {name: write_node(option) for name, option in node.options}}
        case RepeatNode():
            return {
                "repeat": {
                    "count": write_value(node.count),
                    "body": write_node(node.body),
                    **_filled(decisions=node.decisions, weights=node.weights),
                }
            }
        case CellNode():
            edges = "dense" if node.edges is None else {"k": node.edges.k, "distinct": node.edges.distinct}
            return {
                "cell": {
                    **_filled(pre=None if node.pre is None else write_node(node.pre)),
                    "nodes": node.nodes,
                    "edges": edges,
                    "ops": {name: write_node(option) for name, option in node.operations},
                    **_filled(join=write_value(node.join), output=write_value(node.output)),
                }
            }
        case ParallelNode():
            return {
                "parallel": [write_node(child) for child in node.nodes],
                **_filled(merge=write_value(node.merge)),
            }
        case ResidualNode():
            return {"residual": write_node(node.body)}
    raise TypeError(f"no node: {node!r}")


def _filled(**fields: Any) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value not in (None, "", {}, [])}
