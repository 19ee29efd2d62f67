"""Composite layers of well-known networks."""

from __future__ import annotations

from dataclasses import replace

from archloom.space.language.expressions import Scalar
from archloom.space.language.tree import LayerNode, ParallelNode, ResidualNode
from archloom.space.operations.activations import ACTIVATION_NAMES
from archloom.space.operations.composites import Composite, add, layer, only_if, sequence
from archloom.space.operations.kinds import MOST, PADDINGS
from archloom.space.operations.norms import NORMS
from archloom.space.operations.spec import Parameter

_K = Parameter("k", "int", 3, 1, 1_000, summary="Size of the kernel along each axis.")
_STRIDE = Parameter("stride", "int", 1, 1, 1_000, summary="Keeps every stride-th position.")
_DILATION = Parameter("dilation", "int", 1, 1, 1_000, summary="Distance of the kernel's positions.")
_OUT = Parameter("out", "int", "=cin", 1, MOST, summary="Channels of the output.")
_SQUEEZE = Parameter("squeeze", "bool", False, summary="Whether channels are scaled by squeeze_excite.")
_REDUCTION = Parameter("reduction", "int", 4, 1, MOST, summary="Channels over squeeze_excite's hidden ones.")
_EXPAND = Parameter("expand", "float", 4, 0.0, 1_000, summary="Inner channels over those of the input.")
_EVEN = "='same' if dilation * (k - 1) % 2 == 0 else 'valid'"
_PADDING = Parameter("padding", "text", _EVEN, choices=PADDINGS, summary="As conv has it.")


def _norm(default: str) -> Parameter:
    return Parameter("norm", "text", default, choices=("none", *NORMS), summary="After convolutions.")


def _activation(default: str, summary: str = "After norms.") -> Parameter:
    return Parameter("activation", "text", default, choices=("none", *ACTIVATION_NAMES), summary=summary)


_NORMED: dict[str, Scalar] = {"norm": "=norm", "activation": "=activation"}
_WIDE = "=max(1, cin * expand // 1)"


def _depthwise(**more: Scalar) -> LayerNode:
    return layer("conv", "depthwise", k="=k", stride="=stride", groups="=cin", **{**_NORMED, **more})


add(
    Composite(
        "activation",
        (Parameter("kind", "text", None, choices=("none", *ACTIVATION_NAMES), summary="Which one."),),
        sequence(layer("identity", "fixed", activation="=kind")),
        "The activation that kind names, where that is decided elsewhere.",
        ("image", "seq", "vector"),
    )
)
add(
    Composite(
        "depthwise",
        (_K, _STRIDE, _DILATION, _PADDING, _norm("none"), _activation("none")),
        sequence(_depthwise(dilation="=dilation", padding="=padding")),
        "One filter a channel.",
    )
)
add(
    Composite(
        "separable",
        (_K, _STRIDE, _DILATION, _PADDING, _OUT, _norm("batch"), _activation("relu")),
        sequence(
            _depthwise(dilation="=dilation", padding="=padding"),
            layer("conv", "pointwise", k=1, out="=out", **_NORMED),
        ),
        "Depthwise, then 1x1 (Chollet 2017, as MobileNet has it: a norm and an activation after each).",
    )
)
add(
    Composite(
        "inverted_bottleneck",
        (_K, _STRIDE, _EXPAND, _OUT, _SQUEEZE, _REDUCTION, _norm("batch"), _activation("relu6")),
        ResidualNode(
            adapt="skip",
            body=sequence(
                only_if("expand != 1", layer("conv", "expand", k=1, out=_WIDE, **_NORMED)),
                _depthwise(),
                only_if("squeeze", layer("squeeze_excite", "squeeze", reduction="=reduction")),
                layer("conv", "project", k=1, out="=out", norm="=norm"),
            ),
        ),
        "1x1 up, depthwise, 1x1 down, with a shortcut where shapes agree (Sandler et al. 2018).",
    )
)
add(
    Composite(
        "fused_inverted_bottleneck",
        (_K, _STRIDE, _EXPAND, _OUT, _SQUEEZE, _REDUCTION, _norm("batch"), _activation("silu")),
        ResidualNode(
            adapt="skip",
            body=sequence(
                only_if(
                    "expand != 1", layer("conv", "expand", k="=k", stride="=stride", out=_WIDE, **_NORMED)
                ),
                only_if("squeeze", layer("squeeze_excite", "squeeze", reduction="=reduction")),
                only_if("expand != 1", layer("conv", "project", k=1, out="=out", norm="=norm")),
                only_if(
                    "expand == 1", layer("conv", "single", k="=k", stride="=stride", out="=out", **_NORMED)
                ),
            ),
        ),
        "Convolution up, 1x1 down, with a shortcut where shapes agree; one convolution where expand is 1"
        " (Tan and Le 2021).",
    )
)
add(
    Composite(
        "bottleneck",
        (
            _K,
            _STRIDE,
            Parameter(
                "reduce", "float", 4, 1.0, 1_000, summary="Channels of the output over the inner ones."
            ),
            _OUT,
            Parameter("groups", "int", 1, 1, MOST, summary="Of the middle convolution (Xie et al. 2017)."),
            _norm("batch"),
            _activation("relu"),
        ),
        sequence(
            ResidualNode(
                name="residual",
                adapt="project",
                body=sequence(
                    layer("conv", "reduce", k=1, out="=max(1, out // reduce)", **_NORMED),
                    layer("conv", "middle", k="=k", stride="=stride", groups="=groups", **_NORMED),
                    layer("conv", "expand", k=1, out="=out", norm="=norm"),
                ),
            ),
            layer("identity", "last", activation="=activation"),
        ),
        "1x1 down, convolution, 1x1 up, with a shortcut that is projected where needed (He et al. 2016).",
    )
)
add(
    Composite(
        "feed_forward",
        (
            Parameter("ratio", "float", 4, 0.0, 1_000, summary="Hidden channels over those of the input."),
            Parameter("hidden", "int", _WIDE.replace("expand", "ratio"), 1, MOST, summary="Hidden channels."),
            _OUT,
            _activation("gelu", "Of the hidden channels, or of the gate."),
            Parameter("gated", "bool", False, summary="Whether they are gated by as many (Shazeer 2020)."),
            Parameter("bias", "bool", True, summary="Whether the linear layers have constants."),
            Parameter("dropout", "float", 0.0, 0.0, 0.95, summary="Share of the hidden values zeroed."),
        ),
        sequence(
            layer("linear", "up", out="=hidden * 2 if gated else hidden", bias="=bias"),
            only_if("gated", layer("glu", "gate", gate="=activation")),
            only_if("not gated", layer("identity", "activation", activation="=activation")),
            layer("dropout", "dropout", p="=dropout"),
            layer("linear", "down", out="=out", bias="=bias"),
        ),
        "Linear up, an activation or a gate, linear down; on a seq, of each position (Vaswani et al. 2017).",
        ("seq", "vector"),
    )
)

