"""The search-space language as its reference tells it: which networks are equal.

Nothing here follows the implementation: sizes, paths, shapes and counts are written out beside each space.
"""

from __future__ import annotations

import pytest
from by_hand import IMAGE, SEQ, VECTOR, network

EQUAL = {
    "norms in place": (
        IMAGE + "body: {layer: conv, k: 3, norm: batch, activation: relu}",
        IMAGE + "body: {sequence: [{layer: conv, k: 3, bias: false}, {layer: batch_norm}, {layer: relu}]}",
    ),
    "names and nested sequences": (
        IMAGE + "body: {sequence: [{name: a, layer: conv, k: 3}, {name: b, sequence: [{layer: relu}, {layer: "
        "tanh}]}]}",
        IMAGE
        + "body: {sequence: [{sequence: [{layer: conv, k: 3}, {layer: relu}]}, {name: z, layer: tanh}]}",
    ),
    "order of a product": (
        IMAGE + "body: {parallel: [{layer: conv, k: 3}, {layer: relu}], merge: mul}",
        IMAGE + "body: {parallel: [{layer: relu}, {layer: conv, k: 3}], merge: mul}",
    ),
    "sum of sums": (
        IMAGE + "body: {parallel: [{layer: conv, k: 3}, {parallel: [{layer: relu}, {layer: tanh}]}]}",
        IMAGE + "body: {parallel: [{layer: tanh}, {layer: conv, k: 3}, {layer: relu}]}",
    ),
    "a convolution of zero": (
        IMAGE + "body: {parallel: [{layer: conv, k: 3}, {sequence: [{layer: zero}, {layer: conv, k: 5, norm: "
        "batch}]}]}",
        IMAGE + "body: {layer: conv, k: 3}",
    ),
    "a product with zero": (
        IMAGE + "body: {parallel: [{layer: conv, k: 3}, {layer: zero}], merge: mul}",
        IMAGE + "body: {layer: zero}",
    ),
    "times zero": (
        IMAGE + "body: {parallel: [{layer: conv, k: 3}, {layer: scale, by: 0}]}",
        IMAGE + "body: {layer: conv, k: 3}",
    ),
    "what does nothing": (
        IMAGE + "body: {layer: conv, k: 3}",
        IMAGE
        + "body: {sequence: [{layer: dropout, p: 0}, {layer: conv, k: 3}, {layer: scale, by: 1}, {layer: "
        "max_pool, k: 1}]}",
    ),
    "defaults said": (
        IMAGE + "body: {layer: conv, k: 3}",
        IMAGE
        + "body: {layer: conv, k: 3, out: 3, stride: 1, groups: 1, dilation: 1, padding: same, bias: true, "
        "norm: none}",
    ),
    "a repeat of nothing": (
        IMAGE + "body: {sequence: [{layer: conv, k: 3}, {repeat: {count: 0, body: {layer: relu}}}]}",
        IMAGE + "body: {sequence: [{when: 1 > 2, layer: relu}, {layer: conv, k: 3}]}",
    ),
    "a residual written out": (
        IMAGE + "body: {residual: {layer: conv, k: 3}}",
        IMAGE + "body: {sequence: [{as: c, layer: conv, k: 3}, {layer: sum, from: [x, c]}]}",
    ),
    "a repeat and a part": (
        IMAGE + "body: {repeat: {count: 2, body: {layer: conv, k: 3}}}",
        IMAGE + "parts: {p: {layer: conv, k: 3}}\nbody: {sequence: [{name: a, use: p}, {name: b, use: p}]}",
    ),
    "shared by repetitions and by uses": (
        IMAGE + "body: {repeat: {count: 2, weights: shared, body: {layer: conv, k: 3}}}",
        IMAGE
        + "parts: {p: {layer: conv, k: 3}}\nbody: {sequence: [&u {name: a, use: {part: p, weights: shared}}, "
        "{name: b, use: {part: p, weights: shared}}]}",
    ),
    "shared with nobody": (
        IMAGE + "body: {repeat: {count: 1, weights: shared, body: {layer: conv, k: 3}}}",
        IMAGE + "body: {layer: conv, k: 3}",
    ),
    "nothing reaches the output": (
        IMAGE + "body: {sequence: [{layer: conv, k: 5}, {from: x, layer: relu}]}",
        IMAGE + "body: {layer: relu}",
    ),
    "a map with shared weights and a shared part": (
        SEQ + "body: {sequence: [{as: a, layer: relu}, {as: b, layer: tanh}, "
        "{as: m, map: {over: [a, b], weights: shared, body: {layer: linear, out: 4}}}, {layer: sum, from: "
        "[m_a, m_b]}]}",
        SEQ + "parts: {p: {layer: linear, out: 4}}\nbody: {sequence: [{as: a, layer: relu}, {as: b, layer: "
        "tanh}, "
        "{as: u, from: a, use: {part: p, weights: shared}}, {as: v, from: b, use: {part: p, weights: "
        "shared}}, "
        "{layer: sum, from: [v, u]}]}",
    ),
    "order of the states of a scan": (
        SEQ + "body: {scan: {state: {h: 4, c: 4}, body: {sequence: [{as: h, layer: mul, from: [x, c]}, "
        "{as: c, layer: sum, from: [x, h]}]}}}",
        SEQ + "body: {scan: {state: {c: 4, h: 4}, body: {sequence: [{as: h, layer: mul, from: [x, c]}, "
        "{as: c, layer: sum, from: [h, x]}]}}}",
    ),
}

