"""The operations that are known, by name: the built-in ones, and those of installed packages.

A package adds an operation by an entry point. In the group ``archloom.operations`` it is an ``OpSpec``. In
the group ``archloom.opaque_operations`` it is the torch builder itself ("module:function"), which is not
imported here: the operation then has no rules, and is opaque.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from archloom.space.errors import suggest
from archloom.space.operations.spec import OperationError, OpSpec

_REGISTRY: dict[str, OpSpec] = {}


def register(spec: OpSpec) -> OpSpec:
    """Make an operation known to spaces. The name must be free, or hold an equal spec."""
    if _REGISTRY.get(spec.name, spec) != spec:
        raise ValueError(f"another operation is called {spec.name!r}")
    _REGISTRY[spec.name] = spec
    return spec


def operation_specs() -> Mapping[str, OpSpec]:
    """All operations by name, the internal ones too."""
    return _REGISTRY


def layer_names() -> list[str]:
    """The operations that a layer may name."""
    return [name for name, spec in _REGISTRY.items() if not spec.internal]


@cache
def load_plugins() -> None:
    """Register what installed packages offer, once."""
    from importlib.metadata import entry_points

    for point in entry_points(group="archloom.operations"):
        spec = point.load()
        if not isinstance(spec, OpSpec):
            raise TypeError(f"entry point {point.value!r} of archloom.operations is no OpSpec")
        register(spec)
    for point in entry_points(group="archloom.opaque_operations"):
        register(opaque(point.name, builder=point.value))


def opaque(name: str, version: int = 1, *, builder: str = "", summary: str = "") -> OpSpec:
    """The spec of an operation about which nothing is known but how to build it."""
    text = summary or f"An operation without rules, built by {builder}."
    return OpSpec(name, version, {}, opaque=True, open=True, causal="false", builder=builder, summary=text)


def find(name: str) -> OpSpec:
    """The operation of that name; raises OperationError with a near match."""
    if name not in _REGISTRY:
        load_plugins()
    try:
        return _REGISTRY[name]
    except KeyError:
        raise OperationError(f"there is no operation {name!r}{suggest(name, _REGISTRY)}") from None
