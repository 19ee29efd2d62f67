"""Activations: of each element alone, but for softmax, which takes the channels of each position together."""

from __future__ import annotations

from archloom.space.operations.kinds import SAME
from archloom.space.operations.registry import register
from archloom.space.operations.spec import OpSpec

ACTIVATIONS = {
    "relu": "max(x, 0).",
    "relu6": "x between 0 and 6.",
    "leaky_relu": "x, or 0.01 x where it is negative (Maas et al. 2013).",
    "elu": "x, or exp(x) - 1 where it is negative (Clevert et al. 2016).",
    "selu": "elu scaled such that variances stay (Klambauer et al. 2017).",
    "celu": "elu with a continuous derivative (Barron 2017).",
    "gelu": "x times the normal distribution's share below x (Hendrycks and Gimpel 2016).",
    "silu": "x sigmoid(x), also called swish (Ramachandran et al. 2018).",
    "mish": "x tanh(softplus(x)) (Misra 2020).",
    "squared_relu": "max(x, 0) squared (So et al. 2021).",
    "hard_swish": "silu made of straight lines (Howard et al. 2019).",
    "tanh": "The hyperbolic tangent.",
    "hard_tanh": "x between -1 and 1.",
    "softsign": "x / (1 + |x|).",
    "sigmoid": "1 / (1 + exp(-x)).",
    "hard_sigmoid": "sigmoid made of straight lines.",
    "softplus": "log(1 + exp(x)).",
    "softmax": "Shares of the channels at each position, by exp(x).",
}
"""Those without weights."""
_LIFTING = ("sigmoid", "hard_sigmoid", "softplus", "softmax")  # of a zero they make something else
for _name, _summary in ACTIVATIONS.items():
    _fixed = "false" if _name in _LIFTING else "true"
    register(OpSpec(_name, 1, SAME, zero_to_zero=_fixed, summary=_summary))
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
