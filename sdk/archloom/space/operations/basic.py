"""Inputs, the linear layer, nothing, zeroes, dropout."""

from __future__ import annotations

from archloom.space.operations.kinds import MOST, SAME, STRIDE, bias, out
from archloom.space.operations.registry import register
from archloom.space.operations.spec import AXES, OpSpec, Parameter

register(
    OpSpec(
        "input",
        1,
        {**SAME, "tokens": ("tokens", ("t",))},
        internal=True,
        summary="A tensor that the network is given.",
    )
)
register(
    OpSpec(
        "linear",
        1,
        {"vector": ("vector", ("out",)), "seq": ("seq", ("out", "t"))},
        (out(), bias()),
        weights="c * out + (out if bias else 0)",
        multiply_adds="c * out * positions",
        zero_to_zero="not bias",
        slicing={"out": "prefix", "c": "prefix"},
        follows=True,
        summary="Fully connected layer; on a seq, of each position alone.",
    )
)
register(
    OpSpec("identity", 1, SAME, identity_if="true", zero_to_zero="true", follows=True, summary="Nothing.")
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
        (STRIDE,),
        zero_if="true",
        zero_to_zero="true",
        summary="No connection.",
    )
)
for _kind in ("image", "seq", "vector"):
    _dims = tuple(f"d{axis}" for axis in range(len(AXES[_kind])))
    register(
        OpSpec(
            f"zeroes_{_kind}",
            1,
            dict.fromkeys(AXES, (_kind, _dims)),
            tuple(Parameter(dim, "int", None, 1, MOST) for dim in _dims),
            internal=True,
            summary="Zeroes that a network needs where a connection was cut.",
        )
    )
register(
    OpSpec(
        "dropout",
        1,
        SAME,
        (Parameter("p", "float", 0.5, 0.0, 0.95, summary="Share of the values that are zeroed."),),
        identity_if="p == 0",
        zero_to_zero="true",
        summary="Zeroes values with probability p in training (Srivastava et al. 2014).",
    )
)
register(
    OpSpec(
        "drop_path",
        1,
        SAME,
        (Parameter("p", "float", 0.1, 0.0, 0.95, summary="Share of the examples that are zeroed."),),
        identity_if="p == 0",
        zero_to_zero="true",
        summary="Stochastic depth: zeroes whole examples with probability p in training (Huang et al. 2016).",
    )
)
register(
    OpSpec(
        "scale",
        1,
        SAME,
        (Parameter("by", "float", None, summary="The factor; -1 makes a sum a difference."),),
        identity_if="by == 1",
        zero_if="by == 0",
        zero_to_zero="true",
        summary="All values times a constant.",
    )
)
