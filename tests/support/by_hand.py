"""Facts of a space that are worked out by hand, and what to ask for them."""

from __future__ import annotations

from collections import Counter

from archloom.space import Architecture, Graph, Space

VECTOR = "input: {x: {kind: vector, shape: [4]}}\n"
IMAGE = "input: {x: {kind: image, shape: [3, 8, 8]}}\n"
SEQ = "input: {s: {kind: seq, shape: [4, 6]}}\n"


def members(text: str) -> list[dict[str, object]]:
    """All architectures as decided; the size must say how many."""
    space = Space.from_yaml(text)
    found = [architecture.to_dict() for architecture in space.enumerate()]
    assert space.size() == len(found) == len({str(sorted(one.items())) for one in found})
    return found


def paths(text: str) -> set[str]:
    return {decision.path for decision in Space.from_yaml(text).decisions()}


def network(text: str, decisions: dict[str, object] | None = None) -> Graph:
    """The network of these decisions; where none are given, of the only architecture."""
    space = Space.from_yaml(text)
    if decisions is None:
        (only,) = space.enumerate()
        return space.graph(only)
    return space.graph(Architecture.from_dict(decisions))


def shape(graph: Graph, name: str = "features") -> str:
    return str(graph[graph.outputs[name]].shape)


def operations(graph: Graph) -> Counter[str]:
    return Counter(node.op for node in graph.nodes if node.op != "input")
