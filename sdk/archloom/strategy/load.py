"""From ``module:Class``, or the name of an installed strategy, to the strategy."""

from __future__ import annotations

import importlib
import inspect
import os
import sys
from collections.abc import Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from archloom.errors import InvalidInput, Violation
from archloom.strategy.base import Strategy
from archloom.strategy.settings import near

GROUP = "archloom.strategies"


def installed_strategies() -> Mapping[str, EntryPoint]:
    """The strategies that installed packages offer, by name."""
    return {point.name: point for point in entry_points(group=GROUP)}


def load_strategy(target: str) -> Strategy[Any, Any]:
    """The strategy ``target`` names. Modules of the working directory are found, too.

    Raises InvalidInput with one sentence that says what is wrong with the name.
    """
    module_name, colon, class_name = target.partition(":")
    if not colon:
        installed = installed_strategies()
        if target not in installed:
            raise _refusal(
                f"no strategy {target!r} is installed; {near(target, installed)} (or give module:Class)"
            )
        module_name, _, class_name = installed[target].value.partition(":")
    if not module_name or not class_name:
        raise _refusal(f"{target!r} is not of the form module:Class")
    return _strategy(_attribute(_module(module_name), class_name), target)


def _module(name: str) -> Any:
    here = os.getcwd()
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name and (name == error.name or name.startswith(f"{error.name}.")):
            raise _refusal(f"there is no module {error.name!r}; run in its folder, or install it") from None
        raise _refusal(f"module {name!r} imports {error.name!r}, which is not installed") from error
    except Exception as error:
        raise _refusal(f"module {name!r} cannot be imported: {type(error).__name__}: {error}") from error


def _attribute(module: Any, name: str) -> Any:
    found = module
    for part in name.split("."):
        if not hasattr(found, part):
            classes = [key for key, value in vars(module).items() if _is_strategy(value)]
            raise _refusal(f"module {module.__name__!r} has no {name!r}; {near(name, classes)}")
        found = getattr(found, part)
    return found


def _strategy(found: Any, target: str) -> Strategy[Any, Any]:
    if isinstance(found, Strategy):
        return found
    if not (isinstance(found, type) and issubclass(found, Strategy)):
        raise _refusal(f"{target!r} is not a subclass of archloom.Strategy")
    if inspect.isabstract(found):
        raise _refusal(f"{target!r} has no propose method")
    try:
        return found()
    except Exception as error:
        raise _refusal(f"{target!r} cannot be made: {type(error).__name__}: {error}") from error


def _is_strategy(value: object) -> bool:
    return isinstance(value, type) and issubclass(value, Strategy) and not inspect.isabstract(value)


def _refusal(sentence: str) -> InvalidInput:
    return InvalidInput([Violation("strategy", sentence)], sentence)
