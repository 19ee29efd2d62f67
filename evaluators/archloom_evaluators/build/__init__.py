"""Torch modules from canonical graphs."""

from archloom_evaluators.build.network import Network, build_module
from archloom_evaluators.build.registry import Builder, BuildFailed, register_operation

__all__ = ["BuildFailed", "Builder", "Network", "build_module", "register_operation"]
