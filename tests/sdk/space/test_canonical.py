"""The hash is an isomorphism invariant, and exact. The oracle is networkx."""

from __future__ import annotations

from random import Random
from typing import Any

import networkx
from archloom.space import Space
from archloom.space.networks.canonical import hash_of_pieces
from archloom.space.networks.pieces import labelled
from hypothesis import given
from hypothesis import strategies as st
from random_spaces import examples

Node = tuple[bytes, bool, tuple[int, ...], str]
"""Label, whether its inputs are ordered, its inputs, its weight-sharing group or ""."""

LABELS = {"a": False, "b": False, "concat": True}


@st.composite
def networks(draw: st.DrawFn) -> list[Node]:
    """A network whose node 0 is the input and whose last node is the output; all of it is live."""
    count = draw(st.integers(1, 6))
    nodes: list[Node] = [(b"input", False, (), "")]
    for number in range(1, count + 1):
        label = draw(st.sampled_from(sorted(LABELS)))
        sources = draw(st.lists(st.integers(0, number - 1), min_size=1, max_size=3))
        group = draw(st.sampled_from(["", "", "", "g", "h"]))
        nodes.append((label.encode(), LABELS[label], tuple(sources), group))
    read = {source for _, _, sources, _ in nodes for source in sources}
    loose = tuple(number for number in range(1, count + 1) if number not in read)
    nodes.append((b"sum", False, loose, ""))
    return nodes


def hashed(nodes: list[Node]) -> str:
    pieces = [labelled(label, ordered) for label, ordered, _, _ in nodes]
    sources = [read for _, _, read, _ in nodes]
    sharing = {number: group for number, (_, _, _, group) in enumerate(nodes) if group}
    return hash_of_pieces(pieces, sources, sharing, {"x": 0}, {"y": len(nodes) - 1})


def drawn(nodes: list[Node]) -> Any:
    """The same for networkx: edges become vertices, groups too."""
    graph = networkx.DiGraph()
    for number, (label, ordered, sources, group) in enumerate(nodes):
        graph.add_node(number, kind=label)
        if group:
            graph.add_node(group, kind=b"group")
            graph.add_edge(number, group)
        for place, source in enumerate(sources):
            graph.add_node((number, place), kind=f"edge {place if ordered else ''}".encode())
            graph.add_edge(source, (number, place))
            graph.add_edge((number, place), number)
    return graph


def isomorphic(one: list[Node], other: list[Node]) -> bool:
    return bool(
        networkx.is_isomorphic(drawn(one), drawn(other), node_match=lambda a, b: a["kind"] == b["kind"])
    )


def shuffled(nodes: list[Node], seed: int) -> list[Node]:
    """The same network in another topological order, terms of unordered nodes shuffled, groups renamed."""
    rng = Random(seed)
    left = set(range(len(nodes) - 1))
    order: list[int] = []
    while left:
        ready = [n for n in left if all(source in order for source in nodes[n][2])]
        chosen = 0 if 0 in left else rng.choice(sorted(ready))
        order.append(chosen)
        left.remove(chosen)
    order.append(len(nodes) - 1)
    place = {old: new for new, old in enumerate(order)}
    result: list[Node] = []
    for old in order:
        label, ordered, sources, group = nodes[old]
        moved = [place[source] for source in sources]
        if not ordered:
            rng.shuffle(moved)
        result.append((label, ordered, tuple(moved), group and f"{group}'"))
    return result


@given(networks(), st.integers(0, 1000))
@examples(200)
def test_listing_and_naming_play_no_part(nodes: list[Node], seed: int) -> None:
    assert hashed(shuffled(nodes, seed)) == hashed(nodes)


@given(networks(), networks())
@examples(200)
def test_equal_hashes_are_isomorphic(one: list[Node], other: list[Node]) -> None:
    assert (hashed(one) == hashed(other)) == isomorphic(one, other)


