"""From one kind of tensor to another, and other orders of the same values."""

from __future__ import annotations

from archloom.space.operations.kinds import MOST
from archloom.space.operations.registry import register
from archloom.space.operations.spec import OpSpec, Parameter

register(
    OpSpec(
        "flatten",
        1,
        {"image": ("vector", ("c * h * w",)), "seq": ("vector", ("c * t",))},
        zero_to_zero="true",
        causal="false",
        summary="All positions' channels as one vector.",
    )
)
register(
    OpSpec(
        "token",
        1,
        {"seq": ("vector", ("c",))},
        (Parameter("at", "text", "last", choices=("first", "last"), summary="Which position is taken."),),
        zero_to_zero="true",
        causal="false",
        summary="The channels of the first or the last position.",
    )
)
register(
    OpSpec(
        "to_seq",
        1,
        {
            "image": (
                "seq",
                (
                    "c if along == 'positions' else c * h if along == 'width' else c * w",
                    "h * w if along == 'positions' else w if along == 'width' else h",
                ),
            ),
            "vector": ("seq", ("c", "1")),
        },
        (
            Parameter(
                "along",
                "text",
                "positions",
                choices=("positions", "width", "height"),
                summary="What becomes time: all positions by rows, or one axis; the other joins channels.",
            ),
        ),
        zero_to_zero="true",
        summary="An image as a sequence (of patches; of a spectrogram's columns), a vector as one step.",
    )
)
register(
    OpSpec(
        "to_image",
        1,
        {"seq": ("image", ("c", "height", "t // height"))},
        (Parameter("height", "int", "=t ** 0.5", 1, MOST, summary="Rows; a square where it is unsaid."),),
        requires=(("t % height == 0", "the positions do not fill the rows"),),
        zero_to_zero="true",
        causal="false",
        summary="A sequence as an image, row by row.",
    )
)
register(
    OpSpec(
        "transpose",
        1,
        {"seq": ("seq", ("t", "c"))},
        zero_to_zero="true",
        causal="false",
        summary="Channels and positions of a sequence exchanged (Tolstikhin et al. 2021).",
    )
)
register(
    OpSpec(
        "shift",
        1,
        {"image": ("image", ("c", "h", "w")), "seq": ("seq", ("c", "t"))},
        (Parameter("by", "int", 1, -1_000, 1_000, summary="Position p holds what was at p + by."),),
        requires=(
            ("max(by, -by) < (min(h, w) if kind == 'image' else t)", "nothing of the input would be left"),
        ),
        identity_if="by == 0",
        zero_to_zero="true",
        causal="by <= 0",
        summary="All positions moved along each axis; zeroes enter.",
    )
)
