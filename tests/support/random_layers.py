"""Random layers for random spaces, by the kind of tensor that they take."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any

Data = dict[str, Any]

_ACTIVATIONS: Sequence[Any] = ("none", "relu", "sigmoid", {"choice": ["silu", "tanh"]})
_NORMS: Sequence[Any] = ("none", "batch", "layer", {"choice": ["none", "batch"]})
_POINTWISE = (
    "relu",
    "gelu",
    "prelu",
    "identity",
    "zero",
    "batch_norm",
    "layer_norm",
    "rms_norm",
    "group_norm",
)


def width(rng: Random, variables: Sequence[str]) -> Any:
    """A small number of channels: fixed, decided, or computed."""
    options: list[Any] = [2, 4, {"choice": [2, 4]}, {"int": [2, 6, 2]}, "=cin", "=2*cin if cin < 8 else cin"]
    options += [f"=2*{name}" for name in variables]
    return rng.choice(options)


def layer(rng: Random, kind: str, variables: Sequence[str]) -> Data:
    """A layer that keeps the kind of its input."""
    return rng.choice({"image": _image, "seq": _seq, "vector": _vector}[kind])(rng, variables)


def leading_to(kind: str, rng: Random) -> dict[str, Data]:
    """Layers from a kind to others: kind -> layer."""
    found: dict[str, dict[str, Data]] = {
        "image": {
            "seq": {"layer": "to_seq"},
            "vector": {"layer": "global_pool", "mode": rng.choice(["avg", {"choice": ["avg", "max"]}])},
        },
        "seq": {"vector": {"layer": "token", "at": {"choice": ["first", "last"]}}},
        "vector": {},
        "tokens": {
            "seq": {"layer": "embedding", "vocabulary": 7, "out": rng.choice([4, {"choice": [2, 4]}])},
            "vector": {"layer": "ngram_bag", "n": rng.choice([1, {"int": [1, 2]}]), "buckets": 11, "out": 4},
        },
    }
    return found[kind]


def _some(rng: Random, given: Data, optional: Data) -> Data:
    return {**given, **{key: value for key, value in optional.items() if rng.random() < 0.3}}


def _follow(rng: Random) -> Data:
    return {"norm": rng.choice(_NORMS), "activation": rng.choice(_ACTIVATIONS), "bias": rng.random() < 0.5}


def _pointwise(rng: Random, variables: Sequence[str]) -> Data:
    return {
        "layer": rng.choice([*_POINTWISE, {"choice": ["relu", "identity"]}, {"choice": ["zero", "identity"]}])
    }


def _random_effect(rng: Random, variables: Sequence[str]) -> Data:
    p = rng.choice([{"choice": [0.0, 0.5]}, {"float": [0.1, 0.5]}, {"log": [0.01, 0.1]}])
    return rng.choice(
        [{"layer": "dropout", "p": p}, {"layer": "drop_path", "p": p}, {"layer": "scale", "by": p}]
    )


def _conv(rng: Random, variables: Sequence[str]) -> Data:
    out = {"out": width(rng, variables), "dilation": {"choice": [1, 2]}, "stride": rng.choice([1, 2])}
    kernel = rng.choice([1, 3, {"choice": [1, 3]}])
    return _some(rng, {"layer": "conv", "k": kernel}, {**out, **_follow(rng)})


def _grouped(rng: Random, variables: Sequence[str]) -> Data:
    """A width, and groups that divide it."""
    return {
        "let": {"d": {"choice": [4, 6]}},
        "sequence": [
            {"layer": "conv", "k": 1, "out": "=d"},
            {"layer": "conv", "k": 3, "groups": {"divisors": "d", "among": [1, 2, 3, 4]}},
        ],
    }


def _pool(rng: Random, variables: Sequence[str]) -> Data:
    return _some(
        rng, {"layer": rng.choice(["max_pool", {"choice": ["max_pool", "avg_pool"]}])}, {"stride": 2}
    )


def _depthwise(rng: Random, variables: Sequence[str]) -> Data:
    return rng.choice(
        [
            {"layer": "depthwise", "k": {"choice": [3, 5]}},
            {"layer": "separable", "k": 3},
            {"layer": {"choice": ["conv", "depthwise"]}, "k": 3, "norm": "batch"},
            {"layer": "squeeze_excite", "reduction": {"choice": [1, 2]}},
        ]
    )


def _block(rng: Random, variables: Sequence[str]) -> Data:
    return _some(
        rng,
        {"layer": "inverted_bottleneck", "expand": {"choice": [1, 2]}},
        {"squeeze": {"bool": [False, True]}, "out": width(rng, variables), "k": {"choice": [3, 5]}},
    )


def _recurrent(rng: Random, variables: Sequence[str]) -> Data:
    cell = rng.choice(["lstm", "gru", "rnn", {"choice": ["lstm", "gru"]}])
    return _some(
        rng, {"layer": cell, "out": 4}, {"bidirectional": {"bool": [False, True]}, "layers": {"int": [1, 2]}}
    )


def _attention(rng: Random, variables: Sequence[str]) -> Data:
    heads = rng.choice([1, {"divisors": "d", "among": [1, 2, 3, 4]}])
    attention = _some(
        rng,
        {"layer": "attention", "heads": heads},
        {"causal": True, "window": 2, "kv_heads": 1, "bias": {"bool": [False, True]}},
    )
    return {
        "let": {"d": rng.choice([4, {"choice": [4, 6]}])},
        "sequence": [{"layer": "linear", "out": "=d"}, attention],
    }


def _forward(rng: Random, variables: Sequence[str]) -> Data:
    return _some(
        rng,
        {"layer": "feed_forward", "ratio": {"choice": [1, 2]}},
        {"activation": {"choice": ["relu", "gelu"]}, "gated": {"bool": [False, True]}},
    )


def _causal(rng: Random, variables: Sequence[str]) -> Data:
    return {"layer": "conv", "k": {"int": [2, 3]}, "padding": "causal", **_follow(rng)}


def _dense(rng: Random, variables: Sequence[str]) -> Data:
    return _some(rng, {"layer": "linear", "out": width(rng, variables)}, _follow(rng))


def _position(rng: Random, variables: Sequence[str]) -> Data:
    return {
        "layer": "position",
        "kind": rng.choice(["learned", "sinusoidal", {"choice": ["learned", "sinusoidal"]}]),
    }


def _scan(rng: Random, variables: Sequence[str]) -> Data:
    """A recurrent cell with one state or two, decided inside."""
    size = rng.choice([3, {"choice": [2, 3]}, *(f"=2*{name}" for name in variables)])
    body: list[Data] = [{"layer": "concat", "from": ["x", "h"]}]
    body.append({"name": "in", "layer": "linear", "out": "=s", "activation": {"choice": ["tanh", "relu"]}})
    state: Data = {"h": "=s"}
    if rng.random() < 0.5:
        state["c"] = "=s"
        body.append({"name": "next", "layer": rng.choice(["sum", "mul"]), "from": ["c", "h"], "as": "c_next"})
        body.append({"name": "keep", "from": "c_next", "layer": "linear", "out": "=s", "as": "c"})
    return {"let": {"s": size}, "scan": {"state": state, "body": {"sequence": body}}}


_image = (_conv, _conv, _pointwise, _random_effect, _grouped, _pool, _depthwise, _block)
_seq = (
    _conv,
    _causal,
    _pointwise,
    _random_effect,
    _recurrent,
    _attention,
    _forward,
    _dense,
    _position,
    _scan,
    _depthwise,
)
_vector = (_dense, _dense, _pointwise, _random_effect, _forward)
