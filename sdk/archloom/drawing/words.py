"""How layers are called in a drawing."""

from __future__ import annotations

import re
from collections.abc import Sequence

from archloom.drawing.picture import Layer

FAMILIES = (
    *("input", "attention", "recurrent", "norm", "merge", "pool"),
    *("embedding", "linear", "conv", "pointwise", "other"),
)
"""Of operations, for their colours."""
#: What the names of operations hold, users' own too; the first that fits decides.
_WORDS = (
    ("input", ("input", "zeroes")),
    ("attention", ("attention",)),
    ("recurrent", ("lstm", "gru", "rnn", "scan", "recurr")),
    ("norm", ("norm",)),
    ("conv", ("conv", "depthwise", "separable", "bottleneck", "squeeze_excite", "scale_channels")),
    ("pool", ("pool", "sample", "shuffle", "flatten", "to_", "token", "transpose", "resize")),
    ("embedding", ("embed", "position", "ngram", "bag")),
    ("linear", ("linear", "feed_forward", "mlp", "dense", "head", "glu")),
    ("merge", ("sum", "concat", "mul", "add", "mean", "maximum", "merge")),
    ("pointwise", ("elu", "silu", "swish", "sigmoid", "tanh", "mish", "soft", "drop", "act")),
)
#: In the legend.
FAMILY_TITLES = {
    "input": "input",
    "conv": "convolution",
    "linear": "linear",
    "attention": "attention",
    "recurrent": "recurrence",
    "embedding": "embedding",
    "pool": "pooling, reshaping",
    "norm": "norm",
    "pointwise": "activation, dropout",
    "merge": "merge",
    "other": "other",
}
#: What goes without saying. The width stands in the shape already.
_UNTOLD = {
    "stride": "1",
    "groups": "1",
    "dilation": "1",
    "padding": "same",
    "bias": None,
    "out": None,
    "layers": "1",
    "causal": "false",
    "rotary": "false",
    "gated": "false",
    "bidirectional": "false",
    "window": "0",
}
_WINDOWS = ("k", "kernel")


def family(operation: str) -> str:
    """One of ``FAMILIES``."""
    name = operation.lower()
    for kind, words in _WORDS:
        if any(word in name for word in words):
            return kind
    return "other"


def headline(layer: Layer) -> str:
    """``conv 3×3 stride 2``."""
    parts = [layer.operation.replace("_", " ")]
    given = dict(layer.parameters)
    for name, value in layer.parameters:
        if name in _WINDOWS:
            parts.append(f"{value}×{value}" if layer.kind == "image" else value)
        elif value in ("none", "") or (name in _UNTOLD and _UNTOLD[name] in (value, None)):
            continue
        elif (
            name == "groups"
            and family(layer.operation) == "conv"
            and value == str(layer.dims[0] if layer.dims else 0)
        ):
            parts.append("depthwise")
        elif name == "kv_heads" and value == given.get("heads"):
            continue
        elif value == "true":
            parts.append(name.replace("_", " "))
        elif value in ("avg", "max", "valid", "causal", "learned", "sinusoidal", "nearest", "bilinear"):
            parts.append(value)
        elif value != "false":
            parts.append(f"{name.replace('_', ' ')} {value}")
    return printable(" ".join(parts))


def shape_text(layer: Layer) -> str:
    """``64×32×32``; a kind that the numbers do not tell is named."""
    numbers = "×".join(map(str, layer.dims))
    if layer.before:
        numbers = f"{'×'.join(map(str, layer.before))} → {numbers}"
    return f"{numbers} tokens" if layer.kind == "tokens" else numbers


def counted(number: int) -> str:
    """Three digits at most: ``1.23M``."""
    for limit, unit in ((10**12, "T"), (10**9, "G"), (10**6, "M"), (10**3, "k")):
        if number >= limit:
            return f"{number / limit:.3g}{unit}" if number < 999.5 * limit else f"{number / limit:.0f}{unit}"
    return str(number)


def costs(layers: Sequence[Layer]) -> str:
    """Parameters and multiply-adds of layers together, or "" where they have none or they are not known."""
    weights = sum(layer.weights or 0 for layer in layers)
    flops = sum(layer.flops or 0 for layer in layers)
    told = [f"{counted(weights)} par"] if weights else []
    return " · ".join([*told, f"{counted(flops)} mac"] if flops else told)


def printable(text: str) -> str:
    """Without what XML cannot hold."""
    return "".join(sign if sign.isprintable() else "\ufffd" for sign in text)


_INDEX = re.compile(r"\[(\d+)\]$")


def span(first: str, last: str) -> str:
    """The paths of repetitions together: ``stage[1…4]``."""
    start, end = _INDEX.search(first), _INDEX.search(last)
    if start is None or end is None or first[: start.start()] != last[: end.start()] or first == last:
        return first
    return f"{first[: start.start()]}[{start[1]}–{end[1]}]"
