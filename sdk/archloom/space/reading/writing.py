"""From the tree to plain data, the inverse of ``reading``: reading what was written gives an equal tree."""

from __future__ import annotations

from typing import Any

from archloom.space.language.domains import Choice, Divisors, Domain, Flag, Integer, Log, Subset, Uniform
from archloom.space.language.expressions import Expression
from archloom.space.language.tree import (
    Bindings,
    CellNode,
    ChoiceNode,
    LayerNode,
    Links,
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
        parts={name: write_node(part) for name, part in tree.parts},
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
        case Divisors():
            return {"divisors": domain.of.text, "among": list(domain.among)}
    raise TypeError(f"no domain: {domain!r}")


def write_node(node: Node) -> dict[str, Any]:
    return {**_filled(name=node.name), **_own(node), **_common(node)}


def _common(node: Node) -> dict[str, Any]:
    return _filled(
        **{"as": node.tensor, "from": list(node.sources)},
        adapt=node.adapt,
        let=write_bindings(node.let),
        when=None if node.when is None else node.when.text,
    )


def _own(node: Node) -> dict[str, Any]:
    match node:
        case LayerNode():
            return {"layer": write_value(node.operation), **write_bindings(node.parameters)}
        case SequenceNode():
            return {
                "sequence": [write_node(child) for child in node.nodes],
                **_filled(carry=node.carry or None),
            }
        case ChoiceNode():
            return {"choice": _options(node.options)}
        case RepeatNode():
            return {"repeat": _repeat(node)}
        case CellNode():
            return {"cell": _cell(node)}
        case ParallelNode():
            return {
                "parallel": [write_node(child) for child in node.nodes],
                **_filled(merge=write_value(node.merge)),
            }
        case ResidualNode():
            return {"residual": write_node(node.body)}
        case UseNode():
            said = _filled(
                **{"with": write_bindings(node.arguments)}, decisions=node.decisions, weights=node.weights
            )
            return {"use": {"part": node.part, **said} if said else node.part}
        case ScanNode():
            return {"scan": {"state": write_bindings(node.states), "body": write_node(node.body)}}
        case MapNode():
            body = write_node(node.body)
            return {"map": {"over": list(node.over), "body": body, **_filled(weights=node.weights)}}
    raise TypeError(f"no node: {node!r}")


def _options(options: tuple[tuple[str, Node], ...]) -> dict[str, Any]:
    return {name: write_node(option) for name, option in options}


def _repeat(node: RepeatNode) -> dict[str, Any]:
    return {
        "count": write_value(node.count),
        "body": write_node(node.body),
        **_filled(decisions=node.decisions, weights=node.weights),
        **({} if node.links is None else {"links": _links(node.links)}),
    }


def _links(links: Links) -> dict[str, Any]:
    return {"subset": links.subset, **_filled(most=links.most, merge=write_value(links.merge))}


def _cell(node: CellNode) -> dict[str, Any]:
    edges = "dense" if node.edges is None else {"k": node.edges.k, "distinct": node.edges.distinct}
    return {
        **_filled(inputs=node.inputs or None, pre=None if node.pre is None else write_node(node.pre)),
        "nodes": node.nodes,
        "edges": edges,
        "ops": _options(node.operations),
        **_filled(
            input_stride=write_value(node.input_stride),
            join=write_value(node.join),
            output=write_value(node.output),
        ),
    }


def _filled(**fields: Any) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value not in (None, "", {}, [])}
