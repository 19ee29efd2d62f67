"""How a torch module was constructed: its class and the arguments it was given.

A module does not keep its arguments. The builders are therefore run twice: once to see which classes they
make, and once with the ``__init__`` of these classes wrapped.
"""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from torch import nn

_LOCK = threading.Lock()


@dataclass(frozen=True)
class Construction:
    """``arguments`` as (name, value); the name is "" where it is best given by position. Values may be
    constructions.
    """

    kind: type[nn.Module]
    arguments: tuple[tuple[str, Any], ...]


def construct(build: Callable[[], nn.Module]) -> tuple[nn.Module, Construction]:
    """The module that ``build`` makes, and how it made it. ``build`` is called twice."""
    kinds = {type(module) for module in build().modules()}
    with _LOCK, _wrapped(kinds) as calls:
        module = build()
    return module, _construction(module, calls)


@contextmanager
def _wrapped(kinds: set[type[nn.Module]]) -> Iterator[dict[int, tuple[tuple[Any, ...], dict[str, Any]]]]:
    calls: dict[int, tuple[tuple[Any, ...], dict[str, Any]]] = {}
    own = {kind: kind.__dict__.get("__init__") for kind in kinds}
    try:
        for kind in kinds:
            kind.__init__ = _wrapper(kind, kind.__init__, calls)  # type: ignore[method-assign]
        yield calls
    finally:
        for kind, before in own.items():
            if before is None:
                del kind.__init__
            else:
                kind.__init__ = before  # type: ignore[method-assign]


def _wrapper(kind: type, before: Callable[..., None], calls: dict[int, Any]) -> Callable[..., None]:
    def __init__(self: nn.Module, *args: Any, **kwargs: Any) -> None:
        if type(self) is kind:
            calls[id(self)] = (args, kwargs)
        before(self, *args, **kwargs)

    # Some modules ask inspect for the signature of their class.
    __init__.__signature__ = inspect.signature(before)  # type: ignore[attr-defined]
    return __init__


def _construction(module: nn.Module, calls: dict[int, Any]) -> Construction:
    args, kwargs = calls[id(module)]
    kind = type(module)
    signature = inspect.signature(kind.__init__)
    bound = signature.bind(module, *args, **kwargs)
    arguments: list[tuple[str, Any]] = []
    for number, (name, value) in enumerate(bound.arguments.items()):
        parameter = signature.parameters[name]
        if number == 0:  # self
            continue
        if parameter.kind is parameter.VAR_POSITIONAL:
            arguments += [("", _value(each, calls)) for each in value]
        elif parameter.kind is parameter.VAR_KEYWORD:
            arguments += [(key, _value(each, calls)) for key, each in value.items()]
        elif parameter.default is parameter.empty:
            arguments.append(("", _value(value, calls)))
        elif type(value) is not type(parameter.default) or value != parameter.default:
            arguments.append((name, _value(value, calls)))
    return Construction(kind, tuple(arguments))


def _value(value: Any, calls: dict[int, Any]) -> Any:
    if isinstance(value, nn.Module):
        return _construction(value, calls)
    if isinstance(value, (list, tuple)):
        return tuple(_value(each, calls) for each in value)
    return value
