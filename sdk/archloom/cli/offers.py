"""What other installed packages offer to commands, by entry points."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import entry_points
from typing import Any

from archloom.errors import InvalidInput, Violation


def offered(group: str, name: str) -> Callable[..., Any]:
    """What an installed package offers under that name; raises InvalidInput saying what to install."""
    lacking = f"`pip install 'archloom[evaluators]'`: {name} needs torch"
    points = entry_points(group=group, name=name)
    if not points:
        raise InvalidInput([Violation("", lacking)])
    try:
        function: Callable[..., Any] = next(iter(points)).load()
    except ModuleNotFoundError as error:
        raise InvalidInput([Violation("", f"{lacking} (no module {error.name})")]) from None
    return function
