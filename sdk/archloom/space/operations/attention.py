"""Attention and gates."""

from __future__ import annotations

from archloom.space.operations.activations import ACTIVATION_NAMES
from archloom.space.operations.kinds import MOST, SAME, bias, out
from archloom.space.operations.registry import register
from archloom.space.operations.spec import OpSpec, Parameter

_HEADS = (
    Parameter("heads", "int", None, 1, 10_000, summary="Heads of the queries."),
    Parameter(
        "kv_heads",
        "int",
        "=heads",
        1,
        10_000,
        summary="Heads of the keys and values; fewer are shared by groups of queries (Ainslie et al. 2023).",
    ),
    Parameter(
        "head_dim",
        "int",
        "=c // heads if c % heads == 0 else 0",
        0,
        MOST,
        summary="Channels of a head.",
    ),
    out("=c"),
    bias(True),
)
_DIVIDING = (
    ("head_dim > 0 or c % heads == 0", "heads do not divide the channels; other heads need a head_dim"),
    ("head_dim > 0", "head_dim is 0"),
    ("heads % kv_heads == 0", "kv_heads do not divide heads"),
)
_PER_HEAD = {"heads": "heads", "kv_heads": "heads", "head_dim": "prefix", "c": "prefix", "out": "prefix"}
_BIASES = "((heads + 2 * kv_heads) * head_dim + out if bias else 0)"

# A window is computed in blocks of its own length: each block of queries meets its own block of keys, the one
# before, and the one after where it is not causal; where these would be the whole sequence, all at once.
_SPANS = "(2 if causal else 3)"
_PAIRS = (
    f"(t * t if window == 0 or {_SPANS} * window >= t"
    f" else (t + window - 1) // window * window * {_SPANS} * window)"
)

register(
    OpSpec(
        "attention",
        1,
        {"seq": ("seq", ("out", "t"))},
        (
            *_HEADS,
            Parameter(
                "window",
                "int",
                0,
                0,
                MOST,
                summary="A position sees those nearer than so many (Beltagy et al. 2020); 0: all.",
            ),
            Parameter("causal", "bool", False, summary="Whether a position sees none after it."),
            Parameter(
                "rotary", "bool", False, summary="Rotary positions of queries and keys (Su et al. 2021)."
            ),
        ),
        requires=(*_DIVIDING, ("not rotary or head_dim % 2 == 0", "rotary needs an even head_dim")),
        weights=f"c * (heads + 2 * kv_heads) * head_dim + heads * head_dim * out + {_BIASES}",
        multiply_adds=(
            "t * c * (heads + 2 * kv_heads) * head_dim + t * heads * head_dim * out"
            f" + 2 * heads * head_dim * {_PAIRS}"
        ),
        zero_to_zero="not bias",
        causal="causal or window == 1",
        slicing=_PER_HEAD,
        summary="Multi-head self-attention (Vaswani et al. 2017).",
    )
)
register(
    OpSpec(
        "cross_attention",
        1,
        {"seq": ("seq", ("out", "t"))},
        _HEADS,
        arity=2,
        others=(("seq",),),
        ordered=True,
        requires=_DIVIDING,
        weights=f"(c * heads + c2 * 2 * kv_heads) * head_dim + heads * head_dim * out + {_BIASES}",
        multiply_adds=(
            "(t * c * heads + t2 * c2 * 2 * kv_heads) * head_dim + t * heads * head_dim * out"
            " + 2 * heads * head_dim * t * t2"
        ),
        zero_to_zero="not bias",
        whole_inputs=(1,),
        slicing={**_PER_HEAD, "c2": "prefix"},
        summary="Attention of the first input's positions to those of the second (Vaswani et al. 2017).",
    )
)
register(
    OpSpec(
        "squeeze_excite",
        1,
        {"image": SAME["image"], "seq": SAME["seq"]},
        (Parameter("reduction", "int", 4, 1, MOST, summary="Channels over the gate's hidden ones."),),
        weights="2 * c * max(1, c // reduction) + max(1, c // reduction) + c",
        multiply_adds="2 * c * max(1, c // reduction)",
        zero_to_zero="true",
        causal="false",
        slicing={"c": "prefix", "reduction": "prefix"},
        summary="Channels scaled by a gate of all positions (Hu et al. 2018).",
    )
)
register(
    OpSpec(
        "scale_channels",
        1,
        {"image": SAME["image"], "seq": SAME["seq"]},
        arity=2,
        others=(("vector",),),
        ordered=True,
        requires=(("c == c2", "the vector has another number of channels"),),
        zero_to_zero="true",
        summary="Each channel of the first input times the number that the second, a vector, has for it.",
    )
)
register(
    OpSpec(
        "glu",
        1,
        {
            "image": ("image", ("c // 2", "h", "w")),
            "seq": ("seq", ("c // 2", "t")),
            "vector": ("vector", ("c // 2",)),
        },
        (
            Parameter(
                "gate",
                "text",
                "sigmoid",
                choices=("none", *ACTIVATION_NAMES),
                summary="Activation of the second half.",
            ),
        ),
        requires=(("c % 2 == 0", "the channels cannot be halved"),),
        weights="c // 2 if gate == 'prelu' else 0",
        slicing={"c": "segments"},
        zero_to_zero="true",
        summary="Gated linear unit: the first half of the channels times an activation of the second"
        " (Dauphin et al. 2017; Shazeer 2020).",
    )
)
