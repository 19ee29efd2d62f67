"""Pooling: over windows, and over all positions."""

from __future__ import annotations

from archloom.space.operations.kinds import CAUSAL_ON_SEQ, PADDINGS, STRIDE, windowed
from archloom.space.operations.registry import register
from archloom.space.operations.spec import OpSpec, Parameter

for _name, _summary in (
    ("max_pool", "Maximum over a window."),
    ("avg_pool", "Mean over a window; padding is not counted."),
):
    register(
        OpSpec(
            _name,
            1,
            windowed("c", "k"),
            (
                Parameter("k", "int", 3, 1, 1_000, summary="Size of the window along each axis."),
                STRIDE,
                Parameter(
                    "padding",
                    "text",
                    "='same' if k % 2 == 1 else 'valid'",
                    choices=PADDINGS,
                    summary="Evenly on both sides, none, or all before the first position.",
                ),
            ),
            requires=(
                ("padding != 'same' or k % 2 == 1", "an even window cannot be padded evenly"),
                CAUSAL_ON_SEQ,
            ),
            identity_if="k == 1 and stride == 1",
            zero_to_zero="true",
            causal="padding == 'causal' or k == 1",
            summary=_summary,
        )
    )
register(
    OpSpec(
        "global_pool",
        1,
        {"image": ("vector", ("c",)), "seq": ("vector", ("c",))},
        (Parameter("mode", "text", "avg", choices=("avg", "max"), summary="Mean or maximum."),),
        zero_to_zero="true",
        causal="false",
        summary="Mean or maximum over all positions.",
    )
)
