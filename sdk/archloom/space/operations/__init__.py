"""Operations as data: what each layer needs, yields, weighs and costs, known without torch."""

from archloom.space.operations import (
    activations,
    attention,
    basic,
    blocks,
    convolution,
    merging,
    norms,
    pooling,
    recurrence,
    resampling,
    reshaping,
    text,
)
from archloom.space.operations.activations import ACTIVATION_NAMES, ACTIVATIONS
from archloom.space.operations.composites import COMPOSITES, Composite, stands_for
from archloom.space.operations.merging import MERGES
from archloom.space.operations.norms import NORMS
from archloom.space.operations.registry import (
    find,
    layer_names,
    load_plugins,
    opaque,
    operation_specs,
    register,
)
from archloom.space.operations.resolving import Operation, resolve
from archloom.space.operations.spec import AXES, OperationError, OpSpec, Parameter, Shape

BUILT_IN = tuple(layer_names())
"""The operations that a layer may name in every installation."""

__all__ = [
    "ACTIVATIONS",
    "ACTIVATION_NAMES",
    "AXES",
    "BUILT_IN",
    "COMPOSITES",
    "MERGES",
    "NORMS",
    "Composite",
    "OpSpec",
    "Operation",
    "OperationError",
    "Parameter",
    "Shape",
    "activations",
    "attention",
    "basic",
    "blocks",
    "convolution",
    "find",
    "layer_names",
    "load_plugins",
    "merging",
    "norms",
    "opaque",
    "operation_specs",
    "pooling",
    "recurrence",
    "register",
    "resampling",
    "reshaping",
    "resolve",
    "stands_for",
    "text",
]
