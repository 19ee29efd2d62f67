"""The search-space language as its reference tells it: scans, maps, and what sees what.

Nothing here follows the implementation: sizes, paths, shapes and counts are written out beside each space.
"""

from __future__ import annotations

import pytest
from by_hand import IMAGE, SEQ, network, operations, paths, shape

# Scan and map


SCANNED = (
    SEQ
    + """
body:
  name: layers
  repeat:
    count: {int: [1, 3]}
    weights: %s
    body:
      scan:
        state: {h: 4}
        body:
          sequence: [{layer: concat, from: [x, h]}, {name: cell, layer: linear, out: 4,
              activation: {choice: [tanh, relu]}}]
"""
)


@pytest.mark.parametrize("weights", ["shared", "separate"])
def test_a_scan_in_a_repeat(weights: str) -> None:
    text = SCANNED % weights
    assert paths(text) == {"layers.count", "layers.cell.activation"}
    for count in (1, 2, 3):
        graph = network(text, {"layers.count": count, "layers.cell.activation": "tanh"})
        assert graph.parameters == 36 * (1 if weights == "shared" else count)
        assert graph.flops == 6 * 32 * count
        assert graph.depth == count
        assert graph.causal
        assert operations(graph) == {"scan": count}


def test_a_scan_yields_what_its_body_does_at_each_step() -> None:
    text = (
        SEQ
        + """
body:
  scan:
    state: {h: 3, c: 4}
    body:
      sequence:
        - {as: c, layer: sum, from: [x, c]}
        - {layer: concat, from: [c, h]}
        - {as: h, layer: linear, out: 3, bias: false}
        - {layer: linear, out: 5, bias: false}
"""
    )
    graph = network(text)
    assert shape(graph) == "seq[5,6]"
    assert graph.parameters == 7 * 3 + 3 * 5
    assert graph.flops == 6 * 36


def test_a_map_over_two_inputs() -> None:
    text = """
input: {left: {kind: seq, shape: [4, 6]}, right: {kind: seq, shape: [4, 9]}}
body:
  sequence:
    - {name: both, as: head, map: {over: [left, right], weights: %s, body: {layer: conv, k: {choice: [1,
        3]}, out: 5}}}
output: [head_left, head_right]
"""
    for weights, sets in (("shared", 1), ("separate", 2)):
        assert paths(text % weights) == {"both.k"}
        graph = network(text % weights, {"both.k": 3})
        assert graph.parameters == sets * (3 * 4 * 5 + 5)
        assert graph.flops == 60 * 6 + 60 * 9
        assert [shape(graph, name) for name in ("head_left", "head_right")] == ["seq[5,6]", "seq[5,9]"]
    assert not network(text % "shared", {"both.k": 3}).causal_in("left")
    assert network(text % "shared", {"both.k": 1}).causal


def test_a_map_without_a_name_takes_the_names_over() -> None:
    text = (
        IMAGE
        + """
body:
  sequence:
    - {as: a, layer: conv, k: 1, out: 4}
    - {as: b, layer: conv, k: 1, out: 6}
    - {name: m, map: {over: [b, a], body: {layer: conv, k: 1, out: 5, bias: false}}}
    - {name: next, layer: conv, k: 1, out: 2, bias: false}
    - {name: join, layer: sum, from: [a, b]}
output: [features]
"""
    )
    graph = network(text)
    assert shape(graph) == "image[5,8,8]"
    assert graph.parameters == 16 + 30 + 30 + 20  # a of x, b of a, m of b and of a; next leads nowhere
    last = network(text.replace("    - {name: join, layer: sum, from: [a, b]}\n", ""))
    assert last.parameters == 16 + 20 + 10  # next reads the last result, that of a


# Causality


@pytest.mark.parametrize(
    ("body", "causal"),
    [
        ("{layer: conv, k: 3, padding: causal}", True),
        ("{layer: conv, k: 3, padding: same}", False),
        ("{layer: conv, k: 3, padding: valid}", False),
        ("{layer: conv, k: 1}", True),
        ("{layer: attention, heads: 2, causal: true}", True),
        ("{layer: attention, heads: 2}", False),
        ("{layer: lstm, out: 3}", True),
        ("{layer: lstm, out: 3, bidirectional: true}", False),
        ("{layer: transpose}", False),
        ("{layer: instance_norm}", False),
        ("{layer: squeeze_excite}", False),
        ("{sequence: [{layer: shift, by: 1}, {layer: shift, by: -1}]}", False),
        ("{sequence: [{layer: conv, k: 3}, {layer: relu, from: s}]}", True),
        ("{parallel: [{layer: conv, k: 3}, {layer: gru, out: 4}]}", False),
        ("{parallel: [{sequence: [{layer: conv, k: 3}, {layer: zero}]}, {layer: gru, out: 4}]}", True),
        ("{scan: {state: {h: 4}, body: {layer: sum, from: [x, h]}}}", True),
    ],
)
def test_a_network_is_causal_or_not(body: str, causal: bool) -> None:
    assert network(SEQ + "body: " + body).causal is causal


def test_causality_is_asked_of_each_input() -> None:
    two = "input: {l: {kind: seq, shape: [4, 6]}, r: {kind: seq, shape: [4, 6]}}\n"
    crossed = network(two + "body: {layer: cross_attention, heads: 1, from: [l, r]}")
    assert (crossed.causal_in("l"), crossed.causal_in("r"), crossed.causal) == (True, False, False)
    summed = network(
        two + "body: {sequence: [{as: a, from: l, layer: conv, k: 3}, {layer: sum, from: [a, r]}]}"
    )
    assert (summed.causal_in("l"), summed.causal_in("r"), summed.causal) == (False, True, False)