TWO = "input: {x: {kind: vector, shape: [4]}, y: {kind: vector, shape: [4]}}\n"
SHARED = (
    "parts: {p: {layer: linear, out: 4}, q: {layer: linear, out: 4}}\nbody: {sequence: ["
    "{name: a, use: {part: p, weights: shared}}, {layer: relu}, {name: b, use: {part: q, weights: shared}}, "
    "{layer: tanh}, "
    "{name: c, use: {part: %s, weights: shared}}, {layer: gelu}, {name: d, use: {part: %s, weights: "
    "shared}}]}"
)

DIFFERENT = {
    "order of a concatenation": (
        IMAGE + "body: {parallel: [{layer: conv, k: 3}, {layer: relu}], merge: concat}",
        IMAGE + "body: {parallel: [{layer: relu}, {layer: conv, k: 3}], merge: concat}",
    ),
    "x + x and x": (VECTOR + "body: {layer: sum, from: [x, x]}", VECTOR + "body: {layer: identity}"),
    "x + x + x and x + x": (
        VECTOR + "body: {layer: sum, from: [x, x, x]}",
        VECTOR + "body: {layer: sum, from: [x, x]}",
    ),
    "two convolutions and one twice": (
        IMAGE + "body: {parallel: [{layer: conv, k: 3}, {layer: conv, k: 3}]}",
        IMAGE + "body: {sequence: [{as: a, layer: conv, k: 3}, {layer: sum, from: [a, a]}]}",
    ),
    "weights of its own or shared": (
        IMAGE + "body: {repeat: {count: 2, body: {layer: conv, k: 3}}}",
        IMAGE + "body: {repeat: {count: 2, weights: shared, body: {layer: conv, k: 3}}}",
    ),
    "who shares with whom": (VECTOR + SHARED % ("p", "q"), VECTOR + SHARED % ("q", "p")),
    "a convolution of zero with a bias": (
        IMAGE + "body: {parallel: [{layer: conv, k: 3}, {sequence: [{layer: zero}, {layer: conv, k: 3}]}]}",
        IMAGE + "body: {layer: conv, k: 3}",
    ),
    "which input": (
        TWO + "body: {sequence: [{as: a, from: x, layer: tanh}, {layer: sum, from: [a, y]}]}",
        TWO + "body: {sequence: [{as: a, from: y, layer: tanh}, {layer: sum, from: [a, x]}]}",
    ),
    "which sequence is asked": (
        SEQ + "body: {sequence: [{as: a, layer: relu}, {layer: cross_attention, heads: 1, from: [a, s]}]}",
        SEQ + "body: {sequence: [{as: a, layer: relu}, {layer: cross_attention, heads: 1, from: [s, a]}]}",
    ),
    "how much is dropped": (
        VECTOR + "body: {layer: dropout, p: 0.1}",
        VECTOR + "body: {layer: dropout, p: 0.2}",
    ),
    "where the stride is": (
        IMAGE + "body: {sequence: [{layer: conv, k: 1, stride: 2}, {layer: conv, k: 1}]}",
        IMAGE + "body: {sequence: [{layer: conv, k: 1}, {layer: conv, k: 1, stride: 2}]}",
    ),
    "means of means": (
        VECTOR
        + "body: {sequence: [{as: a, layer: relu}, {as: b, layer: mean, from: [a, x]}, {as: c, layer: tanh, "
        "from: x}, "
        "{layer: mean, from: [b, c]}]}",
        VECTOR
        + "body: {sequence: [{as: a, layer: relu}, {as: c, layer: tanh, from: x}, {layer: mean, from: [a, "
        "x, c]}]}",
    ),
    "what becomes the next state": (
        SEQ + "body: {scan: {state: {h: 4}, body: {sequence: [{layer: sum, from: [x, h]}, {layer: relu}]}}}",
        SEQ + "body: {scan: {state: {h: 4}, body: {sequence: [{as: h, layer: sum, from: [x, h]}, {layer: "
        "relu}]}}}",
    ),
    "scans that share": (
        SEQ
        + "body: {repeat: {count: 2, body: {scan: {state: {h: 4}, body: {sequence: [{layer: sum, from: [x, "
        "h]}, "
        "{layer: linear, out: 4}]}}}}}",
        SEQ + "body: {repeat: {count: 2, weights: shared, body: {scan: {state: {h: 4}, body: {sequence: "
        "[{layer: sum, from: [x, h]}, "
        "{layer: linear, out: 4}]}}}}}",
    ),
}


@pytest.mark.parametrize("pair", EQUAL.values(), ids=EQUAL)
def test_equal_networks_have_equal_hashes(pair: tuple[str, str]) -> None:
    one, other = map(network, pair)
    assert one.hash == other.hash
    assert (one.parameters, one.flops, one.depth) == (other.parameters, other.flops, other.depth)


@pytest.mark.parametrize("pair", DIFFERENT.values(), ids=DIFFERENT)
def test_different_networks_have_different_hashes(pair: tuple[str, str]) -> None:
    one, other = map(network, pair)
    assert one.hash != other.hash
