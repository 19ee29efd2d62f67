"""The hash of random networks: what plays no part in it, and that everything else does."""

from __future__ import annotations

from random import Random
from typing import Any

import networkx
from archloom.space import Graph, GraphNode, Space
from archloom.space.operations import OperationError, resolve
from hypothesis import given
from hypothesis import strategies as st
from random_spaces import examples, spaces

seeds = st.integers(0, 2**32)


def relisted(graph: Graph, rng: Random) -> Graph:
    """The same network: nodes in another order, inputs of sums shuffled, other paths and names of weights."""
    left, order = set(range(len(graph.nodes))), list[int]()
    while left:
        ready = sorted(n for n in left if not left & set(graph[n].inputs))
        order.append(rng.choice(ready))
        left.remove(order[-1])
    place = {old: new for new, old in enumerate(order)}
    nodes = []
    for old in order:
        node = graph[old]
        inputs = [place[source] for source in node.inputs]
        if not node.operation.ordered:
            rng.shuffle(inputs)
        group = f"other {node.group}" if node.group else ""
        nodes.append(GraphNode(place[old], node.operation, tuple(inputs), f"p{old}", group))
    return Graph(
        tuple(nodes),
        {name: place[node] for name, node in sorted(graph.inputs.items(), reverse=True)},
        {name: place[node] for name, node in graph.outputs.items()},
    )


def isomorphic(one: Graph, other: Graph) -> bool:
    def drawn(graph: Graph) -> Any:
        result = networkx.DiGraph()
        ports = {node: f"in {name}" for name, node in graph.inputs.items()}
        for node in graph.nodes:
            result.add_node(node.id, kind=(node.operation.label, ports.get(node.id)))
            if node.group in graph.shared:
                result.add_node(node.group, kind="group")
                result.add_edge(node.id, node.group)
            for place, source in enumerate(node.inputs):
                between = (node.id, place)
                result.add_node(between, kind=place if node.operation.ordered else "edge")
                result.add_edges_from([(source, between), (between, node.id)])
        for name, source in graph.outputs.items():
            result.add_node(f"out {name}", kind=f"out {name}")
            result.add_edge(source, f"out {name}")
        return result

    match = networkx.is_isomorphic(drawn(one), drawn(other), node_match=lambda a, b: a["kind"] == b["kind"])
    return bool(match)


def with_node(graph: Graph, node: GraphNode) -> Graph:
    nodes = (*graph.nodes[: node.id], node, *graph.nodes[node.id + 1 :])
    return Graph(nodes, graph.inputs, graph.outputs)


@given(spaces(), seeds)
@examples(60)
def test_listing_paths_and_names_of_weights_play_no_part(space: Space, seed: int) -> None:
    graph = space.graph(space.sample(Random(seed)))
    other = relisted(graph, Random(seed))
    assert other.hash == graph.hash
    assert (other.parameters, other.flops, other.depth) == (graph.parameters, graph.flops, graph.depth)


def renamed(data: Any) -> Any:
    """Other names of nodes and of options."""
    if isinstance(data, list):
        return [renamed(item) for item in data]
    if not isinstance(data, dict):
        return data
    result: dict[str, Any] = {}
    for key, value in data.items():
        if key == "name":
            result[key] = f"{value}_other"
        elif key in ("choice", "ops") and isinstance(value, dict):
            result[key] = {f"z{name}": renamed(node) for name, node in value.items()}
        else:
            result[key] = renamed(value)
    return result


@given(spaces(), seeds)
@examples(40)
def test_names_in_a_space_play_no_part(space: Space, seed: int) -> None:
    other = Space.from_dict(renamed(space.to_dict()))
    assert other.size() == space.size()
    index = Random(seed).randrange(space.size())
    one, twin = space.at(index), other.at(index)
    assert (one is None) == (twin is None)
    if one is not None and twin is not None:
        assert other.graph(twin).hash == space.graph(one).hash


@given(spaces(), seeds)
@examples(60)
def test_another_operation_in_one_place_is_another_network(space: Space, seed: int) -> None:
    graph = space.graph(space.sample(Random(seed)))
    live = [node for node in graph.nodes if len(node.inputs) == 1]
    if not live:
        return
    node = Random(seed).choice(live)
    given = [(key, type(value), value) for key, value in node.operation.parameters]
    changes = [(node.op, (*given[:n], *_moved(one), *given[n + 1 :])) for n, one in enumerate(given)]
    for name, parameters in [*changes, ("relu", ()), ("gelu", ()), ("shift", ())]:
        try:
            operation = resolve(name, tuple(parameters), node.operation.inputs)
        except OperationError:
            continue
        other = with_node(graph, node._replace(operation=operation))
        assert (other.hash == graph.hash) == (operation.label == node.operation.label)


def _moved(given: tuple[str, type, Any]) -> list[tuple[str, type, Any]]:
    key, kind, value = given
    return [(key, kind, not value if kind is bool else value if kind is str else value + 1)]


@given(spaces(), seeds)
@examples(60)
def test_other_inputs_and_other_sharing_are_told_apart_exactly(space: Space, seed: int) -> None:
    rng = Random(seed)
    graph = space.graph(space.sample(rng))
    if len(graph.nodes) > 40:
        return
    others = []
    for node in graph.nodes:
        if len(node.inputs) > 1:
            others.append(with_node(graph, node._replace(inputs=node.inputs[::-1])))
        for source in range(node.id):
            if node.inputs and graph[source].shape == graph[node.inputs[0]].shape:
                others.append(with_node(graph, node._replace(inputs=(source, *node.inputs[1:]))))
        if node.operation.weights and node.group not in graph.shared:
            others.append(with_node(graph, node._replace(group="alone")))
            others.append(with_node(graph, node._replace(group=min(graph.shared, default=""))))
    for other in rng.sample(others, min(6, len(others))):
        if _all_live(other):
            assert (other.hash == graph.hash) == isomorphic(other, graph)


def _all_live(graph: Graph) -> bool:
    read = {source for node in graph.nodes for source in node.inputs} | set(graph.outputs.values())
    return all(node.id in read for node in graph.nodes if node.op != "input")


@given(spaces(), seeds)
@examples(40)
def test_equal_hashes_mean_equal_counts(space: Space, seed: int) -> None:
    rng = Random(seed)
    found: dict[str, tuple[int, int, int]] = {}
    for _ in range(30):
        graph = space.graph(space.sample(rng))
        facts = (graph.parameters, graph.flops, graph.depth)
        assert found.setdefault(graph.hash, facts) == facts
