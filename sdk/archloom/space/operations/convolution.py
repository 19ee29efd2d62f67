"""Convolutions, on images (2-D) and sequences (1-D)."""

from __future__ import annotations

from archloom.space.operations.kinds import CAUSAL_ON_SEQ, MOST, PADDINGS, STRIDE, bias, out, windowed
from archloom.space.operations.registry import register
from archloom.space.operations.spec import OpSpec, Parameter

_KERNEL = Parameter("k", "int", None, 1, 1_000, summary="Size of the kernel along each axis.")
_GROUPS = Parameter("groups", "int", 1, 1, MOST, summary="Parts of the channels that do not mix.")
_GROUPED = (
    ("c % groups == 0", "groups do not divide the input's channels"),
    ("out % groups == 0", "groups do not divide out"),
)

register(
    OpSpec(
        "conv",
        1,
        windowed("out", "(dilation * (k - 1) + 1)"),
        (
            _KERNEL,
            out("=c"),
            STRIDE,
            _GROUPS,
            Parameter("dilation", "int", 1, 1, 1_000, summary="Distance of the kernel's positions."),
            Parameter(
                "padding",
                "text",
                "='same' if dilation * (k - 1) % 2 == 0 else 'valid'",
                choices=PADDINGS,
                summary="Zeroes evenly on both sides, none, or all before the first position.",
            ),
            bias(),
        ),
        requires=(
            *_GROUPED,
            ("padding != 'same' or dilation * (k - 1) % 2 == 0", "an even kernel cannot be padded evenly"),
            CAUSAL_ON_SEQ,
        ),
        weights="k ** axes * (c // groups) * out + (out if bias else 0)",
        multiply_adds="k ** axes * (c // groups) * out * opositions",
        zero_to_zero="not bias",
        causal="padding == 'causal' or k == 1",
        slicing={"out": "prefix", "c": "prefix", "k": "centre", "groups": "none"},
        follows=True,
        summary="Convolution, 2-D on an image, 1-D on a seq; groups = channels makes it depthwise.",
    )
)
register(
    OpSpec(
        "conv_transpose",
        1,
        {"image": ("image", ("out", "h * stride", "w * stride")), "seq": ("seq", ("out", "t * stride"))},
        (
            _KERNEL,
            out("=c"),
            Parameter("stride", "int", 2, 1, 1_000, summary="By how much each axis grows."),
            _GROUPS,
            bias(),
        ),
        requires=(
            *_GROUPED,
            ("k >= stride and (k - stride) % 2 == 0", "the kernel is stride or an even number larger"),
        ),
        weights="k ** axes * c * (out // groups) + (out if bias else 0)",
        multiply_adds="k ** axes * c * (out // groups) * positions",
        zero_to_zero="not bias",
        causal="k == stride",
        slicing={"out": "prefix", "c": "prefix", "k": "centre", "groups": "none"},
        follows=True,
        summary="Transposed convolution: stride times as many positions along each axis.",
    )
)
