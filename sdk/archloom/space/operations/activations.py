"""Activations: of each element alone, but for softmax, which takes the channels of each position together."""

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
    "celu": True,
    "gelu": True,
    "silu": True,
    "mish": True,
    "squared_relu": True,
    "hard_swish": True,
    "tanh": True,
    "hard_tanh": True,
    "softsign": True,
    "sigmoid": False,
    "hard_sigmoid": False,
    "softplus": False,
    "softmax": False,
}
"""Those without weights."""
for _name, _fixed in ACTIVATIONS.items():
    register(OpSpec(_name, 1, SAME, zero_to_zero="true" if _fixed else "false", summary="Activation."))
register(
    OpSpec(
        "prelu",
        1,
        SAME,
        weights="c",
        zero_to_zero="true",
        slicing={"c": "prefix"},
        summary="Leaky ReLU with a learnt slope a channel (He et al. 2015).",
    )
)
ACTIVATION_NAMES = (*ACTIVATIONS, "prelu")
"""What a layer's ``activation`` may name."""
