"""Between protobuf messages and architectures and graphs. Imported only where a message is at hand."""

from __future__ import annotations

from typing import Any

from archloom.space.architecture import Architecture
from archloom.space.errors import SpaceError, Violation
from archloom.space.messages.values import KIND_NAMES, KINDS, read_literal, write_literal
from archloom.space.networks.graph import Graph, NodeFacts, rebuild
from archloom.space.operations import Shape
from archloom.v1 import architecture_pb2 as pb


def write_architecture(architecture: Architecture) -> pb.Architecture:
    message = pb.Architecture()
    for path, value in architecture.decisions.items():
        decision = message.decisions.add(path=path)
        if isinstance(value, tuple):
            decision.members.items.extend(map(write_literal, value))
            decision.members.SetInParent()
        elif isinstance(value, bool):
            decision.flag = value
        elif isinstance(value, int):
            decision.integer = value
        elif isinstance(value, float):
            decision.number = value
        else:
            decision.text = value
    return message


def read_architecture(message: pb.Architecture) -> Architecture:
    decisions: dict[str, Any] = {}
    faults: list[Violation] = []
    for decision in message.decisions:
        kind = decision.WhichOneof("value")
        if decision.path in decisions:
            faults.append(Violation(decision.path, "is decided twice"))
        if kind == "members":
            decisions[decision.path] = [read_literal(item) for item in decision.members.items]
        else:
            decisions[decision.path] = None if kind is None else getattr(decision, kind)
    if faults:
        raise SpaceError(faults)
    return Architecture.from_dict(decisions)


def write_graph(graph: Graph) -> pb.Graph:
    return pb.Graph(
        nodes=[
            pb.GraphNode(
                id=node.id,
                operation=node.op,
                version=node.version,
                parameters=[
                    pb.GraphParameter(name=name, value=write_literal(value))
                    for name, value in node.operation.parameters
                ],
                inputs=node.inputs,
                path=node.path,
                shape=pb.TensorShape(kind=KINDS[node.shape.kind], dims=node.shape.dims),
                sharing_group=node.group,
                body=None if node.operation.body is None else write_graph(node.operation.body),
                opaque=node.operation.opaque,
            )
            for node in graph.nodes
        ],
        inputs=[pb.GraphPort(name=name, node=node) for name, node in graph.inputs.items()],
        outputs=[pb.GraphPort(name=name, node=node) for name, node in graph.outputs.items()],
        hash=graph.hash,
        parameters=graph.parameters,
        flops=graph.flops,
    )


def read_graph(message: pb.Graph) -> Graph:
    parts = [
        NodeFacts(
            node.operation,
            node.version,
            {parameter.name: read_literal(parameter.value) for parameter in node.parameters},
            tuple(node.inputs),
            node.path,
            node.sharing_group,
            Shape(KIND_NAMES.get(node.shape.kind, "unspecified"), tuple(node.shape.dims)),
            read_graph(node.body) if node.HasField("body") else None,
        )
        for node in message.nodes
    ]
    return rebuild(
        parts,
        {port.name: port.node for port in message.inputs},
        {port.name: port.node for port in message.outputs},
    )
