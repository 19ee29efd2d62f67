"""The engine: owners, steps, reaper."""

from archloom_controller.engine.engine import Engine

__all__ = ["Engine"]
