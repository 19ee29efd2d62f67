"""Between protobuf messages and spaces. Imported only where a message is at hand.

A Space message is read by way of the plain data of ``reading``, so that both forms meet the same checks and
the same messages.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from archloom.space.errors import SpaceError, Violation
from archloom.space.language.tree import (
    MAX_DEPTH,
    MAX_NODES,
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
from archloom.space.messages.values import (
    KIND_NAMES,
    KINDS,
    read_bindings,
    read_value,
    write_bindings,
    write_value,
)
from archloom.v1 import space_pb2 as pb

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
        parts=[pb.SpacePart(name=name, node=write_node(part)) for name, part in tree.parts],
        body=write_node(tree.body),
        outputs=tree.outputs,
        recipe=write_bindings(tree.recipe),
        constraints=[constraint.text for constraint in tree.constraints],
    )


def _optional(value: Value) -> pb.SpaceValue | None:
    return None if value == "" else write_value(value)


def write_node(node: Node) -> pb.SpaceNode:
    message = pb.SpaceNode(
        name=node.name,
        tensor=node.tensor,
        sources=node.sources,
        let=write_bindings(node.let),
        when="" if node.when is None else node.when.text,
        adapt=_ADAPT[node.adapt],
    )
    match node:
        case LayerNode():
            message.layer.operation.CopyFrom(write_value(node.operation))
            message.layer.parameters.extend(write_bindings(node.parameters))
        case SequenceNode():
            nodes = map(write_node, node.nodes)
            message.sequence.CopyFrom(pb.SpaceNode.Sequence(nodes=nodes, carry=node.carry))
        case ChoiceNode():
            message.choice.options.extend(_options(node.options))
        case RepeatNode():
            message.repeat.CopyFrom(
                pb.SpaceNode.Repeat(
                    count=write_value(node.count),
                    body=write_node(node.body),
                    decisions=_DECISIONS[node.decisions],
                    weights=_WEIGHTS[node.weights],
                    links=None if node.links is None else _write_links(node.links),
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
        case UseNode():
            message.use.CopyFrom(
                pb.SpaceNode.Use(
                    part=node.part,
                    arguments=write_bindings(node.arguments),
                    decisions=_DECISIONS[node.decisions],
                    weights=_WEIGHTS[node.weights],
                )
            )
        case ScanNode():
            states, body = write_bindings(node.states), write_node(node.body)
            message.scan.CopyFrom(pb.SpaceNode.Scan(state=states, body=body))
        case MapNode():
            message.map.CopyFrom(
                pb.SpaceNode.MapOver(
                    over=node.over, body=write_node(node.body), weights=_WEIGHTS[node.weights]
                )
            )
        case _:
            raise TypeError(f"no node: {node!r}")
    return message


def _options(options: Iterable[tuple[str, Node]]) -> list[pb.SpaceNode.Option]:
    return [pb.SpaceNode.Option(name=name, node=write_node(option)) for name, option in options]


def _write_links(links: Links) -> pb.SpaceNode.Links:
    return pb.SpaceNode.Links(subset=links.subset, most=links.most, merge=_optional(links.merge))


def _write_cell(node: CellNode) -> pb.SpaceNode.Cell:
    cell = pb.SpaceNode.Cell(
        inputs=node.inputs,
        input_stride=_optional(node.input_stride),
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
    """The plain data that a message stands for, faults and all; raises SpaceError past a tree's limits."""
    reader = _NodeData()
    return _filled(
        name=message.name,
        description=message.description,
        let=read_bindings(message.let),
        parts=reader.named(((part.name, part.node) for part in message.parts), "parts"),
        recipe=read_bindings(message.recipe),
        output=list(message.outputs),
        constraints=list(message.constraints),
    ) | {
        "input": {
            port.name: {"kind": KIND_NAMES.get(port.kind), "shape": [read_value(size) for size in port.shape]}
            for port in message.inputs
        },
        "body": reader.node(message.body) if message.HasField("body") else None,
    }


