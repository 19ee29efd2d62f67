"""Archloom's SDK: describe a search, run it, plug in a strategy.

Importing this package loads nothing heavy; each name is imported when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from archloom.client import Client
    from archloom.space import Architecture, Space
    from archloom.spec import ExperimentSpec
    from archloom.strategy import Strategy

__version__ = "0.1.0"

_HOMES = {
    "Architecture": "archloom.space",
    "Client": "archloom.client",
    "ExperimentSpec": "archloom.spec",
    "Space": "archloom.space",
    "Strategy": "archloom.strategy",
}

__all__ = ["Architecture", "Client", "ExperimentSpec", "Space", "Strategy", "__version__"]


def __getattr__(name: str) -> object:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'archloom' has no attribute {name!r}")
