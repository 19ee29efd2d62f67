"""Activations, each element alone."""

from __future__ import annotations

from archloom.space.operations.kinds import SAME
from archloom.space.operations.registry import register
from archloom.space.operations.spec import OpSpec

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
    register(OpSpec(_name, 1, SAME, zero_to_zero="true" if _fixed else "false", summary="Activation."))
register(
    OpSpec("prelu", 1, SAME, weights="c", zero_to_zero="true", slicing={"c": "prefix"},
           summary="Leaky ReLU with a learnt slope a channel.")
)  # fmt: skip
ACTIVATION_NAMES = (*ACTIVATIONS, "prelu")
