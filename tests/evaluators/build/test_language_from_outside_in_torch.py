"""What the search-space language promises of a network, asked of the network that torch runs.

Shapes and counts, weights that are shared, outputs worked out by hand, and what causality means.
"""

from __future__ import annotations

from random import Random

import pytest
import torch
from archloom.space import Space
from archloom_evaluators.build import Network
from by_hand import SEQ, VECTOR
from by_hand import network as graph_of
from in_torch import built, check, inputs_of
from torch import Tensor

MIXED = """
let: {w: {choice: [4, 6]}}
input: {left: {kind: image, shape: [3, 8, 6]}, right: {kind: seq, shape: [5, 7]}, words: {kind: tokens,
    shape: [5]}}
parts:
  block:
    adapt: project
    residual:
      sequence:
        - {name: conv, layer: {choice: [conv, separable, max_pool]}, k: 3, stride: =step, out: =w}
        - {name: gate, when: gated, layer: squeeze_excite}
body:
  sequence:
    - name: image
      repeat:
        count: {int: [1, 3]}
        decisions: free
        body: {let: {step: =2 if i == 0 else 1}, use: {part: block, decisions: free, with: {step: =step,
            gated: =i > 0}}}
    - {name: rows, layer: to_seq}
    - {name: fit, as: image, layer: linear, out: =w}
    - {name: sound, as: sound, from: right, layer: {choice: [gru, lstm]}, out: =w}
    - {name: text, as: text, from: words, layer: embedding, vocabulary: 10, out: =w}
    - {name: norms, map: {over: [image, sound, text], weights: {W}, body: {layer: layer_norm}}}
    - name: read
      as: read
      adapt: project
      repeat:
        count: 2
        weights: shared
        links: {subset: earlier, merge: concat}
        body:
          sequence:
            - {name: first, as: q, layer: linear, out: =w}
            - {name: ask, as: asked, layer: cross_attention, from: [q, image], heads: {divisors: w,
                among: [2, 3, 4]}}
            - {name: hear, layer: cross_attention, from: [asked, sound], heads: 1, out: =w - 2}
    - {name: pool, layer: global_pool}
    - {name: out, as: out, layer: linear, out: 2}
output: [out, read, image]
"""


@pytest.mark.parametrize("weights", ["shared", "separate"])
def test_a_mixed_space_is_built_as_counted(weights: str) -> None:
    space = Space.from_yaml(MIXED.replace("{W}", weights))
    rng = Random(0)
    for _ in range(15):
        check(space.graph(space.sample(rng)))


def linear(network: Network, part: str) -> tuple[Tensor, Tensor]:
    state = network.state_dict()
    (weight,) = (value for name, value in state.items() if part in name and name.endswith("weight"))
    (bias,) = (value for name, value in state.items() if part in name and name.endswith("bias"))
    return weight, bias


def test_a_scan_computes_what_it_says() -> None:
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
        - {name: next, as: h, layer: linear, out: 3, activation: tanh}
        - {name: yield, layer: linear, out: 5}
"""
    )
    graph = graph_of(text)
    network = built(graph)
    (x,) = inputs_of(graph)
    w_next, b_next = linear(network, "next")
    w_yield, b_yield = linear(network, "yield")
    h, c, steps = torch.zeros(2, 3), torch.zeros(2, 4), []
    for t in range(6):
        c = x[:, :, t] + c
        h = torch.tanh(torch.cat([c, h], 1) @ w_next.T + b_next)
        steps.append(h @ w_yield.T + b_yield)
    torch.testing.assert_close(network(x), torch.stack(steps, 2))


def test_the_body_of_a_scan_sets_its_first_state() -> None:
    graph = graph_of(
        SEQ + "body: {scan: {state: {h: 4, g: 4}, body: {sequence: [{layer: sum, from: [x, h, g]}, {layer: "
        "tanh}]}}}"
    )
    (x,) = inputs_of(graph)
    h, steps = torch.zeros(2, 4), []
    for t in range(6):
        h = torch.tanh(x[:, :, t] + h)  # nothing sets g: it stays zero
        steps.append(h)
    torch.testing.assert_close(built(graph)(x), torch.stack(steps, 2))


def test_a_scan_with_shared_weights_in_a_repeat_is_one_set_of_weights() -> None:
    text = (
        SEQ
        + """
body:
  name: r
  repeat:
    count: 3
    weights: %s
    body: {scan: {state: {h: 4}, body: {sequence: [{layer: concat, from: [x, h]}, {layer: linear, out: 4,
        activation: tanh}]}}}
"""
    )
    shared = graph_of(text % "shared")
    network = built(shared)
    (weight, bias) = linear(network, "linear")
    (x,) = inputs_of(shared)
    for _ in range(3):
        h, steps = torch.zeros(2, 4), []
        for t in range(6):
            h = torch.tanh(torch.cat([x[:, :, t], h], 1) @ weight.T + bias)
            steps.append(h)
        x = torch.stack(steps, 2)
    torch.testing.assert_close(network(*inputs_of(shared)), x)
    assert len(list(built(graph_of(text % "separate")).parameters())) == 6


def test_links_join_what_they_name() -> None:
    text = (
        VECTOR
        + """
body:
  name: r
  repeat:
    count: 3
    links: {subset: earlier, most: 2, merge: concat}
    body: {layer: linear, out: 2}
