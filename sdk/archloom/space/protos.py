"""Between protobuf messages and spaces. Imported only where a message is at hand.

A Space message is read by way of the plain data of ``reading``, so that both forms meet the same checks and
the same messages.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from archloom.space.domains import Choice, Domain, Flag, Integer, Literal, Log, Subset, Uniform
from archloom.space.errors import SpaceError, Violation
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
from archloom.v1 import space_pb2 as pb

KINDS = {
    "image": pb.TENSOR_KIND_IMAGE,
    "seq": pb.TENSOR_KIND_SEQ,
    "tokens": pb.TENSOR_KIND_TOKENS,
    "vector": pb.TENSOR_KIND_VECTOR,
}
KIND_NAMES = {number: name for name, number in KINDS.items()}
_ADAPT = {
    "": pb.ADAPT_RULE_UNSPECIFIED,
    "error": pb.ADAPT_RULE_ERROR,
    "project": pb.ADAPT_RULE_PROJECT,
    "skip": pb.ADAPT_RULE_SKIP,
}
_DECISIONS = {
    "": pb.DECISION_SHARING_UNSPECIFIED,
    "tied": pb.DECISION_SHARING_TIED,
    "free": pb.DECISION_SHARING_FREE,
}
_WEIGHTS = {
    "": pb.WEIGHT_SHARING_UNSPECIFIED,
    "separate": pb.WEIGHT_SHARING_SEPARATE,
    "shared": pb.WEIGHT_SHARING_SHARED,
}


def _name(names: dict[str, Any], number: int) -> str:
    """The name of an enum's number; one that is unknown here is passed on, for the reader to refuse."""
    return next((name for name, known in names.items() if known == number), f"number {number}")


# ------------------------------------------------------------------ writing


def write_space(tree: SpaceTree) -> pb.Space:
    return pb.Space(
        name=tree.name,
        description=tree.description,
        let=write_bindings(tree.let),
        inputs=[
            pb.SpaceInput(
                name=port.name, kind=KINDS[port.kind], shape=[write_value(size) for size in port.shape]
            )
            for port in tree.inputs
        ],
        body=write_node(tree.body),
        outputs=tree.outputs,
        recipe=write_bindings(tree.recipe),
        constraints=[constraint.text for constraint in tree.constraints],
    )


def write_bindings(bindings: Bindings) -> list[pb.SpaceBinding]:
    return [pb.SpaceBinding(name=name, value=write_value(value)) for name, value in bindings]


def write_value(value: Value) -> pb.SpaceValue:
    if isinstance(value, Expression):
        return pb.SpaceValue(expression=value.text)
    if isinstance(value, Domain):
        return pb.SpaceValue(domain=write_domain(value))
    return pb.SpaceValue(literal=write_literal(value))


def write_literal(value: Literal) -> pb.Literal:
    if isinstance(value, bool):
        return pb.Literal(flag=value)
    if isinstance(value, int):
        return pb.Literal(integer=value)
    if isinstance(value, float):
        return pb.Literal(number=value)
    if isinstance(value, str):
        return pb.Literal(text=value)
    return pb.Literal(list=pb.LiteralList(items=map(write_literal, value)))


def write_domain(domain: Domain) -> pb.Domain:
    match domain:
        case Choice():
            return pb.Domain(choice=pb.Domain.Choice(values=map(write_literal, domain.values)))
        case Integer():
            return pb.Domain(
                integer=pb.Domain.IntegerRange(low=domain.low, high=domain.high, step=domain.step)
            )
        case Log():
            return pb.Domain(log=pb.Domain.LogRange(low=domain.low, high=domain.high))
        case Uniform():
            return pb.Domain(uniform=pb.Domain.UniformRange(low=domain.low, high=domain.high))
        case Flag():
            return pb.Domain(flag=pb.Domain.Flag())
        case Subset():
            members = map(write_literal, domain.of)
            return pb.Domain(subset=pb.Domain.Subset(of=members, min=domain.least, max=domain.most))
    raise TypeError(f"no domain: {domain!r}")


def _optional(value: Value) -> pb.SpaceValue | None:
    return None if value == "" else write_value(value)


def write_node(node: Node) -> pb.SpaceNode:
    message = pb.SpaceNode(
        name=node.name,
        let=write_bindings(node.let),
        when="" if node.when is None else node.when.text,
        adapt=_ADAPT[node.adapt],
    )
    match node:
        case LayerNode():
            message.layer.operation.CopyFrom(write_value(node.operation))
            message.layer.parameters.extend(write_bindings(node.parameters))
        case SequenceNode():
            message.sequence.nodes.extend(map(write_node, node.nodes))
        case ChoiceNode():
            message.choice.options.extend(_options(node.options))
        case RepeatNode():
            message.repeat.CopyFrom(
                pb.SpaceNode.Repeat(
                    count=write_value(node.count),
                    body=write_node(node.body),
                    decisions=_DECISIONS[node.decisions],
                    weights=_WEIGHTS[node.weights],
                )
            )
        case CellNode():
            message.cell.CopyFrom(_write_cell(node))
        case ParallelNode():
            message.parallel.CopyFrom(
                pb.SpaceNode.Parallel(nodes=map(write_node, node.nodes), merge=_optional(node.merge))
            )
        case ResidualNode():
            message.residual.body.CopyFrom(write_node(node.body))
        case _:
            raise TypeError(f"no node: {node!r}")
    return message


def _options(options: Iterable[tuple[str, Node]]) -> list[pb.SpaceNode.Option]:
    return [pb.SpaceNode.Option(name=name, node=write_node(option)) for name, option in options]