# ------------------------------------------------------------------------ DARTS (Liu et al. 2019)

_NO_BIAS: dict[str, Scalar] = {"groups": "=cin", "bias": False}
_HALVED = ParallelNode(
    name="halves",
    merge="concat",
    nodes=(
        layer("conv", "even", k=1, stride="=stride", out="=out // 2", bias=False),
        sequence(
            layer("shift", "moved", by=1),
            layer("conv", "odd", k=1, stride="=stride", out="=out - out // 2", bias=False),
            name="other",
        ),
    ),
)
_REDUCE = (layer("relu", "relu"), _HALVED, layer("batch_norm", "norm"))

add(
    Composite(
        "sep_conv",
        (_K, _STRIDE, _OUT),
        sequence(
            layer("relu", "relu"),
            layer("conv", "depthwise", k="=k", stride="=stride", **_NO_BIAS),
            layer("conv", "pointwise", k=1, norm="batch"),
            layer("relu", "relu_again"),
            layer("conv", "depthwise_again", k="=k", **_NO_BIAS),
            layer("conv", "pointwise_again", k=1, out="=out", norm="batch"),
        ),
        "ReLU, depthwise, 1x1 and norm, all twice, the stride at first (DARTS, Liu et al. 2019).",
    )
)
add(
    Composite(
        "dil_conv",
        (_K, _STRIDE, replace(_DILATION, default=2), _OUT),
        sequence(
            layer("relu", "relu"),
            layer("conv", "depthwise", k="=k", stride="=stride", dilation="=dilation", **_NO_BIAS),
            layer("conv", "pointwise", k=1, out="=out", norm="batch"),
        ),
        "ReLU, dilated depthwise, 1x1 and norm (DARTS, Liu et al. 2019).",
    )
)
add(
    Composite(
        "factorized_reduce",
        (replace(_STRIDE, default=2), _OUT),
        sequence(*_REDUCE),
        "ReLU, two strided 1x1 convolutions of which one sees the odd positions, side by side, and a norm"
        " (DARTS, Liu et al. 2019).",
    )
)
add(
    Composite(
        "skip_connect",
        (_STRIDE, _OUT),
        sequence(*(only_if("stride > 1 or out != cin", each) for each in _REDUCE)),
        "The input itself, or factorized_reduce where shape or channels change (DARTS, Liu et al. 2019).",
    )
)