class _NodeData:
    """The plain data of nodes, as many and as deep as a tree may be."""

    def __init__(self) -> None:
        self.nodes = 0
        self.depth = 0

    def node(self, node: pb.SpaceNode) -> dict[str, Any]:
        self.nodes += 1
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise SpaceError([Violation("body", f"the tree is deeper than {MAX_DEPTH} nodes")])
        if self.nodes > MAX_NODES:
            raise SpaceError([Violation("body", f"the tree has more than {MAX_NODES} nodes")])
        data = {**_common(node), **self.kind(node)}
        self.depth -= 1
        return data

    def kind(self, node: pb.SpaceNode) -> dict[str, Any]:
        match node.WhichOneof("kind"):
            case "layer":
                return {"layer": read_value(node.layer.operation), **read_bindings(node.layer.parameters)}
            case "sequence":
                nodes = [self.node(child) for child in node.sequence.nodes]
                return {"sequence": nodes, **_filled(carry=node.sequence.carry)}
            case "choice":
                return {"choice": self.options(node.choice.options)}
            case "repeat":
                return {"repeat": self.repeat(node.repeat)}
            case "cell":
                return {"cell": self.cell(node.cell)}
            case "parallel":
                nodes = [self.node(child) for child in node.parallel.nodes]
                return {"parallel": nodes, **_given(node.parallel, "merge")}
            case "residual":
                return {"residual": self.node(node.residual.body)}
            case "use":
                return {"use": _use(node.use)}
            case "scan":
                return {"scan": {"state": read_bindings(node.scan.state), "body": self.node(node.scan.body)}}
            case "map":
                weights = _filled(weights=_name(_WEIGHTS, node.map.weights))
                return {"map": {"over": list(node.map.over), "body": self.node(node.map.body), **weights}}
        return {}

    def options(self, options: Iterable[pb.SpaceNode.Option]) -> dict[str, Any]:
        return self.named(((option.name, option.node) for option in options), "options")

    def named(self, nodes: Iterable[tuple[str, pb.SpaceNode]], what: str) -> dict[str, Any]:
        data: dict[str, Any] = {}
        for name, node in nodes:
            if name in data:
                raise SpaceError([Violation(name, f"two {what} have this name")])
            data[name] = self.node(node)
        return data

    def repeat(self, repeat: pb.SpaceNode.Repeat) -> dict[str, Any]:
        data = {
            "count": read_value(repeat.count),
            "body": self.node(repeat.body),
            **_filled(decisions=_name(_DECISIONS, repeat.decisions), weights=_name(_WEIGHTS, repeat.weights)),
        }
        if repeat.HasField("links"):
            most = {"most": repeat.links.most} if repeat.links.HasField("most") else {}
            subset = _filled(subset=repeat.links.subset)
            data["links"] = {**subset, **most, **_given(repeat.links, "merge")}
        return data

    def cell(self, cell: pb.SpaceNode.Cell) -> dict[str, Any]:
        edges: Any = None
        if cell.WhichOneof("edges") == "dense":
            edges = "dense"
        elif cell.WhichOneof("edges") == "sparse":
            edges = {"k": cell.sparse.k, "distinct": cell.sparse.distinct}
        return {
            **_filled(inputs=cell.inputs, pre=self.node(cell.pre) if cell.HasField("pre") else None),
            "nodes": cell.nodes,
            "edges": edges,
            "ops": self.options(cell.operations),
            **_given(cell, "input_stride", "join", "output"),
        }


def _common(node: pb.SpaceNode) -> dict[str, Any]:
    return _filled(
        name=node.name,
        let=read_bindings(node.let),
        when=node.when,
        adapt=_name(_ADAPT, node.adapt),
        **{"as": node.tensor, "from": list(node.sources)},
    )


def _use(use: pb.SpaceNode.Use) -> dict[str, Any]:
    return {
        "part": use.part,
        **_filled(
            **{"with": read_bindings(use.arguments)},
            decisions=_name(_DECISIONS, use.decisions),
            weights=_name(_WEIGHTS, use.weights),
        ),
    }


def _given(message: Any, *names: str) -> dict[str, Any]:
    """Those of a message's values that are set."""
    return {name: read_value(getattr(message, name)) for name in names if message.HasField(name)}


def _filled(**fields: Any) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value not in (None, "", {}, [], 0)}
