"""Conformance kits: inherit one and pytest holds your plugin to the contract."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from archloom.testing.strategy_contract import StrategyContract

__all__ = ["StrategyContract"]


def __getattr__(name: str) -> object:
    # The kit needs pytest; the session beside it, which the benchmark uses, does not.
    if name == "StrategyContract":
        from archloom.testing.strategy_contract import StrategyContract

        return StrategyContract
    raise AttributeError(f"module 'archloom.testing' has no attribute {name!r}")