@given(networks(), st.data())
@examples(300)
def test_a_small_change_is_seen_exactly_when_it_matters(nodes: list[Node], data: st.DataObject) -> None:
    number = data.draw(st.integers(1, len(nodes) - 1))
    label, ordered, sources, group = nodes[number]
    changed = (*sources[1:], data.draw(st.integers(0, number - 1)))
    other = [*nodes[:number], (label, ordered, changed, group), *nodes[number + 1 :]]
    read = {source for _, _, before, _ in other for source in before}
    if all(n in read for n in range(1, len(other) - 1)):
        assert (hashed(nodes) == hashed(other)) == isomorphic(nodes, other)


def ring(pairs: list[tuple[int, int]]) -> list[Node]:
    """Four equal layers, sums of pairs of them, an activation on each, and a sum of all."""
    nodes: list[Node] = [(b"input", False, (), "")]
    nodes += [(b"conv", False, (0,), "")] * 4
    nodes += [(b"sum", False, pair, "") for pair in pairs]
    nodes += [(b"relu", False, (5 + n,), "") for n in range(4)]
    return [*nodes, (b"sum", False, (9, 10, 11, 12), "")]


def test_colour_refinement_alone_would_take_these_for_equal() -> None:
    eight = ring([(1, 2), (2, 3), (3, 4), (4, 1)])
    twice_four = ring([(1, 2), (1, 2), (3, 4), (3, 4)])
    assert hashed(eight) != hashed(twice_four)
    assert hashed(eight) == hashed(ring([(1, 3), (3, 2), (2, 4), (4, 1)]))
    assert hashed(twice_four) == hashed(ring([(1, 4), (3, 2), (1, 4), (3, 2)]))


def test_many_equal_branches_are_quick() -> None:
    pairs: list[Node] = [(b"input", False, (), "")]
    for _ in range(12):
        first = len(pairs)
        pairs += [(b"a", False, (0,), ""), (b"a", False, (0,), "")]
        pairs += [(b"b", False, (first, first + 1), ""), (b"b", False, (first, first + 1), "")]
    pairs.append((b"sum", False, tuple(n for n, node in enumerate(pairs) if node[0] == b"b"), ""))
    assert hashed(pairs) == hashed(shuffled(pairs, 3))


def every_pair(count: int) -> list[Node]:
    """So many equal layers and the sum of every two: all of them stand for each other."""
    nodes: list[Node] = [(b"input", False, (), "")]
    nodes += [(b"conv", False, (0,), "")] * count
    nodes += [(b"sum", False, (a, b), "") for a in range(1, count + 1) for b in range(a + 1, count + 1)]
    return [*nodes, (b"sum", False, tuple(range(count + 1, len(nodes))), "")]


def test_a_very_symmetric_network_has_one_hash() -> None:
    nodes = every_pair(7)
    assert {hashed(shuffled(nodes, seed)) for seed in range(4)} == {hashed(nodes)}
    without = [*nodes[:-2], (b"sum", False, (1, 3), ""), nodes[-1]]  # one pair twice, another never
    assert hashed(without) != hashed(nodes)


def test_sums_of_sums_are_sums_and_identities_vanish() -> None:
    def network(body: dict[str, Any]) -> str:
        space = Space.from_dict({"input": {"x": {"kind": "image", "shape": [2, 4, 4]}}, "body": body})
        return space.graph(next(space.enumerate())).hash

    conv = {"layer": "conv", "k": 3}
    flat = {"parallel": [conv, conv, {"layer": "relu"}]}
    nested = {"parallel": [{"parallel": [conv, {"layer": "relu"}]}, conv, {"layer": "zero"}]}
    spelled = {"sequence": [{"layer": "identity"}, nested, {"layer": "dropout", "p": 0.0}]}
    assert network(flat) == network(nested) == network(spelled)
    assert network({"residual": conv}) == network({"parallel": [{"layer": "identity"}, conv]})
    assert network(flat) != network({"parallel": [conv, {"layer": "relu"}]})
    twice = {"parallel": [{"layer": "identity"}, {"layer": "identity"}]}
    assert network(twice) != network({"layer": "identity"})
    ordered = [{"layer": "relu"}, conv]
    assert network({"parallel": ordered, "merge": "concat"}) != network(
        {"parallel": ordered[::-1], "merge": "concat"}
    )
    assert network({"parallel": ordered}) == network({"parallel": ordered[::-1]})