def _write_cell(node: CellNode) -> pb.SpaceNode.Cell:
    cell = pb.SpaceNode.Cell(
        pre=None if node.pre is None else write_node(node.pre),
        nodes=node.nodes,
        operations=_options(node.operations),
        join=_optional(node.join),
        output=_optional(node.output),
    )
    if node.edges is None:
        cell.dense.SetInParent()
    else:
        cell.sparse.CopyFrom(pb.SpaceNode.SparseEdges(k=node.edges.k, distinct=node.edges.distinct))
    return cell


# ------------------------------------------------------------------ reading


def space_data(message: pb.Space) -> dict[str, Any]:
    """The plain data that a message stands for, faults and all."""
    return _filled(
        name=message.name,
        description=message.description,
        let=_bindings(message.let),
        parts={part.name: _node(part.node) for part in message.parts},
        recipe=_bindings(message.recipe),
        output=list(message.outputs),
        constraints=list(message.constraints),
    ) | {
        "input": {
            port.name: {"kind": KIND_NAMES.get(port.kind), "shape": [_value(size) for size in port.shape]}
            for port in message.inputs
        },
        "body": _node(message.body) if message.HasField("body") else None,
    }


def _bindings(bindings: Iterable[pb.SpaceBinding]) -> dict[str, Any]:
    data: dict[str, Any] = {}
    for binding in bindings:
        if binding.name in data:
            raise SpaceError([Violation(binding.name, "stands twice")])
        data[binding.name] = _value(binding.value)
    return data


def _value(value: pb.SpaceValue) -> Any:
    kind = value.WhichOneof("value")
    if kind == "literal":
        return read_literal(value.literal)
    if kind == "expression":
        return f"={value.expression}"
    return _domain(value.domain) if kind == "domain" else None


def read_literal(literal: pb.Literal) -> Any:
    kind = literal.WhichOneof("value")
    if kind is None:
        return None
    return [read_literal(item) for item in literal.list.items] if kind == "list" else getattr(literal, kind)


def _domain(domain: pb.Domain) -> Any:
    match domain.WhichOneof("domain"):
        case "choice":
            return {"choice": [read_literal(value) for value in domain.choice.values]}
        case "integer":
            step = [domain.integer.step] if domain.integer.HasField("step") else []
            return {"int": [domain.integer.low, domain.integer.high, *step]}
        case "uniform":
            return {"float": [domain.uniform.low, domain.uniform.high]}
        case "log":
            return {"log": [domain.log.low, domain.log.high]}
        case "flag":
            return {"bool": [False, True]}
        case "subset":
            subset = domain.subset
            return {
                "subset": {"of": [read_literal(v) for v in subset.of], "min": subset.min, "max": subset.max}
            }
        case "divisors":
            return {"divisors": domain.divisors.of, "among": list(domain.divisors.among)}
    return {}


def _node(node: pb.SpaceNode) -> dict[str, Any]:
    common = _filled(
        name=node.name,
        let=_bindings(node.let),
        when=node.when,
        adapt=_name(_ADAPT, node.adapt),
        **{"as": node.tensor, "from": list(node.sources)},
    )
    match node.WhichOneof("kind"):
        case "layer":
            own = {"layer": _value(node.layer.operation), **_bindings(node.layer.parameters)}
        case "sequence":
            own = {"sequence": [_node(child) for child in node.sequence.nodes]}
            own |= _filled(carry=node.sequence.carry)
        case "choice":
            own = {"choice": _read_options(node.choice.options)}
        case "repeat":
            own = {"repeat": _repeat(node.repeat)}
        case "cell":
            own = {"cell": _cell(node.cell)}
        case "parallel":
            own = {"parallel": [_node(child) for child in node.parallel.nodes]}
            own |= {"merge": _value(node.parallel.merge)} if node.parallel.HasField("merge") else {}
        case "residual":
            own = {"residual": _node(node.residual.body)}
        case None:
            own = {}
        case later:
            own = {later: {}}
    return {**common, **own}


def _read_options(options: Iterable[pb.SpaceNode.Option]) -> dict[str, Any]:
    data: dict[str, Any] = {}
    for option in options:
        if option.name in data:
            raise SpaceError([Violation(option.name, "two options have this name")])
        data[option.name] = _node(option.node)
    return data


def _repeat(repeat: pb.SpaceNode.Repeat) -> dict[str, Any]:
    return {
        "count": _value(repeat.count),
        "body": _node(repeat.body),
        **_filled(
            decisions=_name(_DECISIONS, repeat.decisions),
            weights=_name(_WEIGHTS, repeat.weights),
            links=repeat.HasField("links") or None,
        ),
    }


def _cell(cell: pb.SpaceNode.Cell) -> dict[str, Any]:
    edges: Any = None
    if cell.WhichOneof("edges") == "dense":
        edges = "dense"
    elif cell.WhichOneof("edges") == "sparse":
        edges = {"k": cell.sparse.k, "distinct": cell.sparse.distinct}
    optional = {
        name: _value(getattr(cell, name))
        for name in ("join", "output", "input_stride")
        if cell.HasField(name)
    }
    return {
        **_filled(inputs=cell.inputs, pre=_node(cell.pre) if cell.HasField("pre") else None),
        "nodes": cell.nodes,
        "edges": edges,
        "ops": _read_options(cell.operations),
        **optional,
    }


def _filled(**fields: Any) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value not in (None, "", {}, [], 0)}