"""
    )
    graph = graph_of(text, {"r[1].links": [0], "r[2].links": [0, 1]})
    network = built(graph)
    (x,) = inputs_of(graph)
    tensors = [x]
    for i, read in enumerate([[0], [0, 1], [0, 1, 2]]):
        weight, bias = linear(network, f"[{i}]")
        tensors.append(torch.cat([tensors[j] for j in read], 1) @ weight.T + bias)
    torch.testing.assert_close(network(x), tensors[-1])


def test_a_map_with_shared_weights_over_two_inputs() -> None:
    text = """
input: {left: {kind: seq, shape: [4, 6]}, right: {kind: seq, shape: [4, 9]}}
body:
  sequence: [{as: head, map: {over: [right, left], weights: shared, body: {layer: linear, out: 3}}},
      {layer: relu}]
output: [features, head_right, head_left]
"""
    graph = graph_of(text)
    network = built(graph)
    left, right = inputs_of(graph)
    weight, bias = linear(network, "")
    results = network.outputs(left, right)

    def by_hand(x: Tensor) -> Tensor:
        return (x.transpose(1, 2) @ weight.T + bias).transpose(1, 2)

    torch.testing.assert_close(results["head_right"], by_hand(right))
    torch.testing.assert_close(results["head_left"], by_hand(left))
    torch.testing.assert_close(results["features"], by_hand(left).relu())  # the last of the results


def test_carry_and_names_through_repeats() -> None:
    text = (
        VECTOR
        + """
let: {keep: {bool: [false, true]}}
body:
  carry: 2
  sequence:
    - {as: doubled, layer: scale, by: 2}
    - {name: r, repeat: {count: {int: [0, 2]}, body: {repeat: {count: 2, body: {layer: scale, by: =3 + i}}}}}
    - {name: gone, when: keep, layer: scale, by: 10}
    - {name: c, cell: {inputs: 2, nodes: 1, edges: dense, ops: {half: {layer: scale, by: 0.5}}, join: mul}}
    - {layer: sum, from: [c_out, doubled]}
"""
    )
    text = text.replace("{name: c, cell", "{name: c, as: c_out, cell")
    edges: dict[str, object] = {"c.node[2].edge[0]": "half", "c.node[2].edge[1]": "half"}
    x = torch.tensor([[1.0, -2.0, 0.5, 3.0]])
    for count, keep, old, new in [
        (0, False, 1.0, 2.0),
        (0, True, 2.0, 20.0),
        (1, False, 6.0, 24.0),
        (2, False, 24.0 * 3, 24.0 * 12),
        (2, True, 24.0 * 12, 240.0 * 12),
    ]:
        graph = graph_of(text, edges | {"r.count": count, "keep": keep})
        expected = (0.5 * old * x) * (0.5 * new * x) + 2 * x
        torch.testing.assert_close(built(graph)(x), expected)


def test_two_outputs_that_are_one_tensor() -> None:
    text = (
        VECTOR
        + """
body: {sequence: [{as: now, layer: linear, out: 4}, {as: same, layer: dropout, p: 0.0}]}
output: [features, same, now, x]
"""
    )
    results = check(graph_of(text))
    assert torch.equal(results["features"], results["now"])
    assert torch.equal(results["same"], results["now"])
    assert not torch.equal(results["x"], results["now"])


CAUSAL = """
let: {w: {choice: [4, 8]}}
input: {words: {kind: tokens, shape: [9]}, sound: {kind: seq, shape: [3, 9]}}
parts:
  mixer:
    choice:
      att: {layer: attention, heads: {divisors: w, among: [1, 2, 4]}, causal: {bool: [false, true]},
          window: {choice: [0, 1, 3]}}
      conv: {layer: conv, k: {choice: [1, 2, 3]}, padding: {choice: [causal, same, valid]},
          dilation: {choice: [1, 2]}}
      pool: {layer: {choice: [avg_pool, max_pool]}, k: 3, padding: {choice: [causal, same]}}
      rec: {layer: {choice: [gru, lstm, rnn]}, out: =w // 2, bidirectional: {bool: [false, true]}}
      norm: {layer: {choice: [layer_norm, instance_norm, group_norm, rms_norm, squeeze_excite, batch_norm]}}
      scan: {scan: {state: {h: =w}, body: {sequence: [{layer: sum, from: [x, h]}, {layer: linear, out: =w,
          activation: tanh}]}}}
      shift: {layer: shift, by: {choice: [-1, 1]}}
body:
  sequence:
    - {name: embed, as: e, layer: embedding, vocabulary: 10, out: =w}
    - {name: hear, as: s, from: sound, layer: linear, out: =w}
    - {name: join, layer: sum, from: [e, s]}
    - {name: first, residual: {use: {part: mixer, decisions: free}}, adapt: project}
    - {name: second, from: e, use: {part: mixer, decisions: free}}
    - {name: third, as: t, choice: {read: {layer: cross_attention, from: [e, s], heads: 1},
        not: {layer: identity}}}
"""


def test_what_is_called_causal_does_not_look_ahead() -> None:
    space = Space.from_yaml(CAUSAL)
    rng = Random(0)
    causal = 0
    for _ in range(50):
        graph = space.graph(space.sample(rng))
        network = built(graph)
        words, sound = inputs_of(graph)
        output = network(words, sound)
        length = output.shape[2]
        for name in ("words", "sound"):
            leaks = False
            for t in (1, length // 2, length - 1):
                changed = {"words": words.clone(), "sound": sound.clone()}
                changed[name][..., t:] = (
                    (words[..., t:] + 3) % 10 if name == "words" else -sound[..., t:] + 0.7
                )
                after = network(changed["words"], changed["sound"])
                leaks |= not torch.allclose(after[..., :t], output[..., :t], atol=1e-6)
            if graph.causal_in(name):
                assert not leaks
                causal += 1
    assert causal > 15
