"""Operations of several inputs that have one shape, or differ in channels alone."""

from __future__ import annotations

from archloom.space.operations.kinds import SAME
from archloom.space.operations.registry import register
from archloom.space.operations.spec import OpSpec

for _name, _summary in (
    ("sum", "Sum of equal shapes."),
    ("mul", "Product of equal shapes."),
    ("mean", "Mean of equal shapes."),
    ("maximum", "Largest of each element, of equal shapes."),
):
    register(OpSpec(_name, 1, SAME, arity="many", zero_to_zero="true", summary=_summary))
register(
    OpSpec(
        "weighted_sum",
        1,
        SAME,
        arity="many",
        ordered=True,
        weights="inputs",
        zero_to_zero="true",
        summary="Mean of equal shapes with a learnt weight each, kept positive (Tan et al. 2020).",
    )
)
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
"""What a ``merge`` may name."""
