"""The built-in operations. Composite layers made of these are in ``composites.py``."""

from __future__ import annotations

from archloom.space.ops import OpSpec, Parameter, register

_SAME = {"image": ("image", ("c", "h", "w")), "seq": ("seq", ("c", "t")), "vector": ("vector", ("c",))}
_MAX = 1_000_000


def _window(size: str, eff: str) -> str:
    """Length after a window of ``eff`` moves over ``size``; "same" padding is split evenly on both sides."""
    return f"({size} - 1) // stride + 1 if padding == 'same' else ({size} - {eff}) // stride + 1"


_STRIDE = Parameter("stride", "int", 1, 1, 1_000)
_POOL_PADDING = Parameter("padding", "text", "='same' if k % 2 == 1 else 'valid'", choices=("same", "valid"))
_EFFECTIVE = "(dilation * (k - 1) + 1)"

register(
    OpSpec(
        "input",
        1,
        {**_SAME, "tokens": ("tokens", ("t",))},
        internal=True,
        summary="A tensor that the network is given.",
    )
)
register(
    OpSpec(
        "conv",
        1,
        {"image": ("image", ("out", _window("h", _EFFECTIVE), _window("w", _EFFECTIVE)))},
        (
            Parameter("k", "int", None, 1, 1_000),
            Parameter("out", "int", "=c", 1, _MAX),
            _STRIDE,
            Parameter("groups", "int", 1, 1, _MAX),
            Parameter("dilation", "int", 1, 1, 1_000),
            Parameter(
                "padding",
                "text",
                "='same' if dilation * (k - 1) % 2 == 0 else 'valid'",
                choices=("same", "valid"),
            ),
            Parameter("bias", "bool", "=not normed"),
        ),
        requires=(
            ("c % groups == 0", "groups do not divide the input's channels"),
            ("out % groups == 0", "groups do not divide out"),
            ("padding == 'valid' or dilation * (k - 1) % 2 == 0", "an even kernel cannot be padded evenly"),
        ),
        weights="k * k * (c // groups) * out + (out if bias else 0)",
        multiply_adds="k * k * (c // groups) * out * oh * ow",
        zero_to_zero="not bias",
        causal=False,
        follows=True,
        summary="2-D convolution; groups = channels makes it depthwise.",
    )
)
register(
    OpSpec(
        "linear",
        1,
        {"vector": ("vector", ("out",))},
        (Parameter("out", "int", None, 1, _MAX), Parameter("bias", "bool", "=not normed")),
        weights="c * out + (out if bias else 0)",
        multiply_adds="c * out",
        zero_to_zero="not bias",
        follows=True,
        summary="Fully connected layer.",
    )
)
for _name, _summary in (
    ("max_pool", "Maximum over a window."),
    ("avg_pool", "Mean over a window; padding is not counted."),
):
    register(
        OpSpec(
            _name,
            1,
            {"image": ("image", ("c", _window("h", "k"), _window("w", "k")))},
            (Parameter("k", "int", 3, 1, 1_000), _STRIDE, _POOL_PADDING),
            requires=(("padding == 'valid' or k % 2 == 1", "an even window cannot be padded evenly"),),
            identity_if="k == 1 and stride == 1",
            zero_to_zero="true",
            causal=False,
            summary=_summary,
        )
    )
register(
    OpSpec(
        "global_pool",
        1,
        {"image": ("vector", ("c",)), "seq": ("vector", ("c",))},
        (Parameter("mode", "text", "avg", choices=("avg", "max")),),
        zero_to_zero="true",
        causal=False,
        summary="Mean or maximum over all positions.",
    )
)
register(
    OpSpec(
        "flatten",
        1,
        {"image": ("vector", ("c * h * w",)), "seq": ("vector", ("c * t",))},
        zero_to_zero="true",
        causal=False,
        summary="All positions' channels as one vector.",
    )
)
register(
    OpSpec(
        "batch_norm", 1, _SAME, weights="2 * c", zero_to_zero="true", summary="Batch normalisation, affine."
    )
)
register(
    OpSpec(
        "layer_norm",
        1,
        _SAME,
        weights="2 * c",
        zero_to_zero="true",
        summary="Normalisation over the channels of each position, affine.",
    )
)
register(
    OpSpec("identity", 1, _SAME, identity_if="true", zero_to_zero="true", follows=True, summary="Nothing.")
)
register(
    OpSpec(
        "zero",
        1,
        {
            "image": ("image", ("c", "(h - 1) // stride + 1", "(w - 1) // stride + 1")),
            "seq": ("seq", ("c", "(t - 1) // stride + 1")),
            "vector": ("vector", ("c",)),
        },
        (_STRIDE,),
        zero_if="true",
        zero_to_zero="true",
        summary="No connection.",
    )
)
for _kind, _axes in (("image", 3), ("seq", 2), ("vector", 1)):
    _dims = tuple(f"d{axis}" for axis in range(_axes))
    register(
        OpSpec(
            f"zeroes_{_kind}",
            1,
            dict.fromkeys(("image", "seq", "tokens", "vector"), (_kind, _dims)),
            tuple(Parameter(dim, "int", None, 1, _MAX) for dim in _dims),
            internal=True,
            summary="Zeroes that a network needs where a connection was cut.",
        )
    )
register(
    OpSpec(
        "dropout",
        1,
        _SAME,
        (Parameter("p", "float", 0.5, 0.0, 0.95),),
        identity_if="p == 0",
        zero_to_zero="true",
        summary="Zeroes values with probability p in training.",
    )
)
register(
    OpSpec(
        "squeeze_excite",
        1,
        {"image": _SAME["image"]},
        (Parameter("reduction", "int", 4, 1, _MAX),),
        weights="2 * c * max(1, c // reduction) + max(1, c // reduction) + c",
        multiply_adds="2 * c * max(1, c // reduction)",
        zero_to_zero="true",
        causal=False,
        summary="Channels scaled by a gate of the whole image (Hu et al. 2018).",
    )
)

ACTIVATIONS = {
    # name: whether a zero stays zero
    "relu": True,
    "relu6": True,
    "leaky_relu": True,
    "elu": True,
    "selu": True,
    "gelu": True,
    "silu": True,
    "mish": True,
    "hard_swish": True,
    "tanh": True,
    "sigmoid": False,
    "hard_sigmoid": False,
    "softplus": False,
}
for _name, _fixed in ACTIVATIONS.items():
    register(OpSpec(_name, 1, _SAME, zero_to_zero="true" if _fixed else "false", summary="Activation."))
register(
    OpSpec(
        "prelu",
        1,
        _SAME,
        weights="c",
        zero_to_zero="true",
        summary="Leaky ReLU with a learnt slope a channel.",
    )
)
ACTIVATION_NAMES = (*ACTIVATIONS, "prelu")
NORMS = {"batch": "batch_norm", "layer": "layer_norm"}

register(OpSpec("sum", 1, _SAME, arity="many", zero_to_zero="true", summary="Sum of equal shapes."))
register(OpSpec("mul", 1, _SAME, arity="many", zero_to_zero="true", summary="Product of equal shapes."))
register(
    OpSpec(
        "concat",
        1,
        {
            "image": ("image", ("c_all", "h", "w")),
            "seq": ("seq", ("c_all", "t")),
            "vector": ("vector", ("c_all",)),
        },
        arity="many",
        ordered=True,
        equal_inputs="channels",
        zero_to_zero="true",
        summary="Channels side by side, in order.",
    )
)
MERGES = ("sum", "concat", "mul")
