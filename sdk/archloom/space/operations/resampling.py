"""More positions, or fewer. Pools and strided convolutions make fewer too."""

from __future__ import annotations

from archloom.space.operations.registry import register
from archloom.space.operations.spec import OpSpec, Parameter

_FACTOR = Parameter("factor", "int", 2, 1, 64, summary="By how much each axis grows or shrinks.")
_MODE = Parameter(
    "mode",
    "text",
    "nearest",
    choices=("nearest", "bilinear"),
    summary="The nearest position's value, or an interpolation (linear along time).",
)

register(
    OpSpec(
        "upsample",
        1,
        {
            "image": ("image", ("c", "h * factor", "w * factor")),
            "seq": ("seq", ("c", "t * factor")),
        },
        (_FACTOR, _MODE),
        identity_if="factor == 1",
        zero_to_zero="true",
        causal="mode == 'nearest' or factor == 1",
        summary="Positions repeated or interpolated.",
    )
)
register(
    OpSpec(
        "resize_as",
        1,
        {"image": ("image", ("c", "h2", "w2")), "seq": ("seq", ("c", "t2"))},
        (_MODE,),
        arity=2,
        others=(("image", "seq"),),
        ordered=True,
        requires=(("kind == kind2", "the kinds differ"),),
        zero_to_zero="true",
        causal="false",
        summary="The first input at as many positions as the second has (as in Lin et al. 2017).",
    )
)
register(
    OpSpec(
        "pixel_shuffle",
        1,
        {
            "image": ("image", ("c // factor ** 2", "h * factor", "w * factor")),
            "seq": ("seq", ("c // factor", "t * factor")),
        },
        (_FACTOR,),
        requires=(("c % factor ** axes == 0", "the channels cannot be spread over the positions"),),
        identity_if="factor == 1",
        zero_to_zero="true",
        summary="Channels become positions (Shi et al. 2016).",
    )
)
register(
    OpSpec(
        "pixel_unshuffle",
        1,
        {
            "image": ("image", ("c * factor ** 2", "h // factor", "w // factor")),
            "seq": ("seq", ("c * factor", "t // factor")),
        },
        (_FACTOR,),
        requires=(
            (
                "(h % factor == 0 and w % factor == 0) if kind == 'image' else t % factor == 0",
                "factor does not divide the positions",
            ),
        ),
        identity_if="factor == 1",
        zero_to_zero="true",
        causal="factor == 1",
        summary="Positions become channels, the reverse of pixel_shuffle.",
    )
)
