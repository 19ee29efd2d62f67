"""Equal hashes are equal functions, asked of the networks that torch runs."""

from __future__ import annotations

from random import Random

import pytest
import torch
from archloom.space import Graph, Space
from archloom_evaluators.build import build_module
from by_hand import IMAGE, SEQ
from by_hand import network as graph_of
from in_torch import built, inputs_of
from torch import Tensor

EQUAL = {
    "a product and a residual": (
        IMAGE
        + "body: {sequence: [{name: a, residual: {layer: conv, k: 3}}, {name: b, parallel: [{layer: relu}, "
        "{layer: tanh}], merge: mul}]}",
        IMAGE
        + "body: {sequence: [{as: c, name: a, layer: conv, k: 3}, {as: d, layer: sum, from: [c, x]}, {as: "
        "t, layer: tanh}, "
        "{as: r, from: d, layer: relu}, {layer: mul, from: [t, r]}]}",
    ),
    "a reduction by hand": (
        IMAGE + "body: {name: a, residual: {layer: conv, k: 3, stride: 2, out: 5}, adapt: skip}",
        IMAGE + "body: {name: a, layer: conv, k: 3, stride: 2, out: 5}",
    ),
    "a convolution of zero with norm": (
        IMAGE
        + "body: {parallel: [{name: a, layer: conv, k: 3}, {sequence: [{layer: zero}, {layer: conv, k: 1, "
        "norm: group}]}]}",
        IMAGE + "body: {name: a, layer: conv, k: 3}",
    ),
    "the states of a scan": (
        SEQ
        + "body: {name: a, scan: {state: {h: 4, c: 4}, body: {sequence: [{as: h, layer: mul, from: [x, c]}, "
        "{as: c, layer: sum, from: [x, h]}, {name: l, layer: linear, out: 3}]}}}",
        SEQ
        + "body: {name: a, scan: {state: {c: 4, h: 4}, body: {sequence: [{as: h, layer: mul, from: [c, x]}, "
        "{as: c, layer: sum, from: [h, x]}, {name: l, layer: linear, out: 3}]}}}",
    ),
}


@pytest.mark.parametrize("pair", EQUAL.values(), ids=EQUAL)
def test_equal_hashes_are_equal_functions(pair: tuple[str, str]) -> None:
    one, other = map(graph_of, pair)
    assert one.hash == other.hash
    first, second = built(one), built(other)
    weights = sorted(first.parameters(), key=lambda weight: weight.numel())
    with torch.no_grad():
        for weight, copy in zip(weights, sorted(second.parameters(), key=lambda w: w.numel()), strict=True):
            copy.copy_(weight)
    torch.testing.assert_close(first(*inputs_of(one)), second(*inputs_of(one)))


JOINED = """
input: {x: {kind: seq, shape: [4, 3]}, y: {kind: seq, shape: [4, 3]}}
body:
  sequence:
    - {name: a, as: a, from: x, layer: {choice: [zero, identity, sigmoid, instance_norm]}}
    - {name: b, as: b, from: y, layer: {choice: [zero, identity, tanh]}}
    - {name: c, as: c, layer: {choice: [sum, mul, mean, maximum]}, from: [a, b]}
    - {name: d, as: d, layer: {choice: [conv, identity, position, softmax]}, k: 3, bias: false}
    - name: e
      choice:
        one: {layer: sum, from: [d, c, b]}
        two: {layer: mul, from: [b, d]}
        three: {layer: mean, from: [d, d, a]}
        four: {layer: concat, from: [d, b]}
        five: {layer: cross_attention, from: [b, d], heads: 1, bias: false}
"""


def test_whatever_has_one_hash_is_one_function() -> None:
    space = Space.from_yaml(JOINED)
    torch.manual_seed(0)
    inputs = torch.randn(2, 4, 3), torch.randn(2, 4, 3)
    copies: dict[tuple[str, tuple[int, ...]], Tensor] = {}
    found: dict[str, tuple[Graph, Tensor]] = {}
    equal = 0
    rng = Random(2)
    for _ in range(350):
        graph = space.graph(space.sample(rng))
        network = build_module(graph).eval()
        with torch.no_grad():
            for name, weights in network.named_parameters():
                kind = name.rsplit(".", 1)[-1], tuple(weights.shape)
                weights.copy_(copies.setdefault(kind, torch.randn_like(weights)))
            output = network(*inputs)
        other, expected = found.setdefault(graph.hash, (graph, output))
        assert graph.parameters == other.parameters
        torch.testing.assert_close(output, expected)
        equal += other is not graph
    assert equal > 40
    assert len(found) > 100
