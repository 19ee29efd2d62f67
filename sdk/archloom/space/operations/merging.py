"""Operations of several inputs that have one shape, or differ in channels alone."""

from __future__ import annotations

from archloom.space.operations.kinds import SAME
from archloom.space.operations.registry import register
from archloom.space.operations.spec import OpSpec

register(OpSpec("sum", 1, SAME, arity="many", zero_to_zero="true", summary="Sum of equal shapes."))
register(OpSpec("mul", 1, SAME, arity="many", zero_to_zero="true", summary="Product of equal shapes."))
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
