from archloom_strategies.grid.strategy import Grid

__all__ = ["Grid"]
