"""The built-in operations in torch, a file a family. Every builder has the signature of ``registry.Builder``.

A module class takes plain arguments and needs torch alone, so that its source can be copied into a file that
stands by itself.
"""

from archloom_evaluators.build.layers import (
    activations,
    attention,
    basic,
    convolution,
    gates,
    merging,
    norms,
    pooling,
    recurrence,
    resampling,
    reshaping,
    text,
)

__all__ = [
    "activations",
    "attention",
    "basic",
    "convolution",
    "gates",
    "merging",
    "norms",
    "pooling",
    "recurrence",
    "resampling",
    "reshaping",
    "text",
]
