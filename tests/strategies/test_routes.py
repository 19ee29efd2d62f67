from __future__ import annotations

import random
from collections import Counter

import numpy as np
import pytest
from archloom.space import Graph, Space, load_preset
from archloom.space.nasbench201 import from_arch_string
from archloom_strategies.routes import KINDS, MERGES, routes

CELLS = load_preset("nasbench201")
ALL = [KINDS, 2 * KINDS + 1, 3 * KINDS + 2]


def ways(graph: Graph) -> list[list[int]]:
    """Every way from a layer without inputs to one that nothing reads."""
    read = {source for node in graph.nodes for source in node.inputs}
    ends = [number for number in range(len(graph.nodes)) if number not in read]

    def up(number: int) -> list[list[int]]:
        sources = graph.nodes[number].inputs
        return [[*way, number] for source in sources for way in up(source)] if sources else [[number]]

    return [way for end in ends for way in up(end)]


def test_it_is_the_fewest_and_the_most_of_all_ways() -> None:
    """Of one cell alone, whose ways can be listed."""
    space = load_preset("text_encoder")
    rng = random.Random(2)
    graphs = [space.graph(space.sample(rng)) for _ in range(12)]
    some = [graph for graph in graphs if len(graph.nodes) < 60]
    assert len(some) >= 3
    for graph, row in zip(some, np.square(routes(some)), strict=True):
        layers = [node.op not in MERGES for node in graph.nodes]
        along = [sum(layers[number] for number in way) for way in ways(graph)]
        assert row[ALL] == pytest.approx([sum(layers), min(along), max(along)], abs=1e-3)
        kinds = Counter(node.op for node in graph.nodes if node.op not in MERGES)
        assert sorted(row[:KINDS])[-1] >= max(kinds.values()) - 1e-3
        assert row[:KINDS].sum() == pytest.approx(sum(layers), abs=1e-3)


def test_a_skip_connection_shortens_the_shortest_way_and_leaves_the_longest() -> None:
    plain = "|nor_conv_3x3~0|+|none~0|nor_conv_3x3~1|+|none~0|none~1|nor_conv_3x3~2|"
    skipping = "|nor_conv_3x3~0|+|none~0|nor_conv_3x3~1|+|skip_connect~0|none~1|nor_conv_3x3~2|"
    one, other = np.square(routes([CELLS.graph(from_arch_string(each)) for each in (plain, skipping)]))
    assert one[ALL[0]] == other[ALL[0]]
    assert one[ALL[1]] > other[ALL[1]]
    assert one[ALL[2]] == other[ALL[2]]


def test_networks_of_tens_of_thousands_of_layers_are_counted() -> None:
    space = Space.from_yaml(
        "input: {x: {kind: image, shape: [3, 8, 8]}}\n"
        "body: {repeat: {count: 40, body: {repeat: {count: 1000, body: {layer: relu}}}}}\n"
    )
    [graph] = [space.graph(each) for each in space.enumerate()]
    [row] = routes([graph])
    assert row[ALL] == pytest.approx([40_001**0.5] * 3)


def test_an_input_that_leads_nowhere_is_no_way() -> None:
    space = Space.from_yaml(
        "input: {x: {kind: image, shape: [3, 8, 8]}, y: {kind: image, shape: [3, 8, 8]}}\n"
        "body:\n"
        "  sequence:\n"
        "    - {layer: conv, k: 1, out: 4, as: early}\n"
        "    - {layer: relu}\n"
        "    - {name: end, choice: {alone: {layer: tanh}, both: {layer: concat, from: [early, y]}}}\n"
        "output: [features, early]\n"
    )
    alone, both = (space.graph(each) for each in space.enumerate())
    assert [node.op for node in alone.nodes].count("input") == 2
    found = np.square(routes([alone, both]))[:, ALL]
    assert found == pytest.approx(np.array([[5, 4, 4], [3, 1, 2]]), abs=1e-3)


def test_without_networks_there_are_no_rows() -> None:
    assert routes([]).shape == (0, 3 * (KINDS + 1))
