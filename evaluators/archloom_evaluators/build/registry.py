"""How each operation is built in torch.

A builder takes the resolved parameters, the shapes of the inputs and the shape of the output (batch left
out), and returns a module that is called with the inputs. A package adds operations by the entry-point group
``archloom.operations``: each entry point is an ``archloom.space.OpSpec``, which needs no torch, and whose
``builder`` ("module:function") names the builder.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

import torch
from archloom.space.operations import Operation, OperationError, Shape, find
from torch import nn

Builder = Callable[[Mapping[str, Any], tuple[Shape, ...], Shape], nn.Module]

_BUILDERS: dict[str, Builder] = {}


class BuildFailed(Exception):
    """An operation cannot be built here: it has no builder, or the builder refused. Do not try again."""


def register_operation(name: str, builder: Builder) -> Builder:
    """Say how an operation is built. A name has one builder; raises ValueError for a second."""
    if _BUILDERS.get(name, builder) is not builder:
        raise ValueError(f"operation {name!r} has a builder already")
    _BUILDERS[name] = builder
    return builder


def build_operation(operation: Operation) -> nn.Module:
    """A fresh module; raises BuildFailed. One of an opaque operation is tried on zeroes first."""
    builder = _BUILDERS.get(operation.name) or _from_plugin(operation.name)
    try:
        module = builder(dict(operation.parameters), operation.inputs, operation.shape)
    except BuildFailed:
        raise
    except Exception as error:
        raise BuildFailed(f"{operation.name}: {type(error).__name__}: {error}") from error
    if operation.opaque:
        _try(operation, module)
    return module


def _try(operation: Operation, module: nn.Module) -> None:
    """Raises BuildFailed where the module does not yield the shape that the space counts on."""
    inputs = [
        torch.zeros((2, *shape.dims), dtype=torch.int64 if shape.kind == "tokens" else None)
        for shape in operation.inputs
    ]
    training = module.training
    try:
        with torch.no_grad():
            found = module.eval()(*inputs)
    except Exception as error:
        given = ", ".join(map(str, operation.inputs))
        message = f"{operation.name} fails on zeroes of {given}: {type(error).__name__}: {error}"
        raise BuildFailed(message) from error
    finally:
        module.train(training)
    expected = [2, *operation.shape.dims]
    if not isinstance(found, torch.Tensor) or list(found.shape) != expected:
        yielded = list(found.shape) if isinstance(found, torch.Tensor) else type(found).__name__
        raise BuildFailed(
            f"{operation.name} of {', '.join(map(str, operation.inputs))} yields {yielded} for a batch of 2;"
            f" the space expects {expected}, {operation.shape}. Say in the layer what it yields"
            " (out_kind, out_channels, out_height, out_width, out_time), or mend the operation"
        )


def _from_plugin(name: str) -> Builder:
    try:
        place = find(name).builder
    except OperationError as error:
        raise BuildFailed(str(error)) from None
    module, _, attribute = place.partition(":")
    if not attribute:
        raise BuildFailed(f"operation {name!r} has no torch builder on this worker")
    try:
        builder: Builder = getattr(import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise BuildFailed(
            f"the builder {place!r} of operation {name!r} cannot be imported: {error}"
        ) from error
    return register_operation(name, builder)
