"""Convolutions, on images (2-D) and sequences (1-D)."""

from __future__ import annotations

from archloom.space.operations.kinds import CAUSAL_ON_SEQ, MOST, PADDINGS, STRIDE, bias, out, windowed
from archloom.space.operations.registry import register
from archloom.space.operations.spec import OpSpec, Parameter

register(
    OpSpec(
        "conv",
        1,
        windowed("out", "(dilation * (k - 1) + 1)"),
        (
            Parameter("k", "int", None, 1, 1_000, summary="Size of the kernel along each axis."),
            out("=c"),
            STRIDE,
            Parameter("groups", "int", 1, 1, MOST, summary="Parts of the channels that do not mix."),
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
            ("c % groups == 0", "groups do not divide the input's channels"),
            ("out % groups == 0", "groups do not divide out"),
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
